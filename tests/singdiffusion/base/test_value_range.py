"""Images in [0, 1] are not taken for [−1, 1] in silence."""

import warnings

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.average.table import AverageTable
from singdiffusion.cli import app
from singdiffusion.commands.shared import one_line_errors
from singdiffusion.evaluation.data_statistics import read
from singtheory import Atoms
from singtheory.data.sources import Data
from tests.singdiffusion.base.test_checkpoint import CONFIG
from tests.singdiffusion.base.test_checkpoint import written as written  # a fixture


def unit(count=6, channels=3):
    return torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(0))


MAKERS = {
    "table": lambda images, **more: AverageTable.from_images({"a": images[:3], "b": images[3:]}, **more),
    "statistics": lambda images, **more: AverageStatistics.from_images(images, rank=0, **more),
    "chunks": lambda images, **more: AverageStatistics.from_chunks(images.split(2), rank=0, **more),
    "data": lambda images: read(Data(Atoms(images.movedim(1, 3).flatten(1)), "x", (4, 4, images.shape[1]))),
    "grey data": lambda images: read(Data(Atoms(images[:, 0].flatten(1)), "x", (4, 4))),
}


@pytest.mark.parametrize("name", MAKERS)
def test_it_is_said(name):
    with pytest.warns(UserWarning, match=r"all values lie in \[0\.\d+, 0\.\d+\] .* give 2 \* images - 1"):
        MAKERS[name](unit())


BYTES = (unit() * 255).round()
FINE = {
    "in [-1, 1]": 2 * unit() - 1,
    "one darker than grey": torch.cat([unit(5), torch.full((1, 3, 4, 4), -0.01)]),
    "brighter than one": unit() * 1.1 + 0.1,
    "bright images of 8 bits": (128 + (BYTES / 2).floor()) / 127.5 - 1,
    "one colour": torch.full((6, 3, 4, 4), 0.5),
}


@pytest.mark.parametrize("name", FINE)
@pytest.mark.parametrize("maker", ["table", "statistics", "chunks"])
def test_nothing_is_said_of_images_that_are_fine(maker, name):
    MAKERS[maker](FINE[name])


def test_images_of_8_bits_divided_by_255_are_told_apart():
    with pytest.warns(UserWarning, match="all values lie in"):
        MAKERS["statistics"](BYTES / 255)


@pytest.mark.parametrize("maker", ["table", "statistics"])
def test_latents_may_lie_anywhere(maker):
    MAKERS[maker](unit(channels=4))
    MAKERS[maker](unit(), scaling_factor=0.5)
    MAKERS[maker](unit(), shift_factor=0.1)


def test_the_command_says_it_in_one_line(tmp_path, written):
    np.save(tmp_path / "x.npy", unit().movedim(1, 3).numpy())
    with pytest.warns(UserWarning, match=r"images of .*x\.npy: all values lie in"):
        result = CliRunner().invoke(app, ["diagnose", written(CONFIG), "--data", str(tmp_path / "x.npy")])
    assert result.exit_code == 0
    with one_line_errors():
        assert warnings.formatwarning("one\ntwo", UserWarning, "file.py", 3) == "warning: one two\n"

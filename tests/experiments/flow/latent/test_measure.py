"""Trained and measured at tiny size: all parts are told, cells are judged as decoded pictures, and a run is taken up again."""

import json
import sys

import numpy as np
import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.flow.blocks import plan
from docs.experiments.flow.keep import keep
from docs.experiments.flow.latent import measure, prediction, train
from docs.experiments.flow.latent.judge import RECONSTRUCTED
from docs.experiments.flow.ways import EVERY, WAYS
from docs.experiments.script.result import HEAD

WAY, RIVAL = "UniPC matched, statistics, rank 64", "UniPC"
TWIN, NOISE = "DDIM matched, rank 64", "DDIM from noise"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("latent")
    prompts = (*OPENMOJI.fixed[:2], *OPENMOJI.open[:1])
    images = torch.randint(256, (18, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    Captioned.of(images, [prompts[k % 3] for k in range(18)]).save(path / "data.npz.xz")
    return path


def run(module, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["it", *map(str, words), "--device", "cpu"])
    module.main()


def test_both_commands_end_to_end(folder, monkeypatch):
    source = ("--data", str(folder / "data.npz.xz"), "--out", folder / "run")
    words = ("--tiny", "--steps", "2", "--vae-batch", "4", "--batch", "4", "--limit", "600")
    run(train, monkeypatch, *source, *words)
    content = json.loads((folder / "run" / f"{train.NAME}.json").read_text())
    assert set(HEAD) | {"autoencoder", "flow", "epsilon", "reconstructions", "expected", "eigenvalues"} <= set(content)
    assert {"PSNR", "brightness ratio", "black error", "white error"} < set(content["reconstructions"])
    assert (folder / "run" / "reconstructions.png").stat().st_size > 1000
    monkeypatch.setattr(measure, "BLOCKS", {"first": (((WAYS[WAY], WAYS[RIVAL]), (2,)),)})
    monkeypatch.setattr(measure, "TWINS", (((EVERY[TWIN], EVERY[NOISE]), (2,)),))
    monkeypatch.setattr(measure, "_MANY", 3)
    monkeypatch.setattr(prediction, "STEPS", (2,))
    monkeypatch.setattr(measure, "_SHOWN", (RIVAL, WAY))
    amounts = ("--samples", "6", "--each", "4", "--without", "8", "--batch", "16")
    words = ("--models", folder / "run", *amounts, "--parts", "first,prediction,pictures,epsilon")
    run(measure, monkeypatch, *source, *words)
    content = json.loads((folder / "run" / f"{measure.NAME}.json").read_text())
    assert {(one["way"], one["guidance"], one["budget"]) for one in content["cells"]} == {(name, w, 2) for name in (WAY, RIVAL) for w in (1.0, 3.0)}  # fmt: skip
    assert all(RECONSTRUCTED in one and f"{RECONSTRUCTED} std" in one for one in content["cells"])
    assert len(content["prediction"]["network"]) == 4 and len(content["prediction"]["exact"]) == 3
    assert set(content["floor"]) == {"pictures", "reconstructions", "prompts"} and len(content["floor"]["prompts"]) == 3
    twin = json.loads((folder / "run" / "epsilon" / f"{measure.EPSILON_NAME}.json").read_text())
    assert {one["way"] for one in twin["cells"]} == {TWIN, NOISE}
    assert (folder / "run" / "samples.png").exists()
    with np.load(next((folder / "run").glob("flow-latent-*.npz"))) as stored:
        assert {stored[name].dtype for name in stored.files} == {np.dtype(np.float16)}
        assert len(stored.files) == 4 * (3 + 3)  # three distances and three prompts a cell

    # taken up again, nothing is drawn twice
    def refused(*_):
        raise AssertionError("drawn twice")

    with monkeypatch.context() as watched:
        watched.setattr(measure.Decoded, "__call__", refused)
        run(measure, watched, *source, *words[:-1], "first,prediction,epsilon")
    again = json.loads((folder / "run" / f"{measure.NAME}.json").read_text())
    assert again["cells"] == content["cells"] and "failed" not in again
    keep([folder / "run"], Captioned.load(folder / "data.npz.xz"), folder / "kept")
    pairs = json.loads((folder / "kept" / "pairs.json").read_text())["pairs"]
    assert [(one["ours"], one["rivals"]) for one in pairs] == [([WAY], [RIVAL])] * 2
    assert RECONSTRUCTED in pairs[0]["errors"]
    assert "flow-train-latent" in json.loads((folder / "kept" / "train.json").read_text())


def test_cells_are_drawn_in_the_order_of_their_importance():
    first = plan(False, measure.FIRST)
    assert {n for _, _, n in first} == {4, 6} and {w for _, w, _ in first} == {1.0, 3.0}
    every = plan(False, (*measure.FIRST, *measure.SECOND, *measure.OTHERS))
    names = {way.name for way, _, _ in every}
    assert {f"Euler corrected, network mean, statistics, rank {k}" for k in (1, 16, 64)} < names
    assert {n for way, _, n in every if way.name == WAY} == {4, 6, 8, 10, 20, 50}
    assert len(plan(False, measure.TWINS)) == 2 * 3 * len(measure.EPSILON)

"""Equal loss at a tiny size; `equal_loss.py` measures the real one on a GPU."""

import itertools
import json
import math
import sys

import pytest
import torch
from PIL import Image

from singdiffusion.training.cache import Cache
from singtheory import InputError
from singtheory.system.files import write_json
from tests.benchmarks.trainer import equal_loss
from tests.benchmarks.trainer.training import settings, trainer
from tests.singdiffusion.support.runs import TINY_UNET

SIZES = equal_loss.Sizes(
    unet=TINY_UNET | {"in_channels": 3, "out_channels": 3},
    side=8,
    batch=8,
    measured=20,
    seconds=1.0,
    lrs=(1e-3, 3e-3),
    precision="no",
    device="cpu",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two captions: one colour each, and one of two colours, whose closed form has half the squared difference over two as its loss."""
    folder = tmp_path_factory.mktemp("pictures")
    captions = {"black": (0,) * 3, "white": (255,) * 3, "grey": (0,) * 3, "also grey": (255,) * 3}
    lines = []
    for k in range(40):
        name = list(captions)[k % 4]
        Image.new("RGB", (8, 8), captions[name]).save(folder / f"{k}.png")
        lines.append(json.dumps({"file_name": f"{k}.png", "text": name.removeprefix("also ")}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def test_all(pictures, tmp_path, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(
        equal_loss, "perf_counter", lambda: next(clock) / 16
    )  # so that a busy machine takes as many steps
    actual = equal_loss.measure(str(pictures), tmp_path, SIZES, lambda part: write_json(tmp_path / "part.json", part))
    assert json.loads((tmp_path / "part.json").read_text()).keys() == actual.keys()
    assert len(actual["runs"]) == 4
    for model in ("unet", "decoder"):
        curves = [run["curve"] for run in actual["runs"] if run["model"] == model]
        assert min(map(equal_loss.best, curves)) == actual[model]["best loss"] <= actual["equal loss"]
        assert all(equal_loss.best(points) < points[0]["loss"] for points in curves)
        assert all(1.0 <= points[-1]["seconds"] < 1.2 for points in curves)
    assert actual["equal loss"] in (actual["unet"]["best loss"], actual["decoder"]["best loss"])
    rates = actual["decoder"]["examples a second"] / actual["unet"]["examples a second"]
    assert actual["examples a second, times the U-Net"] == pytest.approx(rates)


def test_a_cache_is_taken_as_it_is(pictures, tmp_path):
    made = equal_loss.opened(str(pictures), tmp_path / "cache", SIZES)
    assert equal_loss.opened(str(tmp_path / "cache"), tmp_path / "other", SIZES).digest == made.digest
    assert not (tmp_path / "other").exists()


def test_the_least_loss_is_that_of_the_means(pictures, tmp_path):
    """Black and white vary by nothing, grey by 1 around its mean 0."""
    cache = equal_loss.opened(str(pictures), tmp_path / "cache", SIZES)
    assert isinstance(cache, Cache)
    grey = torch.tensor([cache.captions[row] == "grey" for row in cache.caption])
    whole = equal_loss.Measured(cache, torch.arange(40), torch.zeros(40, 3, 8, 8))
    assert whole.least() == pytest.approx(float(grey.float().mean())) == 0.5


def run(model, lr, *losses, diverged=False):
    points = [{"examples": 10.0 * k, "seconds": float(k), "loss": loss} for k, loss in enumerate(losses)]
    return {"model": model, "lr": lr, "weights": 1, "diverged": diverged, "curve": points}


@pytest.mark.parametrize("where", ["loss", "average"])
def test_a_run_that_diverges_is_kept_with_its_curve(pictures, tmp_path, monkeypatch, where):
    """In the loss of a step, or first in that of the averaged weights."""
    cache = equal_loss.opened(str(pictures), tmp_path / "cache", SIZES)
    chosen = settings(SIZES, cache.folder, tmp_path / "run", lr=1e-3, schedule="constant", ema=0.0)
    one = trainer(chosen, cache)
    take = one.take

    def diverging(batch):
        actual = take(batch)
        if one.step == 12:
            spoilt = one.network.parameters() if where == "loss" else one.ema.average
            next(iter(spoilt)).detach().fill_(torch.inf)
        return actual

    monkeypatch.setattr(one, "take", diverging)
    points, diverged = equal_loss.curve(one, equal_loss.Measured.of(cache, SIZES), 1e9)
    assert diverged and len(points) > 2 and all(point["loss"] < math.inf for point in points)
    assert points[-1]["examples"] <= 12 * SIZES.batch


def test_a_run_that_diverges_is_never_the_better_one():
    runs = [run("unet", 1, 9, 5, 4), run("unet", 2, 9, 1, diverged=True), run("decoder", 1, 9, 4)]
    assert equal_loss.compare(runs)["unet"]["lr"] == 1
    with pytest.raises(InputError, match="unet: diverges at every learning rate"):
        equal_loss.compare(runs[1:])


def test_the_better_learning_rate_counts():
    actual = equal_loss.compare(
        [
            run("unet", 1, 9, 9, 8, 7),
            run("unet", 2, 9, 9, 5, 4),
            run("decoder", 1, 1, 5, 3, 2),
            run("decoder", 2, 9, 9, 9),
        ]
    )
    assert actual["equal loss"] == 4 and actual["unet"]["lr"] == 2 and actual["decoder"]["lr"] == 1
    assert actual["unet"]["seconds to the equal loss"] == 3 and actual["decoder"]["seconds to the equal loss"] == 2
    assert actual["sooner at the equal loss, times"] == 1.5


@pytest.mark.parametrize(("there", "words"), [(True, "is empty"), (False, "no CUDA device here")])
def test_what_cannot_be_run_is_one_line(tmp_path, monkeypatch, capsys, there, words):
    monkeypatch.setattr(sys, "argv", ["equal_loss", "--data", str(tmp_path), "--out", str(tmp_path / "out.json")])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(equal_loss, "origin", lambda *_: {})
    with pytest.raises(SystemExit, match="2"):
        equal_loss.main()
    assert words in capsys.readouterr().err.splitlines()[-1] and not list(tmp_path.iterdir())

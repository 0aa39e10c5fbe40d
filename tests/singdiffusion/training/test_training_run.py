"""Runs from settings to a folder with weights, card and pictures."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from singdiffusion.average.registry import load_average
from singdiffusion.training import training_run
from singdiffusion.training.batches import Data
from singdiffusion.training.cache import Cache, Encoding, finish, save_part, save_texts
from singdiffusion.training.snapshot import Snapshot
from singdiffusion.training.train import learning_rate
from singdiffusion.training.training_run import check_out, run
from singtheory import InputError
from singtheory.data.sources import digits_images, digits_labels
from tests.singdiffusion.support.runs import TINY_UNET, cached, settings, untracked


@pytest.mark.parametrize("condition", ["classes", "none", "image", "text"])
@pytest.mark.parametrize("model", ["decoder", "unet"])
def test_every_condition_trains_and_is_loaded_again(tmp_path, model, condition):
    chosen = settings(
        cached(tmp_path / "c", 60, states=16), tmp_path / "o", model=model, condition=condition, small=2, steps=3,
        unet=TINY_UNET if model == "unet" else None,
    )  # fmt: skip
    actual = load_average(run(chosen, Cache.open(chosen.cache)))
    assert actual.rank == 4 and actual.space.channels == 1
    assert {"picture.png", "README.md"} <= {file.name for file in (tmp_path / "o" / "model").iterdir()}


@pytest.mark.parametrize("model", ["statistics", "table"])
def test_closed_forms_need_no_training(digits_cache, tmp_path, model):
    chosen = settings(digits_cache, tmp_path / "o", model=model, rank=2)
    actual = load_average(run(chosen, Cache.open(digits_cache)))
    noise, images = torch.zeros(1, 1, 8, 8), digits_images().float()[:, None]
    expected = images.mean(dim=0) if model == "statistics" else images[digits_labels() == 3].mean(dim=0)
    torch.testing.assert_close(actual(["3"], noise).mean[0], expected)
    assert actual.rank == 2
    card = (tmp_path / "o" / "model" / "README.md").read_text()
    assert "| steps | none, in closed form |" in card
    some = torch.randperm(1797, generator=torch.Generator().manual_seed(0))[:256]
    captions = [str(int(label)) for label in digits_labels()[some]]
    loss = float((actual(captions, torch.zeros(256, 1, 8, 8)).mean - images[some]).square().mean())
    assert f"| loss of the mean, over 256 examples | {loss:.4g} |" in card


@pytest.mark.parametrize("model", ["decoder", "table"])
def test_pictures_are_of_the_prompts(digits_cache, tmp_path, monkeypatch, model):
    """The prompt of no words among them; what is no caption is refused before anything is written."""
    drawn = []
    monkeypatch.setattr(
        "singdiffusion.training.training_run.gallery", lambda average, names, _: drawn.append(names) or b"png"
    )
    chosen = settings(digits_cache, tmp_path / "o", model=model, rank=2, steps=1, prompts=["7", ""])
    run(chosen, Cache.open(digits_cache))
    assert drawn == [["7", ""]] and (tmp_path / "o" / "model" / "picture.png").read_bytes() == b"png"
    with pytest.raises(InputError, match="'cat' is no caption"):
        run(replace(chosen, out=str(tmp_path / "p"), prompts=["cat"]), Cache.open(digits_cache))
    assert not any((tmp_path / "p").iterdir())


def test_the_rank_of_closed_forms_is_what_the_data_give(tmp_path):
    """Ten captions of one image each leave nothing around the means; ten images vary in nine directions."""
    chosen = settings(cached(tmp_path / "c", 10), tmp_path / "t", model="table")
    labels = {int(label) for label in digits_labels()[:10]}
    assert load_average(run(chosen, Cache.open(chosen.cache))).rank == 10 - len(labels)
    more = replace(chosen, out=str(tmp_path / "s"), model="statistics", frequencies=4, rank=20)
    assert load_average(run(more, Cache.open(chosen.cache))).rank == 9


def test_resume_needs_a_folder(tmp_path):
    """One without a checkpoint was killed before its first."""
    chosen = settings(tmp_path / "c", tmp_path / "o")
    with pytest.raises(InputError, match=r"nothing to resume; leave out --resume"):
        check_out(chosen, resume=True)
    (tmp_path / "o").mkdir()
    check_out(chosen, resume=True)
    check_out(chosen, resume=False)


def test_what_is_kept_and_drawn_are_the_averaged_weights(digits_cache, tmp_path, monkeypatch):
    drawn = []

    def validate(network, *_):
        drawn.append({f"network.{name}": value.clone() for name, value in network.named_parameters()})
        return {}

    monkeypatch.setattr(training_run, "validate", validate)
    chosen = settings(digits_cache, tmp_path, steps=4, lr=0.1, warmup=0, ema=0.5, validate_every=4)
    kept = load_average(run(chosen, Cache.open(digits_cache)))
    actual, (during, after) = Snapshot.latest(tmp_path), drawn
    for name, average in actual.ema.items():
        assert torch.equal(kept.get_parameter(name.removeprefix("network.")), average)
        assert torch.equal(during[name], average) and torch.equal(after[name], average)
    assert any(not torch.equal(actual.weights[name], average) for name, average in actual.ema.items())


def test_the_log_tells_rate_and_learning_rate(digits_cache, tmp_path, monkeypatch):
    """By a clock that counts how often it is asked: at the start and at every entry."""
    monkeypatch.setattr(training_run, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    chosen = settings(digits_cache, tmp_path, steps=5, log_every=2, validate_every=9)
    watched = {}
    run(chosen, Cache.open(digits_cache), watch=lambda step, entry: watched.update({step: entry}))
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()][:3]
    assert [entry["step"] for entry in entries] == [2, 4, 5]
    assert [entry["examples_per_second"] for entry in entries] == [16, 16, 8]
    assert [entry["lr"] for entry in entries] == [learning_rate(chosen, step) for step in (1, 3, 4)]
    assert watched[1] == {} and watched[3] == watched[2] and watched[5]["loss"] == entries[2]["loss"]


def test_the_card_tells_the_loss_of_the_averaged_weights(tmp_path):
    """Of a network that has not learnt: with the average of its first weights."""
    chosen = settings(cached(tmp_path / "c", 40), tmp_path / "o", steps=1, lr=1e-12, frequencies=0)
    module = load_average(run(chosen, Cache.open(chosen.cache)))
    data = Data(Cache.open(chosen.cache), chosen, torch.device("cpu"))
    rows = torch.arange(40)
    x_0 = data.cache.x_0(rows)
    actual = module(data.condition(data.cache.caption, x_0, torch.zeros(40, dtype=torch.bool)), torch.zeros_like(x_0))
    loss = float((actual.mean.detach() - x_0).square().mean())
    card = (tmp_path / "o" / "model" / "README.md").read_text()
    assert f"| loss of the mean, of the averaged weights over 40 examples | {loss:.4g} |" in card
    assert "loss of the spread" not in card and "license: other" in card and "| steps | 1 of 8 examples |" in card


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("model", ["decoder", "statistics", "table"])
def test_data_that_are_not_finite_are_refused(tmp_path, model, value, channels):
    images = torch.zeros(4, channels, 4, 4)
    images[2, 0, 1, 1] = value
    folder = tmp_path / "c"
    save_part(folder, "part-000-0000000", images, [{"key": str(k), "caption": "a", "hash": str(k)} for k in range(4)])
    save_texts(folder, lambda captions: torch.zeros(len(captions), 0, 0), untracked)
    finish(folder, Encoding(channels, 4, 4, 4), [], untracked)
    with pytest.raises(InputError, match="c: holds NaN or infinity"):
        run(settings(folder, tmp_path / "o", model=model), Cache.open(folder))

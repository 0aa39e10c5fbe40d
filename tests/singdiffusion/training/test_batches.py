"""Batches: every example in its turn, shared by processes, conditions left out as their kind does."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from singdiffusion.training.batches import Data, class_names
from singdiffusion.training.cache import Cache
from singtheory import InputError
from tests.singdiffusion.support.runs import cached, settings


def test_every_epoch_takes_every_example_once_in_an_order_of_its_own(tmp_path):
    chosen = settings(cached(tmp_path / "c", 30), tmp_path / "o", batch=7)
    data = Data(Cache.open(chosen.cache), chosen, torch.device("cpu"))
    stream = torch.cat([data.rows(step) for step in range(30)])
    epochs = stream[:210].reshape(7, 30)
    assert all(sorted(epoch.tolist()) == list(range(30)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 7
    assert torch.equal(data.rows(20), stream[140:147])


def test_processes_take_shares_of_one_batch(digits_cache, tmp_path):
    chosen, cache = settings(digits_cache, tmp_path / "o", dropout=0.5), Cache.open(digits_cache)
    whole = Data(cache, chosen, torch.device("cpu"))[3]
    shares = [Data(cache, chosen, torch.device("cpu"), k, 2)[3] for k in range(2)]
    for name in ("x_0", "x_1", "condition"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(share, name) for share in shares]))
    assert 10 in whole.condition and not bool((whole.condition == 10).all())


def test_every_step_has_its_own_noise_and_leaves_its_own_conditions_out(digits_cache, tmp_path):
    """Of 40 steps of 64: no two noises alike, and a tenth left out, to six standard deviations."""
    chosen = settings(digits_cache, tmp_path / "o", batch=64, dropout=0.1)
    data = Data(Cache.open(digits_cache), chosen, torch.device("cpu"))
    batches = [data[step] for step in range(40)]
    noise = torch.cat([batch.x_1.flatten(1) for batch in batches])
    assert len(noise.unique(dim=0)) == 40 * 64
    assert abs(float(noise.mean())) < 6 / noise.numel() ** 0.5
    assert abs(float(noise.square().mean()) - 1) < 6 * (2 / noise.numel()) ** 0.5
    left_out = torch.stack([batch.condition == 10 for batch in batches])
    assert abs(float(left_out.float().mean()) - 0.1) < 6 * (0.09 / left_out.numel()) ** 0.5
    assert len(left_out.unique(dim=0)) == 40


@pytest.mark.parametrize(
    ("condition", "left_out"), [("classes", 10), ("text", "the state of no words"), ("image", "NaN"), ("none", 0)]
)
def test_conditions_are_left_out_as_their_kind_does(tmp_path, condition, left_out):
    chosen = settings(cached(tmp_path / "c", 40, states=4), tmp_path / "o", condition=condition, dropout=0.5, small=2)
    cache = Cache.open(chosen.cache)
    data, rows = Data(cache, chosen, torch.device("cpu")), torch.arange(6)
    without = data.condition(cache.caption[rows], cache.x_0(rows), torch.ones(6, dtype=torch.bool))
    with_it = data.condition(cache.caption[rows], cache.x_0(rows), torch.zeros(6, dtype=torch.bool))
    if condition == "text":
        assert torch.equal(without, cache.states(torch.zeros(6, dtype=torch.long)))
        assert torch.equal(with_it, cache.states(cache.caption[rows]))
    elif condition == "image":
        assert bool(without.isnan().all())
        torch.testing.assert_close(with_it, cache.x_0(rows).unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5)))
    else:
        assert without.tolist() == [left_out] * 6
        if condition == "classes":
            assert [class_names(cache)[k] for k in with_it] == [cache.captions[row] for row in cache.caption[rows]]


@pytest.mark.parametrize("condition", ["classes", "text", "image", "none"])
def test_no_caption_is_no_condition(tmp_path, condition):
    """Row 0 has no example; drawn by itself it is what is left out in training."""
    chosen = settings(cached(tmp_path / "c", 40, states=4), tmp_path / "o", condition=condition, small=2)
    data = Data(Cache.open(chosen.cache), chosen, torch.device("cpu"))
    x_0, rows = data.cache.x_0(torch.arange(2)), torch.tensor([0, 3])
    actual = data.condition_of(rows)
    without = data.condition(rows, x_0, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(actual[0], without[0], equal_nan=True)
    first = data.cache.x_0((data.cache.caption == 3).nonzero()[:1, 0])
    torch.testing.assert_close(actual[1], data.condition(rows[1:], first, torch.zeros(1, dtype=torch.bool))[0])


@pytest.mark.parametrize(
    ("other", "processes", "words"),
    [
        ({"batch": 50}, 1, "batch 50: there are 40"),
        ({"batch": 9}, 2, "divide by 2 processes times 1"),
        ({"batch": 8, "accumulate": 3}, 1, "times 3 parts"),
        ({"batch": None}, 41, "41 processes for 40 examples"),
        ({"condition": "text"}, 1, "without token states"),
    ],
)
def test_batches_that_cannot_be_made(tmp_path, other, processes, words):
    chosen = settings(cached(tmp_path / "c", 40), tmp_path / "o", **other)
    with pytest.raises(InputError, match=words):
        Data(Cache.open(chosen.cache), chosen, torch.device("cpu"), 0, processes)


def test_no_two_draws_of_a_run_share_a_seed():
    """Order, noise and what is left out, at every step and epoch: a purpose of one step is not another of the next."""
    runs = [SimpleNamespace(settings=SimpleNamespace(seed=seed)) for seed in (0, 1, 7)]
    seeds = [
        Data._generator(cast(Data, run), number, purpose).initial_seed()
        for run in runs
        for number in range(50)
        for purpose in range(3)
    ]
    assert len(set(seeds)) == len(seeds)

"""A step's passes, recorded and replayed: the weights that the passes as they are written give. On the CPU a twin of the recording stands in."""

import logging

import pytest
import torch
from accelerate import Accelerator

from singdiffusion.training.batches import Batch
from singdiffusion.training.objective import Losses
from singdiffusion.training.passes import Eager, OnGpu, Replayed
from singdiffusion.training.snapshot import Snapshot
from tests.singdiffusion.support.runs import Dying, assert_same, settings, trainer, weights


def twin(whole):
    """As a recording does it: the same work in the same memory, and losses in the same place."""
    losses = whole()

    def again():
        for place, value in zip(losses, whole(), strict=True):
            place.copy_(value)

    return again, losses


def by_twin(one, record=twin):
    one.passes = Replayed(one.passes, record)
    return one


def replayed(chosen, record=twin):
    return by_twin(trainer(chosen), record)


@pytest.mark.parametrize("other", [{}, {"accumulate": 4}, {"condition": "image"}, {"frequencies": 0}])
def test_replayed_steps_give_the_same_losses_and_weights(digits_cache, tmp_path, other):
    eager = trainer(settings(digits_cache, tmp_path / "a", **other))
    one = replayed(settings(digits_cache, tmp_path / "b", **other))
    for _ in range(6):
        expected, actual = (run.take(run.data[run.step]) for run in (eager, one))
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(actual, expected, strict=True))
    assert torch.equal(weights(one), weights(eager))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.ema.average, eager.ema.average, strict=True))


def test_losses_of_a_step_stay_when_the_next_is_taken(digits_cache, tmp_path):
    one = replayed(settings(digits_cache, tmp_path))
    first = one.take(one.data[0])
    kept = float(first.mean)
    one.take(one.data[1])
    assert float(first.mean) == kept


def test_batches_of_several_shapes_are_recorded_each(digits_cache, tmp_path):
    eager, one = trainer(settings(digits_cache, tmp_path / "a")), replayed(settings(digits_cache, tmp_path / "b"))
    for step in range(6):
        batch = eager.data[step]
        batch = type(batch)(*(part[: 8 - 4 * (step % 2)] for part in batch))
        eager.take(batch), one.take(batch)
    assert torch.equal(weights(one), weights(eager))


def test_what_a_network_draws_is_the_same(digits_cache, tmp_path):
    """The numbers that are drawn while the passes are recorded are drawn again in the step."""
    runs = trainer(settings(digits_cache, tmp_path / "a")), replayed(settings(digits_cache, tmp_path / "b"))
    for one in runs:
        one.network.reading = torch.nn.Sequential(one.network.reading, torch.nn.Dropout(0.5))
    for _ in range(3):
        for one in runs:
            one.take(one.data[one.step])
    assert torch.equal(weights(runs[0]), weights(runs[1]))


def test_a_replayed_run_that_is_resumed_goes_on_to_the_same_weights(digits_cache, tmp_path):
    replayed(settings(digits_cache, tmp_path / "a")).fit()
    chosen = settings(digits_cache, tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        replayed(chosen).fit(Dying(5))
    last = replayed(chosen)
    assert last.resume()
    last.fit()
    assert_same(Snapshot.latest(tmp_path / "b"), Snapshot.latest(tmp_path / "a"))


@pytest.mark.parametrize("at", [1, 2])
def test_what_cannot_be_recorded_is_done_as_it_is_written_and_said_once(digits_cache, tmp_path, caplog, at):
    calls = []

    def record(whole):
        calls.append(1)
        if len(calls) == at:
            whole()
            raise RuntimeError("called a synchronizing CUDA operation\nand more")
        return twin(whole)

    eager = trainer(settings(digits_cache, tmp_path / "a"))
    one = replayed(settings(digits_cache, tmp_path / "b"), record)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            batch = eager.data[step]
            batch = type(batch)(*(part[: 8 - 4 * (step % 2)] for part in batch))
            eager.take(batch), one.take(batch)
    assert torch.equal(weights(one), weights(eager))
    said = [record.message for record in caplog.records if "graph" in record.message]
    assert len(said) == 1 and "\n" not in said[0] and "called a synchronizing CUDA operation" in said[0]


class ByShape(torch.nn.Module):
    """Its second weight has a gradient in large batches alone."""

    def __init__(self):
        super().__init__()
        self.always, self.large = (torch.nn.Parameter(torch.ones(())) for _ in range(2))

    def forward(self, condition, x_1, x_0):
        loss = (self.always * x_1 - x_0).square().mean()
        if len(x_1) > 2:
            loss = loss + (self.large * x_1).mean()
        return Losses(loss, torch.zeros_like(loss))


def test_a_weight_that_gets_a_gradient_at_a_later_shape_gets_that_of_the_step_alone(caplog):
    """Its gradients were added up from step to step, and stayed where there were none."""
    eager, one = (Eager(module, module, Accelerator(cpu=True), 1) for module in (ByShape(), ByShape()))
    passes, generator = Replayed(one, twin), torch.Generator().manual_seed(0)
    for count in (2, 4, 2, 4, 4):
        batch = Batch(*torch.randn(3, count, 1, generator=generator))
        eager(batch), passes(batch)
        assert [p.grad for p in one.parameters] == [p.grad for p in eager.parameters]
    assert "had none at the first" in caplog.text


def test_a_twin_that_forgets_to_clear_gradients_is_seen(digits_cache, tmp_path):
    eager, one = trainer(settings(digits_cache, tmp_path / "a")), replayed(settings(digits_cache, tmp_path / "b"))
    for step in range(3):
        one.passes._gradients = one.passes._gradients[1:]
        eager.take(eager.data[step]), one.take(one.data[step])
    assert not torch.equal(weights(one), weights(eager))


def test_on_a_cpu_nothing_is_recorded(digits_cache, tmp_path):
    assert not isinstance(trainer(settings(digits_cache, tmp_path, graph=True)).passes, Replayed)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_recorded_steps_on_a_gpu_give_the_losses_of_eager_ones(digits_cache, tmp_path, precision):
    from accelerate.state import AcceleratorState

    from singdiffusion.training.build import build_network
    from singdiffusion.training.cache import Cache
    from singdiffusion.training.train import Trainer

    losses = {}
    for graph in (False, True):
        chosen = settings(digits_cache, tmp_path / str(graph), precision=precision, graph=graph)
        cache = Cache.open(chosen.cache)
        AcceleratorState._reset_state(reset_partial_state=True)
        one = Trainer(chosen, cache, build_network(chosen, cache), Accelerator(mixed_precision=precision))
        losses[graph] = [float(one.take(one.data[one.step]).total) for _ in range(8)]
        assert isinstance(one.passes, Replayed) == graph
        assert not graph or (isinstance(one.passes._record, OnGpu) and one.passes.recordings == 1)
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)

"""What the first step of a flow waits for, on a GPU: nothing that it reads, nor for the answer whether all is finite."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.utils._python_dispatch import TorchDispatchMode

from singdiffusion import SingDiffusion
from singdiffusion.base import Finite
from singdiffusion.start.flow import first_step, projected
from singdiffusion.start.flow_checks import Once
from singtheory import InputError
from tests.singdiffusion.start.flow_calls import SHAPE, spread, states
from tests.singdiffusion.support import tiny_flow


def late(monkeypatch):
    """As on a GPU, where an answer is not there at once."""
    monkeypatch.setattr(Finite, "answered", property(lambda _: False))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_nan_at_the_first_step_is_told_though_nothing_waits_for_the_answer(monkeypatch, steps):
    """At the next step, and at once where there is none; the pipeline can be called again, and is as before once detached."""
    late(monkeypatch)
    pipe, sing = tiny_flow.sd3(), SingDiffusion(spread=spread())
    plain = states(pipe, num_inference_steps=steps)
    bias = pipe.transformer.proj_out.bias.data.clone()
    sing.attach(pipe)
    mended = states(pipe, num_inference_steps=steps)
    pipe.transformer.proj_out.bias.data.fill_(float("nan"))
    with pytest.raises(InputError, match="model_output at the first step: holds NaN"):
        states(pipe, num_inference_steps=steps)
    pipe.transformer.proj_out.bias.data.copy_(bias)
    assert all(
        torch.equal(mine, before) for mine, before in zip(states(pipe, num_inference_steps=steps), mended, strict=True)
    )
    sing.detach(pipe)
    assert all(
        torch.equal(mine, before) for mine, before in zip(states(pipe, num_inference_steps=steps), plain, strict=True)
    )


class Bare:
    """A pipeline that steps its latents as it draws them."""

    def __init__(self, scheduler):
        self.scheduler = scheduler


def test_nan_of_a_run_that_was_broken_off_is_not_told_in_the_next(monkeypatch):
    late(monkeypatch)
    pipe, x_1 = Bare(FlowMatchEulerDiscreteScheduler()), torch.randn(1, *SHAPE)
    scheduler = pipe.scheduler
    with SingDiffusion(spread=spread()).attached(pipe):
        for output in (x_1 * float("nan"), x_1 / 2):  # after the first step somebody interrupts
            scheduler.set_timesteps(4)
            stepped = scheduler.step(output, scheduler.timesteps[0], x_1).prev_sample
    assert bool(stepped.isfinite().all())


READS = {"aten._local_scalar_dense", "aten.equal", "aten.nonzero", "aten.is_nonzero"}


class Reads(TorchDispatchMode):
    """Counts what would wait for a GPU: a number that is read, or a shape that depends on numbers."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += str(func.overloadpacket) in READS
        return func(*args, **(kwargs or {}))


def first_step_of(pipe):
    """How many numbers a first step reads of its latents and its scheduler."""
    x_1, scheduler = torch.randn(2, *SHAPE), pipe.scheduler
    pipe.prepare_latents(2, SHAPE[0], 16, 16, x_1.dtype, x_1.device, None, x_1)
    scheduler.set_timesteps(4)
    with Reads() as reads:
        scheduler.step(x_1 / 2, scheduler.timesteps[0], x_1)
    assert (scheduler.step_index, scheduler.begin_index) == (1, None)
    return reads.count


def test_no_number_is_read_in_the_first_step(monkeypatch):
    """Neither of the latents nor of the timesteps: not even the scheduler looks for its own, as it does in a plain call."""
    late(monkeypatch)
    pipe = tiny_flow.sd3(FlowMatchEulerDiscreteScheduler())
    assert first_step_of(pipe) > 0
    pipe.scheduler.set_timesteps(4)
    with SingDiffusion(spread=spread()).attached(pipe):
        assert first_step_of(pipe) == 0


@pytest.mark.parametrize("size", [1, 77, 256, 1000, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slices_sum_to_the_whole_product(size, dtype):
    values, rows = (torch.randn(n, size, dtype=dtype, generator=torch.Generator().manual_seed(n)) for n in (3, 5))
    exact = values.double() @ rows.double().mT
    torch.testing.assert_close(projected(values, rows).double(), exact, rtol=0, atol=size * torch.finfo(dtype).eps)


def test_directions_that_are_written_to_after_they_were_checked_are_checked_again():
    pipe, (basis, std) = tiny_flow.sd3(), spread()
    with SingDiffusion(spread=(basis, std)).attached(pipe):
        states(pipe)
        basis.mul_(2)
        with pytest.raises(InputError, match="orthonormal"):
            states(pipe)


def test_a_first_step_that_fails_leaves_the_scheduler_as_it_was():
    pipe, x_1 = tiny_flow.sd3(), torch.randn(1, *SHAPE)
    scheduler = pipe.scheduler
    scheduler.set_timesteps(4)
    before = dict(vars(scheduler))
    with pytest.raises(TypeError):
        first_step(x_1, x_1, scheduler, spread=spread(), nothing_of_the_kind=1)
    assert vars(scheduler) == before


def test_checked_tensors_are_recognised_until_they_are_written_to_or_others():
    one, other = torch.ones(3), torch.ones(3)
    known = Once(one, other)
    assert known.holds(one, other)
    assert not known.holds(other, one) and not known.holds(one) and not Once().holds(one)
    other[0] = 2.0
    assert not known.holds(one, other)
    with torch.inference_mode():
        uncounted = torch.ones(3)
    assert not Once(uncounted).holds(uncounted)

"""The singular step on flow pipelines that are compiled, offloaded, copied or changed by their users."""

import copy
import functools

import pytest
import torch

from singdiffusion import AverageTable, SingDiffusion
from singdiffusion.start.flow_pipeline import hook_of
from tests.singdiffusion.start.flow_calls import SHAPE, spread, states
from tests.singdiffusion.support import tiny, tiny_flow


def table():
    images = {name: torch.full((2, *SHAPE), level) for name, level in (("black", -1.0), ("white", 1.0), ("grey", 0.5))}
    return AverageTable.from_images(images, scaling_factor=1.5, shift_factor=0.06)


def test_a_compiled_network_and_a_batch_give_the_same_states():
    """Compiled, the network is another object and gives the same; each picture of a batch is widened by its own noise."""
    pipe = tiny_flow.sd3()
    plain = [states(pipe, generator=torch.Generator().manual_seed(seed)) for seed in (2, 9)]
    with SingDiffusion(spread=spread()).attached(pipe):
        alone = [states(pipe, generator=torch.Generator().manual_seed(seed)) for seed in (2, 9)]
        pipe.transformer = torch.compile(pipe.transformer, backend="eager")
        seeds = [torch.Generator().manual_seed(seed) for seed in (2, 9)]
        together = states(pipe, ["a", "a"], generator=seeds)
    for index, (one, without) in enumerate(zip(alone, plain, strict=True)):
        torch.testing.assert_close(together[-1][index : index + 1], one[-1], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(one[-1], without[-1], atol=1e-2)


def test_weights_that_are_brought_in_one_by_one_give_the_same_states():
    """As offloading does: the network's weights are where they are needed only while they are."""
    pipe, offloaded = tiny_flow.sd3(), tiny_flow.sd3()
    cpu = torch.device("cpu")
    offloaded.transformer.enable_group_offload(onload_device=cpu, offload_device=cpu, offload_type="leaf_level")
    for one in (pipe, offloaded):
        SingDiffusion(spread=spread()).attach(one)
    assert all(torch.equal(a, b) for a, b in zip(states(pipe), states(offloaded), strict=True))


@pytest.mark.parametrize("make", [tiny_flow.sd3, tiny.stable_diffusion])
def test_a_method_that_a_user_has_exchanged_is_heard_and_is_there_again_once_detached(make):
    """As people do who encode their prompts by another package; a copy of the pipeline has a copy of it."""
    pipe, heard = make(), []

    class Package:
        def __init__(self, call):
            self.call = call

        def __call__(self, *args, **passed):
            heard.append(self.call.__self__)
            return self.call(*args, **passed)

    pipe.encode_prompt = mine = functools.update_wrapper(Package(pipe.encode_prompt), pipe.encode_prompt)
    module = table() if make is tiny_flow.sd3 else AverageTable.from_images({"black": torch.zeros(2, *SHAPE)}, scaling_factor=0.18215)  # fmt: skip
    with SingDiffusion(module).attached(pipe):
        other = copy.deepcopy(pipe)
        for one in (pipe, other):
            states(one, "black")
            assert heard.pop() is one and not heard
    assert vars(pipe)["encode_prompt"] is mine


def test_nothing_is_held_once_the_first_step_is_done():
    pipe = tiny_flow.sd3()
    with SingDiffusion(spread=spread()).attached(pipe):
        kept = vars(hook_of(pipe))
        states(pipe)
        assert not [
            name for name, one in kept.items() if isinstance(one, torch.Tensor) or (name == "_step_result" and one)
        ]


@pytest.mark.parametrize("make", [tiny_flow.sd3, tiny_flow.flux])
def test_a_copy_of_an_attached_pipeline_has_the_step(make):
    pipe, basis = make(), spread()
    plain = states(pipe)
    sing = SingDiffusion(spread=basis, mean="network")
    sing.attach(pipe)
    other = copy.deepcopy(pipe)
    expected = states(pipe)
    assert not torch.equal(expected[0], plain[0])
    for one, two in zip(states(other), expected, strict=True):
        assert torch.equal(one, two)
    sing.detach(pipe)
    assert torch.equal(states(other)[-1], expected[-1]) and torch.equal(states(pipe)[-1], plain[-1])
    sing.detach(other)
    assert torch.equal(states(other)[-1], plain[-1])
    assert not {"step", "set_timesteps"} & (set(vars(other.scheduler)) | set(vars(pipe.scheduler)))


def test_a_copy_that_was_never_called_is_detached():
    pipe, sing = tiny_flow.sd3(), SingDiffusion(spread=spread(), mean="network")
    sing.attach(pipe)
    other = copy.deepcopy(pipe)
    plain = states(tiny_flow.sd3())
    sing.detach(other)
    assert torch.equal(states(other)[-1], plain[-1])

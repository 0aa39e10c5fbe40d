"""The singular step on whole flow pipelines: what it gives, what it leaves alone, and what it refuses."""

import copy
import logging
import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler,
    LTXEulerAncestralRFScheduler,
    StableDiffusion3Pipeline,
    UniPCMultistepScheduler,
)

from singdiffusion import AverageStatistics, AverageTable, SingDiffusion
from singdiffusion.start.flow import first_step
from singtheory import InputError
from tests.singdiffusion.start.flow_calls import CALL, SHAPE, named, spread, states
from tests.singdiffusion.support import tiny, tiny_flow

FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


def widened(pipe, x_1, basis, std):
    """What the first step adds to the plain one's result."""
    sigma = float(pipe.scheduler.sigmas[1])
    wider = ((1 - sigma) ** 2 * std**2 + sigma**2).sqrt() - sigma
    return ((wider * (x_1.flatten(1) @ basis.flatten(1).mT)) @ basis.flatten(1)).view(x_1.shape)


def packed(images):
    return tiny_flow.FluxPipeline._pack_latents(images, len(images), *SHAPE)


@pytest.mark.parametrize(("make", "packing"), [(tiny_flow.sd3, lambda x: x), (tiny_flow.flux, packed)])
def test_the_first_step_is_widened_and_later_noise_is_the_same(make, packing):
    pipe, (basis, std) = make(), spread()
    plain = states(pipe, num_images_per_prompt=2)
    after_plain = torch.get_rng_state()
    before = dict(vars(pipe.scheduler))
    sing = SingDiffusion(spread=(basis, std))
    with sing.attached(pipe):
        actual = states(pipe, num_images_per_prompt=2)
    assert torch.equal(torch.get_rng_state(), after_plain)
    x_1 = packing(torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(actual[0], plain[0] + widened(pipe, x_1, packing(basis), std), rtol=1e-4, atol=1e-4)
    assert vars(pipe.scheduler).keys() == before.keys()
    assert all(torch.equal(a, b) for a, b in zip(states(pipe, num_images_per_prompt=2), plain, strict=True))


def test_a_generator_draws_the_same_noise_in_later_steps():
    """Of a sampler that draws at every step: where the widening is nothing, nothing changes."""
    pipe = tiny_flow.sd3(LTXEulerAncestralRFScheduler())
    plain = states(pipe)
    with SingDiffusion(spread=(spread()[0], torch.zeros(3))).attached(pipe):
        actual = states(pipe)
    for a, b in zip(actual, plain, strict=True):
        assert float((a - b).norm() / b.norm()) < 0.3  # κ stands for σ along three of 256 directions
    rest = [
        state - (state.flatten(1) @ spread()[0].flatten(1).mT @ spread()[0].flatten(1)).view(state.shape)
        for state in (actual[0], plain[0])
    ]
    torch.testing.assert_close(*rest, rtol=1e-4, atol=1e-4)


def test_a_second_stage_moves_nothing():
    pipe, (basis, std) = tiny_flow.sd3(FlowMatchHeunDiscreteScheduler()), spread()
    with SingDiffusion(spread=(basis, std)).attached(pipe):
        actual = states(pipe)
    assert torch.equal(actual[0], actual[1])
    assert not torch.equal(actual[1], actual[2])


def test_statistics_give_a_spread_and_the_network_the_mean():
    data = 3 * torch.randn(50, *SHAPE, generator=torch.Generator().manual_seed(5)).cumsum(3)
    module = AverageStatistics.from_images(data, frequencies=2, rank=3, scaling_factor=1.5, shift_factor=0.06)
    pipe = tiny_flow.sd3()
    plain = states(pipe)
    with SingDiffusion(module).attached(pipe):
        actual = states(pipe)
    x_1 = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(2))
    arguments = module([""], x_1)
    torch.testing.assert_close(
        actual[0], plain[0] + widened(pipe, x_1, arguments.basis, arguments.std), rtol=1e-4, atol=1e-4
    )


def table():
    images = {name: torch.full((2, *SHAPE), level) for name, level in (("black", -1.0), ("white", 1.0), ("grey", 0.5))}
    return AverageTable.from_images(images, scaling_factor=1.5, shift_factor=0.06)


@pytest.mark.parametrize("make", [tiny_flow.sd3, tiny_flow.flux])
def test_a_table_gives_the_mean_of_each_prompt(make):
    pipe = make()
    with SingDiffusion(table()).attached(pipe):
        actual = states(pipe, ["black", "white"], num_images_per_prompt=2)
    sigma = float(pipe.scheduler.sigmas[1])
    x_1 = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(2))
    mean = torch.tensor([-1.0, -1.0, 1.0, 1.0]).view(4, 1, 1, 1).expand(4, *SHAPE)
    expected = (1 - sigma) * mean + sigma * x_1
    torch.testing.assert_close(
        actual[0], packed(expected) if make is tiny_flow.flux else expected, rtol=1e-4, atol=1e-4
    )


def test_true_guidance_of_unknown_weight_is_refused():
    pipe = tiny_flow.flux()
    with SingDiffusion(table()).attached(pipe):
        with pytest.raises(InputError, match="true_cfg_scale=1"):
            states(pipe, "black", negative_prompt="white", true_cfg_scale=4.0)
        states(pipe, "black", negative_prompt="white", true_cfg_scale=1.0)
    with SingDiffusion(table(), mean="network", spread=spread()).attached(pipe):
        states(pipe, "black", negative_prompt="white", true_cfg_scale=4.0)


def test_another_pipeline_with_the_same_scheduler_has_no_stale_prompt():
    pipe = tiny_flow.sd3()
    other = StableDiffusion3Pipeline.from_pipe(pipe)
    with SingDiffusion(table()).attached(pipe):
        states(pipe, "black")
        with pytest.raises(InputError, match="for another pipeline"):
            states(other, "white")
        states(pipe, "white")


def test_guidance_acts_on_the_mean_by_its_rule():
    pipe = tiny_flow.sd3()
    with SingDiffusion(table(), guidance="plain").attached(pipe):
        actual = states(pipe, "black", guidance_scale=2.0)
        other = states(pipe, "black", guidance_scale=2.0, negative_prompt="white")
    sigma = float(pipe.scheduler.sigmas[1])
    x_1 = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(2))
    for state, level in ((actual[0], -13 / 6), (other[0], -3.0)):  # u + 2(c − u), u the mean of all and of "white"
        torch.testing.assert_close(state, (1 - sigma) * level + sigma * x_1, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [tiny_flow.sd3_img2img, tiny_flow.flux_img2img])
def test_image_to_image_is_mended_at_full_strength_alone(make, caplog):
    pipe, image = make(), torch.full((1, 3, 16, 16), 0.5)
    call = {"image": image, "num_inference_steps": 4}
    for strength, same in ((1.0, False), (0.6, True)):
        caplog.clear()
        plain = states(pipe, strength=strength, **call)
        with SingDiffusion(spread=spread()).attached(pipe), caplog.at_level(logging.WARNING):
            actual = states(pipe, strength=strength, **call)
        assert torch.equal(actual[0], plain[0]) == same
        assert ("left as it is" in caplog.text) == same


@pytest.mark.parametrize(("mean", "level"), [("network", 0.0), ("module", 0.3)])
def test_sigmas_below_one_get_the_older_start(mean, level, caplog):
    """`α ȳ + σ x_1` widened, before the network sees it; what the start lacks is said."""
    pipe, (basis, std) = tiny_flow.sd3(FlowMatchEulerDiscreteScheduler()), spread()
    data = torch.full((9, *SHAPE), 0.3)
    module = AverageStatistics.from_images(data, rank=0, scaling_factor=1.5, shift_factor=0.06)
    seen = []
    pipe.transformer.register_forward_pre_hook(
        lambda _, args, arguments: seen.append(arguments["hidden_states"]), with_kwargs=True
    )
    sing = SingDiffusion(module, mean=mean, spread=(basis, std))
    with sing.attached(pipe), caplog.at_level(logging.WARNING):
        for _ in range(2):
            seen.clear()
            states(pipe, num_inference_steps=2, sigmas=[0.7, 0.3])
    assert "lacks 0.3 of the average image" in caplog.text
    x_1 = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(2))
    wider = (0.09 * std**2 + 0.49).sqrt() - 0.7
    along = ((wider * (x_1.flatten(1) @ basis.flatten(1).mT)) @ basis.flatten(1)).view(x_1.shape)
    torch.testing.assert_close(seen[0], 0.3 * level + 0.7 * x_1 + along, rtol=1e-4, atol=1e-4)


def test_a_scheduler_exchanged_later_is_followed():
    pipe, sing = tiny_flow.sd3(), SingDiffusion(spread=spread())
    sing.attach(pipe)
    first, pipe.scheduler = pipe.scheduler, UniPCMultistepScheduler(**FLOW, flow_shift=3.0)
    plain_pipe = tiny_flow.sd3(UniPCMultistepScheduler(**FLOW, flow_shift=3.0))
    assert not torch.equal(states(pipe)[0], states(plain_pipe)[0])
    assert "step" not in vars(first)
    pipe.scheduler = DDIMScheduler()
    with pytest.raises(InputError, match="matches no flow"):
        states(pipe)
    sing.detach(pipe)


def test_a_copy_of_the_scheduler_is_not_mended():
    pipe = tiny_flow.sd3()
    with SingDiffusion(spread=spread()).attached(pipe):
        other = copy.deepcopy(pipe.scheduler)
        other.set_timesteps(4)
        x_1 = torch.randn(1, *SHAPE)
        actual = other.step(torch.zeros_like(x_1), other.timesteps[0], x_1, return_dict=False)[0]
        assert torch.equal(actual, x_1)
        assert "step" not in type(pipe.scheduler).from_config(pipe.scheduler.config).__dict__


def test_latents_that_a_caller_gives_are_the_noise():
    pipe, (basis, std) = tiny_flow.flux(), spread()
    x_1 = packed(torch.randn(1, *SHAPE))
    plain = states(pipe, latents=x_1)
    with SingDiffusion(spread=(basis, std)).attached(pipe):
        actual = states(pipe, latents=x_1)
    torch.testing.assert_close(actual[0], plain[0] + widened(pipe, x_1, packed(basis), std), rtol=1e-4, atol=1e-4)


def test_half_precision():
    pipe = tiny_flow.sd3().to(torch.bfloat16)
    with SingDiffusion(spread=spread()).attached(pipe):
        actual = states(pipe)
    assert actual[0].dtype == torch.bfloat16
    assert bool(torch.isfinite(actual[-1]).all())


def interrupted():
    pipe = tiny_flow.sd3()
    pipe.scheduler.set_timesteps(4)
    pipe.scheduler.step(torch.zeros(1, *SHAPE), pipe.scheduler.timesteps[0], torch.zeros(1, *SHAPE))
    return pipe


def other_latents():
    return SingDiffusion(AverageStatistics.from_images(torch.randn(99, 16, 8, 8), frequencies=2))


BAD = {
    "schnell": (lambda: tiny_flow.flux(guidance_embeds=False), None, "force=True"),
    "turbo": (lambda: named(tiny_flow.sd3(), "some/model-large-turbo"), None, "'turbo'"),
    "a scheduler of distilled models": (lambda: tiny_flow.sd3(FlowMatchLCMScheduler()), None, "FlowMatchLCMScheduler"),
    "sigma below one already": (interrupted, None, "is at step 1 of 4, at sigma < 1"),
    "a module of other latents": (tiny_flow.sd3, other_latents, "channels"),
    "a network of noise": (
        lambda: tiny_flow.sd3(UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="epsilon")),
        None,
        "no flow with a network",
    ),
    "corrected steps that draw noise": (
        lambda: tiny_flow.sd3(LTXEulerAncestralRFScheduler()),
        lambda: SingDiffusion(spread=spread(), corrected=True),
        "draws noise",
    ),
    "no flow and no module": (tiny.stable_diffusion, None, "needs an average image"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_and_the_pipeline_untouched(name):
    make, sing, message = BAD[name]
    pipe = make()
    before, scheduler = dict(vars(pipe)), dict(vars(pipe.scheduler))
    with pytest.raises(InputError, match=message) as caught:
        (sing or (lambda: SingDiffusion(spread=spread())))().attach(pipe)
    assert "\n" not in str(caught.value)
    assert vars(pipe) == before
    assert vars(pipe.scheduler).keys() == scheduler.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "mean network without a spread"),
        ({"mean": "network"}, "mean network without a spread"),
        ({"mean": "module"}, "no module is given"),
        ({"mean": "average"}, "mean"),
        ({"module": AverageStatistics.from_images(torch.randn(9, *SHAPE), rank=0), "start": "matched"}, "no spread"),
        ({"spread": (2 * spread()[0], spread()[1])}, "orthonormal"),
        ({"spread": (spread()[0], -spread()[1])}, "not negative"),
        ({"spread": (spread()[0] * math.nan, spread()[1])}, "basis of the spread: holds NaN"),
        ({"spread": (spread()[0], spread()[1] * math.inf)}, "std of the spread: holds NaN"),
        ({"spread": (spread()[0], 5.0)}, "need \\(basis, std\\)"),
        ({"spread": (spread()[0], torch.tensor(5.0))}, "std \\(\\)"),
        ({"spread": tuple(part.numpy() for part in spread())}, "tensors of floats"),
        ({"spread": {}}, "need \\(basis, std\\)"),
        ({"spread": spread() * 2}, "need \\(basis, std\\)"),
        ({"module": AverageStatistics.from_images(torch.randn(9, *SHAPE), rank=0), "corrected": True}, "corrected without a spread"),
    ],
)  # fmt: skip
def test_settings_that_change_nothing_or_fit_nothing_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SingDiffusion(**arguments)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spread((16, 8, 8)), "16 channels: the pipeline's latents are of shape \\(4, 8, 8\\)"),
        (spread((4, 4, 4)), "make it for that size"),
    ],
)
def test_a_spread_that_does_not_fit_is_told_in_the_call_and_detached(wrong, message):
    pipe = tiny_flow.flux()
    with pytest.raises(InputError, match=message), SingDiffusion(spread=wrong).attached(pipe):
        states(pipe)
    assert "prepare_latents" not in vars(pipe)
    assert "step" not in vars(pipe.scheduler)


def test_a_first_step_is_not_mended_twice():
    pipe, x_1 = tiny_flow.sd3(), torch.randn(1, *SHAPE)
    with SingDiffusion(spread=spread()).attached(pipe):
        pipe.scheduler.set_timesteps(4)
        with pytest.raises(InputError, match="detach it first"):
            first_step(x_1, x_1, pipe.scheduler, spread=spread())
    first_step(x_1, x_1, pipe.scheduler, spread=spread())


def test_nan_from_the_network_at_the_first_step():
    pipe = tiny_flow.sd3()
    pipe.transformer.proj_out.bias.data.fill_(float("nan"))
    with pytest.raises(InputError, match="model_output at the first step: holds NaN"), SingDiffusion(spread=spread()).attached(pipe):  # fmt: skip
        states(pipe)


def test_attach_twice_and_detach_what_is_not_attached():
    pipe, sing = tiny_flow.sd3(), SingDiffusion(spread=spread())
    with pytest.raises(InputError, match="not attached"):
        sing.detach(pipe)
    sing.attach(pipe)
    with pytest.raises(InputError, match="attached already"):
        SingDiffusion(spread=spread()).attach(pipe)
    other = tiny_flow.sd3(pipe.scheduler)
    with pytest.raises(InputError, match="attached to it already"):
        sing.attach(other)
    with pytest.raises(InputError, match="not attached"):
        SingDiffusion(spread=spread()).detach(pipe)
    sing.detach(pipe)


@pytest.mark.parametrize("make", [tiny_flow.sd3, tiny_flow.flux])
def test_a_spread_of_other_channels_is_refused_at_attach(make):
    pipe = make()
    with pytest.raises(InputError, match=r"basis of shape \(3, 6, 8, 8\): .* latents of 4 channels"):
        SingDiffusion(spread=spread((6, 8, 8)), mean="network").attach(pipe)
    assert not {"step", "set_timesteps"} & set(vars(pipe.scheduler))


def test_a_scheduler_of_noise_put_into_an_attached_flow_is_refused_at_the_call():
    pipe = tiny_flow.sd3()
    with SingDiffusion(spread=spread(), mean="network").attached(pipe):
        pipe.scheduler = DDIMScheduler()
        with pytest.raises(InputError, match="DDIMScheduler"):
            pipe("a", **CALL)

"""The singular step in what practitioners do with pipelines: other embeddings, layers, VAEs, prompts that travel, copies and exchanged schedulers."""

import copy
import inspect
import logging

import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.utils.torch_utils import randn_tensor

from singdiffusion import AverageDecoder, AverageStatistics, AverageTable, SingDiffusion
from singdiffusion.base import PipelineText
from singtheory import InputError
from tests.singdiffusion.pipeline.noise_families import alpha, firsts, picture
from tests.singdiffusion.support import tiny

SCALE = {"scaling_factor": 0.18215}
CALL = {"num_inference_steps": 2, "height": 16, "width": 16, "output_type": "latent"}


def flat(level, **more):
    return AverageStatistics.from_images(torch.full((2, *tiny.LATENTS), level), rank=0, **(SCALE | more))


def table(**levels):
    images = {name.replace("_", " "): torch.full((2, *tiny.LATENTS), level) for name, level in levels.items()}
    return AverageTable.from_images(images, **SCALE)


def started(pipe, sing, **call):
    """What the U-Net sees first with the step, less what it sees without it at the same seed."""
    return firsts(pipe, sing, **call) - firsts(pipe, None, **call)


def test_a_module_that_reads_no_prompt_takes_embeddings():
    pipe = tiny.stable_diffusion()
    states, negative = pipe.encode_prompt("solid black", "cpu", 1, True)
    call = {"prompt": None, "prompt_embeds": states, "negative_prompt_embeds": negative, "num_inference_steps": 1}
    sing = SingDiffusion(flat(-3.0), guidance="none")
    apart = firsts(pipe, sing, **call) - firsts(pipe, SingDiffusion(flat(1.0), guidance="none"), **call)
    torch.testing.assert_close(apart, torch.full_like(apart, -4.0 * alpha(pipe)), atol=1e-4, rtol=0)


def test_a_network_that_was_trained_without_a_condition_takes_embeddings():
    torch.manual_seed(0)
    module = AverageDecoder(tiny.LATENTS, {"kind": "none", "width": 32}, width=32, layers=1, **SCALE).eval()
    pipe = tiny.stable_diffusion()
    states = pipe.encode_prompt("solid black", "cpu", 1, False)[0]
    with SingDiffusion(module).attached(pipe):
        by_states = firsts_of(pipe, prompt_embeds=states, guidance_scale=1.0)
        torch.testing.assert_close(by_states, firsts_of(pipe, prompt="solid black", guidance_scale=1.0))
    assert not torch.equal(by_states, firsts_of(pipe, prompt="solid black", guidance_scale=1.0))


def test_embeddings_of_long_prompts_reach_a_network():
    pipe = tiny.stable_diffusion()
    text = {"condition": {"kind": "text", "width": 16}, "text_encoder": PipelineText(pipe, "tiny").fingerprint}
    module, seen = AverageDecoder(tiny.LATENTS, width=32, layers=1, **text, **SCALE).eval(), []
    module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    parts = [pipe.encode_prompt(words, "cpu", 1, True) for words in ("a cat", "in the rain")]
    long, negative = (torch.cat([part[k] for part in parts], dim=1) for k in (0, 1))
    with SingDiffusion(module).attached(pipe):
        pipe(prompt_embeds=long, negative_prompt_embeds=negative, **CALL)
    assert torch.equal(seen[0], torch.cat([negative, long]))


@pytest.mark.parametrize("trained, called", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_another_clip_skip_than_that_of_training_is_refused(trained, called):
    pipe = tiny.stable_diffusion_xl()
    condition = {"kind": "text", "width": 32} | ({"clip_skip": trained} if trained else {})
    text = {"condition": condition, "text_encoder": PipelineText(pipe, "tiny").fingerprint}
    module = AverageDecoder(tiny.LATENTS, width=32, layers=1, **text, **SCALE).eval()
    with SingDiffusion(module).attached(pipe):
        if trained == called:
            pipe("a cat", clip_skip=called or None, **CALL)
            return
        remedy = "leave clip_skip out" if trained == 0 else "clip_skip=1"
        with pytest.raises(
            InputError, match=f"clip_skip {called}: .* {remedy}, or train one with --clip-skip {called}"
        ):
            pipe("a cat", clip_skip=called or None, **CALL)


def test_states_of_a_skipped_layer_are_those_of_the_pipeline():
    pipe = tiny.stable_diffusion_xl()
    states = [PipelineText(pipe, "tiny", skip)(["a cat"], torch.device("cpu"), torch.float32) for skip in (0, 1)]
    expected = [pipe.encode_prompt("a cat", device="cpu", clip_skip=skip)[0] for skip in (None, 1)]
    assert all(torch.equal(one, other) for one, other in zip(states, expected, strict=True))
    assert not torch.equal(*states)


def test_a_small_approximation_of_the_vae_is_accepted():
    pipe = tiny.stable_diffusion()
    blocks = {
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "upsampling_scaling_factor": 2,
    }
    pipe.vae = AutoencoderTiny(num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), **blocks)
    with SingDiffusion(flat(-1.0)).attached(pipe):
        pipe("a cat", **CALL)
    with pytest.raises(InputError, match="3 channels"):
        SingDiffusion(flat(-1.0).from_images(torch.zeros(2, 3, 8, 8), rank=0, **SCALE)).attach(pipe)


def test_a_vae_of_another_scale_is_refused():
    with pytest.raises(InputError, match=r"scaling factor 0\.5"):
        SingDiffusion(flat(-1.0, scaling_factor=0.5)).attach(tiny.stable_diffusion())


def test_negative_prompts_that_a_table_does_not_know_are_the_empty_one(caplog):
    pipe, module = tiny.stable_diffusion(), table(solid_black=-1.0, solid_white=3.0)
    results = {}
    for negative in ("blurry", "", None, "solid black"):
        with SingDiffusion(module).attached(pipe):
            call = {"prompt": "solid white", "negative_prompt": negative}
            results[negative] = firsts_of(pipe, **call)
            firsts_of(pipe, **call)
    assert torch.equal(results["blurry"], results[""]) and torch.equal(results["blurry"], results[None])
    assert not torch.equal(results["blurry"], results["solid black"])
    messages = [record.message for record in caplog.records]
    assert messages == [
        "negative_prompt 'blurry': this average image has no row for it, and takes its row without a prompt"
    ]
    with SingDiffusion(module).attached(pipe), pytest.raises(InputError, match="unknown prompt 'a dog'"):
        pipe("a dog", **CALL)


def firsts_of(pipe, **call):
    """What the U-Net of a pipeline sees first, as it is."""
    seen = []
    handle = pipe.unet.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].clone()))
    pipe(generator=torch.Generator().manual_seed(0), **(CALL | call))
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("scheduler", [None, EulerDiscreteScheduler.from_config(tiny.ddim().config)])
def test_prompts_that_travel_have_an_average_for_each_frame(scheduler):
    pipe = tiny.animatediff(scheduler)
    pipe.enable_free_noise(context_length=4, context_stride=1)
    call = {"prompt": {0: "solid black", 3: "solid white"}, "num_frames": 4, "num_inference_steps": 2}
    sing = SingDiffusion(table(solid_black=-3.0, solid_white=3.0), guidance="none")
    apart = firsts(pipe, sing, **call) - firsts(pipe, SingDiffusion(flat(0.0), guidance="none"), **call)
    levels = torch.tensor([-3.0, -1.0, 1.0, 3.0]) * apart[0, 0, 3, 0, 0] / 3
    torch.testing.assert_close(apart, levels[:, None, None].expand_as(apart), atol=1e-4, rtol=0)
    assert float(apart.max()) > 0.1
    pipe(**(call | {"prompt": "solid black", "output_type": "latent", "height": 16, "width": 16}))


def test_negative_prompts_that_travel():
    pipe = tiny.animatediff()
    pipe.enable_free_noise(context_length=4, context_stride=1)
    call = {"prompt": "solid black", "negative_prompt": {0: "solid white", 3: "solid black"}, "num_frames": 4}
    sing = SingDiffusion(table(solid_black=-3.0, solid_white=3.0), guidance="plain")
    apart = firsts(pipe, sing, **call) - firsts(pipe, SingDiffusion(flat(0.0), guidance="none"), **call)
    uncond = torch.tensor([3.0, 1.0, -1.0, -3.0])
    expected = (uncond + 2 * (-3.0 - uncond)) * alpha(pipe)  # at a weight of 2
    torch.testing.assert_close(apart, expected[:, None, None].expand_as(apart), atol=1e-4, rtol=0)


def test_what_free_init_keeps_is_the_noise():
    kept = []
    for sing in (None, SingDiffusion(flat(-3.0))):
        pipe = tiny.animatediff()
        pipe.enable_free_init(num_iters=2)
        if sing is not None:
            sing.attach(pipe)
        pipe("a cat", num_frames=2, generator=torch.Generator().manual_seed(0), **CALL)
        kept.append(pipe._free_init_initial_noise)
    assert torch.equal(*kept)


class LongPrompts(DiffusionPipeline):
    """As the community's pipelines of long prompts: none of diffusers' own classes, embeddings of its own, and one `prepare_latents` for text to
    image, image to image and inpainting.
    """

    encode_prompt = StableDiffusionXLPipeline.encode_prompt

    def __init__(self, vae, text_encoder, text_encoder_2, tokenizer, tokenizer_2, unet, scheduler):
        super().__init__()
        texts = {"text_encoder": text_encoder, "text_encoder_2": text_encoder_2}
        self.register_modules(
            vae=vae, unet=unet, scheduler=scheduler, tokenizer=tokenizer, tokenizer_2=tokenizer_2, **texts
        )

    def prepare_latents(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, image, mask, width, height, timestep, dtype, device, generator=None, latents=None, is_strength_max=True
    ):
        noise = randn_tensor((1, 4, height // 2, width // 2), generator=generator, dtype=dtype)
        if image is None:
            return (noise if latents is None else latents) * self.scheduler.init_noise_sigma
        return self.scheduler.add_noise(torch.zeros_like(noise), noise, timestep)

    def __call__(
        self, prompt, image=None, guidance_scale=2.0, strength=0.3, num_inference_steps=1, generator=None, **_
    ):  # pyright: ignore[reportIncompatibleMethodOverride]
        prompt_embeds = torch.ones(1, 77, 32)
        negative_prompt_embeds = torch.zeros(1, 77, 32)
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(
            image, None, 16, 16, self.scheduler.timesteps[:1], torch.float32, "cpu", generator, None, strength == 1.0
        )
        added = {"text_embeds": torch.zeros(1, 16), "time_ids": torch.zeros(1, 6)}
        for t in self.scheduler.timesteps:
            states = torch.cat([negative_prompt_embeds, prompt_embeds])
            with torch.no_grad():
                actual = self.unet(
                    torch.cat([latents] * 2), t, encoder_hidden_states=states, added_cond_kwargs=added
                ).sample
            latents = self.scheduler.step(actual.chunk(2)[0] * guidance_scale, t, latents).prev_sample
        return latents


def xl_parts():
    parts = tiny.stable_diffusion_xl().components
    return {name: part for name, part in parts.items() if name not in ("image_encoder", "feature_extractor")}


def test_a_pipeline_of_the_communitys_is_known_by_its_own_source(monkeypatch):
    with SingDiffusion(flat(-3.0)).attached(LongPrompts(**xl_parts())):
        pass
    monkeypatch.setattr(inspect, "getsource", lambda part: "copy.deepcopy(self.scheduler).step(x)")
    with pytest.raises(InputError, match="steps its latents by copies of its scheduler"):
        SingDiffusion(flat(-3.0)).attach(LongPrompts(**xl_parts()))


@pytest.mark.parametrize("image", [None, torch.zeros(1)])
@pytest.mark.parametrize("module", ["table", "network", "statistics"])
def test_pipelines_with_embeddings_of_their_own(image, module):
    pipe, seen = LongPrompts(**xl_parts()), []
    if module == "network":
        text = {"condition": {"kind": "text", "width": 32}, "text_encoder": PipelineText(pipe, "tiny").fingerprint}
        chosen = AverageDecoder(tiny.LATENTS, width=32, layers=1, **text, **SCALE).eval()
        chosen.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    else:
        chosen = table(a_cat=-3.0, a_dog=3.0) if module == "table" else flat(-3.0)
    with SingDiffusion(chosen, guidance="plain" if module == "network" else "none").attached(pipe):
        actual = firsts_of(pipe, prompt="a cat", image=image)[:1]
    with SingDiffusion(flat(0.0), guidance="none").attached(pipe):
        plain = firsts_of(pipe, prompt="a cat", image=image)[:1]
    if module == "network":
        assert seen[0].mean(dim=(1, 2)).tolist() == [0.0, 1.0]
    else:
        torch.testing.assert_close(actual - plain, torch.full_like(plain, -3.0 * alpha(pipe)), atol=1e-4, rtol=0)


def test_just_below_strength_one_it_says_that_nothing_was_done_and_how_to_have_it(caplog):
    pipe = tiny.stable_diffusion_xl_inpaint()
    call = {"num_inference_steps": 3, "strength": 0.9999}
    assert not started(pipe, SingDiffusion(flat(-3.0)), **call).any()
    (messages,) = [record for record in caplog.records if record.name.startswith("singdiffusion")]
    assert messages.levelno == logging.WARNING
    assert "nothing was done; strength 0.9999 is below 1, give strength=1.0" in messages.message
    assert started(pipe, SingDiffusion(flat(-3.0)), **(call | {"strength": 1.0})).any()


def test_a_scheduler_that_was_exchanged_is_checked_at_the_next_call():
    pipe, results = tiny.stable_diffusion(), []
    for level in (-3.0, 0.0):
        with SingDiffusion(flat(level), guidance="none").attached(pipe):
            pipe.scheduler = EulerDiscreteScheduler.from_config(tiny.ddim().config)
            results.append(firsts_of(pipe, prompt="a cat"))
            assert "set_timesteps" in vars(pipe.scheduler)
            last = pipe.scheduler
            pipe.scheduler = FlowMatchEulerDiscreteScheduler()
            with pytest.raises(InputError, match="flow matching starts at alpha = 0"):
                pipe("a cat", **CALL)
        assert "set_timesteps" not in vars(last)
        pipe.scheduler = tiny.ddim()
    seen = 1 / (last.sigmas[0] ** 2 + 1) ** 0.5  # α of the first noise level
    apart = results[0] - results[1]
    torch.testing.assert_close(apart, torch.full_like(apart, -3.0 * float(seen)), atol=1e-4, rtol=0)


def test_a_pipeline_made_from_it_says_that_the_step_is_gone(caplog):
    pipe = tiny.stable_diffusion()
    with SingDiffusion(flat(-3.0)).attached(pipe):
        other = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
        call = {"image": picture(), "strength": 1.0, "num_inference_steps": 2, "output_type": "latent"}
        other("a cat", **call)
        (messages,) = [record.message for record in caplog.records if record.name.startswith("singdiffusion")]
        assert (
            "attached to the StableDiffusionPipeline from which it was made" in messages
            and "nothing was done" in messages
        )
        caplog.clear()
        with SingDiffusion(flat(-3.0)).attached(other):
            other("a cat", **call)
            pipe("a cat", **CALL)
        assert not [record for record in caplog.records if record.name.startswith("singdiffusion")]


def test_a_copy_of_an_attached_pipeline_has_the_step_and_is_another_pipeline():
    pipe, sing = tiny.stable_diffusion(), SingDiffusion(flat(-3.0), guidance="none")
    plain = firsts_of(pipe, prompt="a cat")
    sing.attach(pipe)
    other = copy.deepcopy(pipe)
    expected = firsts_of(pipe, prompt="a cat")
    assert not torch.equal(expected, plain)
    assert torch.equal(firsts_of(other, prompt="a cat"), expected)
    sing.detach(pipe)
    assert torch.equal(firsts_of(other, prompt="a cat"), expected) and torch.equal(
        firsts_of(pipe, prompt="a cat"), plain
    )
    sing.detach(other)
    assert torch.equal(firsts_of(other, prompt="a cat"), plain)
    assert not {"prepare_latents", "encode_prompt", "check_inputs"} & set(vars(other))
    assert "set_timesteps" not in vars(other.scheduler) and "set_timesteps" not in vars(pipe.scheduler)

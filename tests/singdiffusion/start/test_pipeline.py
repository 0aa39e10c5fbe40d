"""The singular step in whole pipelines of the real classes, and pipelines that are as they were without it."""

import copy
import logging

import numpy as np
import pytest
import torch
from diffusers import (
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from PIL import Image

from singdiffusion.average.table import AverageTable
from singdiffusion.start.initial import first_point
from singdiffusion.start.pipeline import SingDiffusion
from singtheory import InputError
from singtheory.start.starts import Components, matched_start
from tests.singdiffusion.start.watched import PROMPTS, Watched, guided, table, unet_module
from tests.singdiffusion.support import tiny

PICTURE = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
MASK = Image.fromarray(np.eye(16, dtype=np.uint8) * 255)
PIPELINES = {
    "sd": (tiny.stable_diffusion, {"height": 16, "width": 16}),
    "img2img": (tiny.stable_diffusion_img2img, {"image": PICTURE, "strength": 1.0}),
    "inpaint": (
        tiny.stable_diffusion_inpaint,
        {"image": PICTURE, "mask_image": MASK, "strength": 1.0, "height": 16, "width": 16},
    ),
    "inpaint of 9": (
        lambda scheduler=None: tiny.stable_diffusion_inpaint(scheduler, 9),
        {"image": PICTURE, "mask_image": MASK, "strength": 1.0, "height": 16, "width": 16},
    ),
    "controlnet": (tiny.stable_diffusion_controlnet, {"image": PICTURE, "height": 16, "width": 16}),
    "sdxl": (tiny.stable_diffusion_xl, {"height": 16, "width": 16}),
    "sdxl img2img": (tiny.stable_diffusion_xl_img2img, {"image": PICTURE, "strength": 1.0}),
    "sdxl inpaint": (
        tiny.stable_diffusion_xl_inpaint,
        {"image": PICTURE, "mask_image": MASK, "strength": 1.0, "height": 16, "width": 16},
    ),
    "animatediff": (tiny.animatediff, {"num_frames": 2, "height": 16, "width": 16}),
}


@pytest.mark.parametrize("kind", [None, EulerDiscreteScheduler], ids=["DDIM", "Euler"])
@pytest.mark.parametrize("name", PIPELINES)
def test_first_input_is_the_singular_step_of_the_same_noise(name, kind):
    """`α ȳ_w + σ x_1`, x_1 what the unmodified pipeline drew: at strength 1 its own start is that noise, or the image noised with it."""
    make, arguments = PIPELINES[name]
    pipe = make(kind and kind.from_config(tiny.ddim().config))
    plain = Watched(pipe, arguments)
    module = table()
    sing = SingDiffusion(module)
    with sing.attached(pipe):
        started = Watched(pipe, arguments)
    pipe.scheduler.set_timesteps(3)
    alpha, sigma = first_point(pipe.scheduler)
    mean = guided(module, 4.0)
    channels = tiny.LATENTS[0]
    seen, before = (w.inputs[0][:, :channels] for w in (started, plain))
    if "img2img" in name:
        x_1 = _drawn_by_image_to_image(pipe)
    else:  # what the network saw was the noise alone, in the scheduler's units
        scale = pipe.scheduler.scale_model_input(torch.ones(1), pipe.scheduler.timesteps[0])
        x_1 = before / float(pipe.scheduler.init_noise_sigma * scale)
    torch.testing.assert_close(seen, (alpha * _over(mean, seen) + sigma * x_1).expand_as(seen), rtol=1e-4, atol=1e-4)
    assert torch.equal(started.after, plain.after)  # the generator has drawn as much


def _drawn_by_image_to_image(pipe):
    """It encodes its image with the generator first, and then draws."""
    generator = torch.Generator().manual_seed(0)
    pipe.vae.encode(pipe.image_processor.preprocess(PICTURE)).latent_dist.sample(generator)
    return torch.randn(1, *tiny.LATENTS, generator=generator)


def _over(mean, seen):
    return mean if seen.ndim == 4 else mean[:, :, None]


def test_background_of_inpainting_is_blended_with_the_pipelines_noise():
    """The last blend leaves the background exactly as without the singular step: its noise is x_1, not the start."""
    make, arguments = PIPELINES["inpaint"]
    pipe, mask = make(), Image.fromarray(np.zeros((16, 16), dtype=np.uint8))  # nothing to paint: all is background
    arguments = arguments | {"mask_image": mask}
    plain = Watched(pipe, arguments)
    with SingDiffusion(table()).attached(pipe):
        started = Watched(pipe, arguments)
    assert not torch.equal(started.inputs[0], plain.inputs[0])
    torch.testing.assert_close(started.inputs[1], plain.inputs[1])
    np.testing.assert_allclose(started.images, plain.images, atol=1e-6)


@pytest.mark.parametrize("kind", [DDPMScheduler, EulerAncestralDiscreteScheduler])
@pytest.mark.parametrize("listed", [False, True], ids=["one generator", "a list"])
def test_noise_of_later_steps_is_that_of_the_unmodified_pipeline(kind, listed, monkeypatch):
    """Recorded where the schedulers draw it."""
    import diffusers.schedulers.scheduling_ddpm as ddpm
    import diffusers.schedulers.scheduling_euler_ancestral_discrete as ancestral

    pipe, drawn = tiny.stable_diffusion(kind.from_config(tiny.ddim().config)), []
    for module in (ddpm, ancestral):
        draw = module.randn_tensor
        monkeypatch.setattr(module, "randn_tensor", lambda *a, draw=draw, **k: drawn.append(draw(*a, **k)) or drawn[-1])

    def noises():
        drawn.clear()
        generators = [torch.Generator().manual_seed(i) for i in range(2)]
        pipe(
            list(PROMPTS),
            generator=generators if listed else generators[0],
            height=16,
            width=16,
            num_inference_steps=3,
            output_type="np",
        )
        return torch.stack(drawn)

    plain = noises()
    with SingDiffusion(table()).attached(pipe):
        assert torch.equal(noises(), plain)


@pytest.mark.parametrize("name", PIPELINES)
def test_detached_pipelines_are_as_they_were(name):
    make, arguments = PIPELINES[name]
    pipe = make()
    before, plain = dict(vars(pipe)), Watched(pipe, arguments)
    weights = {n: [p.clone() for p in c.parameters()] for n, c in pipe.components.items() if hasattr(c, "parameters")}
    sing = SingDiffusion(table())
    keys = set(vars(pipe))
    sing.attach(pipe)
    started = Watched(pipe, arguments)
    sing.detach(pipe)
    assert set(vars(pipe)) == keys >= set(before)
    assert pipe.encode_prompt.__func__ is type(pipe).encode_prompt
    assert "add_noise" not in vars(pipe.scheduler)
    for n, held in weights.items():
        assert all(torch.equal(a, b) for a, b in zip(held, pipe.components[n].parameters(), strict=True))
    again = Watched(pipe, arguments)
    assert np.array_equal(again.images, plain.images) and not np.array_equal(started.images, plain.images)


@pytest.mark.parametrize("name", ["img2img", "inpaint", "sdxl img2img", "sdxl inpaint"])
def test_below_strength_one_it_is_left_alone_with_one_line(name, caplog):
    make, arguments = PIPELINES[name]
    pipe, arguments = make(), arguments | {"strength": 0.6, "num_inference_steps": 5}
    plain = Watched(pipe, arguments)
    with SingDiffusion(table()).attached(pipe), caplog.at_level(logging.INFO, "singdiffusion"):
        assert np.array_equal(Watched(pipe, arguments).images, plain.images)
    assert len([r for r in caplog.records if r.name.startswith("singdiffusion")]) == 1


def test_batches_of_prompts_with_several_images_each():
    module, pipe = table(), tiny.stable_diffusion()
    with SingDiffusion(module, "none").attached(pipe):
        actual = Watched(
            pipe, {"num_images_per_prompt": 2, "height": 16, "width": 16, "negative_prompt": None}, prompt=list(PROMPTS)
        )
    noise = torch.randn(4, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    alpha, sigma = first_point(pipe.scheduler)
    mean = module([PROMPTS[0], PROMPTS[0], PROMPTS[1], PROMPTS[1]], noise).mean
    torch.testing.assert_close(actual.inputs[0][4:], alpha * mean + sigma * noise, rtol=1e-4, atol=1e-4)


def test_spread_gives_the_matched_start():
    module, pipe = table(rank=2), tiny.stable_diffusion()
    with SingDiffusion(module).attached(pipe):
        actual = Watched(pipe, {"height": 16, "width": 16, "guidance_scale": 1.0})
    noise = torch.randn(1, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    average = module(["solid black"], noise)
    expected = matched_start(noise, average.mean, Components(*average.spread), *first_point(pipe.scheduler))
    torch.testing.assert_close(actual.inputs[0], expected, rtol=1e-4, atol=1e-4)


def test_spread_of_a_video_is_one_for_all_frames():
    """Along φ in every frame: the sum over frames over √F is standard normal, and it widens to √(α² F s² + σ²)."""
    module, pipe = table(rank=1), tiny.animatediff()
    with SingDiffusion(module).attached(pipe):
        actual = Watched(pipe, {"num_frames": 2, "height": 16, "width": 16, "guidance_scale": 1.0})
    noise = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    average = module(["solid black"], noise[:, :, 0])
    alpha, sigma = first_point(pipe.scheduler)
    phi, s = average.basis[0], float(average.std[0, 0])
    along = (noise * phi[:, None]).sum() / 2**0.5
    widened = ((alpha * s) ** 2 * 2 + sigma**2) ** 0.5 - sigma
    expected = alpha * average.mean[:, :, None] + sigma * noise + widened * along * phi[:, None] / 2**0.5
    seen = actual.inputs[0] if actual.inputs[0].ndim == 5 else actual.inputs[0].unflatten(0, (1, 2)).transpose(1, 2)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)


class _Counting(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.inner, self.batches = module, []

    def condition_for(self, space):
        return self.inner.condition_for(space)

    def forward(self, condition, x_1):
        self.batches.append(len(condition))
        return self.inner(condition, x_1)


@pytest.mark.parametrize(("weight", "batch"), [(0.0, 1), (1.0, 1), (7.5, 2)])
def test_the_unconditional_half_is_computed_only_under_guidance(weight, batch):
    counting, pipe = _Counting(table()), tiny.stable_diffusion()
    with SingDiffusion(counting).attached(pipe):
        Watched(pipe, {"guidance_scale": weight, "height": 16, "width": 16})
    assert counting.batches == [batch]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_reads_the_pipelines_embeddings(dtype):
    pipe = tiny.stable_diffusion().to(dtype)
    module = unet_module(pipe)
    with SingDiffusion(module).attached(pipe):
        actual = Watched(pipe, {"height": 16, "width": 16, "guidance_scale": 1.0})
    noise = torch.randn(1, *tiny.LATENTS, generator=torch.Generator().manual_seed(0), dtype=dtype)
    tokens = pipe.encode_prompt(["solid black"], "cpu", 1, False)[0]
    with torch.no_grad():
        mean = module(tokens, noise).mean
    alpha, sigma = first_point(pipe.scheduler)
    expected = alpha * mean.float() + sigma * noise.float()
    torch.testing.assert_close(
        actual.inputs[0].float(), expected, rtol=2e-2 if dtype is torch.bfloat16 else 1e-4, atol=1e-4
    )


def test_given_embeddings_serve_the_network_and_are_refused_by_the_table():
    pipe = tiny.stable_diffusion()
    embeds = dict(
        zip(("prompt_embeds", "negative_prompt_embeds"), pipe.encode_prompt("a", "cpu", 1, True), strict=True)
    )
    arguments = embeds | {"height": 16, "width": 16, "num_inference_steps": 2, "output_type": "np"}
    with SingDiffusion(unet_module(pipe)).attached(pipe):
        pipe(**arguments)
    with SingDiffusion(table()).attached(pipe), pytest.raises(InputError, match="give prompt="):
        pipe(**arguments)


def test_given_latents_are_the_noise():
    module, pipe = table(), tiny.stable_diffusion()
    noise = torch.randn(1, *tiny.LATENTS, generator=torch.Generator().manual_seed(9))
    with SingDiffusion(module).attached(pipe):
        actual = Watched(pipe, {"height": 16, "width": 16, "latents": noise})
    alpha, sigma = first_point(pipe.scheduler)
    torch.testing.assert_close(actual.inputs[0][:1], alpha * guided(module, 4.0) + sigma * noise, rtol=1e-4, atol=1e-4)


def test_given_latents_of_another_precision_are_refused():
    pipe, noise = tiny.stable_diffusion(), torch.randn(1, *tiny.LATENTS, dtype=torch.float64)
    with SingDiffusion(table()).attached(pipe), pytest.raises(InputError, match="cast them"):
        pipe("solid black", latents=noise, height=16, width=16, num_inference_steps=2)


def other_space():
    return AverageTable.from_images({"a": torch.randn(3, 8, 8, 8)}, scaling_factor=0.5)


BAD = {
    "other latents": (tiny.stable_diffusion, other_space, "channels"),
    "other scaling": (
        tiny.stable_diffusion,
        lambda: AverageTable.from_images({"a": torch.randn(3, *tiny.LATENTS)}, scaling_factor=0.5),
        "scaling",
    ),
    "other text width": (tiny.stable_diffusion_xl, lambda: unet_module(tiny.stable_diffusion()), "width"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_and_the_pipeline_untouched(name):
    make, module, message = BAD[name]
    pipe = make()
    before = copy.copy(vars(pipe))
    with pytest.raises(InputError, match=message):
        SingDiffusion(module()).attach(pipe)
    assert vars(pipe) == before


def test_attach_twice_and_detach_what_is_not_attached():
    pipe, sing = tiny.stable_diffusion(), SingDiffusion(table())
    with pytest.raises(InputError, match="not attached"):
        sing.detach(pipe)
    sing.attach(pipe)
    with pytest.raises(InputError, match="attached already"):
        SingDiffusion(table()).attach(pipe)
    with pytest.raises(InputError, match="not attached"):
        SingDiffusion(table()).detach(pipe)
    sing.detach(pipe)


def test_error_inside_the_block_detaches():
    pipe = tiny.stable_diffusion()
    with pytest.raises(RuntimeError), SingDiffusion(table()).attached(pipe):
        raise RuntimeError
    assert not {"encode_prompt", "prepare_latents"} & set(vars(pipe))


def test_negative_prompts_of_another_number():
    pipe = tiny.stable_diffusion()
    with SingDiffusion(table()).attached(pipe), pytest.raises(InputError, match="negative_prompt: 3 for 2"):
        pipe(list(PROMPTS), negative_prompt=["a", "b", "c"], num_inference_steps=2)


def test_nan_in_the_mean_is_told():
    pipe, module = tiny.stable_diffusion(), unet_module(tiny.stable_diffusion())
    with torch.no_grad():
        module.network.conv_out.bias.fill_(torch.nan)
    with SingDiffusion(module).attached(pipe), pytest.raises(InputError, match="NaN"):
        pipe("solid black", height=16, width=16, num_inference_steps=2)


def test_from_pretrained(tmp_path):
    module, pipe = table(), tiny.stable_diffusion()
    module.save_pretrained(tmp_path / "table")
    with SingDiffusion.from_pretrained(tmp_path / "table", guidance="plain").attached(pipe):
        pipe("solid black", height=16, width=16, num_inference_steps=2)
    with pytest.raises(InputError, match="normalised"):
        SingDiffusion(module, guidance="normalized")


def test_from_pretrained_passes_on_what_is_asked_of_flows(tmp_path):
    table(rank=2).save_pretrained(tmp_path / "table")
    basis = torch.zeros(1, *tiny.LATENTS)
    basis[0, 0, 0, 0] = 1
    spread = (basis, torch.ones(1))
    actual = SingDiffusion.from_pretrained(
        tmp_path / "table", mean="network", spread=spread, corrected=True, force=True
    )
    assert actual.force
    assert actual._flow.corrected
    assert actual._flow.module is None
    assert actual._flow.spread is spread


def test_start_is_chosen_by_name():
    wide, narrow, noise = table(rank=2), table(), torch.randn(1, *tiny.LATENTS)
    for start, module, spread in [("mean", wide, False), ("matched", wide, True), ("widest", wide, True)]:
        actual = SingDiffusion(module, start=start).average(["solid black"], None, noise, 1.0)
        assert (actual.spread is not None) == spread
    assert SingDiffusion(narrow).average(["solid black"], None, noise, 1.0).spread is None
    with pytest.raises(InputError, match="no spread"):
        SingDiffusion(narrow, start="matched").average(["solid black"], None, noise, 1.0)
    with pytest.raises(InputError, match="did you mean matched"):
        SingDiffusion(narrow, start="match")


# --- kin of the pipelines ---------------------------------------------------------------------------------------------

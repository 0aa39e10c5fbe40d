"""The singular step in whole pipelines of the real classes, and pipelines that are as they were without it."""

import copy
import logging

import accelerate
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
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.base.space import Space
from singdiffusion.start.initial import first_point
from singdiffusion.start.pipeline import SingDiffusion
from singtheory import InputError
from singtheory.start.starts import Components, matched_start
from tests.singdiffusion import tiny

PROMPTS = ("solid black", "solid white")
PICTURE = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
MASK = Image.fromarray(np.eye(16, dtype=np.uint8) * 255)
STEPS = {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "np", "negative_prompt": ""}
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


def table(rank=0, prompts=PROMPTS):
    generator = torch.Generator().manual_seed(5)
    images = {p: 3 * torch.randn(6, *tiny.LATENTS, generator=generator) + i for i, p in enumerate(prompts)}
    vae = tiny.stable_diffusion().vae.config
    return AverageTable.from_images(images, rank=rank, scaling_factor=vae.scaling_factor)


class Watched:
    """A pipeline's run: what its U-Net is given, and the images."""

    def __init__(self, pipe, arguments, seed=0, prompt="solid black"):
        self.inputs = []
        handle = pipe.unet.register_forward_pre_hook(lambda _, args: self.inputs.append(args[0].clone()))
        generator = torch.Generator().manual_seed(seed)
        found = pipe(prompt, generator=generator, **(STEPS | arguments))
        handle.remove()
        self.images = np.asarray(found.frames if hasattr(found, "frames") else found.images)
        self.after = torch.randn(3, generator=generator)


def guided(module, weight, prompt="solid black"):
    c, u = (module([p], torch.zeros(1, *tiny.LATENTS)).mean for p in (prompt, ""))
    return c - (1 - 1 / weight) * u


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
        found = Watched(
            pipe, {"num_images_per_prompt": 2, "height": 16, "width": 16, "negative_prompt": None}, prompt=list(PROMPTS)
        )
    noise = torch.randn(4, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    alpha, sigma = first_point(pipe.scheduler)
    mean = module([PROMPTS[0], PROMPTS[0], PROMPTS[1], PROMPTS[1]], noise).mean
    torch.testing.assert_close(found.inputs[0][4:], alpha * mean + sigma * noise, rtol=1e-4, atol=1e-4)


def test_spread_gives_the_matched_start():
    module, pipe = table(rank=2), tiny.stable_diffusion()
    with SingDiffusion(module).attached(pipe):
        found = Watched(pipe, {"height": 16, "width": 16, "guidance_scale": 1.0})
    noise = torch.randn(1, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    average = module(["solid black"], noise)
    expected = matched_start(noise, average.mean, Components(*average.spread), *first_point(pipe.scheduler))
    torch.testing.assert_close(found.inputs[0], expected, rtol=1e-4, atol=1e-4)


def test_spread_of_a_video_is_one_for_all_frames():
    """Along φ in every frame: the sum over frames over √F is standard normal, and it widens to √(α² F s² + σ²)."""
    module, pipe = table(rank=1), tiny.animatediff()
    with SingDiffusion(module).attached(pipe):
        found = Watched(pipe, {"num_frames": 2, "height": 16, "width": 16, "guidance_scale": 1.0})
    noise = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    average = module(["solid black"], noise[:, :, 0])
    alpha, sigma = first_point(pipe.scheduler)
    phi, s = average.basis[0], float(average.std[0, 0])
    along = (noise * phi[:, None]).sum() / 2**0.5
    widened = ((alpha * s) ** 2 * 2 + sigma**2) ** 0.5 - sigma
    expected = alpha * average.mean[:, :, None] + sigma * noise + widened * along * phi[:, None] / 2**0.5
    seen = found.inputs[0] if found.inputs[0].ndim == 5 else found.inputs[0].unflatten(0, (1, 2)).transpose(1, 2)
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


def unet_module(pipe):
    return AverageUNet.from_unet(pipe.unet, space=Space.of(pipe))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_reads_the_pipelines_embeddings(dtype):
    pipe = tiny.stable_diffusion().to(dtype)
    module = unet_module(pipe)
    with SingDiffusion(module).attached(pipe):
        found = Watched(pipe, {"height": 16, "width": 16, "guidance_scale": 1.0})
    noise = torch.randn(1, *tiny.LATENTS, generator=torch.Generator().manual_seed(0), dtype=dtype)
    tokens = pipe.encode_prompt(["solid black"], "cpu", 1, False)[0]
    with torch.no_grad():
        mean = module(tokens, noise).mean
    alpha, sigma = first_point(pipe.scheduler)
    expected = alpha * mean.float() + sigma * noise.float()
    torch.testing.assert_close(
        found.inputs[0].float(), expected, rtol=2e-2 if dtype is torch.bfloat16 else 1e-4, atol=1e-4
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
        found = Watched(pipe, {"height": 16, "width": 16, "latents": noise})
    alpha, sigma = first_point(pipe.scheduler)
    torch.testing.assert_close(found.inputs[0][:1], alpha * guided(module, 4.0) + sigma * noise, rtol=1e-4, atol=1e-4)


def test_given_latents_of_another_precision_are_refused():
    pipe, noise = tiny.stable_diffusion(), torch.randn(1, *tiny.LATENTS, dtype=torch.float64)
    with SingDiffusion(table()).attached(pipe), pytest.raises(InputError, match="cast them"):
        pipe("solid black", latents=noise, height=16, width=16, num_inference_steps=2)


def test_a_compiled_network_and_rescaled_guidance():
    pipe = tiny.stable_diffusion()
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    with SingDiffusion(table()).attached(pipe):
        found = pipe("solid black", guidance_rescale=0.7, height=16, width=16, num_inference_steps=2, output_type="np")
    assert np.isfinite(found.images).all()


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
    found = SingDiffusion.from_pretrained(tmp_path / "table", mean="network", spread=spread, corrected=True, force=True)
    assert found.force
    assert found._flow.corrected
    assert found._flow.module is None
    assert found._flow.spread is spread


def test_start_is_chosen_by_name():
    wide, narrow, noise = table(rank=2), table(), torch.randn(1, *tiny.LATENTS)
    for start, module, spread in [("mean", wide, False), ("matched", wide, True), ("widest", wide, True)]:
        found = SingDiffusion(module, start=start).average(["solid black"], None, noise, 1.0)
        assert (found.spread is not None) == spread
    assert SingDiffusion(narrow).average(["solid black"], None, noise, 1.0).spread is None
    with pytest.raises(InputError, match="no spread"):
        SingDiffusion(narrow, start="matched").average(["solid black"], None, noise, 1.0)
    with pytest.raises(InputError, match="did you mean matched"):
        SingDiffusion(narrow, start="match")


# --- kin of the pipelines ---------------------------------------------------------------------------------------------


def assert_singular(pipe, arguments, weight=4.0):
    """The first input is the singular step of the noise that the pipeline starts from without it."""
    module = table()
    plain = Watched(pipe, arguments)
    with SingDiffusion(module).attached(pipe):
        started = Watched(pipe, arguments)
    alpha, sigma = first_point(pipe.scheduler)
    expected = alpha * guided(module, weight) + sigma * plain.inputs[0]
    torch.testing.assert_close(started.inputs[0], expected.expand_as(started.inputs[0]), rtol=1e-4, atol=1e-4)
    assert torch.equal(started.after, plain.after)


def lora_of(unet):
    """Weights of rank 2 on every attention, as `save_lora_weights` keeps them."""
    names = [f"{name}.{part}" for name, _ in _attentions(unet) for part in ("to_q", "to_v")]
    modules, generator = dict(unet.named_modules()), torch.Generator().manual_seed(0)
    found = {}
    for name in names:
        width, fed = modules[name].weight.shape
        found[f"unet.{name}.lora_A.weight"] = torch.randn(2, fed, generator=generator)
        found[f"unet.{name}.lora_B.weight"] = torch.randn(width, 2, generator=generator)
    return found


def _attentions(unet):
    return [(name, m) for name, m in unet.named_modules() if name.endswith(("attn1", "attn2"))]


def test_lora_attached_before_or_after():
    """The text encoder is still told to be the same, and the LoRA acts on the steps as it does alone."""
    pipe, size = tiny.stable_diffusion(), {"height": 16, "width": 16}
    module = unet_module(pipe)
    before = Watched(pipe, size)
    pipe.load_lora_weights(lora_of(pipe.unet))
    assert not np.array_equal(Watched(pipe, size).images, before.images)
    assert_singular(pipe, size)
    with SingDiffusion(module).attached(pipe):
        lora = Watched(pipe, size)
        pipe.unload_lora_weights()
        without = Watched(pipe, size)
    assert torch.equal(lora.inputs[0], without.inputs[0]) and not torch.equal(lora.inputs[1], without.inputs[1])


def add_ip_adapter(unet):
    """Image prompts of width 16 and four tokens, with weights as a published file holds them."""
    generator = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(*shape, generator=generator)

    width = unet.config.cross_attention_dim
    keys = {}
    for k, (_, attention) in enumerate((n, m) for n, m in _attentions(unet) if n.endswith("attn2")):
        keys |= {f"{2 * k + 1}.{part}_ip.weight": some(attention.inner_dim, width) for part in ("to_k", "to_v")}
    projection = {"proj.weight": some(4 * width, 16), "proj.bias": some(4 * width)}
    projection |= {"norm.weight": some(width), "norm.bias": some(width)}
    unet._load_ip_adapter_weights([{"image_proj": projection, "ip_adapter": keys}])


@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl])
def test_ip_adapter(make):
    pipe = make()
    add_ip_adapter(pipe.unet)
    embeds = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(1))  # without an image, and with one
    assert_singular(pipe, {"ip_adapter_image_embeds": [embeds], "height": 16, "width": 16})


def offload(pipe):
    """As `enable_sequential_cpu_offload` does: weights lie on no device and come for each forward pass."""
    for part in (pipe.unet, pipe.text_encoder, pipe.vae):
        accelerate.cpu_offload(part, execution_device=torch.device("cpu"))
    return pipe


def test_weights_that_are_offloaded():
    """The same as without, with a table and with a network that shares the text encoder."""
    size = {"height": 16, "width": 16}
    for module in (table(), unet_module(tiny.stable_diffusion())):
        found = []
        for pipe in (tiny.stable_diffusion(), offload(tiny.stable_diffusion())):
            with SingDiffusion(module).attached(pipe):
                found.append(Watched(pipe, size))
        assert torch.equal(found[0].inputs[0], found[1].inputs[0])
        np.testing.assert_allclose(found[0].images, found[1].images, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("way", ["enable_model_cpu_offload", "enable_sequential_cpu_offload"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_offload_on_a_gpu(way, dtype):
    size = {"height": 16, "width": 16}
    for make in (table, lambda: unet_module(tiny.stable_diffusion())):
        found = []
        for offloaded in (False, True):
            pipe = tiny.stable_diffusion().to(dtype)
            pipe = pipe if offloaded else pipe.to("cuda")
            if offloaded:
                getattr(pipe, way)()
            with SingDiffusion(make()).attached(pipe):
                found.append(Watched(pipe, size))
        assert torch.equal(found[0].inputs[0], found[1].inputs[0])


def test_second_prompt_of_sdxl_leaves_the_average_to_the_first():
    """The table reads `prompt`; the network reads the token states of both encoders, so that the second prompt moves its answer."""
    pipe, size = tiny.stable_diffusion_xl(), {"height": 16, "width": 16}
    assert_singular(pipe, size | {"prompt_2": "solid white"})

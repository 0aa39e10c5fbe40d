"""The singular start beside what else people add to a pipeline: adapters, offloaded and compiled weights, a second prompt."""

import accelerate
import numpy as np
import pytest
import torch

from singdiffusion.start.initial import first_point
from singdiffusion.start.pipeline import SingDiffusion
from tests.singdiffusion.start.watched import Watched, guided, table, unet_module
from tests.singdiffusion.support import tiny


def test_a_compiled_network_and_rescaled_guidance():
    pipe = tiny.stable_diffusion()
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    with SingDiffusion(table()).attached(pipe):
        actual = pipe("solid black", guidance_rescale=0.7, height=16, width=16, num_inference_steps=2, output_type="np")
    assert np.isfinite(actual.images).all()


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
    results = {}
    for name in names:
        width, fed = modules[name].weight.shape
        results[f"unet.{name}.lora_A.weight"] = torch.randn(2, fed, generator=generator)
        results[f"unet.{name}.lora_B.weight"] = torch.randn(width, 2, generator=generator)
    return results


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
        results = []
        for pipe in (tiny.stable_diffusion(), offload(tiny.stable_diffusion())):
            with SingDiffusion(module).attached(pipe):
                results.append(Watched(pipe, size))
        assert torch.equal(results[0].inputs[0], results[1].inputs[0])
        np.testing.assert_allclose(results[0].images, results[1].images, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("way", ["enable_model_cpu_offload", "enable_sequential_cpu_offload"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_offload_on_a_gpu(way, dtype):
    size = {"height": 16, "width": 16}
    for make in (table, lambda: unet_module(tiny.stable_diffusion())):
        results = []
        for offloaded in (False, True):
            pipe = tiny.stable_diffusion().to(dtype)
            pipe = pipe if offloaded else pipe.to("cuda")
            if offloaded:
                getattr(pipe, way)()
            with SingDiffusion(make()).attached(pipe):
                results.append(Watched(pipe, size))
        assert torch.equal(results[0].inputs[0], results[1].inputs[0])


def test_second_prompt_of_sdxl_leaves_the_average_to_the_first():
    """The table reads `prompt`; the network reads the token states of both encoders, so that the second prompt moves its answer."""
    pipe, size = tiny.stable_diffusion_xl(), {"height": 16, "width": 16}
    assert_singular(pipe, size | {"prompt_2": "solid white"})

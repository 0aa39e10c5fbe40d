"""Doubles of the parts of ComfyUI that the nodes touch, written from what they do: their parameters are those of the record (`contract.py`).

The mathematics is the one of the formulas: `y + σ n` for models that predict ε, `(1 − σ) y + σ n` for flows, Euler's steps on the denoised image.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class EPS:
    """A model that predicts ε, with Stable Diffusion's betas; latents are `y + σ n`."""

    def __init__(self, steps: int = 1000) -> None:
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64) ** 2
        bars = torch.cumprod(1 - betas, dim=0)
        self.sigmas = ((1 - bars) / bars).sqrt().float()
        self.sigma_data = 1.0

    def noise_scaling(self, sigma, noise, latent_image, max_denoise=False):
        factor = (1 + sigma**2) ** 0.5 if max_denoise else sigma
        return latent_image + factor * noise

    def calculate_input(self, sigma, noise):
        return noise / (1 + sigma**2) ** 0.5

    def inverse_noise_scaling(self, sigma, latent):
        return latent

    def timestep(self, sigma):
        return (self.sigmas.log() - sigma.log()).abs().argmin()


class CONST:
    """A flow; latents are `(1 − σ) y + σ n`."""

    def noise_scaling(self, sigma, noise, latent_image, max_denoise=False):
        return (1 - sigma) * latent_image + sigma * noise

    def calculate_input(self, sigma, noise):
        return noise

    def inverse_noise_scaling(self, sigma, latent):
        return latent / (1 - sigma)

    def timestep(self, sigma):
        return 1000 * sigma


class LatentFormat:
    """Latents times a scale, less a shift."""

    latent_channels = 4
    latent_dimensions = 2

    def __init__(self, channels: int = 4, scale: float = 0.18215, shift: float = 0.0) -> None:
        self.latent_channels, self._scale, self._shift = channels, scale, shift

    def process_in(self, latent):
        return (latent - self._shift) * self._scale

    def process_out(self, latent):
        return latent / self._scale + self._shift


class ModelPatcher:
    """MODEL."""

    def __init__(self, sampling: Any, form: LatentFormat) -> None:
        self._parts = {"model_sampling": sampling, "latent_format": form}
        self.wrappers: dict[str, dict[str, list[Callable[..., Any]]]] = {}

    def clone(self):
        other = ModelPatcher(**{"sampling": self._parts["model_sampling"], "form": self._parts["latent_format"]})
        other.wrappers = {kind: {key: list(of) for key, of in keys.items()} for kind, keys in self.wrappers.items()}
        return other

    def get_model_object(self, name):
        return self._parts[name]

    def add_wrapper_with_key(self, wrapper_type, key, wrapper):
        self.wrappers.setdefault(wrapper_type, {}).setdefault(key, []).append(wrapper)

    def remove_wrappers_with_key(self, wrapper_type, key):
        self.wrappers.get(wrapper_type, {}).pop(key, None)


class RandomNoise:
    """NOISE."""

    def __init__(self, seed):
        self.seed = seed

    def generate_noise(self, input_latent):
        return torch.randn(input_latent["samples"].shape, generator=torch.manual_seed(self.seed))


class CFGGuider:
    """What a sampler calls for the denoised image; a network that pulls towards a picture stands in it."""

    def __init__(self, model_patcher):
        self.model_patcher = model_patcher
        self.inner_model = type("BaseModel", (), {"model_sampling": model_patcher.get_model_object("model_sampling")})()
        self.calls: list[float] = []

    def __call__(self, *args, **kwargs):
        return self.outer_predict_noise(*args, **kwargs)

    def outer_predict_noise(self, x, timestep, model_options=None, seed=None):
        self.calls.append(float(timestep[0]))
        return 0.3 + 0.5 * torch.tanh(x.roll(1, -1)) / (1 + timestep.view(-1, *[1] * (x.ndim - 1)))


def sample_euler(model, x, sigmas, callback=None):
    """Euler's steps on the denoised image."""
    for i, (sigma, after) in enumerate(itertools.pairwise(sigmas)):
        denoised = model(x, sigma * x.new_ones(len(x)))
        if callback is not None:
            callback(i, denoised, x, len(sigmas) - 1)
        x = x + (x - denoised) / sigma * (after - sigma)
    return x


def sample_two(model, x, sigmas, callback=None):
    """Adams and Bashforth's steps of two, which reuse what the network said before."""
    before = None
    for i, (sigma, after) in enumerate(itertools.pairwise(sigmas)):
        denoised = model(x, sigma * x.new_ones(len(x)))
        if callback is not None:
            callback(i, denoised, x, len(sigmas) - 1)
        slope = (x - denoised) / sigma
        x = x + (slope if before is None else 1.5 * slope - 0.5 * before) * (after - sigma)
        before = slope
    return x


class KSAMPLER:
    """SAMPLER."""

    def __init__(self, sampler_function, extra_options=None, inpaint_options=None):
        self.sampler_function = sampler_function

    def max_denoise(self, model_wrap, sigmas):
        largest = getattr(model_wrap.inner_model.model_sampling, "sigmas", torch.ones(1)).max()
        return math.isclose(float(largest), float(sigmas[0]), rel_tol=1e-5) or bool(sigmas[0] > largest)

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        sampling = model_wrap.inner_model.model_sampling
        x = sampling.noise_scaling(sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas))
        return sampling.inverse_noise_scaling(sigmas[-1], self.sampler_function(model_wrap, x, sigmas, callback))


class WrapperExecutor:
    """What a wrapper is given to call the next one, or the sampler."""

    def __init__(self, original, class_obj, wrappers, idx):
        self.original, self.class_obj, self.wrappers, self.idx = original, class_obj, wrappers, idx

    def __call__(self, *args, **kwargs):
        return WrapperExecutor(self.original, self.class_obj, self.wrappers, self.idx + 1).execute(*args, **kwargs)

    def execute(self, *args, **kwargs):
        if self.idx == len(self.wrappers):
            return self.original(*args, **kwargs)
        return self.wrappers[self.idx](self, *args, **kwargs)


def sampled(
    model: ModelPatcher,
    noise: Tensor,
    sigmas: Tensor,
    function: Callable[..., Tensor] = sample_euler,
    latent: Tensor | None = None,
    callback: Callable[..., Any] | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, CFGGuider]:
    """What a sampler of ComfyUI makes of a patched MODEL, in its units, and the guider that was asked."""
    guider, sampler = CFGGuider(model), KSAMPLER(function)
    wrappers = [one for of in model.wrappers.get("sampler_sample", {}).values() for one in of]
    image = torch.zeros_like(noise) if latent is None else latent
    executor = WrapperExecutor(sampler.sample, sampler, wrappers, 0)
    arguments = (guider, sigmas, {"model_options": {}, "seed": 0}, callback, noise, image, mask, True)
    return executor.execute(*arguments), guider


SPOKEN = {
    "comfy.model_patcher.ModelPatcher.clone": ModelPatcher.clone,
    "comfy.model_patcher.ModelPatcher.get_model_object": ModelPatcher.get_model_object,
    "comfy.model_patcher.ModelPatcher.add_wrapper_with_key": ModelPatcher.add_wrapper_with_key,
    "comfy.model_patcher.ModelPatcher.remove_wrappers_with_key": ModelPatcher.remove_wrappers_with_key,
    "comfy.samplers.CFGGuider.__init__": CFGGuider.__init__,
    "comfy.samplers.CFGGuider.outer_predict_noise": CFGGuider.outer_predict_noise,
    "comfy.samplers.KSAMPLER.__init__": KSAMPLER.__init__,
    "comfy.samplers.KSAMPLER.sample": KSAMPLER.sample,
    "comfy.samplers.Sampler.max_denoise": KSAMPLER.max_denoise,
    "comfy.patcher_extension.WrapperExecutor.__init__": WrapperExecutor.__init__,
    "comfy.patcher_extension.WrapperExecutor.__call__": WrapperExecutor.__call__,
    "comfy.model_sampling.EPS.noise_scaling": EPS.noise_scaling,
    "comfy.model_sampling.EPS.calculate_input": EPS.calculate_input,
    "comfy.model_sampling.CONST.noise_scaling": CONST.noise_scaling,
    "comfy.model_sampling.CONST.inverse_noise_scaling": CONST.inverse_noise_scaling,
    "comfy.model_sampling.ModelSamplingDiscrete.timestep": EPS.timestep,
    "comfy.model_sampling.ModelSamplingDiscreteFlow.timestep": CONST.timestep,
    "comfy.latent_formats.LatentFormat.process_in": LatentFormat.process_in,
    "comfy.latent_formats.LatentFormat.process_out": LatentFormat.process_out,
    "comfy_extras.nodes_custom_sampler.Noise_RandomNoise.__init__": RandomNoise.__init__,
    "comfy_extras.nodes_custom_sampler.Noise_RandomNoise.generate_noise": RandomNoise.generate_noise,
}
"""The doubles by what they stand for."""

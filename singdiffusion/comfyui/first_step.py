r"""The matched first step of flows, for every sampler of ComfyUI: a patch of MODEL around `sampler.sample` (F2, `singdiffusion.start.first_step`).

The first step, from σ = 1, is Euler's, mended by the library on a scheduler of diffusers with the same sigmas. Then the chosen sampler begins at the
second sigma: none of them knows of the widening, and those that reuse earlier answers would take a part of it back.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import AverageImage
from singdiffusion.comfyui.condition import NodePrompt
from singdiffusion.comfyui.inputs import AVERAGE, CATEGORY, PROMPT_INPUTS, WEIGHT
from singdiffusion.comfyui.model_sampling import flow_scheduler, is_flow, noised, starts_from_noise
from singdiffusion.comfyui.singular_start import average_for
from singdiffusion.start import (
    Corrections,
    Layout,
    SingDiffusion,
    first_step,
    laid_out,
    measured,
    sample_of,
    spread_laid_out,
)
from singtheory.errors import InputError
from singtheory.start import Components

_LOG = logging.getLogger(__name__)
KEY = "singdiffusion"
WRAPPED = "sampler_sample"
"""The kind of ComfyUI's wrappers around `sampler.sample`."""
_EULER = "sample_euler"


class FirstStepPatch:
    """What stands around `sampler.sample`.

    Args:
        average: gives the spread, and with `mean` the average image.
        mean: `network` or `module`.
        corrected: whether later steps but the last are corrected too (F1).
        cfg: the weight of guidance.
        prompt: what the pictures are to show.
    """

    def __init__(self, average: SingDiffusion, mean: str, corrected: bool, cfg: float, prompt: NodePrompt) -> None:
        self._average, self._mean, self._corrected = average, mean, corrected
        self._cfg, self._prompt = cfg, prompt

    def __call__(
        self,
        executor: Any,
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Callable[..., Any] | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """The latents that the sampler ends with. Raises `InputError` for a mask, and as `first_step`."""
        if not starts_from_noise(sigmas):
            _LOG.warning("Matched first step: sampling begins at a noised image and not at noise; left as it is")
            return executor(guider, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar)
        if denoise_mask is not None:
            raise InputError(
                "latent_image: has a mask, around which plain noise is needed; take the node out for inpainting"
            )
        if self._corrected and getattr(getattr(executor.class_obj, "sampler_function", None), "__name__", "") != _EULER:
            raise InputError("corrected: takes Euler's steps; choose the sampler euler, or switch corrected off")
        run = _Run(guider, sigmas, extra_args, callback, latent_image)
        x_1 = run.begun(noise)
        mean, spread = self._of(guider.model_patcher, x_1)
        if self._corrected:
            return run.ended(run.corrected(x_1, mean, spread))
        x_s = run.first(x_1, mean, spread)
        if len(sigmas) == 2:
            return run.ended(x_s)
        begun = run.noise_of(x_s)
        return executor(guider, sigmas[1:], extra_args, run.later, begun, latent_image, denoise_mask, disable_pbar)

    def _of(self, model: Any, x_1: Tensor) -> tuple[Tensor | None, Any]:
        """Average image, or None for the network's own, and spread, in the shape of the latents."""
        cfg = self._cfg if self._mean == "module" else 1.0  # guidance changes no spread
        at_prompt = average_for(self._average, model, self._prompt, x_1, cfg)
        layout = Layout(tuple(x_1.shape[1:]), tuple(x_1.shape[1:]), None)
        mean = laid_out(layout, at_prompt.mean) if self._mean == "module" else None
        return mean, None if at_prompt.spread is None else spread_laid_out(layout, at_prompt.spread)


class _Run:
    """One call of a sampler.

    Args:
        guider: of ComfyUI; called with latents and sigma it gives the network's `x̂`, guidance in it.
        sigmas: the whole grid.
        extra_args: of the sampler: options of the model, and the seed.
        callback: called after every step; or None.
        latent_image: to which noise is added, or None.
    """

    def __init__(
        self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, latent_image: Any
    ) -> None:
        self.guider, self.sigmas, self.extra, self.image = guider, sigmas, extra_args, latent_image
        self._callback = callback
        self._sampling = guider.inner_model.model_sampling
        if not is_flow(self._sampling):
            raise InputError("model: matches no flow; use the node Singular start")
        self.scheduler = flow_scheduler(sigmas)

    def begun(self, noise: Tensor) -> Tensor:
        """The latents at the first sigma."""
        image = torch.zeros_like(noise) if self.image is None else self.image
        return self._sampling.noise_scaling(self.sigmas[0], noise, image, True)

    def ended(self, latents: Tensor) -> Tensor:
        """The latents at the last sigma as a sampler returns them."""
        return self._sampling.inverse_noise_scaling(self.sigmas[-1], latents)

    def noise_of(self, latents: Tensor) -> Tensor:
        """The noise with which a sampler that is given the sigmas from the second on begins at these latents."""
        alpha, sigma = noised(self._sampling, self.sigmas[1])
        image = 0.0 if self.image is None else self.image
        return (latents - alpha * image) / sigma

    def later(self, step: int, denoised: Tensor, latents: Tensor, total_steps: int) -> Any:
        """The callback, a step later."""
        if self._callback is not None:
            self._callback(step + 1, denoised, latents, total_steps + 1)

    def velocity(self, index: int, latents: Tensor) -> Tensor:
        """`(x − x̂)/σ` of the network at a step."""
        sigma = self.sigmas[index]
        x_hat = self.guider(
            latents,
            sigma * latents.new_ones(len(latents)),
            model_options=self.extra["model_options"],
            seed=self.extra.get("seed"),
        )
        if self._callback is not None:
            self._callback(index, x_hat, latents, len(self.sigmas) - 1)
        return (latents - x_hat) / sigma

    def first(self, x_1: Tensor, mean: Tensor | None, spread: Any) -> Tensor:
        """The latents after the mended first step."""
        return first_step(x_1, self.velocity(0, x_1), self.scheduler, mean=mean, spread=spread)

    def corrected(self, x_1: Tensor, mean: Tensor | None, spread: Any) -> Tensor:
        """The latents at the end of Euler's steps, the first mended and all but the last corrected."""
        if spread is None:
            raise InputError("corrected: this average image has no spread; switch it off, or load one with a spread")
        first, velocity = measured(self.scheduler), self.velocity(0, x_1)
        x = first_step(x_1, velocity, self.scheduler, mean=mean, spread=spread)
        centre = first.x_hat(x_1, velocity) if mean is None else mean.expand_as(x_1)
        corrections = Corrections.of(
            self.scheduler, first, Components(*(part.to(x_1.device) for part in spread)), centre
        )
        for index in range(1, len(self.sigmas) - 1):
            stepped = self.scheduler.step(self.velocity(index, x), self.scheduler.timesteps[index], x)
            x = corrections.applied(index, sample_of(stepped))
        return x


class MatchedFirstStep:
    """The node."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Flows (SD3, Flux, Qwen-Image, Wan …): the first step keeps the spread of the pictures. For any sampler and scheduler; "
        "the spread is what `singdiffusion calibrate` measured."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sockets."""
        whose = {"tooltip": "network: its own average image, which costs nothing. module: that of the average image."}
        later = {"default": False, "tooltip": "Later steps but the last are corrected too; needs the sampler euler."}
        return {
            "required": {
                "model": ("MODEL",),
                "average": (AVERAGE,),
                "mean": (["network", "module"], whose),
                "corrected": ("BOOLEAN", later),
            }
            | WEIGHT,
            "optional": PROMPT_INPUTS,
        }

    def patch(
        self,
        model: Any,
        average: AverageImage,
        mean: str,
        corrected: bool,
        cfg: float,
        guidance: str,
        **prompt: Any,
    ) -> tuple[Any]:
        """What runs. Raises `InputError` for a model that matches no flow, and for an average image that changes nothing."""
        if not is_flow(model.get_model_object("model_sampling")):
            raise InputError("model: matches no flow; use the node Singular start")
        sing = SingDiffusion(average, guidance, mean=mean, corrected=corrected)
        patched = model.clone()
        patched.remove_wrappers_with_key(WRAPPED, KEY)
        patched.add_wrapper_with_key(WRAPPED, KEY, FirstStepPatch(sing, mean, corrected, cfg, NodePrompt(**prompt)))
        return (patched,)

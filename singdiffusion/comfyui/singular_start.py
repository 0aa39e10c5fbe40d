r"""The singular start of models that predict ε or v: the noise, or the latents, from which ComfyUI's samplers begin (C6, C7).

ComfyUI begins at `c n + y` with the noise n, the latents y of an image, and a factor c that depends on the first sigma. What stands here makes that
the library's start `ȳ + (σ/α) x_1`, in ComfyUI's units, as noise n or as latents y without noise.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import AverageImage
from singdiffusion.comfyui.condition import NodePrompt, conditions
from singdiffusion.comfyui.inputs import AVERAGE, CATEGORY, GUIDED, PROMPT_INPUTS
from singdiffusion.comfyui.model_sampling import SampledNoise
from singdiffusion.start import SingDiffusion, initial_latents, prepared_latents
from singtheory.errors import InputError

_LOG = logging.getLogger(__name__)


class StartNoise:
    """A NOISE of ComfyUI that begins sampling at the singular start; it draws what the NOISE that it is made of draws, and no more.

    Args:
        noise: NOISE that gives `x_1`.
        average: the average image, with its rules.
        model: MODEL.
        sigmas: SIGMAS of the sampler.
        cfg: the weight of guidance.
        prompt: what the pictures are to show.

    Raises:
        InputError: for a model that matches flows, and for sigmas that are no grid.
    """

    def __init__(
        self, noise: Any, average: SingDiffusion, model: Any, sigmas: Tensor, cfg: float, prompt: NodePrompt
    ) -> None:
        self.noise, self.seed = noise, noise.seed
        self._average, self._model, self._cfg, self._prompt = average, model, cfg, prompt
        self._sampled = SampledNoise(model.get_model_object("model_sampling"), sigmas)

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """The noise with which the sampler begins at the singular start, for a LATENT; of the shape of its samples.

        Raises:
            InputError: for a mask, around which ComfyUI puts the same noise at every step, and as `initial_latents`.
        """
        x_1, image = self.noise.generate_noise(input_latent), input_latent["samples"]
        if not bool(torch.count_nonzero(image)):
            return self._started(_unmasked(input_latent, x_1), initial_latents)
        if not self._sampled.begins_full:
            _LOG.warning("Singular start: sampling begins at a noised image and not at noise; left as it is")
            return x_1
        added = self._format.process_in(image).to(x_1)  # which ComfyUI adds to the noise
        return self._started(_unmasked(input_latent, x_1), initial_latents) - added / self._sampled.init_noise_sigma

    def as_latent(self, latent: dict[str, Any]) -> dict[str, Any]:
        """A LATENT of the singular start for a sampler that adds no noise, beside what else that LATENT holds.

        Raises:
            InputError: as `generate_noise`, and for latents of an image.
        """
        if bool(torch.count_nonzero(latent["samples"])):
            raise InputError("latent_image: holds an image; connect an empty one, or use the NOISE of the other node")
        start = self._started(_unmasked(latent, self.noise.generate_noise(latent)), prepared_latents)
        return latent | {"samples": self._format.process_out(start)}

    @property
    def _format(self) -> Any:
        return self._model.get_model_object("latent_format")

    def _started(self, x_1: Tensor, latents: Callable[..., Tensor]) -> Tensor:
        """The start for noise `x_1`: as noise that ComfyUI multiplies by its factor, or as latents that it leaves as they are."""
        if x_1.ndim != 4:
            raise InputError(f"latents of shape {tuple(x_1.shape)}: need (batch, channels, height, width), of pictures")
        at_prompt = average_for(self._average, self._model, self._prompt, x_1, self._cfg)
        return latents(at_prompt.mean, x_1, self._sampled, spread=at_prompt.spread)


def average_for(average: SingDiffusion, model: Any, prompt: NodePrompt, x_1: Tensor, cfg: float) -> Any:
    """The guided `Average` for noise `x_1` of shape (batch, channels, [frames,] height, width). Raises `InputError` as `SingDiffusion.average`."""
    module: AverageImage | None = average.module
    if module is None:
        raise InputError("average: is none; connect Load average image")
    guided = cfg != 1 and getattr(module, "conditional", True)
    cond, uncond = conditions(module, model, prompt, len(x_1), bool(guided))
    return average.average(cond, uncond, x_1, cfg if guided else 1.0)


def _unmasked(latent: dict[str, Any], x_1: Tensor) -> Tensor:
    """The noise. Raises `InputError` where the LATENT has a mask."""
    if latent.get("noise_mask") is not None:
        raise InputError("latent_image: has a mask, around which plain noise is needed; use RandomNoise for inpainting")
    return x_1


class SingularStart:
    """The node that gives NOISE."""

    RETURN_TYPES = ("NOISE",)
    FUNCTION = "start"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Starts ε- and v-models from the average image of the prompt. Connect it in the place of RandomNoise, "
        "with the MODEL, SIGMAS and cfg of the sampler."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sockets."""
        required = {"average": (AVERAGE,), "model": ("MODEL",), "noise": ("NOISE",), "sigmas": ("SIGMAS",)}
        return {"required": required | GUIDED, "optional": PROMPT_INPUTS}

    def start(
        self,
        average: AverageImage,
        model: Any,
        noise: Any,
        sigmas: Tensor,
        cfg: float,
        guidance: str,
        start: str,
        **prompt: Any,
    ) -> tuple[StartNoise]:
        """What runs."""
        return (StartNoise(noise, SingDiffusion(average, guidance, start), model, sigmas, cfg, NodePrompt(**prompt)),)


class SingularStartLatent(SingularStart):
    """The node that gives a LATENT."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "latent"
    DESCRIPTION = (
        "As Singular start (noise), for samplers without a NOISE socket: connect it to KSampler (Advanced) with add_noise disabled, "
        "and give it the SIGMAS of the same scheduler and steps."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sockets."""
        inputs = super().INPUT_TYPES()
        return inputs | {"required": {"latent_image": ("LATENT",)} | inputs["required"]}

    def latent(self, latent_image: dict[str, Any], **options: Any) -> tuple[dict[str, Any]]:
        """What runs."""
        (noise,) = self.start(**options)
        return (noise.as_latent(latent_image),)

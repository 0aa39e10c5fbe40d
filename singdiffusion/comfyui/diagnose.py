"""The node that says what is wrong with a model's start, and which node mends it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import AverageImage
from singdiffusion.comfyui.condition import NodePrompt
from singdiffusion.comfyui.inputs import AVERAGE, CATEGORY, PROMPT_INPUTS, WEIGHT
from singdiffusion.comfyui.model_sampling import SampledNoise, flow_scheduler, is_flow, space_of, starts_from_noise
from singdiffusion.comfyui.singular_start import average_for
from singdiffusion.response import kept
from singdiffusion.start import SingDiffusion, first_point, measured, start_std
from singtheory import formula
from singtheory.start import Components, Moments, from_matched, from_noise, initial_mismatch

_LAMBDAS = (1700.0, 100.0, 1.0)
"""Variances where no spread is given: those of a large picture's brightness, of its layout, and of texture."""
_SIDE = 64
"""The side of the latents at which an average image is asked, where none are given."""


class Diagnose:
    """The node."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "diagnose"
    CATEGORY = CATEGORY
    OUTPUT_NODE = True
    DESCRIPTION = "What is wrong with the start of this model with these SIGMAS, and which node mends it."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sockets."""
        size = ("LATENT", {"tooltip": "Of the size of the pictures."})
        optional = {"average": (AVERAGE,), "latent_image": size} | PROMPT_INPUTS
        return {"required": {"model": ("MODEL",), "sigmas": ("SIGMAS",)} | WEIGHT, "optional": optional}

    def diagnose(
        self,
        model: Any,
        sigmas: Tensor,
        cfg: float,
        guidance: str,
        average: AverageImage | None = None,
        latent_image: dict[str, Any] | None = None,
        **prompt: Any,
    ) -> dict[str, Any]:
        """What runs: the text as the output, and shown in the node."""
        at_prompt = None
        if average is not None:
            x_1 = _shaped(model, latent_image)
            at_prompt = average_for(SingDiffusion(average, guidance), model, NodePrompt(**prompt), x_1, cfg)
        sampling = model.get_model_object("model_sampling")
        lines = (
            _of_flow(sigmas, at_prompt) if is_flow(sampling) else _of_start(SampledNoise(sampling, sigmas), at_prompt)
        )
        text = "\n".join(lines)
        return {"ui": {"text": [text]}, "result": (text,)}


def _shaped(model: Any, latent: dict[str, Any] | None) -> Tensor:
    """Zeros of the shape of one picture's latents; only their shape is read."""
    if latent is not None:
        return torch.zeros_like(latent["samples"][:1])
    return torch.zeros(1, space_of(model).channels, _SIDE, _SIDE)


def _of_start(sampled: SampledNoise, average: Any) -> Iterator[str]:
    """Sentences on the start of a model that predicts ε or v (C5 to C7)."""
    alpha, sigma = first_point(sampled)
    noise, timestep = start_std(sampled), float(sampled.timesteps[0])
    yield (
        f"At timestep {timestep:.4g} the network expects {alpha:.3g} of the image and {sigma:.4g} of noise "
        f"(SNR {float(formula.snr(alpha, sigma)):.3g}), and is given noise of {noise:.4g} alone."
    )
    if average is None:
        yield "What that costs depends on the pictures: connect an average image."
        return
    moments = _moments(average)
    starts = {"noise": from_noise(moments, noise), "mean": from_matched(moments, 0, alpha, sigma)}
    if average.spread is not None:
        starts["matched"] = from_matched(moments, len(moments.eigenvalues), alpha, sigma)
    nats = {name: initial_mismatch(moments, start, alpha, sigma).low for name, start in starts.items()}
    costs = ", ".join(f"{name} {max(value, 0.0):.3g}" for name, value in nats.items())
    yield f"Distance of each start from the noised pictures, in nats, for Gaussian pictures with these moments: {costs}."
    yield f"Node that mends it: Singular start, with start {min(nats, key=lambda name: nats[name])}."


def _of_flow(sigmas: Tensor, average: Any) -> Iterator[str]:
    """Sentences on the first step of a model that matches flows (F1, F2)."""
    if not starts_from_noise(sigmas):
        yield f"Sampling begins at sigma {float(sigmas[0]):.4g}, at a noised image and not at noise: there is nothing to mend."
        return
    scheduler = flow_scheduler(sigmas)
    lam = torch.tensor(_LAMBDAS, dtype=torch.float64)
    if average is not None and average.std is not None:
        lam = average.std[0].double().square().sort(descending=True).values[: len(_LAMBDAS)]
    first = measured(scheduler)
    yield f"The start is right. The first step, to sigma {first.sigma_s:.4g}, keeps only a part of the spread of the pictures."
    now, matched = kept(scheduler, lam), kept(scheduler, lam, matched=True)
    corrected = kept(scheduler, lam, matched=True, corrected=True)
    for i, value in enumerate(lam.tolist()):
        shares = ", ".join(
            f"{name} {float(run.end[i]):.2f}"
            for name, run in (("as it is", now), ("first step matched", matched), ("corrected", corrected))
        )
        yield f"Variance {value:.4g}: the first step keeps {float(now.first[i]):.2f} of the deviation; at the end arrive {shares}."
    yield "Shares are Euler's. Node that mends it: Matched first step."


def _moments(average: Any) -> Moments:
    """Mean and spread of an average image for one prompt."""
    mean = average.mean[0].flatten().double()
    if average.spread is None:
        return Moments(mean, Components(mean.new_zeros(0, len(mean)), mean.new_zeros(0)))
    basis, std = average.spread
    return Moments(mean, Components(basis.flatten(1).double(), std[0].double()))

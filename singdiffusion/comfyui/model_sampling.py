r"""A model of ComfyUI, asked as the library asks diffusers: its noise, its grid of sigmas, and its latents.

ComfyUI's `model_sampling` says how it noises latents. Nothing is listed by class: what it does is measured with numbers, and a model whose numbers
are neither those of a schedule with an α nor those of a flow is refused. Nothing of ComfyUI is imported.
"""

import math
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from singdiffusion.base import Scheduler, Space
from singdiffusion.start import START_GAP, Point
from singtheory.errors import InputError

_PROBE = 0.5
"""A σ at which flows and other models differ: a flow noises to `½ y + ½ n`, the others to `y + ½ n`."""
_EXACT = 1e-4
_LARGEST_SIGMA = 1e-5
"""How near, relatively, ComfyUI takes a first sigma for the model's largest; there it scales the noise by `√(1 + σ²)`."""


def noised(model_sampling: Any, sigma: Tensor) -> Point:
    """The factors of y and n in what the model makes of latents y and noise n at σ, in the units in which it samples."""

    def of(y: float, n: float) -> float:
        image, noise = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (y, n))
        return float(model_sampling.noise_scaling(sigma.detach().cpu().double(), noise, image))

    return Point(of(1, 0), of(0, 1))


def is_flow(model_sampling: Any) -> bool:
    """Whether the model matches a flow, `(1 − σ) y + σ n`."""
    alpha, sigma = noised(model_sampling, torch.tensor(_PROBE))
    return abs(alpha - (1 - _PROBE)) < _EXACT and abs(sigma - _PROBE) < _EXACT


def checked(sigmas: Tensor) -> Tensor:
    """A grid of sigmas on the CPU in float32. Raises `InputError` for one without a step, that rises, or that is not finite."""
    if not isinstance(sigmas, Tensor) or sigmas.ndim != 1 or len(sigmas) < 2:
        raise InputError("sigmas: hold no step; connect a scheduler with at least one step, and denoise above 0")
    if not bool(torch.isfinite(sigmas).all()) or bool((sigmas.diff() > 0).any()) or not sigmas[0] > 0:
        raise InputError("sigmas: do not fall from noise to data; connect the SIGMAS that the sampler is given")
    return sigmas.detach().float().cpu()


class SampledNoise:
    """Where ComfyUI's sampling begins, as `initial_latents` asks a scheduler of diffusers.

    Its latents are in the units `y + σ n`, and ComfyUI multiplies noise by `init_noise_sigma` before the first step.

    Args:
        model_sampling: of the model.
        sigmas: the grid that the sampler is given.

    Raises:
        InputError: for a flow, whose start is right, and for sigmas that are no grid.
    """

    def __init__(self, model_sampling: Any, sigmas: Tensor) -> None:
        if is_flow(model_sampling):
            raise InputError("model: matches a flow, whose start is right; use the node Matched first step")
        grid = checked(sigmas)
        trained = getattr(model_sampling, "sigmas", None)
        if not isinstance(trained, Tensor) or len(trained) < 2:
            raise InputError(
                f"model: its {type(model_sampling).__name__} has no sigmas of training; its start is not known"
            )
        self._sampling, self._sigma = model_sampling, grid[0].double()
        self.timesteps = torch.stack([model_sampling.timestep(sigma) for sigma in grid[:-1].double()])
        self.timesteps = self.timesteps.double().cpu().flatten()
        self.num_inference_steps = len(self.timesteps)
        trained = trained.detach().cpu().double()
        largest = float(trained.max())
        self.begins_full = math.isclose(largest, float(self._sigma), rel_tol=_LARGEST_SIGMA) or self._sigma > largest
        """Whether the first sigma is the largest of training, as without a `denoise` below 1."""
        self.init_noise_sigma = math.hypot(1.0, float(self._sigma)) if self.begins_full else float(self._sigma)
        self.alphas_cumprod = 1 / (1 + trained.square())
        self.config = FrozenDict(num_train_timesteps=len(trained), prediction_type="epsilon")
        if is_told_log_sigma(model_sampling, float(self._sigma)):
            data = float(getattr(model_sampling, "sigma_data", 1.0))
            self.config = FrozenDict(
                self.config | {"timestep_type": "continuous", "sigma_data": data, "sigma_max": largest}
            )
            self.sigmas = grid

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The model's own noised latents at the first sigma."""
        return self._sampling.noise_scaling(self._sigma.to(noise), noise, original_samples)

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """What the network is given of them."""
        return self._sampling.calculate_input(self._sigma.to(sample), sample)


def is_told_log_sigma(model_sampling: Any, sigma: float) -> bool:
    """Whether the network is told `¼ log σ`, as EDM's are."""
    timestep = float(model_sampling.timestep(torch.tensor(sigma, dtype=torch.float64)))
    return math.isclose(timestep, 0.25 * math.log(sigma), rel_tol=1e-3, abs_tol=1e-6)


def flow_scheduler(sigmas: Tensor) -> Scheduler:
    """Euler's scheduler of diffusers on ComfyUI's grid, before its first step. Raises `InputError` for sigmas that are no grid of a flow."""
    grid = checked(sigmas)
    if grid[0] > 1 + _EXACT:
        raise InputError(
            f"sigmas: start at {float(grid[0]):.4g}, a flow's at 1 or below; connect the SIGMAS of this model"
        )
    scheduler: Any = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=grid[:-1].tolist())
    scheduler.sigmas = grid
    scheduler.timesteps = grid[:-1] * scheduler.config["num_train_timesteps"]
    return scheduler


def starts_from_noise(sigmas: Tensor) -> bool:
    """Whether a flow's grid starts at σ = 1, from noise, and has a step."""
    return len(sigmas) > 1 and float(sigmas[0]) >= 1 - START_GAP


def space_of(model: Any, text_width: int | None = None) -> Space:
    """The latents of a model, as an average image names them; the text encoder is not known.

    Args:
        model: MODEL of ComfyUI.
        text_width: of its token states, where there are some.
    """
    form = model.get_model_object("latent_format")
    channels = int(form.latent_channels)
    axes = (1,) * int(getattr(form, "latent_dimensions", 2))
    zero, one = (
        form.process_in(torch.full((1, channels, *axes), value, dtype=torch.float64)).flatten() for value in (0.0, 1.0)
    )
    stds = 1 / (one - zero)  # of each channel; a pipeline of diffusers is described by their means too
    return Space(channels, channels / float(stds.sum()), float((-zero * stds).mean()), text_width)

"""A U-Net of diffusers as a denoiser `(x_t, t) → x̂` that can be differentiated in forward mode."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from singdiffusion.base.latents import a_tensor_of
from singdiffusion.base.scheduler import Scheduler, is_discrete, schedule_of
from singtheory import formula
from singtheory.errors import InputError, unknown_name
from singtheory.schedule import Schedule

PREDICTIONS = ("epsilon", "v_prediction", "sample")
"""What a network gives, in the words of diffusers."""


class NetworkDenoiser:
    """`x̂(x_t, t)` of a conditional U-Net, without guidance, for `singtheory.sampler`.

    Attention is computed by plain products: the fused kernels of torch have no forward mode.

    Args:
        unet: of diffusers, called with `(x, timestep, states).sample`.
        scheduler: whose betas and kind of prediction the network was trained with; discrete, of variance preserving noise.
        states: of the prompt, shape (1, tokens, width) for all samples, or one a sample.

    Raises:
        InputError: for another kind of prediction, and a scheduler that is not discrete.
    """

    def __init__(self, unet: Any, scheduler: Scheduler, states: Tensor) -> None:
        prediction = str(scheduler.config.get("prediction_type", "epsilon"))
        if prediction not in PREDICTIONS:
            raise unknown_name("prediction", prediction, PREDICTIONS)
        if not is_discrete(scheduler):
            raise InputError(
                f"{type(scheduler).__name__}: its network is not told a step number; take DDIM's configuration"
            )
        self.unet, self.prediction, self.states = unet, prediction, states
        self.schedule: Schedule = schedule_of(scheduler)
        self.train_steps = int(scheduler.config["num_train_timesteps"])

    def __call__(self, x_t: Tensor, t: float) -> Tensor:
        """`x̂`, in the precision of `x_t`; the network itself is asked in its own.

        Args:
            x_t: shape (batch, channels, height, width).
            t: in (0, 1]; the network is told `1000 t − 1`.
        """
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        weights = a_tensor_of(self.unet)
        steps = torch.full((len(x_t),), t * self.train_steps - 1, dtype=torch.float32, device=x_t.device)
        states = self.states.to(weights).expand(len(x_t), *self.states.shape[1:])
        with sdpa_kernel(SDPBackend.MATH):
            output = self.unet(x_t.to(weights.dtype), steps, states).sample.to(x_t.dtype)
        if self.prediction == "sample":
            return output
        if self.prediction == "v_prediction":
            return formula.denoiser_of_v(output, x_t, alpha, sigma)
        return formula.denoiser_of_epsilon(output, x_t, alpha, sigma)

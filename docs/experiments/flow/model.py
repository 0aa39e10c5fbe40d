"""The demonstrator's twin as a flow: the same U-Net, text encoder and data, trained to give `n − x_0` for `(1 − t) x_0 + t n`, t uniform."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor
from torch.nn.functional import mse_loss

from docs.experiments.data.captioned import Captioned
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.fit import Examples, captioned_examples, trained_output

TRAIN_STEPS = 1000
"""The network is told `1000 t`, as the flow schedulers of diffusers tell it."""
SHIFT = 3.0
"""The shift of the stored pipeline's scheduler."""
PREDICTION = "flow_prediction"


class Flow(Denoiser):
    """A flow with the text encoder whose states it reads; stored as a pipeline of diffusers whose scheduler steps along flows."""

    def pipeline(self, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
        """A copy as a pipeline of diffusers, whose latents are pixels."""
        pipe: Any = super().pipeline(dtype)
        scheduler = UniPCMultistepScheduler(
            num_train_timesteps=TRAIN_STEPS,
            prediction_type=PREDICTION,
            use_flow_sigmas=True,
            flow_shift=SHIFT,
            steps_offset=1,  # means nothing here; Stable Diffusion's pipeline warns of 0
        )
        pipe.register_modules(scheduler=scheduler)
        return pipe


def flow_loss(
    model: Denoiser, data: Captioned, device: str, batch: int, dropout: float = 0.1, unet: Any = None
) -> Callable[[], Tensor]:
    """`E‖(n − x_0) − network‖²/d` at uniform times; some captions are left out, for guidance.

    Args:
        model: on the device; its text encoder is trained along where its weights ask for gradients.
        data: on the CPU.
        device: `cpu` or `cuda`.
        batch: examples a step.
        dropout: share of the captions that are left out.
        unet: called in the model's place, such as compiled.
    """
    return flow_loss_of(model, captioned_examples(model, data, device, batch, dropout), device, unet)


def flow_loss_of(model: Denoiser, examples: Examples, device: str, unet: Any = None) -> Callable[[], Tensor]:
    """`flow_loss` of examples that are drawn elsewhere."""
    output = trained_output(model, device, unet)

    def loss() -> Tensor:
        x_0, ids = examples()
        t = torch.rand(len(x_0), device=device)
        noise, sigma = torch.randn_like(x_0), t[:, None, None, None]
        return mse_loss(output((1 - sigma) * x_0 + sigma * noise, TRAIN_STEPS * t, ids), noise - x_0)

    return loss

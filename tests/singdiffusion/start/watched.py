"""Pipelines with a table or a network of average images, and what their own network is shown."""

import numpy as np
import torch

from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.base.space import Space
from tests.singdiffusion.support import tiny

PROMPTS = ("solid black", "solid white")
STEPS = {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "np", "negative_prompt": ""}


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
        actual = pipe(prompt, generator=generator, **(STEPS | arguments))
        handle.remove()
        self.images = np.asarray(actual.frames if hasattr(actual, "frames") else actual.images)
        self.after = torch.randn(3, generator=generator)


def guided(module, weight, prompt="solid black"):
    c, u = (module([p], torch.zeros(1, *tiny.LATENTS)).mean for p in (prompt, ""))
    return c - (1 - 1 / weight) * u


def unet_module(pipe):
    return AverageUNet.from_unet(pipe.unet, space=Space.of(pipe))

"""Calls of tiny pipelines of flows, and what passes through them."""

import math

import torch

from tests.singdiffusion.support import tiny_flow

SHAPE = (tiny_flow.CHANNELS, 8, 8)


CALL = {"num_inference_steps": 4, "height": 16, "width": 16, "output_type": "latent", "guidance_scale": 1.0}


def spread(shape=SHAPE):
    rows = torch.randn(math.prod(shape), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.linalg.qr(rows)[0].mT.reshape(3, *shape).float(), torch.tensor([30.0, 5.0, 0.2])


def states(pipe, prompt="a", **call):
    """The latents after each step."""
    results = []

    def seen(pipe, index, timestep, arguments):
        results.append(arguments["latents"].clone())
        return arguments

    arguments = CALL | {"generator": torch.Generator().manual_seed(2)} | call
    torch.manual_seed(3)
    pipe(prompt, callback_on_step_end=seen, **arguments)
    return results


def named(pipe, name):
    pipe.transformer.register_to_config(_name_or_path=name)
    return pipe

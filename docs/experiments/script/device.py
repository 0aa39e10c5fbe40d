"""The device of an experiment, and with how many digits it multiplies."""

import argparse

import torch

from singtheory.system import DEVICES, chosen_device


def add_device(parser: argparse.ArgumentParser, default: str = "auto") -> None:
    """`--device`: one of `DEVICES`; the fastest that is there if not given."""
    parser.add_argument("--device", default=default, help=f"{', '.join(DEVICES)}; {default} by default")


def prepared(device: str) -> str:
    """The device of this name, ready: cuDNN searches for the fastest convolutions, for an experiment runs many of the same shape.

    Args:
        device: one of `DEVICES`.

    Returns:
        `cpu`, `cuda` or `mps`.

    Raises:
        InputError: for a name that is none, and for a device that is not there.
    """
    device = chosen_device(device)
    torch.backends.cudnn.benchmark = True
    return device


def allow_tf32(allowed: bool) -> None:
    """Whether CUDA's products and convolutions of float32 may read 10 bits of their factors in the place of 23; a CPU always reads all."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed

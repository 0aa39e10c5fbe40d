"""What the figure of the steps shows: angles of the grid, the kept curve, and pictures drawn by the exact denoiser with the same steps (F1, F3, F9)."""

from itertools import product
from typing import Any

import torch
from torch import Tensor

from docs.interactive.figure import packed
from singtheory import RectifiedFlow, formula, response
from singtheory.data import HALF_RANGE, Pictures, digit_pictures, digits_images, png_strip, to_bytes
from singtheory.sampler import DDIM, exact_denoiser

STEPS = (4, 6, 10, 20, 50)
SHIFTS = (1.0, 3.0, 6.0)
ETAS = (0.0, 0.5, 1.0)
EIGENVALUES = tuple(10 ** (-2 + k / 6) for k in range(37))
"""λ, from 0.01 to 10,000."""
SHOWN, SAMPLES, _EVERY = 8, 192, 6
"""Pictures shown, pictures drawn, and of the digits every so many: the page is built in seconds."""
_SCALE = 1.5
"""The largest of the packed kept shares: fresh noise may give a little back, never so much."""


def numbers() -> dict[str, Any]:
    """The angles of all steps and shifts along each λ, and with every η what is kept and some pictures."""
    pictures = digit_pictures(digits_images()[::_EVERY], 32, 3)
    data = pictures.brightness(pictures.law.points)
    eigenvalue = formula.brightness_eigenvalue((data / HALF_RANGE).var(correction=0), pictures.dim)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(SAMPLES, pictures.law.dim, dtype=torch.float64, generator=generator)
    return {
        "steps": STEPS,
        "shifts": SHIFTS,
        "etas": ETAS,
        "eigenvalues": EIGENVALUES,
        "scale": _SCALE,
        "samples": SAMPLES,
        "brightness": float(eigenvalue),
        "grids": [_angles(shifted(*grid)) for grid in product(STEPS, SHIFTS)],
        "states": [
            _state(pictures, float(data.std(correction=0)), noise, steps, shift, eta)
            for steps, shift, eta in product(STEPS, SHIFTS, ETAS)
        ],
    }


def shifted(steps: int, shift: float) -> Tensor:
    """Evenly spaced times of rectified flow under a timestep shift, from 1 to 0; shape (steps + 1,)."""
    return formula.shifted_time(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)


def _angles(times: Tensor) -> dict[str, str]:
    """θ of every λ at each time, as a share of the quarter circle."""
    flow, lam = RectifiedFlow(), torch.tensor(EIGENVALUES, dtype=torch.float64)[:, None]
    theta = formula.spread_angle(*flow(times), lam, torch)
    return {"theta": packed(theta * 2 / torch.pi, 1.0)}


def _state(pictures: Pictures, spread: float, noise: Tensor, steps: int, shift: float, eta: float) -> dict[str, Any]:
    flow, times = RectifiedFlow(), shifted(steps, shift)
    kept = response.respond(flow, times, EIGENVALUES, eta=eta)
    samples = DDIM(flow, eta).sample(
        exact_denoiser(pictures.law, flow), noise, times, generator=torch.Generator().manual_seed(1)
    )
    return {
        "kept": packed(kept.kept, _SCALE),
        "first": packed(kept.first, _SCALE),
        "drawn": float(pictures.brightness(samples).std(correction=0)) / spread,
        "pictures": [png_strip(picture[None]) for picture in _small(pictures, samples[:SHOWN])],
    }


def _small(pictures: Pictures, coordinates: Tensor) -> Tensor:
    """Pictures at half their size, one channel of three that are equal; shape (count, side, side), uint8."""
    images = pictures.images(coordinates)[:, :1]
    return to_bytes(torch.nn.functional.avg_pool2d(images, 2)[:, 0])

"""Every scheduler of diffusers, at every setting it has: none starts wrong (`python -m tests.singdiffusion.scheduler.matrix` counts them)."""

import json

import pytest
import torch
from diffusers.schedulers import KarrasDiffusionSchedulers

from singdiffusion.start import initial
from tests.singdiffusion.scheduler import matrix

NEED_A_PACKAGE = {"DPMSolverSDEScheduler"}
"""Not exported where torchsde is missing."""
MEANT_FOR_STABLE_DIFFUSION = {member.name for member in KarrasDiffusionSchedulers} - NEED_A_PACKAGE
RECORDED = json.loads(matrix.RESULT.read_text(encoding="utf-8"))
PAST_THE_END = {"SASolverScheduler"}
"""Steps to timestep 1000 of 1000 where leading spacing puts 1000 steps one further (steps_offset); there is no α."""


@pytest.mark.parametrize("name", matrix.names())
def test_no_configuration_starts_wrong(name):
    actual = matrix.tally(name)
    assert actual.wrong == []
    assert actual.right == RECORDED["schedulers"].get(name, {"right": actual.right})["right"]
    if name in MEANT_FOR_STABLE_DIFFUSION | {
        "LCMScheduler",
        "TCDScheduler",
        "SASolverScheduler",
        "DDPMParallelScheduler",
    }:
        assert actual.right > 0
        assert not actual.refused or name in PAST_THE_END


def test_all_that_are_meant_for_stable_diffusion_are_in_the_matrix():
    assert set(matrix.names()) >= MEANT_FOR_STABLE_DIFFUSION


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("EulerDiscreteScheduler", lambda start: lambda *a, **k: start(*a, **k) * float(a[2].init_noise_sigma)),
        ("DDIMScheduler", lambda start: lambda mean, noise, s: start(noise, mean, s)),
        ("DDIMScheduler", lambda start: lambda mean, noise, s: noise),
    ],
    ids=["times init_noise_sigma, as published", "mean and noise swapped", "noise alone"],
)
def test_the_matrix_sees_a_wrong_start(name, wrong, monkeypatch):
    monkeypatch.setattr(matrix, "initial_latents", wrong(initial.initial_latents))
    monkeypatch.setattr(matrix, "STEPS", (20,))
    assert len(matrix.tally(name).wrong) > 0


def test_the_oracle_is_stable_diffusions_schedule():
    """The published checkpoints: α 0.0760 at 981, 0.0683 at 999, and none with a terminal SNR of zero."""
    bars = torch.from_numpy(matrix.alpha_bars(False))
    assert float(bars[981] ** 0.5) == pytest.approx(0.0760, abs=5e-5)
    assert float(bars[999] ** 0.5) == pytest.approx(0.0683, abs=5e-5)
    assert matrix.alpha_bars(True)[-1] == 0

"""The model that comes with the package: small pictures of OpenMoji by text, with their average image and its spread (CC BY-SA 4.0).

Trained from scratch by `python -m docs.experiments.ladder.train` with Stable Diffusion's betas, it shows the average-brightness issue and its
cures on any machine. It is of no other use.
"""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PIPELINE = FOLDER / "pipeline"
"""A folder of diffusers' `StableDiffusionPipeline`."""
AVERAGE = FOLDER / "average"
"""Its average image, for `load_average`."""
STEPS = 25
"""The steps of its own sampler, DDIM, where none are asked for."""
GUIDANCE = 1.5
"""Weight of its guidance, where none is asked for: high ones cover up the issue."""
SAMPLER = "DPMSolverMultistepScheduler"
"""Draws for `singdiffusion sample` where neither scheduler nor steps are asked for: fewer steps of second order, nearer to the exact solution."""
SAMPLER_SETTINGS: dict[str, Any] = {"use_lu_lambdas": True}
"""Steps even in log SNR, from the last timestep of training; `tests/benchmarks/sampler.json` has the errors of others."""
SAMPLER_STEPS = 10
"""The steps of that sampler."""

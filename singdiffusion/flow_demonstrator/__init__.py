"""The flow that comes with the package: the demonstrator's twin, trained to match flows, with its average image and spread (CC BY-SA 4.0).

Trained from scratch by `python -m docs.experiments.flow.train`, it shows what few steps lose and what the matched first step gives back.
It is of no other use.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
PIPELINE = FOLDER / "pipeline"
"""A folder of diffusers' `StableDiffusionPipeline`, whose scheduler, UniPC with flow sigmas, steps along flows."""
AVERAGE = FOLDER / "average"
"""Its average image, for `load_average`."""
STEPS = 4
"""The steps of its sampler, where none are asked for: with many there is nothing left to mend."""
GUIDANCE = 1.5
"""Weight of its guidance, where none is asked for."""

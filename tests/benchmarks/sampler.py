"""`python -m tests.benchmarks.sampler --out FILE`: which sampler of few steps is nearest to the package's model solved exactly.

Pictures of two prompts and two seeds each, from noise and from the matched start, beside those of DDIM in a thousand steps from the same noise.
Takes half an hour on a processor, nearly all of it for the thousand steps, which `--reference` keeps for the next run.
"""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch

from singdiffusion import demonstrator, evaluation
from singtheory.system import write_json
from tests.benchmarks.origin import origin
from tests.support.out_file import parser

RESULT = Path(__file__).parent / "sampler.json"
PROMPTS, SEEDS = ("solid black background", "red apple"), (0, 1)
EXACT: tuple[str, dict[str, Any], int] = ("DDIMScheduler", {"timestep_spacing": "trailing"}, 1000)
SAMPLERS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("DDIMScheduler", {}, 25),
    ("DDIMScheduler", {}, 50),
    (demonstrator.SAMPLER, {"timestep_spacing": "trailing"}, 20),
    (demonstrator.SAMPLER, demonstrator.SAMPLER_SETTINGS, demonstrator.SAMPLER_STEPS),
)


class Model:
    """The package's, with its matched start."""

    def __init__(self) -> None:
        self.pipe = evaluation.load_pipeline(str(demonstrator.PIPELINE), None, "cpu", torch.float32)
        self.pipe.set_progress_bar_config(disable=True)
        self.config = self.pipe.scheduler.config
        self.sing, _ = evaluation.load_start(str(demonstrator.AVERAGE), "matched", torch.float32)

    def pictures(self, start: str, scheduler: str, settings: dict[str, Any], steps: int) -> np.ndarray:
        """In levels of 0..255, shape (n, side, side, 3), not rounded.

        Args:
            start: `noise` or `matched`.
            scheduler: class of diffusers.
            settings: of it, beside the model's configuration.
            steps: N.
        """
        assert self.sing is not None
        self.pipe.scheduler = getattr(diffusers, scheduler).from_config(self.config, **settings)
        noise = [torch.Generator().manual_seed(seed) for _ in PROMPTS for seed in SEEDS]
        with nullcontext() if start == "noise" else self.sing.attached(self.pipe):
            drawn = self.pipe(
                list(PROMPTS),
                num_images_per_prompt=len(SEEDS),
                num_inference_steps=steps,
                guidance_scale=demonstrator.GUIDANCE,
                generator=noise,
                output_type="np",
            )
        return 255 * drawn.images


def main() -> None:
    """A row a sampler and start."""
    asks = parser(__doc__, RESULT)
    asks.add_argument("--reference", type=Path, metavar="FILE.npz", help="the thousand steps of an earlier run")
    arguments = asks.parse_args()
    model, starts = Model(), ("noise", "matched")
    if arguments.reference and arguments.reference.exists():
        exact = dict(np.load(arguments.reference))
    else:
        exact = {start: model.pictures(start, *EXACT) for start in starts}
        if arguments.reference:
            np.savez(arguments.reference, noise=exact["noise"], matched=exact["matched"])
    rows = []
    for scheduler, settings, steps in SAMPLERS:
        for start in starts:
            since = time.process_time()
            off = model.pictures(start, scheduler, settings, steps) - exact[start]
            rows.append(
                {
                    "scheduler": scheduler,
                    "settings": settings,
                    "steps": steps,
                    "start": start,
                    "rms": float(np.sqrt(np.mean(off**2))),
                    "brightness": [float(x) for x in off.mean(axis=(1, 2, 3))],
                    "processor seconds": time.process_time() - since,
                }
            )
    write_json(
        arguments.out,
        origin("tests.benchmarks.sampler", "cpu", libraries=("torch", "diffusers"))
        | {"prompts": PROMPTS, "seeds": SEEDS, "guidance": demonstrator.GUIDANCE, "rows": rows},
    )


if __name__ == "__main__":
    main()

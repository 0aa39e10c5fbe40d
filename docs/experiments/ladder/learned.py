"""`python -m docs.experiments.ladder.learned --out DIR`: what the package's trained average image says of the brightness, prompt by prompt.

Mean and standard deviation of the brightness that its mean and its spread promise, before anything is drawn. On the page beside the data's: where the
deviation is too small, so are the samples of the matched start. Writes docs/experiments/results/ladder/learned.json.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.script.arguments import add_out, command, one_line_errors
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import Average, load_average
from singdiffusion.demonstrator import AVERAGE, PIPELINE

_HALF = 127.5


def promised(average: Average) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the brightness, in 0..255, each (batch,), float64: `E` and `√Var` of the pixels' mean of `ȳ + Σ s_k φ_k ξ_k`."""
    mean = _HALF * (average.mean.double().mean(dim=(1, 2, 3)) + 1)
    if average.basis is None or average.std is None:
        return mean, torch.zeros_like(mean)
    parts = average.std.double() * average.basis.double().mean(dim=(1, 2, 3))
    return mean, _HALF * parts.square().sum(dim=1).sqrt()


@torch.no_grad()
def learned(pipeline: Path, average: Path, prompts: Sequence[str]) -> dict[str, dict[str, float]]:
    """By prompt, `mean` and `std` of a trained average image on the token states of a pipeline. Raises `InputError` for folders that hold none."""
    model, module = Denoiser.load(pipeline), load_average(average, dtype=torch.float32)
    side = model.unet.config.sample_size
    states = model.encoder(list(prompts), torch.device("cpu"), torch.float32)
    noise = torch.zeros(len(prompts), model.unet.config.in_channels, side, side)  # which the decoder does not read
    means, stds = promised(module(states, noise))
    return {
        prompt: {"mean": float(mean), "std": float(std)} for prompt, mean, std in zip(prompts, means, stds, strict=True)
    }


def main() -> None:
    """On the CPU, seconds."""
    parser = command(__doc__)
    parser.add_argument("--pipeline", type=Path, default=PIPELINE, help="folder")
    parser.add_argument("--average", type=Path, default=AVERAGE, help="folder")
    add_out(parser)
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        result = Result(arguments.out / "learned.json", origin("docs.experiments.ladder.learned", "cpu", 0))
        result.add("prompts", learned(arguments.pipeline, arguments.average, OPENMOJI.all))


if __name__ == "__main__":
    main()

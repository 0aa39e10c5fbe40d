"""`python -m docs.experiments.matched.small --out DIR`: the same measurements on digits, with the exact denoiser in the place of a network, on a processor in seconds.

The 1797 digits of 8×8 are the data, their exact denoiser is written in torch alone and differentiated in forward mode, as a network is. So what the
demonstrator's page calls the network's error is 0 here, and its Jacobian is the posterior covariance. Writes docs/experiments/results/matched/digits.json.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned
from docs.experiments.matched.keep import kept
from docs.experiments.matched.measure import Run
from docs.experiments.matched.paths import line_paths, paths
from docs.experiments.matched.profile import Empirical
from docs.experiments.matched.ways import plan
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.result import Result, origin
from singtheory import data as loaders
from singtheory.data import to_bytes
from singtheory.schedule import Schedule, schedule_named
from singtheory.system import write_json


class ExactDenoiser:
    """`x̂` of equally likely pictures, in operations that all have a forward mode.

    Args:
        images: in [−1, 1], shape (n, channels, side, side).
    """

    train_steps = 1000

    def __init__(self, images: Tensor) -> None:
        self.schedule: Schedule = schedule_named("sd")
        self.empirical = Empirical(images.flatten(1))

    def __call__(self, x_t: Tensor, t: float) -> Tensor:
        """In the precision of `x_t`; computed in float64."""
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        weights = self.empirical.weights(x_t.flatten(1), alpha, sigma)
        return (weights @ self.empirical.points).reshape(x_t.shape).to(x_t.dtype)


def pictures(count: int | None = None) -> Captioned:
    """The digits, 8×8."""
    points = loaders.load("digits").law.points[:count]
    return Captioned.of(to_bytes(points.reshape(-1, 1, 8, 8)), ["digit"] * len(points))


def run(
    result: Result,
    count: int | None,
    draws: tuple[int, int],
    levels: int,
    spectra: int,
    works: tuple[int, ...],
    seed: int,
) -> None:
    """All parts.

    Args:
        result: that every part is added to.
        count: of the digits; all if None.
        draws: of a level of the profile, and samples of a cell.
        levels: of noise.
        spectra: whole Jacobians a level.
        works: passes at which ways are compared.
        seed: of all draws.
    """
    data = pictures(count)
    measurement = Run(ExactDenoiser(data.x_0()), data, "cpu", result, time.perf_counter() + 600, draws, seed)
    result.add("amounts", {"pictures": len(data), "draws": draws[0], "samples": draws[1]})
    known = measurement.profile(levels)
    measurement.spectra(known, 1, spectra)
    measurement.cells(known, plan(works, 2 * max(works)))


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    add_out(parser)
    parser.add_argument("--draws", type=int, default=512)
    parser.add_argument("--samples", type=int, default=512, help="a cell")
    parser.add_argument("--queries", type=int, default=256, help="of the paths in all dimensions")
    add_seed(parser)
    arguments: Any = parser.parse_args()
    torch.set_num_threads(1)
    with one_line_errors(parser), TemporaryDirectory() as folder:
        result = Result(Path(folder) / "digits.json", origin("docs.experiments.matched.small", "cpu", arguments.seed))
        run(result, None, (arguments.draws, arguments.samples), 20, 16, (24, 96), arguments.seed)
        law = loaders.load("digits").law
        result.add("line", line_paths(law))
        result.add("paths", paths(law, arguments.queries, 8, arguments.seed))
        write_json(arguments.out / "digits.json", kept(result.path.parent, name="digits"))


if __name__ == "__main__":
    main()

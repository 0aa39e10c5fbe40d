"""`python -m docs.experiments.ladder.predict --data openmoji.npz.xz --result FILE.json --out FILE.json`: what the theory says, without the network.

For each prompt, from its pictures alone:

    law       C7 for Gaussian data of their mean and covariance: mean and spread of the brightness from each start
    exact     the exact denoiser of the pictures in the place of the network, on the same 50 steps, from the same noise
    budget    B8 in nats: what each start misses, what 50 steps miss, and what each stage of the network adds, from its loss curve

The last reads the loss curves of `--result`, that `docs.experiments.ladder.evaluate` has written.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, brightness_of, read
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.metric.distances import wasserstein
from docs.experiments.model.denoiser import scheduler_config
from docs.experiments.model.fit import say
from docs.experiments.script.arguments import add_data, add_out_file, add_seed, command, one_line_errors
from docs.experiments.script.result import Result, origin
from singtheory import formula
from singtheory.grid import leading
from singtheory.law import Atoms
from singtheory.sampler import DDIM, exact_denoiser
from singtheory.schedule import Discrete
from singtheory.start import (
    Components,
    Moments,
    arrival,
    exact_start,
    from_matched,
    from_mean,
    from_noise,
    initial_mismatch,
    matched_start,
    mean_start,
    principal_components,
    reading_moments,
)

STEPS, RANK = 50, 16
_HALF = 127.5


def moments_of(points: Tensor) -> Moments:
    """The moments of equally likely points; of one point repeated no direction varies."""
    law = Atoms(points)
    if bool((points == points[0]).all()):
        return Moments(law.mean, Components(torch.zeros(0, law.dim, dtype=torch.float64), torch.zeros(0).double()))
    return Moments.of(law)


def law_of(points: Tensor, alpha: float, sigma: float) -> dict[str, Any]:
    """C7 for Gaussian data: mean and standard deviation of the brightness from each start, and the initial mismatch in nats."""
    moments = moments_of(points)
    d = points.shape[1]
    reading = torch.full((d,), _HALF / d, dtype=torch.float64)
    starts = {"noise": from_noise(moments), "mean": from_mean(moments, alpha, sigma)}
    rank = min(RANK, len(moments.components.std))
    starts["matched"] = from_matched(moments, rank, alpha, sigma)
    by_start: dict[str, Any] = {}
    _, data_std = reading_moments(moments, reading, _HALF)
    for name, start in starts.items():
        mean, std = arrival(moments, start, alpha, sigma, reading, _HALF)
        nats = initial_mismatch(moments, start, alpha, sigma)
        by_start[name] = {
            "mean": mean,
            "std": std,
            "ratio": std / data_std if data_std > 0 else None,
            "nats low": nats.low,
            "nats high": nats.high,
        }
    brightness_std = data_std / _HALF
    eigenvalue = formula.brightness_eigenvalue(brightness_std**2, d)
    return by_start | {"one mode": float(1 / formula.marginal_var(alpha, sigma, eigenvalue) ** 0.5)}


def exact_of(data: Captioned, prompt: str, samples: int, seed: int) -> dict[str, Any]:
    """The exact denoiser of a prompt's pictures from each start: brightness of the samples."""
    rows = data.rows(prompt)
    points = data.x_0(rows).flatten(1).double()
    law, schedule = (
        Atoms(points.unique(dim=0)) if len(rows) < 300 else Atoms(points),
        Discrete.from_config(scheduler_config()),
    )
    times = leading(schedule, STEPS)
    alpha, sigma = map(float, schedule(times[0]))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, points.shape[1], generator=generator, dtype=torch.float64)
    pictures = points[torch.randint(len(points), (samples,), generator=generator)]
    starts = {"noise": noise, "mean": mean_start(noise, law.mean, alpha, sigma)}
    if len(law.points) > 1:
        rank = min(RANK, len(law.points) - 1)
        components = principal_components(Atoms(points), rank)
        starts["matched"] = matched_start(noise, law.mean, components, alpha, sigma)
    starts["exact"] = exact_start(noise, pictures, alpha, sigma)
    x_0 = DDIM(schedule).sample(exact_denoiser(law, schedule), torch.cat(list(starts.values())), times)
    truth = data.brightness[rows]
    by_start: dict[str, Any] = {}
    for name, end in zip(starts, x_0.split(samples), strict=True):
        levels = brightness_of(end)
        std = float(levels.std(correction=0))
        by_start[name] = {
            "mean": float(levels.mean()),
            "std": std,
            "ratio": std / float(truth.std(correction=0)) if len(law.points) > 1 else None,
            "w1": wasserstein(levels, truth),
        }
    return by_start


def budget_of(curves: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Discretisation and network error of the 49 ancestral steps from timestep 981 to 1, in nats, for each model of the same schedule.

    `½ Σ (g mmse_k − ∫ mmse dγ)` with the integral linear in log γ between the steps, and `½ Σ g error2_k`; all expectations over q.
    """
    steps = curves["timesteps"]
    chain = [t for t in reversed(steps) if t % 20 == 1 and t <= 981]
    at = [steps.index(t) for t in chain]
    by_start: dict[str, Any] = {}
    for name, table in curves["prompts"][prompt].items():
        snr = torch.tensor(curves["snr"][name], dtype=torch.float64)[at]
        mmse, mse, error2 = (torch.tensor(table[key], dtype=torch.float64)[at] for key in ("mmse", "mse", "error2"))
        gaps = snr.diff()
        by_start[name] = {
            "discretisation": float(_discretisation(snr, mmse).sum()),
            "discretisation by its own loss": float(_discretisation(snr, mse).sum()),
            "network": float(formula.network_error(gaps, error2[:-1]).sum()),
            "network, first ten steps": float(formula.network_error(gaps, error2[:-1])[:10].sum()),
            "W2² of the last step, at most": float(formula.learned_last_step_w2(mmse[-1], error2[-1])),
        }
    return by_start


def _discretisation(snr: Tensor, mmse: Tensor) -> Tensor:
    """The discretisation of each step, with the curve between its ends linear in log γ: `∫ m dγ = g m_t + (m_s − m_t)(γ_s − g/log(γ_s/γ_t))`."""
    low, high = snr[:-1], snr[1:]
    length = torch.log(high / low)
    first, last = mmse[:-1], mmse[1:]
    inside = first * (high - low) + (last - first) * (high - (high - low) / length)
    return formula.discretisation((high - low), first, inside)


def main() -> None:
    """On the CPU, minutes."""
    parser = command(__doc__)
    add_data(parser)
    parser.add_argument(
        "--result", type=Path, help="of docs.experiments.ladder.evaluate; the budget is left out if not given"
    )
    add_out_file(parser)
    parser.add_argument("--samples", type=int, default=256, help="a start")
    add_seed(parser)
    arguments = parser.parse_args()
    with one_line_errors(parser):
        data = read(arguments.data)
        schedule = Discrete.from_config(scheduler_config())
        first = leading(schedule, STEPS)[0]
        alpha, sigma = map(float, schedule(first))
        result = Result(arguments.out, origin("docs.experiments.ladder.predict", "cpu", arguments.seed))
        result.add(
            "start", {"alpha": alpha, "sigma": sigma, "rank": RANK, "steps": STEPS, "samples": arguments.samples}
        )
        curves = None if arguments.result is None else json.loads(arguments.result.read_text())["curves"]
        prompts: dict[str, Any] = {}
        for prompt in OPENMOJI.all:
            if prompt not in data.captions:
                continue
            points = data.x_0(data.rows(prompt)).flatten(1).double()
            prompts[prompt] = {"law": law_of(points, alpha, sigma)}
            say(prompt, "law")
            prompts[prompt]["exact"] = exact_of(data, prompt, arguments.samples, arguments.seed)
            if curves is not None:
                prompts[prompt]["budget"] = budget_of(curves, prompt)
            result.add("prompts", prompts)
            say(prompt, "exact")


if __name__ == "__main__":
    main()

r"""What a sampler keeps of the data's spread along each eigenvalue of the covariance: the law of the steps (F1, F2, F9).

    spread_kept(RectifiedFlow(), trailing(RectifiedFlow(), 4), [900.0, 1.0])

For Gaussian data and the exact denoiser a DDIM(0) step multiplies the standard deviation along λ by `cos(θ_s − θ_t)`, `θ = arctan √(γλ)`, so a
sampler keeps the product. Only γ enters: the law is the same for every schedule, and nothing is ever gained.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.errors import InputError, unknown_name
from singtheory.schedule import Schedule, as_time, positive_alpha

StartName = Literal["noise", "mean", "matched"]
STARTS: tuple[StartName, ...] = get_args(StartName)
"""`noise`: N(0, 1) in the place of `x_t`, or the schedule's own largest σ where that is more, as pipelines do; `mean`: N(α μ, σ²); `matched`: C7's."""


class Response(NamedTuple):
    """What is kept along each eigenvalue, as shares of the data's standard deviation; both of shape (k,).

    Attributes:
        first: after the start alone, or after the first step where the start has α = 0, for there it is the start (F2).
        kept: at the end.
    """

    first: Tensor
    kept: Tensor


def spread_kept(
    schedule: Schedule,
    times: Tensor | Sequence[float],
    eigenvalues: Tensor | Sequence[float],
    *,
    eta: float = 0.0,
    start: StartName = "mean",
    matched: int = 0,
    corrected: bool = False,
) -> Tensor:
    """The standard deviation at the end over the data's, along each eigenvalue, for Gaussian data and the exact denoiser; shape (k,).

    Args:
        schedule: the forward process.
        times: decreasing times in [0, 1] from the first to the last, shape (steps + 1,).
        eigenvalues: λ of the data's covariance, from 1e-60 to 1e60, shape (k,).
        eta: η of DDIM in [0, 1]; 0 is deterministic, on rectified flow Euler's step, 1 ancestral (F9).
        start: `noise`, `mean` or `matched` (C6, C7).
        matched: along how many of the largest eigenvalues the start is matched, and steps are corrected; 0 is all.
        corrected: whether every step but the last, and but a first one from α = 0, which is the start, has its deviations divided by its cosine; for η = 0.

    Raises:
        InputError: for times that do not decrease, eigenvalues that are not positive, more matched directions than eigenvalues,
            η outside [0, 1], corrected steps with η > 0, an unknown start, and times at which α underflows.
    """
    return respond(schedule, times, eigenvalues, eta=eta, start=start, matched=matched, corrected=corrected).kept


def respond(
    schedule: Schedule,
    times: Tensor | Sequence[float],
    eigenvalues: Tensor | Sequence[float],
    *,
    eta: float = 0.0,
    start: StartName = "mean",
    matched: int = 0,
    corrected: bool = False,
) -> Response:
    """`spread_kept` with what the start alone keeps, the response of DDIM (F10); arguments and errors are the same."""
    lam, grid = check_eigenvalues(eigenvalues), _check_times(times)
    _check_choices(lam, eta, start, matched, corrected)
    mended = _largest(lam, matched or len(lam))
    singular = float(schedule.alpha(grid[0])) == 0
    kept = _start_var(schedule, grid[0], lam, start, mended)
    first = kept
    for k, (t, s) in enumerate(pairwise(grid)):
        # from α = 0 the first step is the mean start (F2), which a matched start replaces
        matches = singular and k == 0 and start == "matched"
        divides = corrected and (k > 0 or not singular) and k < len(grid) - 2
        after = _step(schedule, t, s, lam, kept, eta)
        kept = torch.where(mended, kept, after) if matches or divides else after
        first = kept if singular and k == 0 else first
    return Response(first.sqrt(), kept.sqrt())


def kept_of(spread: Tensor, kept: Tensor) -> float:
    """`√(Σ w kept²/Σ w)`, what is kept of the standard deviation along a direction, or in a band, made of many eigenvectors.

    Args:
        spread: the variance w that each eigenvector gives to it, shape (k,), not all zero.
        kept: along each, shape (k,).
    """
    return float((spread @ kept.square() / spread.sum()).sqrt())


def check_eigenvalues(eigenvalues: Tensor | Sequence[float]) -> Tensor:
    """The eigenvalues as float64 of shape (k,). Raises `InputError` for none, unless all are positive and finite, and beyond the domain."""
    lam = torch.as_tensor(eigenvalues, dtype=torch.float64)
    if lam.ndim != 1 or len(lam) == 0:
        raise InputError(f"eigenvalues of shape {tuple(lam.shape)}: give one dimension of at least one value")
    wrong = lam[~(torch.isfinite(lam) & (lam > 0))]
    if len(wrong):
        raise InputError(
            f"eigenvalue {float(wrong[0]):g}: must be positive and finite; leave out directions without spread"
        )
    numerics.check_variances("eigenvalue", lam)
    return lam


def _check_times(times: Tensor | Sequence[float]) -> list[float]:
    grid = as_time(torch.as_tensor(times, dtype=torch.float64))
    if grid.ndim != 1 or len(grid) < 2:
        raise InputError(f"times of shape {tuple(grid.shape)}: give one dimension, a start and an end at least")
    if not bool((grid.diff() < 0).all()):
        raise InputError("times must decrease, from the start of sampling near t = 1 to its end near t = 0")
    return grid.tolist()


def _check_choices(lam: Tensor, eta: float, start: str, matched: int, corrected: bool) -> None:
    if not 0 <= eta <= 1:
        raise InputError(f"eta {eta}: must lie in [0, 1], 0 is deterministic and 1 ancestral")
    if start not in STARTS:
        raise unknown_name("start", start, STARTS)
    if not 0 <= matched <= len(lam):
        raise InputError(f"{matched} matched directions, {len(lam)} eigenvalues: match at most as many as there are")
    if corrected and eta > 0:
        raise InputError(f"corrected steps with eta {eta}: they divide by DDIM(0)'s cosine; take eta 0")


def _largest(lam: Tensor, count: int) -> Tensor:
    """Which of the eigenvalues are the `count` largest; ties go to the first."""
    order = lam.argsort(descending=True, stable=True)
    return torch.zeros(len(lam), dtype=torch.bool).index_fill(0, order[:count], True)


def _start_var(schedule: Schedule, t: float, lam: Tensor, start: str, mended: Tensor) -> Tensor:
    """The variance of the start over that of `x_t`, shape (k,)."""
    alpha, sigma = schedule(t)
    marginal = formula.marginal_var(alpha, sigma, lam)
    if start == "noise":
        return max(1.0, float(schedule.sigma(1.0))) ** 2 / marginal
    mean = sigma**2 / marginal
    return torch.where(mended, torch.ones_like(mean), mean) if start == "matched" else mean


def _step(schedule: Schedule, t: float, s: float, lam: Tensor, kept: Tensor, eta: float) -> Tensor:
    """The variance kept after a step of DDIM(η) (F9)."""
    coefficients = *schedule(t), positive_alpha(schedule, s), schedule.sigma(s)
    a, fresh = formula.bridge_a(*coefficients), formula.bridge_var(*coefficients)
    noise_var = formula.ddim_noise_var(eta, fresh)
    kept_std = formula.ddim_kept_var(eta, a, fresh, coefficients[1]).sqrt()
    return formula.kept_var_after(
        kept, coefficients[0], coefficients[2], coefficients[1], coefficients[3], noise_var, kept_std, lam
    )

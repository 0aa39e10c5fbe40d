r"""Numbers with an interval, and the confidence bound behind the statistical ones.

The interval for a mean is the hedged-capital betting interval of Waudby-Smith and Ramdas (2024, arXiv 2010.09686): valid at every
sample size for bounded variables, no normal approximation, and close to the normal interval's width for many samples.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A value a query with an interval that holds with the stated confidence for each query.

    Attributes:
        value: shape (batch,).
        low: shape (batch,).
        high: shape (batch,).
        confidence: 1 for closed forms and quadrature (then the interval is the numerical error, rounding included), below 1 for Monte Carlo.
        n: samples or nodes behind each value; 0 for closed forms.
        method: `exact`, `quadrature` or `monte-carlo`.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    confidence: float
    n: int
    method: str

    @classmethod
    def exact(cls, value: Tensor) -> "Estimate":
        """A closed form: the interval is the value."""
        return cls(value, value, value, 1.0, 0, "exact")

    @classmethod
    def single(
        cls, value: float, low: float, high: float, method: str, n: int = 0, confidence: float = 1.0
    ) -> "Estimate":
        """An estimate of one query; the value is moved into the interval."""
        columns = torch.tensor([[min(max(value, low), high)], [low], [high]], dtype=torch.float64)
        return cls(columns[0], columns[1], columns[2], confidence, n, method)

    @classmethod
    def stack(cls, estimates: "list[Estimate]") -> "Estimate":
        """One estimate of a batch from estimates of its queries, all by one method."""
        first = estimates[0]
        value, low, high = (torch.cat([getattr(e, name) for e in estimates]) for name in ("value", "low", "high"))
        return cls(value, low, high, first.confidence, first.n, first.method)

    def __float__(self) -> float:
        return float(self.value)


def check_confidence(confidence: float) -> None:
    """Raises `InputError` unless `confidence` lies strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence}: must lie strictly between 0 and 1")


MOST_CONFIDENCE = 1 - 1e-9
"""The largest confidence of a run: float64 cannot tell what is left of a smaller error from none when it is split over thousands of intervals."""


def check_run_confidence(confidence: float) -> None:
    """Raises `InputError` unless a run can split the error of this `confidence` over its intervals."""
    check_confidence(confidence)
    if confidence > MOST_CONFIDENCE:
        raise InputError(
            f"confidence {confidence}: at most 1 − 1e-9, for float64 cannot split a smaller error over all intervals"
        )


_HALVINGS = 12
"""How often a bracket is halved that is about as wide as what is looked for."""


def mean_interval(samples: Tensor, lowest: float, highest: float, confidence: float) -> tuple[float, float]:
    """An interval for the mean of independent draws of a variable in [lowest, highest].

    Args:
        samples: shape (n,), in the order drawn.
        lowest: a proven lower bound of the variable.
        highest: a proven upper bound of the variable.
        confidence: the probability, at least, that the interval holds; anytime valid.

    Raises:
        InputError: if a sample lies outside the stated range, which would void the interval.
    """
    check_confidence(confidence)
    span = highest - lowest
    slack = 1e-9 * max(abs(lowest), abs(highest))  # rounding of the samples themselves, which knows their unit
    if len(samples) == 0 or not bool(((samples >= lowest - slack) & (samples <= highest + slack)).all()):
        raise InputError(f"samples leave the stated range [{lowest}, {highest}], so no interval can be given")
    if span <= slack:
        return lowest, highest
    x = ((samples - lowest) / span).clamp(0, 1).to(torch.float64)
    return lowest + span * _mean_below(x, confidence), highest - span * _mean_below(1 - x, confidence)


def _mean_below(x: Tensor, confidence: float) -> float:
    """The largest m that a gambler who bets on a mean above m has ruled out, with half of the error each side.

    What is ruled out ends below the mean by about its standard error: it is looked for from there, to a thousandth of that.
    """
    goal = math.log(2 / (1 - confidence))
    bets = _predictable_bets(x, goal)

    def ruled_out(m: float) -> bool:
        wealth = torch.log1p(bets.clamp(max=0.75 / max(m, 1e-300)) * (x - m)).cumsum(0)
        return float(wealth.max()) >= goal

    high = float(x.mean())
    step = math.sqrt(2 * goal * float(x.var(correction=0)) / len(x)) + 1e-12 * high
    step = max(step, 5e-324)  # of a mean near the least float both underflow, and nothing would move
    low = max(0.0, high - step)
    while low > 0 and not ruled_out(low):
        high, step = low, 2 * step
        low = max(0.0, low - step)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if ruled_out(middle) else (low, middle)
    return low


def _predictable_bets(x: Tensor, goal: float) -> Tensor:
    """`√(2 log(1/δ)/(n σ̂²_{i−1}))`: each bet sized by the variance of the draws before it."""
    count = torch.arange(1, len(x) + 1, dtype=torch.float64, device=x.device)
    running_mean = (0.5 + x.cumsum(0)) / (count + 1)
    running_var = (0.25 / len(x) ** 0.5 + (x - running_mean).square().cumsum(0)) / (count + 1)
    before = torch.cat([torch.full((1,), 0.25, dtype=torch.float64, device=x.device), running_var[:-1]])
    return (2 * goal / (len(x) * before)).sqrt()

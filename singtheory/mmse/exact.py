r"""The mmse curve of a law, `mmse(γ) = E tr C(x_t, t)`, and the information `I(x_0; z) = ½∫_0^γ mmse` under it (B4).

All that the error budget B8 needs of the data. A curve says what it knows with certainty: for Gaussian data (closed form) and on a line
(quadrature) the numbers themselves, for many atoms in many dimensions an interval (`singtheory.mmse.sampled`).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.formula import log1p_rest
from singtheory.law import Law
from singtheory.mmse.line_rule import Integrals, LineRule
from singtheory.numerics import check_precisions

_NOISE_ENTROPY = math.log(2 * math.pi * math.e) / 2
_SUM = 1e-14
"""At least the rounding of a few operations and of a sum over steps, relative."""
_KEPT, _TOGETHER = 200_000, 512
"""γ of which a curve on a line keeps what it computed, and those computed at once."""

Interval = tuple[Tensor, Tensor]
"""The lowest and the highest that a number can be."""


class Curve(ABC):
    """`mmse(γ)` of a law, a function of γ of shape (n,), each 0 or from 1e-80 to 1e80, else `InputError` (`singtheory.numerics.domain`).

    Attributes:
        method: `exact`, `quadrature` or `monte-carlo`.
        confidence: with which all intervals of the curve hold at once; 1 for closed forms, and for quadrature, whose intervals are its error.
    """

    method: str
    confidence: float = 1.0

    @property
    def nodes(self) -> Tensor | None:
        """γ at which draws were made, shape (n,); None for a curve that needs none."""
        return None

    @property
    def smoothed(self) -> Callable[[Tensor], Interval] | None:
        """The smooth curve that gives all values of one from draws; None for a curve that needs none."""
        return None

    @abstractmethod
    def __call__(self, snr: Tensor) -> Interval:
        """`mmse(γ)` and `mmse′(γ) = −E‖C‖_F²` (B11), each (n,)."""

    @abstractmethod
    def information(self, snr: Tensor) -> Tensor:
        """`½∫_0^γ mmse` in nats, shape (n,)."""

    def interval(self, snr: Tensor) -> Interval:
        """An interval that holds `mmse(γ)`, each end (n,)."""
        level = self(snr)[0]
        return level, level

    def information_interval(self, snr: Tensor) -> Interval:
        """An interval that holds `½∫_0^γ mmse`, each end (n,)."""
        value = self.information(snr)
        return value, value

    def discretisation(self, snr: Tensor) -> Tensor:
        """`½(g mmse(γ_k) − ∫ mmse dγ)` of each step between increasing `snr` (steps + 1,), shape (steps,) (B8)."""
        snr = as_chain(snr)
        cost = formula.discretisation(snr.diff(), self(snr[:-1])[0], 2 * self.information(snr).diff())
        return cost.clamp(min=0)  # of a short step the difference is rounding

    def discretisation_interval(self, snr: Tensor) -> tuple[float, float]:
        """An interval that holds the sum of `discretisation`."""
        total = float(self.discretisation(snr).sum())
        return total, total

    def discretisation_error(self, snr: Tensor) -> float:
        """The standard error of the sum of `discretisation`."""
        return 0.0


def as_snr(snr: Tensor) -> Tensor:
    """`snr` of any shape in float64, for differences of its numbers and functions of them are rounded in the type that they come in. Raises `InputError` beyond the domain."""
    snr = snr.to(torch.float64)
    check_precisions("snr", snr)
    return snr


def as_chain(snr: Tensor) -> Tensor:
    """`snr` (n,) in float64. Raises `InputError` unless it is not negative, finite, in the domain and does not decrease."""
    snr = snr.to(torch.float64)
    if snr.ndim != 1 or len(snr) < 2:
        raise InputError(f"snr of shape {tuple(snr.shape)}: need a start and an end")
    if not bool(((snr >= 0) & torch.isfinite(snr)).all()):
        raise InputError("snr: must be finite and at least 0; end where σ > 0")
    if bool((snr.diff() < 0).any()):
        raise InputError("snr: must increase from step to step, from the start of sampling to its end")
    return as_snr(snr)


@final
class GaussianCurve(Curve):
    """The curve of `N(μ, Σ)`: `Σ_i λ_i/(1 + γλ_i)` in closed form."""

    method = "exact"

    def __init__(self, law: Law) -> None:
        self._eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)

    def __call__(self, snr: Tensor) -> Interval:
        """`Σ_i λ_i/(1 + γλ_i)` and `−Σ_i (λ_i/(1 + γλ_i))²`."""
        snr = as_snr(snr)
        parts = formula.gaussian_mmse(snr[:, None], self._eigenvalues)
        return parts.sum(dim=1), -parts.square().sum(dim=1)

    def information(self, snr: Tensor) -> Tensor:
        """`½ Σ_i log(1 + γλ_i)`."""
        snr = as_snr(snr)
        return formula.gaussian_information(snr[:, None], self._eigenvalues, torch).sum(dim=1)

    def discretisation(self, snr: Tensor) -> Tensor:
        """`½ Σ (x − log(1 + x))` with `x = gλ/(1 + γλ)`, `KL(M‖Q)` of each step (B5), which keeps its digits in short ones."""
        snr = as_chain(snr)
        return self._discretisation(snr, self._eigenvalues)

    def interval(self, snr: Tensor) -> Interval:
        """An interval that holds `mmse(γ)`: all that is computed here increases with every eigenvalue, and small ones may have lost their digits."""
        snr = as_snr(snr)
        return self._between(lambda eigenvalues: formula.gaussian_mmse(snr[:, None], eigenvalues).sum(dim=1))

    def information_interval(self, snr: Tensor) -> Interval:
        """An interval that holds `½∫_0^γ mmse`."""
        snr = as_snr(snr)
        return self._between(
            lambda eigenvalues: formula.gaussian_information(snr[:, None], eigenvalues, torch).sum(dim=1)
        )

    def discretisation_interval(self, snr: Tensor) -> tuple[float, float]:
        """An interval that holds the sum of `discretisation`."""
        snr = as_chain(snr)
        low, high = self._between(lambda eigenvalues: self._discretisation(snr, eigenvalues).sum())
        return float(low), float(high)

    def _discretisation(self, snr: Tensor, eigenvalues: Tensor) -> Tensor:
        spread = snr.diff()[:, None] * formula.gaussian_mmse(snr[:-1, None], eigenvalues)
        return log1p_rest(spread, torch).sum(dim=1) / 2

    def _between(self, value: Callable[[Tensor], Tensor]) -> Interval:
        """An interval for what increases with the eigenvalues, each of which is off by some u‖Σ‖ (`formula.eigenvalue_error`)."""
        eigenvalues = self._eigenvalues
        lost = formula.eigenvalue_error(len(eigenvalues), float(eigenvalues.max()))
        return value((eigenvalues - lost).clamp(min=0)) * (1 - _SUM), value(eigenvalues + lost) * (1 + _SUM)


@final
class LineCurve(Curve):
    """The curve of atoms or a Gaussian mixture on a line, by quadrature over `z = √γ x_0 + n` (`singtheory.mmse.line_rule`), each number with its error.

    The information is the entropy of z less that of the noise, so that no rule over γ adds an error.

    Raises:
        InputError: for data off a line.
    """

    method = "quadrature"

    def __init__(self, law: Law) -> None:
        self._rule = LineRule(*law.line_parts())
        self._trace = float(law.cov)
        self._finite = law.finite
        self._known: dict[float, tuple[float, ...]] = {}

    def __call__(self, snr: Tensor) -> Interval:
        """`E C` and `−E C²`."""
        integrals = self._integrals(as_snr(snr))
        return integrals.level, -integrals.square

    def information(self, snr: Tensor) -> Tensor:
        """`−E log q(z) − ½ log 2πe`, and between `½γ mmse(γ)` and that of a Gaussian where rounding leaves these: so near γ = 0."""
        snr = as_snr(snr)
        integrals = self._integrals(snr)
        least, most = self._information_between(snr, integrals)
        return torch.minimum(torch.maximum(integrals.entropy - _NOISE_ENTROPY, least), most)

    def interval(self, snr: Tensor) -> Interval:
        """An interval that holds `mmse(γ)`: truncation of the rule and rounding."""
        integrals = self._integrals(as_snr(snr))
        return (integrals.level - integrals.errors[:, 0]).clamp(min=0), integrals.level + integrals.errors[:, 0]

    def information_interval(self, snr: Tensor) -> Interval:
        """An interval that holds `½∫_0^γ mmse`."""
        snr = as_snr(snr)
        integrals = self._integrals(snr)
        least, most = self._information_between(snr, integrals)
        value, error = integrals.entropy - _NOISE_ENTROPY, integrals.errors[:, 2]
        return torch.maximum(value - error, least), torch.minimum(value + error, most)

    def discretisation(self, snr: Tensor) -> Tensor:
        """Each step's cost as a difference; where that has lost its digits in a short step, from `mmse′` at its start."""
        snr = as_chain(snr)
        least, most = self._step_intervals(snr)
        integrals = self._integrals(snr)
        gap = snr.diff()
        parted = formula.discretisation(gap, integrals.level[:-1], 2 * self.information(snr).diff())
        early = formula.kl_small_gap(gap, integrals.square[:-1])
        value = torch.where(most - least < _step_errors(gap, integrals), early, parted)
        return torch.minimum(torch.maximum(value, least), most)

    def discretisation_interval(self, snr: Tensor) -> tuple[float, float]:
        """An interval that holds the sum, from those of the steps."""
        least, most = self._step_intervals(as_chain(snr))
        return float(least.sum()) * (1 - _SUM), float(most.sum()) * (1 + _SUM)

    def _step_intervals(self, snr: Tensor) -> Interval:
        """An interval that holds each step's cost, (steps,): from the difference, from mmse that decreases, and for short steps of atoms from `mmse′` (B11)."""
        integrals, gap = self._integrals(snr), snr.diff()
        level, information = integrals.level, self.information(snr)
        value = formula.discretisation(gap, level[:-1], 2 * information.diff())
        error = _step_errors(gap, integrals)
        fall = level[:-1] - level[1:] + integrals.errors[:-1, 0] + integrals.errors[1:, 0]
        least, most = (value - error).clamp(min=0), torch.minimum(value + error, gap / 2 * fall.clamp(min=0))
        if self._finite:
            low, high = _short_step(self._rule.size**2 * gap)
            square, off = integrals.square[:-1], integrals.errors[:-1, 1]
            least = torch.maximum(least, low * formula.kl_small_gap(gap, (square - off).clamp(min=0)))
            early = high * formula.kl_small_gap(gap, square + off)
            most = torch.where(high < torch.inf, torch.minimum(most, early), most)  # ∞ · 0 says nothing
        return torch.minimum(least, most), most

    def _information_between(self, snr: Tensor, integrals: Integrals) -> Interval:
        """What is known of the information without an entropy: mmse decreases, and a Gaussian of the same variance has the most."""
        least = snr / 2 * (integrals.level - integrals.errors[:, 0]).clamp(min=0)
        return least, torch.maximum(least, formula.gaussian_information(snr, self._trace, torch) * (1 + _SUM))

    def _integrals(self, snr: Tensor) -> Integrals:
        """Each γ is computed once, alone: no number depends on what else is asked for."""
        asked = snr.tolist()
        fresh = torch.tensor(sorted(set(asked) - self._known.keys()), dtype=torch.float64)
        if len(self._known) + len(fresh) > _KEPT:
            self._known.clear()
            fresh = torch.tensor(sorted(set(asked)), dtype=torch.float64)
        for part in fresh.split(_TOGETHER):
            new = self._rule(part)
            rows = torch.stack([new.level, new.square, new.entropy, *new.errors.unbind(1)], dim=1)
            self._known.update(zip(part.tolist(), rows.tolist(), strict=True))
        level, square, entropy, *errors = torch.tensor([self._known[g] for g in asked], dtype=torch.float64).unbind(1)
        return Integrals(level, square, entropy, torch.stack(errors, dim=1))


def _step_errors(gap: Tensor, integrals: Integrals) -> Tensor:
    """The error of the difference by which a step's cost is computed, (steps,)."""
    level, entropy = integrals.errors[:, 0], integrals.errors[:, 2]
    rounding = _SUM * (gap * integrals.level[:-1] + integrals.entropy[1:].abs() + integrals.entropy[:-1].abs() + 2)
    return gap / 2 * level[:-1] + entropy[1:] + entropy[:-1] + rounding


def _short_step(x: Tensor) -> Interval:
    """Between what multiples of `(g²/4) E C²` a step's cost lies, `x = D²g`: within `kl_ratio_low` and `kl_ratio_high` (B11), without their cancellation.

    `mmse″ = 2 E C³ − E κ²` lies between `−D² E C²` and `D²/2 E C²`, for `C ≤ D²/4` and the third cumulant `κ ≤ D C`.
    """
    return 1 - x / 6, torch.where(x <= 1, 1 + x / 3 + x * x / 9, torch.inf)


def exact_curve(law: Law) -> Curve:
    """The curve of a law for which no draws are needed. Raises `InputError` for atoms and mixtures off a line."""
    return GaussianCurve(law) if law.gaussian else LineCurve(law)

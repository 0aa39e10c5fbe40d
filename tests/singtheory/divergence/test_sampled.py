"""What the intervals of KL and TV by Monte Carlo allow for: rounding, the range of their variables and the part above the threshold."""

import math

import pytest
import torch
from scipy.stats import chi2 as chi_squared

from singtheory import Atoms
from singtheory.divergence import sampled
from singtheory.divergence.chi2 import ChiSquare
from singtheory.divergence.components import Components, Ratio
from singtheory.formula import DOUBLE

F64 = torch.float64


def on_a_line(gap: float) -> Components:
    """Four atoms of unequal weights."""
    return Components.of(Atoms([[-1.3], [0.2], [1.1], [1.4]], [0.2, 0.5, 0.2, 0.1]).posterior([0.0], 0.0), gap)


def ratios(log_r: torch.Tensor, error: float) -> Ratio:
    """Ratios with a stated error of `log r`."""
    nothing = torch.zeros_like(log_r)
    return Ratio(log_r, log_r.expm1(), torch.full_like(log_r, error), nothing, nothing, nothing)


def test_an_error_of_the_ratio_below_one_moves_its_part_by_the_derivative():
    """`dφ/d log r = r log r`: 0 where r = 1, and largest, 1/e, at r = 1/e."""
    of, log_q = on_a_line(0.3), torch.linspace(-0.2, -1e-6, 400, dtype=F64)
    log_p, chi2 = torch.zeros(400, dtype=F64), ChiSquare(0.05, 1e-16, 0.1)
    exact, off = (sampled._by_ratio(of, ratios(log_p, 0.0), ratios(log_q, e), chi2, 0.99) for e in (0.0, 0.01))
    slope = 0.01 * float((log_q.exp() * log_q).abs().mean())
    assert off.high - exact.high == pytest.approx(slope, rel=1e-9)


def test_the_entropy_form_allows_for_its_roundings():
    """256 roundings of each of the numbers that it is made of: 1, the entropy of the weights and its largest value."""
    points = torch.randn(64, 1, dtype=F64, generator=torch.Generator().manual_seed(0)).tolist()
    of = Components.of(Atoms(points).posterior([0.0], 0.0), 1e-9)
    entropies = torch.full((100,), 1.0, dtype=F64)
    form = sampled._by_entropy(of, ratios(torch.zeros(100, dtype=F64), 0.0), entropies, 0.99)
    low, high = sampled._scaled_interval(entropies, math.log(64), 0.99)
    spare = (form.high - form.low - (high - low)) / 2
    assert spare >= 256 * DOUBLE * (1 + 2 * math.log(64)) * 0.9


@pytest.mark.parametrize("log1p", [1e-9, 1e-4, 0.03, 2.0])
def test_the_tail_above_the_threshold_is_that_of_chi2(log1p):
    """`E_P[f(r); r > R] ≤ κ(χ² − …)` needs `f(r) ≤ κ(r − 1)` for all r above R, however near R lies to one."""
    cut = sampled._chi2_cut(ChiSquare(log1p, 0.0, 1.0))
    assert cut is not None and cut.log_threshold > 0
    log_r = torch.linspace(cut.log_threshold, cut.log_threshold + 30, 2000, dtype=F64)
    assert bool((sampled.excess(log_r) <= cut.kappa * log_r.expm1() * (1 + 1e-12)).all()) and cut.kappa > 0
    assert cut.tail == pytest.approx(cut.kappa * math.expm1(log1p), rel=1e-9)


@pytest.mark.parametrize("dim", [1, 3])
def test_the_tail_of_near_atoms_is_that_of_the_normal_law(dim):
    """At no cost of the range the cut lies as far out as it can, `ρ − M = √d + 12`: `M²(E[‖n‖²; ‖n‖ > ρ − M] + M² P(‖n‖ > ρ − M))`."""
    points = 0.5 * torch.randn(5, dim, dtype=F64, generator=torch.Generator().manual_seed(1))
    of = Components.of(Atoms(points.tolist()).posterior([0.0] * dim, 0.0), 0.1)
    furthest2 = float(of.norms2.max())
    assert 0 < furthest2 < 0.25
    cut = sampled._cut(of, 0.0)
    far2 = (math.sqrt(dim) + 12) ** 2
    tail = furthest2 * (dim * chi_squared.sf(far2, dim + 2) + furthest2 * chi_squared.sf(far2, dim))
    assert cut is not None and tail <= cut.tail <= 1.002 * tail


def test_draws_lie_where_the_posterior_lies():
    class Elsewhere:
        """A posterior on a device without memory."""

        mean = torch.zeros(2, 3, dtype=F64, device="meta")

        def __len__(self) -> int:
            return 2

    drawn = sampled.draw_plug_in(Elsewhere(), 5, None)  # pyright: ignore[reportArgumentType]
    assert drawn.device.type == "meta" and drawn.shape == (2, 5, 3)


def test_tv_counts_its_roundings(monkeypatch):
    """They widen the interval, also where ratios and weights are exact."""
    query = Atoms([[-1.0], [1.0]]).posterior([0.0], 0.0)
    of = Components.of(query, 0.3)
    monkeypatch.setattr(Components, "tilt", torch.zeros(2, dtype=F64))
    monkeypatch.setattr(Components, "ratio", lambda _, u: ratios(torch.full((len(u),), -0.05, dtype=F64), 0.0))
    actual = sampled.tv_monte_carlo(query, 0.3, 100, None, 0.99)
    highest = -math.expm1(-(of.trace + of.trace_error) / 2)
    low, high = sampled._scaled_interval(torch.full((100,), -math.expm1(-0.05), dtype=F64), highest, 0.99)
    assert float(actual.low) < low < high

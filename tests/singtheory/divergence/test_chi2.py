"""χ² over all pairs against sums at 60 digits: the value lies within its stated error, by either way of summing."""

import itertools

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Atoms, divergence
from singtheory.divergence import chi2
from singtheory.divergence.chi2 import chi_square
from singtheory.divergence.components import Components
from singtheory.law.posterior import AtomsPosterior
from tests.support import reference
from tests.support.strategies import examples, wild_atoms, wild_gaps, wild_snrs

F64 = torch.float64


def exactly(of: Components) -> mpmath.mpf:
    """`log Σ p_j p_k e^{⟨m_j, m_k⟩}` of the weights and centres as they are."""
    p = [mpmath.exp(mpmath.mpf(v)) for v in of.log_p.tolist()]
    m = [[mpmath.mpf(v) for v in row] for row in of.centres.tolist()]
    total = mpmath.fsum(p)
    mean = [mpmath.fsum(a * row[k] for a, row in zip(p, m, strict=True)) / total for k in range(of.dim)]
    m = [[v - mean[k] for k, v in enumerate(row)] for row in m]
    pairs = [
        a * b * mpmath.exp(mpmath.fsum(v * w for v, w in zip(x, y, strict=True)))
        for a, x in zip(p, m, strict=True)
        for b, y in zip(p, m, strict=True)
    ]
    return mpmath.log(mpmath.fsum(pairs) / total**2)


@pytest.mark.parametrize("gap", [1e-6, 0.3, 30.0, 3e3, 3e5])
@pytest.mark.parametrize("seed", range(4))
def test_the_value_lies_within_its_error(gap, seed):
    """At exponents up to 10⁶ too, which are summed by logarithms."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(6, 3, dtype=F64, generator=generator)
    query = AtomsPosterior.of(points, torch.log_softmax(torch.randn(6, dtype=F64, generator=generator), 0))
    of = Components.of(query, gap)
    actual = chi_square(of)
    with mpmath.workdps(60):
        exact = exactly(of)
        assert abs(mpmath.mpf(actual.log1p) - exact) <= actual.error
    assert actual.error <= 1e-11 * actual.log1p


@pytest.mark.parametrize("gap", [1e-9, 0.3, 1e4])
def test_gelbrichs_bound_is_rounded_down(gap):
    """Of ±1 it is `√(1 + g) − 1`, and the coupling by one noise `√g`: neither end of the bracket lies inside."""
    query = AtomsPosterior.of(torch.tensor([[-1.0], [1.0]], dtype=F64), torch.full((2,), 0.5, dtype=F64).log())
    actual = divergence.w2_bracket(query, gap)
    with mpmath.workdps(60):
        least, most = mpmath.sqrt(1 + mpmath.mpf(gap)) - 1, mpmath.sqrt(mpmath.mpf(gap))
        assert least * (1 - 1e-13) <= float(actual.low) <= least
        assert most <= float(actual.high) <= most * (1 + 1e-13)


def on_a_line(points, spreads, of_spreads=None, of_points=None, gap=1.0, p=(0.5, 0.5)) -> Components:
    """Components with spreads, and what both may be off."""
    columns = [None if part is None else torch.tensor(part, dtype=F64) for part in (spreads, of_spreads)]
    spread, error = [None if part is None else part[:, None] for part in columns]
    places, count = torch.tensor(points, dtype=F64)[:, None], len(points)
    off = None if of_points is None else torch.tensor(of_points, dtype=F64)
    basis, known = torch.ones(count, 1, 1, dtype=F64), torch.zeros(count, dtype=F64)
    return Components(torch.tensor(p, dtype=F64).log(), known, places, gap, spread, basis, error, off)


def pair(m, n, s, r):
    """`log E exp(v v')` for `v ~ N(m, s)`, `v' ~ N(n, r)`: v is integrated out, then v'."""
    m, n, s, r = map(mpmath.mpf, (m, n, s, r))
    return (m * n + (s * n**2 + r * m**2) / 2) / (1 - s * r) - mpmath.log(1 - s * r) / 2


def test_the_sizes_hold_what_a_rounding_of_a_spread_moves():
    """Near `s r = 1` a relative change of s moves `log E exp(v v')` by up to `1/(1 − s r)` times as much."""
    off = 1e-6
    for spread in (0.5, 0.9, 0.99):
        value, size = chi2._gauss_rest(of := on_a_line([3.0, -2.0], [spread, spread]), 0, 0, of.spread).tolist()
        m = n = float(of.centres[0, 0])
        assert of.spread is not None and value == pytest.approx(float(pair(m, n, spread, spread) - m * n), rel=1e-12)
        with mpmath.workdps(40):
            moved = pair(m, n, mpmath.mpf(spread) * (1 + off), spread) - pair(m, n, spread, spread)
        assert abs(moved) <= off * size * 1.01


def log1p_chi2(points, spreads, p=(0.5, 0.5)):
    """`log Σ p_j p_k e^{L_jk}` about the mean."""
    w, y = [mpmath.mpf(v) for v in p], [mpmath.mpf(v) for v in points]
    mean = mpmath.fsum(a * b for a, b in zip(w, y, strict=True))
    both = list(zip(w, [v - mean for v in y], spreads, strict=True))
    return mpmath.log(mpmath.fsum(a * b * mpmath.exp(pair(m, n, s, r)) for a, m, s in both for b, n, r in both))


@pytest.mark.parametrize(
    ("places", "spreads", "of_spreads", "of_points"),
    [
        # of one place all is in the rest of the exponent, of slope e^L and not e^L − 1
        ([0.0, 0.0], [1e-2, 1e-2], [1e-4, 1e-4], [0.0, 0.0]),
        ([0.0, 0.0], [1e-8, 3e-8], [1e-8, 0.0], [0.0, 0.0]),
        ([0.0, 0.0], [0.1, 0.3], [0.01, 0.02], [0.0, 0.0]),
        ([1.0, -1.0], [0.1, 0.3], [0.01, 0.02], [0.0, 0.0]),
        # centres that are as far from each other as they may be off
        ([1e-3, -1e-3], [1e-6, 1e-6], [0.0, 0.0], [1e-3, 1e-3]),
        ([0.0, 0.0], [1e-6, 1e-6], [0.0, 0.0], [1e-3, 1e-3]),
        ([0.0, 0.0], [1e-6, 0.2], [1e-6, 0.0], [0.1, 0.0]),
        ([0.09, -0.09], [1e-6, 1e-6], [0.0, 0.0], [0.5, 0.5]),
        ([0.15, -0.15], [1e-6, 1e-6], [0.0, 0.0], [0.5, 0.5]),
        # what is no small number of the exponent is an exponential of it in χ²
        ([0.0, 0.0], [0.5, 0.5], [0.49, 0.49], [0.0, 0.0]),
        ([0.0, 0.0], [0.9, 0.9], [0.09, 0.09], [0.0, 0.0]),
        ([0.0, 0.0], [0.5, 0.5], [0.49999, 0.49999], [0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_error_holds_all_that_spreads_and_centres_may_be_off(places, spreads, of_spreads, of_points, sign):
    actual = chi_square(on_a_line(places, spreads, of_spreads, of_points))
    with mpmath.workdps(60):
        moved = [mpmath.mpf(y) + sign * side * off for y, off, side in zip(places, of_points, (1, -1), strict=True)]
        right = log1p_chi2(moved, [mpmath.mpf(s) + sign * e for s, e in zip(spreads, of_spreads, strict=True)])
        assert abs(mpmath.mpf(actual.log1p) - right) <= actual.error
        assert actual.by_component >= mpmath.expm1(right)


def test_the_error_of_a_chi2_far_from_zero():
    """Summed by logarithms: of centres ±30 the exponent is 900 and its error 60 times that of the centres."""
    actual = chi_square(on_a_line([30.0, -30.0], [1e-3, 1e-3], [1e-6, 1e-6], [1e-5, 1e-5]))
    with mpmath.workdps(60):
        for sign in (-1, 1):
            right = log1p_chi2(
                [30 + sign * mpmath.mpf(1e-5), -30 - sign * mpmath.mpf(1e-5)], [1e-3 + sign * mpmath.mpf(1e-6)] * 2
            )
            assert abs(mpmath.mpf(actual.log1p) - right) <= actual.error <= 5e-3


@pytest.mark.parametrize("off", [[1e-3, 0.0], [0.0, 1e-3], [1e-3, 2e-3]])
def test_each_pair_states_what_either_of_its_centres_may_be_off(off):
    """The law of one centre is not that of the other: where the first alone is off, the pair moves as far as the pair of the other order."""
    of, p = on_a_line([2.0, -1.0], [0.1, 0.4], [0.0, 0.0], off, p=(0.2, 0.8)), (0.2, 0.8)
    actual = chi2._pairs(of, torch.arange(2), 0)
    centres, errors = of.centres[:, 0].tolist(), of.centre_errors.tolist()
    assert p[0] * centres[0] + p[1] * centres[1] == pytest.approx(0, abs=1e-15)
    spreads = [0.1, 0.4]
    with mpmath.workdps(60):
        for j in range(2):
            for k in range(2):
                for sign in (-1, 1):
                    m, n = (mpmath.mpf(centres[i]) + sign * errors[i] * (1 if centres[i] > 0 else -1) for i in (j, k))
                    moved = pair(m, n, spreads[j], spreads[k]) - pair(centres[j], centres[k], spreads[j], spreads[k])
                    of_rest = moved - (m * n - mpmath.mpf(centres[j]) * centres[k])
                    assert abs(moved) <= float(actual.off[j, k]) and abs(of_rest) <= float(actual.off_rest[j, k])
                assert float(actual.off[j, k]) <= 0.2


@settings(max_examples=examples(25))
@given(wild_atoms(dims=(1, 2, 3, 5)), wild_gaps(), st.just(0.0) | wild_snrs(), st.floats(-3, 3), st.booleans())
def test_any_law_in_space(law, gap, snr, noise, scaled):
    """From the data as they are; gaps from 1e-16 to 1e16, or as many in units of the data."""
    scale = float(law.cov.trace()) ** 0.5
    gap = gap / scale**2 if scaled and 1e-20 < scale < 1e20 else gap
    z = snr**0.5 * law.points[:1] + noise
    p = reference.posterior_in_space(law.points.tolist(), law.weights.tolist(), z[0].tolist(), snr)
    actual = chi_square(Components.of(law.posterior(z, snr), gap))
    if actual.log1p < float("inf"):
        with mpmath.workdps(reference.DIGITS):
            truth = mpmath.log1p(reference.chi2_in_space(law.points.tolist(), p, gap))
            assert abs(mpmath.mpf(actual.log1p) - truth) <= mpmath.mpf(actual.error)


@pytest.mark.parametrize(("gap", "snr", "z"), [(2.8e14, 31.0, 85835.53), (1e6, 1e12, 1.5438e10), (1e7, 1e-3, 3e9)])
def test_the_error_of_the_weights_moves_the_mean_too(gap, snr, z):
    """Exponents of 2e7 were off by eight times what was stated: the mean of the posterior moves with its weights."""
    points = [[15438.2518, 15438.2515], [15438.2515, 15438.2515]]
    law = Atoms(points, [1.0, 0.9])
    p = reference.posterior_in_space(points, law.weights.tolist(), [z, z], snr)
    actual = chi_square(Components.of(law.posterior([z, z], snr), gap))
    with mpmath.workdps(reference.DIGITS):
        truth = mpmath.log1p(reference.chi2_in_space(points, p, gap))
        assert abs(mpmath.mpf(actual.log1p) - truth) <= mpmath.mpf(actual.error)


def _with_errors(points, p, errors) -> Components:
    """Atoms whose log weights may be off by as much."""
    places = torch.tensor(points, dtype=F64)[:, None]
    return Components(
        torch.tensor(p, dtype=F64).log(), torch.tensor(errors, dtype=F64), places - places[0], 1.0, None, None
    )


def _of_weights(points, p):
    """The mean and the weights with their sum divided out, at 60 digits."""
    total = mpmath.fsum(p)
    w = [v / total for v in p]
    return w, mpmath.fsum(a * mpmath.mpf(y) for a, y in zip(w, points, strict=True))


@pytest.mark.parametrize(
    ("points", "p"),
    [([0.0, 1.0], (0.5, 0.5)), ([0.0, 3.0, 4.0], (0.9, 0.05, 0.05)), ([0.0, 0.1, -2.0], (0.4, 0.3, 0.3))],
)
@pytest.mark.parametrize("off", [1e-2, 1e-5, 1e-9])
def test_pairs_and_chi2_hold_what_wrong_weights_move(points, p, off):
    """The weights move the mean, and with it `⟨m_j, m_k⟩` of every pair: all signs of their errors are tried."""
    count = len(p)
    errors = [off * (1 + j / 3) for j in range(count)]
    of = _with_errors(points, p, errors)
    by_weights, actual = chi2._by_weights(of, torch.arange(count), 0), chi_square(of)
    with mpmath.workdps(60):
        exact = [mpmath.exp(mpmath.mpf(v)) for v in of.log_p.tolist()]
        mean = _of_weights(points, exact)[1]
        largest = [[mpmath.mpf(0)] * count for _ in range(count)]
        for signs in itertools.product((-1, 1), repeat=count):
            tried = [v * mpmath.exp(s * e) for v, s, e in zip(exact, signs, errors, strict=True)]
            w, moved_mean = _of_weights(points, tried)
            for j, k in itertools.product(range(count), repeat=2):
                pairs = [(points[j] - m) * (points[k] - m) for m in (mean, moved_mean)]
                largest[j][k] = max(largest[j][k], abs(pairs[1] - pairs[0]))
            places = [y - moved_mean for y in points]
            both = list(zip(w, places, strict=True))
            truth = mpmath.log(mpmath.fsum(a * b * mpmath.exp(x * y) for a, x in both for b, y in both))
            assert abs(mpmath.mpf(actual.log1p) - truth) <= actual.error
        for j, k in itertools.product(range(count), repeat=2):
            assert largest[j][k] <= float(by_weights[j, k])
        # twice the first order, or nothing is known of an error that is no small number
        known = by_weights[by_weights < chi2._UNKNOWN]
        assert len(known) >= 4 and float(known.max()) <= 8 * max(float(v) for row in largest for v in row)


def test_blocks_of_rows_add_up_to_all_pairs(monkeypatch):
    """Each pair is looked at once: what a block leaves out is what blocks before it had."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(50, 3, generator=generator, dtype=F64)
    law = Atoms(points, torch.rand(50, generator=generator, dtype=F64))
    of = Components.of(law.posterior(torch.zeros(3, dtype=F64), 0.0), 0.3)
    whole = chi_square(of)
    monkeypatch.setattr(chi2, "block_rows", lambda *_: 7)
    parts = chi_square(of)
    assert parts.log1p == pytest.approx(whole.log1p, rel=1e-13)
    assert parts.error == pytest.approx(whole.error, rel=1e-10)
    assert parts.by_component == pytest.approx(whole.by_component, rel=1e-12)

"""χ² over all pairs against sums at 60 digits: the value lies within its stated error, by either way of summing."""

import mpmath
import pytest
import torch

from singtheory import divergence
from singtheory.divergence.chi2 import chi_square
from singtheory.divergence.components import Components
from singtheory.law.posterior import AtomsPosterior

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
    found = chi_square(of)
    with mpmath.workdps(60):
        exact = exactly(of)
        assert abs(mpmath.mpf(found.log1p) - exact) <= found.error
    assert found.error <= 1e-11 * found.log1p


@pytest.mark.parametrize("gap", [1e-9, 0.3, 1e4])
def test_gelbrichs_bound_is_rounded_down(gap):
    """Of ±1 it is `√(1 + g) − 1`, and the coupling by one noise `√g`: neither end of the bracket lies inside."""
    query = AtomsPosterior.of(torch.tensor([[-1.0], [1.0]], dtype=F64), torch.full((2,), 0.5, dtype=F64).log())
    found = divergence.w2_bracket(query, gap)
    with mpmath.workdps(60):
        least, most = mpmath.sqrt(1 + mpmath.mpf(gap)) - 1, mpmath.sqrt(mpmath.mpf(gap))
        assert least * (1 - 1e-13) <= float(found.low) <= least
        assert most <= float(found.high) <= most * (1 + 1e-13)

"""What rounding takes of a covariance: against exact fractions of the floats, in the norm of Frobenius."""

from fractions import Fraction

import pytest
import torch

from singtheory import Atoms, Gaussian, GaussianMixture
from singtheory.law import Law


def _fractions(values: torch.Tensor) -> list[list[Fraction]]:
    return [[Fraction(v) for v in row] for row in values.tolist()]


def _exact(law: Law, parts: torch.Tensor, weights: torch.Tensor, own: torch.Tensor | None) -> torch.Tensor:
    """`cov` less the covariance of parts of these means, weights and own covariances, each entry rounded once."""
    means, total = _fractions(parts), sum(map(Fraction, weights.tolist()))
    shares = [Fraction(w) / total for w in weights.tolist()]
    centre = [sum(w * m[i] for w, m in zip(shares, means, strict=True)) for i in range(law.dim)]
    off = torch.zeros(law.dim, law.dim, dtype=torch.float64)
    for i in range(law.dim):
        for j in range(law.dim):
            exact = sum(w * (m[i] - centre[i]) * (m[j] - centre[j]) for w, m in zip(shares, means, strict=True))
            if own is not None:
                exact += sum(w * Fraction(float(c[i, j])) for w, c in zip(shares, own, strict=True))
            off[i, j] = float(Fraction(float(law.cov[i, j])) - exact)
    return off


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_covariance_is_off_by_no_more_than_is_said(seed, offset):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(40, 3, generator=generator, dtype=torch.float64) + offset
    weights = torch.rand(40, generator=generator, dtype=torch.float64)
    atoms = Atoms(means, weights)
    own = torch.eye(3, dtype=torch.float64).expand(40, 3, 3) * torch.rand(40, 1, 1, generator=generator)
    mixture = GaussianMixture(weights, means, own)
    for law, covs in ((atoms, None), (mixture, own)):
        off = _exact(law, means, law.weights, covs)
        assert 0 < float(off.norm()) <= law.cov_error
        assert law.cov_error < 1e-10 * float(law.cov.trace()) + offset**2 * 1e-25
    assert Gaussian([0.0, 1.0], [[2.0, 0.0], [0.0, 1.0]]).cov_error == 0

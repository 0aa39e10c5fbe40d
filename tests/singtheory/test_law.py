"""Laws: moments, draws, and every input they refuse."""

import math

import pytest
import torch
from hypothesis import given

from singtheory import Atoms, Gaussian, GaussianMixture, InputError
from tests.strategies import atoms


@given(atoms())
def test_moments_are_weighted_sums(law):
    mean = sum(w * p for w, p in zip(law.weights, law.points, strict=True))
    cov = sum(w * torch.outer(p - mean, p - mean) for w, p in zip(law.weights, law.points, strict=True))
    assert float(law.weights.sum()) == pytest.approx(1, rel=1e-15)
    torch.testing.assert_close(law.mean, mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(law.cov, cov, rtol=1e-10, atol=1e-13)
    support = law.points[law.weights > 0]
    assert law.diameter == pytest.approx(max(float((a - b).norm()) for a in support for b in support), abs=1e-7)


def test_huge_weights_do_not_overflow():
    assert Atoms([[0.0], [1.0]], [1e308, 1e308]).weights.tolist() == [0.5, 0.5]


def test_mixture_moments():
    law = GaussianMixture([1.0, 3.0], [[0.0, 0.0], [4.0, 0.0]], [torch.eye(2).tolist(), (2 * torch.eye(2)).tolist()])
    assert law.mean.tolist() == [3.0, 0.0]
    assert law.cov.tolist() == [[0.25 + 1.5 + 3.0, 0.0], [0.0, 0.25 + 1.5]]


@pytest.mark.parametrize(
    "law",
    [
        Atoms([[-1.0, 0.0], [2.0, 1.0]], [0.25, 0.75]),
        Gaussian([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]]),
        GaussianMixture([0.25, 0.75], [[-1.0, 0.0], [2.0, 1.0]], [[[1.0, 0.2], [0.2, 0.5]]] * 2),
    ],
)
def test_draws_have_the_moments(law):
    draws = law.sample(40_000, torch.Generator().manual_seed(0))
    # five standard errors of the mean
    assert float((draws.mean(dim=0) - law.mean).abs().max()) < 5 * float(law.cov.diagonal().max().sqrt()) / 200
    torch.testing.assert_close(draws.T.cov(), law.cov, rtol=0.05, atol=0.03)


def test_gaussian_density():
    law = Gaussian([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]])
    x = torch.tensor([[0.3, 0.4], [2.0, -3.0]], dtype=torch.float64)
    torch.testing.assert_close(law.log_prob(x), torch.distributions.MultivariateNormal(law.mean, law.cov).log_prob(x))
    with pytest.raises(InputError, match="no density"):
        Gaussian([0.0], [[0.0]]).log_prob(x[:, :1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Atoms([]), "points"),
        (lambda: Atoms([1.0, 2.0]), "2 dimensions"),
        (lambda: Atoms(torch.zeros(0, 3)), "empty"),
        (lambda: Atoms([[math.nan]]), "NaN"),
        (lambda: Atoms([[math.inf]]), "infinity"),
        (lambda: Atoms([["a"]]), "not an array of numbers"),
        (lambda: Atoms([[0.0], [1.0]], [1.0]), "1 for 2 points"),
        (lambda: Atoms([[0.0], [1.0]], [-1.0, 2.0]), "negative"),
        (lambda: Atoms([[0.0], [1.0]], [0.0, 0.0]), "sum to zero"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.2, 1.0]]), "symmetric"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "negative eigenvalue"),
        (lambda: Gaussian([0.0], [[1.0, 0.0], [0.0, 1.0]]), "need"),
        (lambda: GaussianMixture([1.0], [[0.0], [1.0]], torch.ones(2, 1, 1)), "1 for 2"),
    ],
)
def test_bad_laws_are_one_line(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)

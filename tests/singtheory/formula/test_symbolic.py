"""The expansions of `singtheory.formula.symbolic` against the exact objects they expand."""

import pytest
import sympy
import torch

from singtheory import Gaussian, formula
from singtheory.formula import symbolic


def test_coefficients_of_a_known_series():
    x = sympy.Symbol("x")
    assert symbolic.coefficients(sympy.exp(2 * x), x, 3) == [1, 2, 2, sympy.Rational(4, 3)]


def test_gaussian_denoiser_is_the_posterior_mean():
    law, alpha, sigma = Gaussian([0.7], [[1.5]]), 0.6, 0.8
    snr = torch.tensor(formula.snr(alpha, sigma), dtype=torch.float64)
    exact = float(law.posterior([1.1 / sigma], snr).mean)
    assert float(symbolic.gaussian_denoiser(1.1, 0.7, 1.5, alpha, sigma)) == pytest.approx(exact, rel=1e-14)


def test_kl_expansion_is_b6_on_a_line():
    second, third = symbolic.moment(2), symbolic.moment(3)
    quadratic, cubic = symbolic.kl_expansion()
    assert sympy.simplify(quadratic - formula.kl_small_gap(sympy.Integer(1), second**2)) == 0
    assert sympy.simplify(cubic - formula.kl_small_gap_cubic(third**2, second**3)) == 0


def test_denoiser_expansion_of_a_point_is_the_point():
    """With all data at y the moments are powers and every coefficient but the first vanishes."""
    y, x, sigma = sympy.symbols("y x sigma", positive=True)
    at_point = {
        symbolic.moment(i, j, k): y**i * (x * y) ** j * y ** (2 * k) for i in (0, 1) for j in range(3) for k in (0, 1)
    }
    constant, *rest = symbolic.denoiser_expansion(sigma)
    assert constant.subs(at_point) == y
    assert [sympy.simplify(c.subs(at_point)) for c in rest] == [0, 0]


def test_log_normal_expectation_is_the_gaussian_entropy():
    mean, var = sympy.symbols("m v", positive=True)
    actual = symbolic.expected_log_normal(mean, var, mean, var + mean**2)
    assert sympy.simplify(actual + sympy.log(2 * sympy.pi * sympy.E * var) / 2) == 0

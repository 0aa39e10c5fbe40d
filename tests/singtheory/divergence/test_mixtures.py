"""Mixtures of ill-conditioned Gaussians: what their eigenvalues lose is in every interval, against moments in 60 digits."""

import math
import random

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Gaussian, GaussianMixture
from singtheory.divergence import Components, chi_square, gauss, kl_monte_carlo, moments_kl, quadrature, w2_bracket
from singtheory.divergence.transport import _w2, w2_exact
from tests.support.strategies import examples


def exact(law, z, snr):
    """Posterior weights, and means and covariances of the components, in 60 digits."""
    parts = []
    with mpmath.workdps(60):
        root, one = mpmath.sqrt(snr), mpmath.eye(law.dim)
        for w, part in zip(law.weights.tolist(), law.components, strict=True):
            mean, cov = mpmath.matrix(part.mean.tolist()), mpmath.matrix(part.cov.tolist())
            widened = one + snr * cov
            inverse = widened**-1
            residual = mpmath.matrix(z.tolist()) - root * mean
            log_joint = mpmath.log(w) - (residual.T * inverse * residual)[0] / 2 - mpmath.log(mpmath.det(widened)) / 2
            posterior = cov * inverse
            parts.append((log_joint, mean + root * posterior * residual, (posterior + posterior.T) / 2))
        joint, means, covs = zip(*parts, strict=True)
        total = mpmath.log(sum(mpmath.exp(one - max(joint)) for one in joint)) + max(joint)
        return [one - total for one in joint], means, covs


def moments(log_p, means, covs, gap):
    """`g C`."""
    with mpmath.workdps(60):
        p = [mpmath.exp(one) for one in log_p]
        mean = sum((w * m for w, m in zip(p, means, strict=True)), 0 * means[0])
        shifted = [m - mean for m in means]
        parts = [w * (c + m * m.T) for w, m, c in zip(p, shifted, covs, strict=True)]
        return gap * sum(parts[1:], parts[0])


def components(log_p, means, covs, gap):
    """From exact moments: what is left is one rounding of each number."""
    heavy = max(range(len(log_p)), key=lambda j: log_p[j])
    spread, basis = [], []
    with mpmath.workdps(60):
        for cov in covs:
            values, vectors = mpmath.eigsy(gap * cov)
            spread.append([float(v) for v in values])
            basis.append([[float(vectors[i, j]) for j in range(len(values))] for i in range(len(values))])
        points = [[float(v) for v in mean - means[heavy]] for mean in means]
    columns = [torch.tensor(part, dtype=torch.float64) for part in ([float(p) for p in log_p], points, spread, basis)]
    log_p, points, spread, basis = columns
    return Components(log_p, torch.zeros_like(log_p), points, gap, spread, basis)


def covariance(a, b, c, d):
    """Whole numbers, so that nothing is rounded and no eigenvalue is negative."""
    root = torch.tensor([[a, b], [c, d]], dtype=torch.float64)
    return root @ root.mT


def law_of(scale, weights=(0.4, 0.6)):
    covs = [covariance(scale + 1, 0, scale, 1), covariance(scale, 1, 1 - scale, 3)]
    return GaussianMixture(weights, [[0.0, 0.0], [1.0, 0.5]], torch.stack(covs))


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 25), st.floats(-6, 6), st.floats(-6, 6), st.floats(-3, 3), st.floats(-3, 3))
def test_moments_and_weights_of_ill_conditioned_components(power, log_snr, log_gap, x, y):
    law, z, snr, gap = law_of(2.0**power), torch.tensor([x, y], dtype=torch.float64), 10.0**log_snr, 10.0**log_gap
    posterior = law.posterior(z, snr)
    truth = exact(law, z, snr)
    of, cov = Components.of(posterior[0], gap), moments(*truth, gap)
    with mpmath.workdps(60):
        values = mpmath.eigsy(cov, eigvals_only=True)
        assert abs(of.trace - sum(values)) <= of.trace_error
        for value, error, right in zip(of.eigenvalues.tolist(), of.eigenvalue_errors.tolist(), values, strict=True):
            assert abs(value - right) <= error
        kl = sum(v - mpmath.log1p(v) for v in values) / 2
        actual = moments_kl(of)
        assert actual.low <= kl <= actual.high
        for j, right in enumerate(truth[0]):
            assert abs(float(posterior.log_weights[0, j]) - right) <= float(posterior.log_weight_error[0, j])
        bracket = w2_bracket(posterior, gap)
        gelbrich = mpmath.sqrt(sum((mpmath.sqrt(1 + v) - 1) ** 2 for v in values))
        assert float(bracket.low) <= gelbrich and float(bracket.high) >= mpmath.sqrt(sum(values))


@pytest.mark.parametrize(("scale", "snr", "gap"), [(2.0**12, 4.0, 8.0), (2.0**16, 0.25, 1.0)])
def test_kl_and_chi2_of_ill_conditioned_components(scale, snr, gap):
    law, z = law_of(scale), torch.tensor([0.5, 0.25], dtype=torch.float64)
    posterior = law.posterior(z, snr)
    of = components(*exact(law, z, snr), gap)
    known = gauss.kl_between(of, chi_square(of))
    right = quadrature._enclosed(of.rotated(), quadrature.plug_in(of), *known)
    actual = quadrature.kl_quadrature(posterior, gap)
    assert float(actual.low) <= float(right.high) and float(right.low) <= float(actual.high)
    assert float(actual.high - actual.low) < 1e-3 * float(actual.value)
    by_draws = kl_monte_carlo(posterior, gap, 2000, torch.Generator().manual_seed(0), 1 - 1e-6)
    assert float(by_draws.low) <= float(right.high) and float(right.low) <= float(by_draws.high)
    chi2, of_exact = chi_square(Components.of(posterior[0], gap)), chi_square(of)
    if math.isfinite(of_exact.log1p):
        assert abs(chi2.log1p - of_exact.log1p) <= chi2.error + of_exact.error
    assert chi2.high >= of_exact.log1p - of_exact.error


def test_w2_of_components_far_from_their_priors():
    """Posterior means are told from the priors: of 10⁹ standard deviations the difference of two components keeps seven digits."""
    law = GaussianMixture([0.5, 0.5], [[0.0], [1e-3]], [[[1.0]], [[1.0]]])
    z, snr, gap = torch.tensor([1e9], dtype=torch.float64), 1e-12, 1e6
    posterior = law.posterior(z, snr)
    log_p, means, covs = exact(law, z, snr)
    with mpmath.workdps(60):
        p = [mpmath.exp(one) for one in log_p]
        trace = sum(w * c[0] for w, c in zip(p, covs, strict=True)) + p[0] * p[1] * (means[1][0] - means[0][0]) ** 2
    actual, of = w2_exact(posterior, gap), Components.of(posterior[0], gap)
    assert float(actual.low) <= math.sqrt(gap * float(trace)) and abs(of.trace - gap * trace) <= of.trace_error


def test_a_single_gaussian_is_as_it_was():
    """Its eigenvalues alone count: the interval stays narrow where a small one loses its digits."""
    law = Gaussian([0.0, 0.0], covariance(2.0**12, 0, 2.0**12, 1))
    actual = quadrature.kl_quadrature(law.posterior([0.0, 0.0], 1.0), 1.0)
    assert float(actual.high - actual.low) < 1e-6 * float(actual.value)


@pytest.mark.parametrize("of_spread", [0.0, 1e-5])
@pytest.mark.parametrize("of_points", [[0.0, 0.0], [1e-5, 0.0], [0.0, 1e-5]])
def test_components_that_are_off_by_as_much_as_they_may_be(of_spread, of_points):
    """Each number of P differs by no more than the error that it states."""
    log_p = torch.tensor([0.3, 0.7], dtype=torch.float64).log()
    points = torch.tensor([[2.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    spread, basis = torch.tensor([[0.2, 0.4], [0.3, 0.1]], dtype=torch.float64), torch.eye(2).double().expand(2, 2, 2)
    errors, off = torch.full_like(spread, of_spread), torch.tensor(of_points, dtype=torch.float64)
    stated = Components(log_p, torch.zeros(2).double(), points, 0.5, spread, basis, errors, off)
    nodes = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sign in (-1.0, 1.0):
        moved = points + sign * off[:, None] * torch.tensor([0.8, 0.6], dtype=torch.float64)
        truth = Components(log_p, torch.zeros(2).double(), moved, 0.5, spread + sign * errors, basis)
        assert abs(stated.trace - truth.trace) <= stated.trace_error
        assert bool(((stated.eigenvalues - truth.eigenvalues).abs() <= stated.eigenvalue_errors).all())
        for reference in (-1, 0, 1):
            actual, right = stated.ratio(nodes, reference), truth.ratio(nodes, reference)
            assert bool(((actual.log_r - right.log_r).abs() <= actual.error + right.error).all())
        actual, right = chi_square(stated), chi_square(truth)
        assert abs(actual.log1p - right.log1p) <= actual.error + right.error


def w2_of_two(m: float, s: float) -> mpmath.mpf:
    """`W₂(P, N(0, 1))` for `P = ½N(−m, 1 + s) + ½N(m, 1 + s)`: `∫ (u − T(u))² dP` with the monotone map `T = Φ⁻¹ ∘ F_P`, odd as P is even."""
    m, std = mpmath.mpf(m), mpmath.sqrt(1 + mpmath.mpf(s))

    def moved(u):
        # F_P − ½ from the error function, so that Φ⁻¹ is that of erf itself
        half = (mpmath.erf((u - m) / std / mpmath.sqrt(2)) + mpmath.erf((u + m) / std / mpmath.sqrt(2))) / 2
        density = (mpmath.npdf(u, m, std) + mpmath.npdf(u, -m, std)) / 2
        return (u - mpmath.sqrt(2) * mpmath.erfinv(half)) ** 2 * density

    return mpmath.sqrt(2 * mpmath.quad(moved, [0, 1, 2.5, 5, 9]))


@pytest.mark.parametrize("m", [0.3, 1.0])
def test_w2_holds_what_the_centres_may_be_off(m):
    """Where both are as far apart, or as near, as they may be; of small shifts the density of P alone moves by less than the centres do."""
    off, spread = 1e-4, torch.full((2, 1), 0.01, dtype=torch.float64)
    log_p, points = torch.full((2,), 0.5, dtype=torch.float64).log(), torch.tensor([[m], [-m]], dtype=torch.float64)
    basis, errors = torch.ones(2, 1, 1, dtype=torch.float64), torch.full((2,), off, dtype=torch.float64)
    of = Components(log_p, 0 * log_p, points, 1.0, spread, basis, 0 * spread, errors)
    actual = _w2(of)
    with mpmath.workdps(30):
        assert abs(w2_of_two(m, 0.01) - float(actual)) < 1e-9
        assert float(actual.low) <= w2_of_two(m - off, 0.01) <= w2_of_two(m + off, 0.01) <= float(actual.high)
    assert float(actual.high - actual.low) < 10 * off


def _exact_mixture(law, means, variances, z, snr):
    """Posterior log weights, means and variances of components with diagonal covariances."""
    root, gamma = mpmath.sqrt(mpmath.mpf(snr)), mpmath.mpf(snr)
    logs, places, spreads = [], [], []
    for weight, mean, variance in zip(law.weights.tolist(), means, variances, strict=True):
        widths = [1 + gamma * mpmath.mpf(v) for v in variance]
        off = [mpmath.mpf(c) - root * mpmath.mpf(y) for c, y in zip(z, mean, strict=True)]
        logs.append(
            mpmath.log(weight) - mpmath.fsum(o**2 / w + mpmath.log(w) for o, w in zip(off, widths, strict=True)) / 2
        )
        spreads.append([mpmath.mpf(v) / w for v, w in zip(variance, widths, strict=True)])
        places.append([mpmath.mpf(y) + root * s * o for y, s, o in zip(mean, spreads[-1], off, strict=True)])
    total = max(logs) + mpmath.log(mpmath.fsum(mpmath.exp(v - max(logs)) for v in logs))
    return [v - total for v in logs], places, spreads


HOSTILE_MIXTURES = ("rare and far", "near equal", "of many scales", "singular")


@pytest.mark.parametrize("kind", HOSTILE_MIXTURES)
@pytest.mark.parametrize("dim", [1, 2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_moments_of_hostile_mixtures_lie_within_their_errors(kind, dim, seed):
    """Log weights, `g tr C` and KL of the Gaussian with P's moments, against 60 digits."""
    draw = random.Random(f"{kind} {dim} {seed}")
    means = [[draw.gauss(0, 1) for _ in range(dim)] for _ in range(3)]
    variances, weights = [[10 ** draw.uniform(-6, 2) for _ in range(dim)] for _ in range(3)], [1.0, 1.0, 1.0]
    if kind == "rare and far":
        means[2], weights[2] = [y + 10 ** draw.uniform(1, 6) for y in means[2]], 10 ** draw.uniform(-250, -3)
    if kind == "near equal":
        means = [[y * (1 + 1e-12 * k) for y in means[0]] for k in range(3)]
        variances = [[v * (1 + 1e-10 * k) for v in variances[0]] for k in range(3)]
    if kind == "of many scales":
        means, variances = ([[v * 1e6**k for v in row] for k, row in enumerate(rows)] for rows in (means, variances))
    if kind == "singular":
        variances[0][0] = variances[1][-1] = 0.0
    law = GaussianMixture(
        weights, means, [torch.diag(torch.tensor(row, dtype=torch.float64)).tolist() for row in variances]
    )
    snr, gap, at = 10 ** draw.uniform(-8, 6), 10 ** draw.uniform(-6, 6), draw.randrange(3)
    z = [snr**0.5 * y + draw.gauss(0, 1) * (1 + snr * v) ** 0.5 for y, v in zip(means[at], variances[at], strict=True)]
    query = law.posterior([z], snr)
    of = Components.of(query, gap)
    with mpmath.workdps(60):
        logs, places, spreads = _exact_mixture(law, means, variances, z, snr)
        for value, exact, error in zip(
            query.log_weights[0].tolist(), logs, query.log_weight_error[0].tolist(), strict=True
        ):
            assert abs(mpmath.mpf(value) - exact) <= error
        p = [mpmath.exp(v) for v in logs]
        mean = [mpmath.fsum(w * row[i] for w, row in zip(p, places, strict=True)) for i in range(dim)]
        cov = mpmath.matrix(dim, dim)
        for w, row, spread in zip(p, places, spreads, strict=True):
            apart = mpmath.matrix([y - m for y, m in zip(row, mean, strict=True)])
            cov += (apart * apart.T + mpmath.diag(spread)) * w * mpmath.mpf(gap)
        assert abs(mpmath.fsum(cov[i, i] for i in range(dim)) - mpmath.mpf(of.trace)) <= of.trace_error
        # of many scales the rounding of the largest eigenvalue is more than the small ones
        assert kind == "of many scales" or of.trace_error <= 1e-5 * of.trace
        kl = mpmath.fsum(v - mpmath.log1p(v) for v in mpmath.eigsy(cov, eigvals_only=True)) / 2
        actual = moments_kl(of)
        assert actual.low <= kl <= actual.high

"""Posteriors against brute force, against each other, and at the ends of the SNR."""

import math
import subprocess
import sys

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Atoms, Gaussian, GaussianMixture, InputError, divergence
from singtheory.law import MixturePosterior, posterior
from tests.support import reference_posterior
from tests.support.strategies import atoms, examples, gaps, queries, snrs, snrs_to, wild_atoms, wild_snrs

COV = [[0.7, 0.3], [0.3, 0.4]]


def brute_force(law: Atoms, z: torch.Tensor, snr: float) -> tuple[list[float], list[float]]:
    """Weights and mean by 60-digit arithmetic."""
    with mpmath.workdps(60):
        root = mpmath.sqrt(mpmath.mpf(snr))
        joint = []
        for point, weight in zip(law.points.tolist(), law.weights.tolist(), strict=True):
            distance2 = sum(
                (mpmath.mpf(a) - root * mpmath.mpf(b)) ** 2 for a, b in zip(z[0].tolist(), point, strict=True)
            )
            joint.append(mpmath.mpf(weight) * mpmath.exp(-distance2 / 2))
        total = mpmath.fsum(joint)
        weights = [j / total for j in joint]
        mean = [
            mpmath.fsum(w * p[k] for w, p in zip(weights, law.points.tolist(), strict=True)) for k in range(law.dim)
        ]
        return [float(w) for w in weights], [float(m) for m in mean]


@given(st.data(), atoms(), snrs())
def test_atoms_against_brute_force(data, law, snr):
    # at large γ the query must lie near √γ y, or every weight but one underflows in any arithmetic
    z = math.sqrt(snr) * law.points[:1] + data.draw(queries(law.dim))
    actual = law.posterior(z, snr)
    weights, mean = brute_force(law, z, snr)
    # rounding of z itself, of size √γ, moves a log weight by its distance in noise widths
    tolerance = 1e-12 * (1 + math.sqrt(snr) * float(law.diameter) + 1) if snr <= 1e6 else 1e-3
    assert actual.weights[0].tolist() == pytest.approx(weights, abs=tolerance)
    assert actual.mean[0].tolist() == pytest.approx(mean, abs=2 * tolerance * (1 + float(law.points.abs().max())))


@pytest.mark.parametrize("snr", [0.0, 1e-12, 1e-3, 1.0, 50.0, 1e12])
def test_gaussian_is_conjugate(snr):
    law = Gaussian([0.5, -1.0], COV)
    z = math.sqrt(snr) * torch.tensor([[0.2, 0.4]], dtype=torch.float64) + torch.tensor(
        [[0.3, -0.7]], dtype=torch.float64
    )
    actual = law.posterior(z, snr)
    identity = torch.eye(2, dtype=torch.float64)
    precision = torch.linalg.inv(law.cov) + snr * identity
    cov = torch.linalg.inv(precision)
    mean = cov @ (torch.linalg.inv(law.cov) @ law.mean + math.sqrt(snr) * z[0])
    torch.testing.assert_close(actual.cov[0], cov, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(actual.mean[0], mean, rtol=1e-9, atol=1e-9)
    marginal = torch.distributions.MultivariateNormal(math.sqrt(snr) * law.mean, snr * law.cov + identity)
    torch.testing.assert_close(actual.log_evidence[0], marginal.log_prob(z[0]), rtol=1e-6, atol=1e-9)


def test_singular_covariance():
    actual = Gaussian([1.0, 2.0], [[1.0, 0.0], [0.0, 0.0]]).posterior([3.0, -1.0], 1.0)
    assert actual.mean[0].tolist() == pytest.approx([2.0, 2.0])
    assert float(actual.trace_cov) == pytest.approx(0.5)


@given(snrs_to(50), st.floats(-3, 3), gaps())
def test_mixture_of_points_is_atoms(snr, z, gap):
    points, weights = [[-1.0], [0.5]], [0.3, 0.7]
    mixture = GaussianMixture(weights, points, torch.zeros(2, 1, 1)).posterior([z], snr)
    finite = Atoms(points, weights).posterior([z], snr)
    torch.testing.assert_close(mixture.mean, finite.mean, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(mixture.trace_cov, finite.trace_cov, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(mixture.cov[:, 0, 0], finite.trace_cov, rtol=1e-8, atol=1e-12)
    u = torch.linspace(-4, 4, 9, dtype=torch.float64)[None, :, None]
    torch.testing.assert_close(mixture.log_ratio(u, gap), finite.log_ratio(u, gap), rtol=1e-9, atol=1e-10)


def test_mixture_of_one_is_gaussian():
    mixture = GaussianMixture([1.0], [[0.5, -1.0]], [COV]).posterior([0.1, 0.2], 2.0)
    gauss = Gaussian([0.5, -1.0], COV).posterior([0.1, 0.2], 2.0)
    torch.testing.assert_close(mixture.mean, gauss.mean)
    torch.testing.assert_close(mixture.cov, gauss.cov)
    u = torch.randn(1, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixture.log_ratio(u, 0.7), gauss.log_ratio(u, 0.7))


@pytest.mark.parametrize(
    "law",
    [Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3]), GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [[[0.1]], [[0.5]]])],
)
def test_evidence_is_a_density_and_log_ratio_a_density_ratio(law):
    z = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    evidence = law.posterior(z[:, None], 1.7).log_evidence.exp()
    assert float(evidence.sum() * (z[1] - z[0])) == pytest.approx(1, rel=1e-12)
    ratio = law.posterior([0.4], 1.7).log_ratio(z[None, :, None], 0.9)[0].exp()
    density = ratio * torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    assert float(density.sum() * (z[1] - z[0])) == pytest.approx(1, rel=1e-12)
    assert float((density * z).sum()) == pytest.approx(0, abs=1e-9)


def test_log_ratio_is_that_of_the_components():
    law = Atoms([[0.0, 0.0], [1.0, 0.2], [-0.3, 1.4]], [0.2, 0.5, 0.3])
    actual, gap = law.posterior([0.3, -0.2], 0.8), 1.3
    u = torch.tensor([[[0.5, -1.0]]], dtype=torch.float64)
    shifts = math.sqrt(gap) * (law.points - actual.mean)
    unit = torch.eye(2, dtype=torch.float64)
    log_p = torch.distributions.MultivariateNormal(shifts, unit).log_prob(u[0])
    log_q = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), unit).log_prob(u[0, 0])
    expected = torch.logsumexp(actual.log_weights[0] + log_p, 0) - log_q
    assert float(actual.log_ratio(u, gap)) == pytest.approx(float(expected), rel=1e-12)


def test_batch_equals_one_by_one_and_blocks_do_not_show(monkeypatch):
    law = Atoms(torch.randn(7, 3, generator=torch.Generator().manual_seed(1)))
    z = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    snr = torch.tensor([0.0, 0.1, 1.0, 10.0, 1e5], dtype=torch.float64)
    batch = law.posterior(z, snr)
    u = torch.randn(5, 11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    whole, entropy = batch.log_ratio(u, 0.4), batch.conditional_entropy(u, 0.4)
    monkeypatch.setattr(posterior, "block_rows", lambda *_: 2)
    torch.testing.assert_close(batch.log_ratio(u, 0.4), whole)
    for i, query in enumerate(batch):
        alone = law.posterior(z[i], float(snr[i]))
        torch.testing.assert_close(query.mean, alone.mean)
        torch.testing.assert_close(query.trace_cov, alone.trace_cov)
        torch.testing.assert_close(alone.log_ratio(u[i : i + 1], 0.4)[0], whole[i])
    assert float(entropy.min()) >= 0 and float(entropy.max()) <= math.log(7)
    torch.testing.assert_close(batch.trace_cov, batch.cov.diagonal(dim1=1, dim2=2).sum(dim=1))
    torch.testing.assert_close(batch.trace_cov, batch.eigenvalues.sum(dim=1))


def test_samples_have_the_posteriors_moments():
    generator = torch.Generator().manual_seed(0)
    for law in (
        Atoms([[0.0, 0.0], [1.0, 0.2]], [0.3, 0.7]),
        GaussianMixture([0.3, 0.7], [[0.0, 0.0], [1.0, 0.2]], [COV, COV]),
    ):
        actual = law.posterior([0.4, 0.1], 0.5)
        draws = actual.sample(40_000, generator)[0]
        # five standard errors
        assert (draws.mean(dim=0) - actual.mean[0]).abs().max() < 5 * float(actual.trace_cov.sqrt()) / 200
        torch.testing.assert_close(draws.T.cov(), actual.cov[0], rtol=0.06, atol=0.01)


@pytest.mark.parametrize(
    "law",
    [
        Atoms([[-1.0], [0.5]], [0.3, 0.7]),
        Gaussian([0.5], [[1.0]]),
        GaussianMixture([0.3, 0.7], [[-1.0], [0.5]], [[[0.1]], [[0.2]]]),
    ],
)
def test_queries_are_counted_as_a_list_counts(law):
    actual = law.posterior([[0.1], [0.9]], 1.0)
    assert [float(q.mean) for q in actual] == actual.mean[:, 0].tolist()
    assert float(actual[-1].mean) == float(actual[1].mean) == float(actual.mean[1])
    assert float(actual[-2].mean) == float(actual.mean[0]) and len(actual[-2]) == 1
    for query in (2, 5, -3):
        with pytest.raises(IndexError, match=f"query {query} of 2"):
            actual[query]


@given(st.data(), wild_atoms(dims=(1, 2)), wild_snrs())
@settings(deadline=None, max_examples=examples(60))
def test_means_of_hostile_laws_lie_within_their_bound(data, law, snr):
    """For the z that was asked, whatever the law: against digits enough for everything that cancels."""
    row = data.draw(st.integers(0, len(law.points) - 1))
    z = math.sqrt(snr) * law.points[row : row + 1] + data.draw(queries(law.dim)) * 10 ** data.draw(st.floats(0, 3))
    actual = law.posterior(z, snr)
    mean, trace, _ = reference_posterior.posterior(law, z[0].tolist(), snr)
    off = math.sqrt(sum(float(mpmath.mpf(a) - b) ** 2 for a, b in zip(actual.mean[0].tolist(), mean, strict=True)))
    rounding = 3e-16 * float(law.points.norm(dim=1).max())  # of the number that is returned
    assert off <= float(actual.error_bound) + rounding
    size = float(law.diameter)
    # a trace is a second moment about the mean: off by the error of the mean, and by that of the weights, which is as large
    assert (
        abs(float(mpmath.mpf(float(actual.trace_cov)) - trace))
        <= 8 * float(actual.error_bound) * size + 1e-12 * float(trace) + 1e-300 + (1e-35 * rounding / 1e-16) ** 2
    )


@pytest.mark.parametrize(
    ("z", "snr", "words"),
    [
        ([0.0, 1.0], 1.0, "dimension 1"),
        ([math.nan], 1.0, "NaN"),
        ([math.inf], 1.0, "infinity"),
        ([0.0], -1e-300, "at least 0"),
        ([0.0], math.inf, "finite"),
        ([0.0], math.nan, "finite"),
        ([[0.0], [1.0], [2.0]], [1.0, 2.0], "one a query"),
    ],
)
def test_bad_queries(z, snr, words):
    with pytest.raises(InputError, match=words):
        Atoms([[0.0], [1.0]]).posterior(z, snr)


@pytest.mark.slow
def test_sixty_thousand_images_stay_below_two_gigabytes():
    program = (
        "import torch, resource\n"
        "from singtheory import Atoms\n"
        "g = torch.Generator().manual_seed(0)\n"
        "law = Atoms(torch.randn(60_000, 784, generator=g, dtype=torch.float64))\n"
        "z = torch.randn(256, 784, generator=g, dtype=torch.float64)\n"
        "for snr in (0.01, 1e3):\n"
        "    p = law.posterior(z, snr); p.mean; p.trace_cov; del p\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 2e9


@pytest.mark.parametrize("snr", [1e18, 1e20, 1e24])
def test_points_of_one_norm_as_seen_from_their_centre(snr):
    """All are equally far but for rounding, which is then far more than one in a log weight: the one that seems best may be outweighed by e^1000."""
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    law = Atoms(points / points.norm(dim=1, keepdim=True))
    actual = law.posterior(torch.zeros(40, 3), snr * torch.linspace(1, 2, 40, dtype=torch.float64))
    assert bool(
        actual.mean.isfinite().all() and actual.trace_cov.isfinite().all() and actual.log_evidence.isfinite().all()
    )
    assert bool((actual.error_bound > 0).all())  # and no NaN
    mean, _, _ = reference_posterior.posterior(law, [0.0, 0.0, 0.0], snr)
    error = (actual.mean[0] - reference_posterior.as_tensor(mean)).norm()
    assert float(error) <= float(actual.error_bound[0])


def test_queries_so_far_away_that_no_log_weight_has_digits():
    law = Atoms([[-7.9e-4, 7.1e-4, -2.0e-3], [5.2e-4, 1.8e-3, -9.7e-4], [-1.7e-3, -6.0e-4, -1.3e-3]])
    queries = 1e14 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    actual = law.posterior(queries, 1.0)
    assert not bool(actual.mean.isnan().any() or actual.error_bound.isnan().any())
    with pytest.raises(InputError, match="take at least"):
        law.posterior(queries, 1.0, tol=1e-6)


@pytest.mark.parametrize("far", [1e20, 1e30])
@pytest.mark.parametrize("copies", [1, 40])
def test_a_point_without_weight_widens_no_bound(far, copies):
    near = [[0.0, 0.0], [2.0, 1.0]] * copies
    law, without = Atoms([*near, [far, -far]], [*[1.0] * len(near), 0.0]), Atoms(near)
    actual, plain = law.posterior([0.1, 0.1], 0.2), without.posterior([0.1, 0.1], 0.2)
    assert float(actual.error_bound) <= 2 * float(plain.error_bound) < 1e-11
    assert torch.allclose(actual.mean, plain.mean, rtol=1e-14) and torch.allclose(actual.trace_cov, plain.trace_cov)


def test_scales_at_the_ends_of_float64():
    """The smallest data of the domain are answered within their bound, larger ones than the largest refused with a remedy."""
    small = Atoms([[3e-31, 2e-31], [-1e-30, 5e-31]])
    mean, _, _ = reference_posterior.posterior(small, [0.3, 0.4], 0.1)
    actual = small.posterior([0.3, 0.4], 0.1)
    assert max(abs(mpmath.mpf(a) - b) for a, b in zip(actual.mean[0].tolist(), mean, strict=True)) <= float(
        actual.error_bound
    )
    for size in (1e31, 1e155, 1e300):
        with pytest.raises(InputError, match="divide the data"):
            Atoms([[size], [-size / 2]])


@pytest.mark.parametrize("snr", [1.1e20, 1.7e24, 3e31])
@pytest.mark.parametrize("z", [1e-6, 3e-3])
def test_log_weights_lie_within_their_bounds_where_106_bits_cancel(snr, z):
    """`2√γ⟨z, y⟩` between two opposite points, from products of the size of γ."""
    law = Atoms([[1.0, 1.1] * 10, [-1.0, -1.1] * 10], [1.0, 1e-159])
    actual = law.posterior([z] * 20, snr)
    with mpmath.workdps(120):
        first, second = (mpmath.log(mpmath.mpf(w)) for w in law.weights.tolist())
        apart = (
            2
            * mpmath.sqrt(mpmath.mpf(snr))
            * mpmath.mpf(z)
            * mpmath.fsum(mpmath.mpf(v) for v in law.points[0].tolist())
        )
        truths = [-mpmath.log1p(mpmath.exp(second - first - apart)), -mpmath.log1p(mpmath.exp(first - second + apart))]
        for value, bound, truth in zip(
            actual.log_weights[0].tolist(), actual.log_weight_error[0].tolist(), truths, strict=True
        ):
            assert abs(mpmath.mpf(value) - truth) <= bound < 1e-2 * max(1, abs(truth))


def test_the_normaliser_of_a_mixture_is_as_wrong_as_all_its_components():
    """The heaviest one has a log weight of few roundings, the second one, of a fifth of the mass, of many."""
    means = [
        -2.3424631549190998e-06,
        -4.62231308089419e-07,
        7.628469593898973e-07,
        -8.173700227706615e-07,
        3.8732734785186725e-06,
    ]
    variances = [
        6.525091112940041e-19,
        1.0959032812516748e-17,
        3.037998569247435e-19,
        2.854863471368091e-12,
        7.571609074404714e-18,
    ]
    weights = [0.2622582082803875, 0.7091469301134957, 0.3890109807526386, 0.9044899040847031, 0.7821918829858927]
    snr, z = 33830987464881.28, 25.84986995903377
    law = GaussianMixture(weights, [[m] for m in means], [[[v]] for v in variances])
    actual = law.posterior([z], snr)
    assert isinstance(actual, MixturePosterior)
    with mpmath.workdps(60):
        root = mpmath.sqrt(mpmath.mpf(snr))
        joint = [
            mpmath.log(mpmath.mpf(w))
            - (z - root * mpmath.mpf(m)) ** 2 / 2 / (1 + snr * mpmath.mpf(v))
            - mpmath.log(1 + snr * mpmath.mpf(v)) / 2
            for w, m, v in zip(law.weights.tolist(), means, variances, strict=True)
        ]
        total = mpmath.log(mpmath.fsum(mpmath.exp(v) for v in joint))
        for value, bound, truth in zip(
            actual.log_weights[0].tolist(), actual.log_weight_error[0].tolist(), joint, strict=True
        ):
            assert abs(mpmath.mpf(value) - (truth - total)) <= bound


def test_a_mixture_far_from_the_origin_keeps_the_distances_of_its_components():
    """Data moved by 1e8, with the query, have the same KL; each component's mean alone would be rounded to 1e-8."""
    means, variances, snr, gap = [0.98, -0.3], [0.018, 0.377], 2.0**-11, 0.0807
    at = [1e8 + m for m in means]
    moved = GaussianMixture([0.22, 0.73], [[m] for m in at], [[[v]] for v in variances])
    near = GaussianMixture([0.22, 0.73], [[m - 1e8] for m in at], [[[v]] for v in variances])
    snr = 2.0**-12  # of an exact root
    z = 0.75
    far, here = moved.posterior([z + 1e8 * 2.0**-6], snr), near.posterior([z], snr)
    one, other = divergence.kl_quadrature(far, gap), divergence.kl_quadrature(here, gap)
    assert float(one.low) <= float(other.high) and float(other.low) <= float(one.high)
    assert float(one.high - one.low) < 1e-10 * float(one)
    assert torch.allclose(far.trace_cov, here.trace_cov, rtol=1e-13) and torch.allclose(far.cov, here.cov, rtol=1e-13)

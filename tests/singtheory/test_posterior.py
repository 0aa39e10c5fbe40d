"""Posteriors against brute force, against each other, and at the ends of the SNR."""

import math
import subprocess
import sys

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Atoms, Gaussian, GaussianMixture, InputError, posterior
from tests import reference_posterior
from tests.strategies import atoms, examples, gaps, queries, snrs, wild_atoms, wild_snrs

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
    found = law.posterior(z, snr)
    weights, mean = brute_force(law, z, snr)
    # rounding of z itself, of size √γ, moves a log weight by its distance in noise widths
    tolerance = 1e-12 * (1 + math.sqrt(snr) * float(law.diameter) + 1) if snr <= 1e6 else 1e-3
    assert found.weights[0].tolist() == pytest.approx(weights, abs=tolerance)
    assert found.mean[0].tolist() == pytest.approx(mean, abs=2 * tolerance * (1 + float(law.points.abs().max())))


@pytest.mark.parametrize("snr", [0.0, 1e-12, 1e-3, 1.0, 50.0, 1e12])
def test_gaussian_is_conjugate(snr):
    law = Gaussian([0.5, -1.0], COV)
    z = math.sqrt(snr) * torch.tensor([[0.2, 0.4]], dtype=torch.float64) + torch.tensor(
        [[0.3, -0.7]], dtype=torch.float64
    )
    found = law.posterior(z, snr)
    identity = torch.eye(2, dtype=torch.float64)
    precision = torch.linalg.inv(law.cov) + snr * identity
    cov = torch.linalg.inv(precision)
    mean = cov @ (torch.linalg.inv(law.cov) @ law.mean + math.sqrt(snr) * z[0])
    torch.testing.assert_close(found.cov[0], cov, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(found.mean[0], mean, rtol=1e-9, atol=1e-9)
    marginal = torch.distributions.MultivariateNormal(math.sqrt(snr) * law.mean, snr * law.cov + identity)
    torch.testing.assert_close(found.log_evidence[0], marginal.log_prob(z[0]), rtol=1e-6, atol=1e-9)


def test_singular_covariance():
    found = Gaussian([1.0, 2.0], [[1.0, 0.0], [0.0, 0.0]]).posterior([3.0, -1.0], 1.0)
    assert found.mean[0].tolist() == pytest.approx([2.0, 2.0])
    assert float(found.trace_cov) == pytest.approx(0.5)


@given(st.floats(0.0, 50.0), st.floats(-3, 3), gaps())
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
    found, gap = law.posterior([0.3, -0.2], 0.8), 1.3
    u = torch.tensor([[[0.5, -1.0]]], dtype=torch.float64)
    shifts = math.sqrt(gap) * (law.points - found.mean)
    unit = torch.eye(2, dtype=torch.float64)
    log_p = torch.distributions.MultivariateNormal(shifts, unit).log_prob(u[0])
    log_q = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), unit).log_prob(u[0, 0])
    expected = torch.logsumexp(found.log_weights[0] + log_p, 0) - log_q
    assert float(found.log_ratio(u, gap)) == pytest.approx(float(expected), rel=1e-12)


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
        found = law.posterior([0.4, 0.1], 0.5)
        draws = found.sample(40_000, generator)[0]
        # five standard errors
        assert (draws.mean(dim=0) - found.mean[0]).abs().max() < 5 * float(found.trace_cov.sqrt()) / 200
        torch.testing.assert_close(draws.T.cov(), found.cov[0], rtol=0.06, atol=0.01)


@pytest.mark.parametrize(
    "law",
    [
        Atoms([[-1.0], [0.5]], [0.3, 0.7]),
        Gaussian([0.5], [[1.0]]),
        GaussianMixture([0.3, 0.7], [[-1.0], [0.5]], [[[0.1]], [[0.2]]]),
    ],
)
def test_queries_are_counted_as_a_list_counts(law):
    found = law.posterior([[0.1], [0.9]], 1.0)
    assert [float(q.mean) for q in found] == found.mean[:, 0].tolist()
    assert float(found[-1].mean) == float(found[1].mean) == float(found.mean[1])
    assert float(found[-2].mean) == float(found.mean[0]) and len(found[-2]) == 1
    for query in (2, 5, -3):
        with pytest.raises(IndexError, match=f"query {query} of 2"):
            found[query]


@given(st.data(), wild_atoms(dims=(1, 2)), wild_snrs())
@settings(deadline=None, max_examples=examples(60))
def test_means_of_hostile_laws_lie_within_their_certificate(data, law, snr):
    """For the z that was asked, whatever the law: against digits enough for everything that cancels."""
    row = data.draw(st.integers(0, len(law.points) - 1))
    z = math.sqrt(snr) * law.points[row : row + 1] + data.draw(queries(law.dim)) * 10 ** data.draw(st.floats(0, 3))
    found = law.posterior(z, snr)
    mean, trace, _ = reference_posterior.posterior(law, z[0].tolist(), snr)
    off = math.sqrt(sum(float(mpmath.mpf(a) - b) ** 2 for a, b in zip(found.mean[0].tolist(), mean, strict=True)))
    rounding = 3e-16 * float(law.points.norm(dim=1).max())  # of the number that is returned
    assert off <= float(found.error_bound) + rounding
    size = float(law.diameter)
    # a trace is a second moment about the mean: off by the error of the mean, and by that of the weights, which is as large
    assert (
        abs(float(mpmath.mpf(float(found.trace_cov)) - trace))
        <= 8 * float(found.error_bound) * size + 1e-12 * float(trace) + 1e-300 + (1e-35 * rounding / 1e-16) ** 2
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

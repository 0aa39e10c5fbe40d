"""Few points in many dimensions are worked in their span: every posterior, divergence and bound is the same there."""

import pytest
import torch
from hypothesis import given, settings

from singtheory import Atoms, Cosine, ReverseKernel
from singtheory.bound import bound_named
from singtheory.law import span as span_file
from singtheory.law.span import in_span
from tests.support.devices import DevicesGiven
from tests.support.strategies import examples, wild_atoms


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LAWS = {
    "few points": Atoms(normal(6, 40), [0.1, 0.3, 0.2, 0.0, 0.25, 0.15]),
    "off the origin": Atoms(5 + normal(4, 30)),
    "a line in six dimensions": Atoms(torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None] * normal(1, 6) + 0.5),
    "a plane in three": Atoms(normal(50, 2) @ normal(2, 3)),
    "duplicates": Atoms(normal(3, 12).repeat(4, 1)),
}
RANKS = {
    "few points": 4,
    "off the origin": 3,
    "a line in six dimensions": 1,
    "a plane in three": 2,
    "duplicates": 2,
}


@pytest.mark.parametrize("name", LAWS)
def test_points_come_back_and_the_basis_is_orthonormal(name):
    law, span = LAWS[name], in_span(LAWS[name])
    assert span is not None
    assert span.law.dim == RANKS[name]
    assert span.dim == law.dim
    points = law.points[law.weights > 0]
    assert float((span.lift(span.law.points) - points).norm(dim=1).max()) < 1e-14 * (1 + float(points.norm()))
    assert float((span.basis @ span.basis.mT - torch.eye(span.law.dim, dtype=torch.float64)).abs().max()) < 1e-14
    assert float((span.basis @ span.origin).norm()) < 1e-14 * (1 + float(span.origin.norm()))
    assert torch.allclose(span.law.weights, law.weights[law.weights > 0], rtol=1e-14, atol=0)


@pytest.mark.parametrize("snr", [0.0, 0.3, 20.0])
@pytest.mark.parametrize("name", LAWS)
def test_posteriors_in_the_span_are_those_in_all_dimensions(name, snr):
    """Weights, mean, trace, entropy and eigenvalues at any z, on the span or off it."""
    law, span = LAWS[name], in_span(LAWS[name])
    assert span is not None
    z = 3 * normal(5, law.dim, seed=1) + snr**0.5 * law.mean
    whole, inside = law.posterior(z, snr), span.law.posterior(span.project(z), snr)
    assert torch.allclose(inside.weights, whole.weights[:, law.weights > 0], rtol=1e-10, atol=1e-13)
    assert torch.allclose(span.lift(inside.mean), whole.mean, rtol=0, atol=1e-11)
    assert torch.allclose(inside.trace_cov, whole.trace_cov, rtol=1e-10, atol=1e-13)
    assert torch.allclose(inside.entropy, whole.entropy, rtol=1e-10, atol=1e-13)
    most = min(inside.eigenvalues.shape[1], whole.eigenvalues.shape[1])
    assert torch.allclose(inside.eigenvalues[:, -most:], whole.eigenvalues[:, -most:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_every_bound_and_divergence_of_a_step_is_the_same(name):
    """B2 to B12 and χ² at one `x_t`; the noise across the span is in P and in Q."""
    law, span, schedule = LAWS[name], in_span(LAWS[name]), Cosine()
    assert span is not None
    x_t = schedule.alpha(0.7) * law.points[:1] + schedule.sigma(0.7) * normal(1, law.dim, seed=2)
    whole = ReverseKernel(law, schedule, 0.7, 0.5).at(x_t)
    inside = ReverseKernel(span.law, schedule, 0.7, 0.5).at(span.project(x_t))
    bounds = inside.bounds()
    for name, value in whole.bounds().items():
        assert float(bounds[name]) == pytest.approx(float(value), rel=1e-9, abs=1e-13), name
    assert float(inside.chi2()) == pytest.approx(float(whole.chi2()), rel=1e-9)
    interval = whole.kl(2_000, torch.Generator().manual_seed(0), 1 - 1e-9)
    exact = inside.kl(2_000, torch.Generator().manual_seed(1), 1 - 1e-9)
    assert float(exact.low) <= float(interval.high)
    assert float(interval.low) <= float(exact.high)


def test_data_that_fill_their_space_are_left_alone():
    assert in_span(Atoms(normal(30, 4))) is None
    assert in_span(Atoms(normal(30, 40))) is None  # a rank of 29 saves less than half
    assert in_span(Atoms(torch.ones(3, 5, dtype=torch.float64))) is None
    assert in_span(Atoms([[1.0], [2.0]])) is None


@settings(max_examples=examples(40), deadline=None)
@given(wild_atoms())
def test_hostile_laws_keep_their_distances(law):
    """To the rounding of the largest distance from the mean; the map back, to that of the largest norm."""
    span = in_span(law)
    if span is None:
        return
    points = law.points[law.weights > 0]
    reach = float((points - law.mean).norm(dim=1).max())
    size = float(points.norm(dim=1).max())
    apart, inside = (torch.cdist(p, p, compute_mode="donot_use_mm_for_euclid_dist") for p in (points, span.law.points))
    assert float((apart - inside).abs().max()) <= 1e-13 * reach + 1e-14 * size
    assert float((span.lift(span.law.points) - points).norm(dim=1).max()) <= 1e-13 * size


def test_a_span_of_more_than_half_of_the_dimensions_saves_nothing_though_few_points_look_flat():
    """Of 101 points only the second to the fourth leave the origin, so that the few that are looked at first are equal."""
    points = torch.zeros(101, 5, dtype=torch.float64)
    points[1:4] = torch.eye(5, dtype=torch.float64)[:3]
    assert in_span(Atoms(points)) is None
    points[3] = 0
    span = in_span(Atoms(points))
    assert span is not None and span.law.dim == 2


@pytest.mark.parametrize(("far", "kept"), [(1.0, True), (1e4, True), (1e10, False), (1e12, False)])
def test_points_that_one_far_away_would_melt_together_are_left_alone(far, kept):
    """Three points 1e-4 apart: beside one at 1e12 they had one coordinate, and KL of 2.7 nats at least became 1e-62."""
    points = torch.zeros(4, 6, dtype=torch.float64)
    points[1, 1], points[2, 0], points[3, 2] = 1e-4, far, 2e-4
    law, bound = Atoms(points, [0.5, 0.3, 1e-30, 0.2]), bound_named("kl_gauss_lower")
    span, at = in_span(law), torch.zeros(6, dtype=torch.float64)
    assert (span is not None) == kept
    whole = float(bound.evaluate(law.posterior(at, 1.0), 1e9))
    assert whole == pytest.approx(2.7159735, rel=1e-7)  # ½ Σ (gλ − log(1 + gλ)) of the three by hand
    if span is not None:
        assert float(bound.evaluate(span.law.posterior(span.project(at), 1.0), 1e9)) == pytest.approx(whole, rel=1e-9)


def test_equal_points_and_equal_distances_are_no_hindrance():
    corners = torch.eye(40, dtype=torch.float64)[:8]
    for points in (corners, corners.repeat(30, 1), torch.cat([corners, -corners]), torch.cat([corners, corners + 0.0])):
        span = in_span(Atoms(points))
        assert span is not None and span.law.dim in (7, 8)
    near = torch.cat([corners, corners[:1] + 1e-12])
    assert in_span(Atoms(near)) is None


MELTED = Atoms([[0.0] * 6, [1e10, *[0.0] * 5], [0.0, 1.0, *[0.0] * 4], [0.0, 1.0 + 1e-7, *[0.0] * 4]])
"""Nearest points that the digits of the far one would cost."""


def kept_distances(law: Atoms, on: str) -> bool:
    """Of a law whose basis was made on the CPU, on another device."""
    basis = span_file._basis(law)
    assert basis is not None
    coordinates = (law.points - law.mean) @ basis.mT
    with DevicesGiven():
        return span_file._keeps_distances(law.to(on), basis.to(on), coordinates.to(on))


def on_device(device: str) -> None:
    """What is looked at of distances, and a posterior in the span, are the same on every device; the span itself is found on the CPU."""
    assert kept_distances(LAWS["few points"], device) and not kept_distances(MELTED, device)
    law, z = LAWS["a plane in three"], 3 * normal(5, 3, seed=1)
    span = in_span(law)
    assert span is not None
    assert device == "cpu" or in_span(law.to(device)) is None
    there = span.law.to(device).posterior(span.project(z).to(device), 0.7, 1e-9)
    assert torch.allclose(span.lift(there.mean.cpu()), law.posterior(z, 0.7).mean, rtol=0, atol=1e-8)
    bound = bound_named("kl_family_bound").evaluate
    assert bound(there, 0.3).cpu().tolist() == pytest.approx(bound(law.posterior(z, 0.7), 0.3).tolist(), rel=1e-6)


def test_in_the_span_no_tensor_is_made_on_another_device():
    on_device("cpu")


@pytest.mark.gpu
def test_in_the_span_on_a_gpu():
    on_device("cuda")


@pytest.mark.parametrize("block", [2**24, 6])
def test_what_any_block_leaves_out_of_the_span_counts(block, monkeypatch):
    """A point leaves the line by less than the rounding of 2,000 others, in one block of many: points nearer than that is kept apart by are left alone."""
    points = torch.zeros(2000, 6, dtype=torch.float64)
    points[:, 0] = torch.linspace(-1, 1, 2000, dtype=torch.float64)
    points[7, 1] = 4e-12
    points[8, 0] = points[9, 0] + 1e-7
    monkeypatch.setattr(span_file, "_BLOCK", block)
    assert in_span(Atoms(points)) is None
    points[7, 1] = 0.0
    assert in_span(Atoms(points)) is not None

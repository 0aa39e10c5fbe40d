"""Laws: moments, draws, and every input they refuse."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import stats

from singtheory import Atoms, Gaussian, GaussianMixture, InputError
from singtheory.bound import evaluate_ladder, kl_family, tv_norm
from singtheory.data import sources
from singtheory.divergence import to_point
from singtheory.engine.points import Points
from singtheory.numerics import distance
from tests.support.strategies import atoms, examples, wild_atoms


@given(atoms())
def test_moments_are_weighted_sums(law):
    mean = sum(w * p for w, p in zip(law.weights, law.points, strict=True))
    cov = sum(w * torch.outer(p - mean, p - mean) for w, p in zip(law.weights, law.points, strict=True))
    assert float(law.weights.sum()) == pytest.approx(1, rel=1e-15)
    torch.testing.assert_close(law.mean, mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(law.cov, cov, rtol=1e-10, atol=1e-13)
    support = law.points[law.weights > 0]
    assert law.diameter == pytest.approx(max(float((a - b).norm()) for a in support for b in support), abs=1e-7)


CLUSTERS = torch.tensor([[1e8, 1e8], [1e8 + 1, 1e8]], dtype=torch.float64).repeat(30, 1)
"""Two places one apart, where products of rows say 0 or 2."""


def test_the_diameter_of_clusters_far_from_the_origin():
    assert Atoms(CLUSTERS).diameter == 1.0
    corners = Atoms(torch.cat([CLUSTERS, torch.tensor([[1e8 + 1, 1e8 - 1]], dtype=torch.float64)]))
    assert corners.diameter == pytest.approx(2**0.5, rel=1e-15)
    assert Atoms(CLUSTERS, [1.0, 0.0] * 30).diameter == 0.0  # what has no weight is not there


@pytest.mark.parametrize("direct", [2**30, 0])
@given(wild_atoms())
@settings(max_examples=examples(25))
def test_no_two_points_are_farther_apart_than_the_diameter(direct, law):
    """Against exact rationals; from products it is an upper bound, and by little."""
    support = law.points[law.weights > 0]
    rows = [[Fraction(v) for v in row] for row in support.tolist()]
    truth = max(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x in rows for y in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "_DIRECT", direct)
        actual = Fraction(distance.diameter(support)) ** 2
    assert truth * (1 - Fraction(1, 10**14)) <= actual <= truth * (1 + Fraction(1, 10**12))


def test_beyond_five_thousand_points_the_diameter_is_a_bound():
    law = Atoms(CLUSTERS.repeat(100, 1))
    assert 1.0 <= law.diameter <= 1.0 + 1e-6


def test_draws_of_a_mapped_file_read_those_rows_alone(tmp_path, monkeypatch):
    array = np.random.default_rng(0).standard_normal((500, 3))
    np.save(tmp_path / "points.npy", array)
    law = sources.mapped(tmp_path / "points.npy").law
    monkeypatch.setattr(Points, "whole", property(lambda _: pytest.fail("the file was read whole")))
    draws = law.sample(20, torch.Generator().manual_seed(0))
    assert draws.shape == (20, 3) and all(any(np.array_equal(row, point) for point in array) for row in draws.numpy())


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


@pytest.mark.parametrize(
    "law",
    [
        Atoms([[0.0], [1.0], [2.0]]),
        Gaussian([1.0], [[2.0]]),
        GaussianMixture([0.5, 0.5], [[0.0], [3.0]], [[[1.0]], [[0.1]]]),
    ],
)
def test_draws_are_those_of_the_generator(law):
    one, other = (law.sample(50, torch.Generator().manual_seed(seed)) for seed in (3, 4))
    assert torch.equal(one, law.sample(50, torch.Generator().manual_seed(3))) and not torch.equal(one, other)


def test_moments_keep_their_digits_where_points_differ_in_their_last_one():
    """The mean of such points is no number of float64, so what is left after it is taken away has a mean of its own."""
    points = 7e-4 + 1e-19 * torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    law, exact = Atoms(points), [[Fraction(x) for x in row] for row in points.tolist()]
    weights = [Fraction(w) for w in law.weights.tolist()]
    total = sum(weights)
    mean = [sum(w * row[k] for w, row in zip(weights, exact, strict=True)) / total for k in range(2)]
    for i in range(2):
        for j in range(2):
            terms = (w * (row[i] - mean[i]) * (row[j] - mean[j]) for w, row in zip(weights, exact, strict=True))
            assert float(law.cov[i, j]) == pytest.approx(float(sum(terms) / total), rel=1e-12)


ATOMS = Atoms([[-1.0], [0.5], [2.0]], [1, 2, 1])
GAUSSIAN = Gaussian([0.3], [[0.64]])
MIXTURE = GaussianMixture([1, 3], [[-1.0], [2.0]], [[[0.25]], [[0.0]]])


def test_kinds():
    for law, finite, gaussian in ((ATOMS, True, False), (GAUSSIAN, False, True), (MIXTURE, False, False)):
        posterior = law.posterior([0.4], 1.0)
        assert (law.finite, law.gaussian) == (posterior.finite, posterior.gaussian) == (finite, gaussian)
    assert ATOMS.atoms() is ATOMS


def test_finite_data_are_asked_for_in_one_line():
    for law in (GAUSSIAN, MIXTURE):
        posterior = law.posterior([0.4], 1.0)
        for ask in (
            law.atoms,
            posterior.atoms,
            lambda p=posterior: kl_family(p, 1.0),
            lambda p=posterior: tv_norm(p, 1.0),
        ):
            with pytest.raises(InputError, match="has a density") as raised:
                ask()
            assert "\n" not in str(raised.value)


def test_density_of_a_mixture():
    mixture = GaussianMixture([1, 3], [[-1.0], [2.0]], [[[0.25]], [[4.0]]])
    x = torch.tensor([[-3.0], [0.0], [5.0]], dtype=torch.float64)
    expected = 0.25 * stats.norm.pdf(x, -1, 0.5) + 0.75 * stats.norm.pdf(x, 2, 2)
    torch.testing.assert_close(mixture.log_prob(x).exp(), torch.from_numpy(expected)[:, 0], rtol=1e-14, atol=0)
    for law in (ATOMS, MIXTURE):
        with pytest.raises(InputError, match="no density"):
            law.log_prob(x)


def test_parts_on_a_line():
    parts = {"atoms": ATOMS.line_parts(), "Gaussian": GAUSSIAN.line_parts(), "mixture": MIXTURE.line_parts()}
    assert {name: [column.tolist() for column in columns] for name, columns in parts.items()} == {
        "atoms": [[-1.0, 0.5, 2.0], [0.0, 0.0, 0.0], [0.25, 0.5, 0.25]],
        "Gaussian": [[0.3], [0.64], [1.0]],
        "mixture": [[-1.0, 2.0], [0.25, 0.0], [0.25, 0.75]],
    }
    for law in (
        Atoms([[0.0, 1.0]]),
        Gaussian([0.0, 0.0], torch.eye(2)),
        GaussianMixture([1], [[0.0, 0.0]], [torch.eye(2).tolist()]),
    ):
        with pytest.raises(InputError, match="data in 2 dimensions"):
            law.line_parts()


def test_an_atom_whose_weight_underflows_still_makes_the_last_step_infinite():
    """Its log weight is −800, so that its weight is 0 as a float; KL to the point is infinite all the same, and so are its bounds."""
    posterior = Atoms([[0.0], [40.0]]).posterior([0.0], 1.0)
    assert float(posterior.weights[0, 1]) == 0 and float(posterior.log_weights[0, 1]) == pytest.approx(-800)
    assert torch.isinf(to_point(posterior).value).all()
    bounds = evaluate_ladder(posterior, torch.inf)
    assert all(
        float(value) == (1 if name in ("tv_norm_bound", "tv_family_bound") else torch.inf)
        for name, value in bounds.items()
    )


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (torch.tensor([[1 + 2j]]), "points: holds complex numbers"),
        (np.array([[1 + 2j]]), "points: holds complex numbers"),
        ([[1 + 2j]], "points: holds complex numbers"),
        (torch.eye(2).to_sparse(), "points: a sparse"),
        (torch.empty(2, 2, device="meta"), "points: a sparse, quantised or meta"),
        ([["a"]], "points: not an array of numbers"),
        ([[10**400]], "points: not an array of numbers"),
    ],
)
def test_what_is_no_array_of_real_numbers_is_refused(points, words):
    """Complex points lost their imaginary part, and sparse ones ended in an error of torch's."""
    with pytest.raises(InputError, match=words):
        Atoms(points)


def test_bytes_are_held_as_bytes_and_stand_for_the_numbers_of_the_loaders():
    images = torch.randint(0, 256, (300, 2, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    weights = torch.rand(300, generator=torch.Generator().manual_seed(1))
    law, doubles = Atoms.of_bytes(images.numpy(), weights), Atoms(images.flatten(1).double() / 127.5 - 1, weights)
    assert law._points.stored.dtype == torch.uint8 and law._points.stored.nbytes == 1800
    z, snr = torch.randn(4, 6, generator=torch.Generator().manual_seed(2)), torch.tensor([0.0, 0.1, 3.0, 500.0])
    one, other = law.posterior(z, snr, tol=1e-12), doubles.posterior(z, snr, tol=1e-12)
    assert bool(((one.mean - other.mean).norm(dim=1) <= one.error_bound + other.error_bound).all())
    torch.testing.assert_close(law.subset(torch.arange(7)).points, doubles.points[:7], rtol=0, atol=0)
    torch.testing.assert_close(law.mean, doubles.mean)


def test_bytes_stay_bytes_on_another_device(tmp_path):
    """They became eight times as large on their way, and lay in float64 where they arrived."""
    images = torch.randint(0, 256, (9, 2, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    law = Atoms.of_bytes(images, [0, *range(8)]).to("cpu")
    assert law._points.stored.dtype == torch.uint8 and torch.equal(law._points.stored, images.flatten(1))
    torch.testing.assert_close(law.weights, torch.arange(-1, 8).clamp(min=0).double() / 28)
    np.save(tmp_path / "images.npy", images.numpy())
    held = sources.mapped(tmp_path / "images.npy").law.to("cpu")
    (tmp_path / "images.npy").write_bytes(b"")
    assert held._points.file is None and torch.equal(held.points, law.points)


@pytest.mark.parametrize("kind", ["one", "equal", "one level", "one number", "transposed", "read only"])
def test_bytes_of_any_kind_answer_as_numbers_do(kind, tmp_path):
    images = torch.randint(0, 256, (80, 3, 2), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    if kind == "one":
        images = images[:1]
    elif kind == "equal":
        images = images[:1].expand(80, 3, 2)
    elif kind == "one level":
        images = torch.full((80, 3, 2), 7, dtype=torch.uint8)
    elif kind == "one number":
        images = images[:, 0, :1]
    elif kind == "transposed":
        images = images.transpose(0, 1)
    doubles = Atoms(images.flatten(1).double() / 127.5 - 1)
    if kind == "read only":
        np.save(tmp_path / "images.npy", images.numpy())
        images = np.load(tmp_path / "images.npy", mmap_mode="r")
    law = Atoms.of_bytes(images)
    snr = torch.tensor([0.0, 1e-3, 0.5, 40.0, 1e6]).double()
    z = snr.sqrt()[:, None] * doubles.points[0] + torch.linspace(-1, 1, 5).double()[:, None]
    one, other = law.posterior(z, snr), doubles.posterior(z, snr)
    assert bool(((one.mean - other.mean).norm(dim=1) <= one.error_bound + other.error_bound).all())
    assert torch.equal(law.points, doubles.points)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(3, 4), "images: hold float32; give uint8, 0 to 255"),
        (np.zeros((3, 4), dtype=np.int16), "images: hold int16"),
        ([[0, 255]], "images: hold int64"),
        (torch.zeros(0, 4, dtype=torch.uint8), r"images of shape \(0, 4\): need rows"),
        (torch.zeros(4, dtype=torch.uint8), r"images of shape \(4,\): need rows"),
        ([["a"]], "images: not an array of numbers"),
        (torch.empty(2, 2, device="meta", dtype=torch.uint8), "images: a sparse or meta tensor"),
    ],
)
def test_what_is_no_bytes_is_refused(images, words):
    with pytest.raises(InputError, match=words) as caught:
        Atoms.of_bytes(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("z", "snr", "words"),
    [
        (["a"], 1.0, "query z"),
        ([1j], 1.0, "query z"),
        ([0.0], None, "snr"),
        ([0.0], "much", "snr"),
        (torch.zeros(1, device="meta"), 1.0, "query z"),
    ],
)
def test_queries_that_are_no_numbers_are_refused(z, snr, words):
    for law in (Atoms([[0.0], [1.0]]), Gaussian([0.0], [[1.0]])):
        with pytest.raises(InputError, match=words):
            law.posterior(z, snr)


def test_points_that_carry_a_gradient_are_taken_without_it():
    law = Atoms(torch.tensor([[0.0], [1.0]], requires_grad=True), torch.ones(2, requires_grad=True))
    assert float(law.posterior([0.5], 1.0).mean) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "law",
    [Atoms([[0.0], [1.0]]), Gaussian([0.0], [[1.0]]), GaussianMixture([1, 1], [[0.0], [1.0]], [[[1.0]], [[2.0]]])],
)
def test_no_draws_and_fewer(law):
    posterior = law.posterior([[0.0], [1.0]], 0.5)
    assert law.sample(0).shape == (0, 1) and posterior.sample(0).shape == (2, 0, 1)
    for sample in (law.sample, posterior.sample):
        with pytest.raises(InputError, match="-1 draws: must not be negative"):
            sample(-1)


def test_the_nearest_of_none():
    with pytest.raises(InputError, match="0 nearest atoms"):
        Atoms([[0.0], [1.0]]).posterior([0.0], 1.0).nearest(0)


@pytest.mark.parametrize("ragged", [[[0.0], [1.0, 2.0]], [torch.ones(1, requires_grad=True), torch.ones(1)], [["a"]]])
def test_what_no_array_can_be_made_of_is_one_line(ragged):
    for make in (Atoms, lambda values: Gaussian([0.0], values)):
        with pytest.raises(InputError, match=r"^(points|cov): not an array of numbers \([^\n]*\)$"):
            make(ragged)


def test_a_complex_covariance_keeps_no_silence():
    with pytest.raises(InputError, match="cov: holds complex numbers"):
        Gaussian([0.0], [[1 + 1j]])


@pytest.mark.parametrize("seed", range(8))
def test_a_covariance_that_is_singular_but_for_rounding_has_no_density(seed):
    columns = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    flat = columns @ columns.mT  # of rank four, with an eigenvalue of 1e-16 or -1e-16 for the fifth
    law = Gaussian(torch.zeros(5), flat)
    for of in (law, GaussianMixture([0.5, 0.5], torch.zeros(2, 5), torch.stack([torch.eye(5).double(), flat]))):
        with pytest.raises(InputError, match="singular"):
            of.log_prob(torch.ones(1, 5))


def test_small_variances_along_the_axes_have_a_density():
    law = Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1e-30]])
    expected = -math.log(2 * math.pi) + 15 * math.log(10) - 1 / 2 - 2  # x is one and two deviations away
    assert float(law.log_prob(torch.tensor([[1.0, 2e-15]], dtype=torch.float64))) == pytest.approx(expected, rel=1e-12)

"""Starts and where the flow carries them: C5 to C7."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from singtheory import Atoms, Cosine, Discrete, Gaussian, GaussianMixture, InputError
from singtheory.grid.grids import uniform_log_snr
from singtheory.sampler import ODE, exact_denoiser
from singtheory.schedule.schedules import STABLE_DIFFUSION
from singtheory.start import starts
from tests.support.strategies import examples, wild_atoms

ALPHA, SIGMA = 0.6, 0.8
POSITIVE = st.floats(0.05, 50.0)
SIGNED = st.floats(-3.0, 3.0)


def _affine(function, dim: int) -> tuple[Tensor, Tensor]:
    """Offset (d,) and matrix (d, d) of an affine function of rows."""
    arrivals = function(torch.cat([torch.zeros(1, dim, dtype=torch.float64), torch.eye(dim, dtype=torch.float64)]))
    return arrivals[0], arrivals[1:] - arrivals[0]


def _gaussian(dim: int = 5, seed: int = 0) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(dim, dim, dtype=torch.float64, generator=generator)
    return Gaussian(torch.randn(dim, dtype=torch.float64, generator=generator), 3 * root @ root.mT)


def test_mean_start_has_the_mean_of_q_t_and_the_variance_of_noise():
    law = _gaussian()
    offset, matrix = _affine(lambda n: starts.mean_start(n, law.mean, ALPHA, SIGMA), law.dim)
    assert torch.allclose(offset, ALPHA * law.mean, rtol=0, atol=1e-14)
    assert torch.allclose(matrix, SIGMA * torch.eye(law.dim, dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_matched_start_has_the_variance_of_q_t_along_every_component_and_of_noise_across(rank):
    law = _gaussian()
    components = starts.principal_components(law, rank)
    offset, matrix = _affine(lambda n: starts.matched_start(n, law.mean, components, ALPHA, SIGMA), law.dim)
    start_cov, q_cov = matrix.mT @ matrix, ALPHA**2 * law.cov + SIGMA**2 * torch.eye(law.dim, dtype=torch.float64)
    inside = components.basis.mT @ components.basis
    outside = torch.eye(law.dim, dtype=torch.float64) - inside
    assert torch.allclose(offset, ALPHA * law.mean, rtol=0, atol=1e-13)
    assert torch.allclose(inside @ start_cov, inside @ q_cov, rtol=0, atol=1e-12)
    assert torch.allclose(outside @ start_cov, SIGMA**2 * outside, rtol=0, atol=1e-12)


def test_full_rank_matched_start_of_gaussian_data_is_the_exact_law_and_arrives_as_the_data():
    law = _gaussian()
    components = starts.principal_components(law, law.dim)
    means = components.basis @ law.mean
    var = components.std**2
    arrivals = starts.flow_end(ALPHA * means, ALPHA**2 * var + SIGMA**2, ALPHA, SIGMA, means, var)
    assert torch.allclose(arrivals[0], means, rtol=1e-13)
    assert torch.allclose(arrivals[1], var, rtol=1e-13)


def test_exact_start_is_noised_data():
    noise, data = torch.ones(2, 3, dtype=torch.float64), torch.full((2, 3), 5.0, dtype=torch.float64)
    assert torch.equal(starts.exact_start(noise, data, ALPHA, SIGMA), ALPHA * data + SIGMA * noise)


def test_noise_start_is_the_noise():
    noise = torch.randn(2, 3)
    assert starts.noise_start(noise) is noise


def test_every_start_is_right_at_the_singular_end():
    """At α = 0 and σ = 1 nothing of the data is left, so that all four agree (C5)."""
    law, noise = _gaussian(), torch.randn(4, 5, dtype=torch.float64)
    components = starts.principal_components(law, 2)
    assert torch.equal(starts.mean_start(noise, law.mean, 0.0, 1.0), noise)
    assert torch.allclose(starts.matched_start(noise, law.mean, components, 0.0, 1.0), noise, rtol=0, atol=1e-15)
    assert torch.equal(starts.exact_start(noise, law.sample(4), 0.0, 1.0), noise)


def test_starts_take_images_and_a_mean_and_a_spread_for_each_sample():
    noise = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    mean = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(32, 2, dtype=torch.float64))[0].mT
    std = torch.rand(3, 2, dtype=torch.float64)
    images = starts.matched_start(noise, mean, starts.Components(basis.reshape(2, 2, 4, 4), std), ALPHA, SIGMA)
    for i in range(3):
        row = starts.matched_start(
            noise[i].reshape(1, -1), mean[i].flatten(), starts.Components(basis, std[i]), ALPHA, SIGMA
        )
        assert torch.allclose(images[i].flatten(), row[0], rtol=0, atol=1e-14)


@settings(max_examples=examples(20))
@given(mean=SIGNED, var=POSITIVE, start_mean=SIGNED, start_std=POSITIVE)
def test_flow_end_is_where_the_flow_of_gaussian_data_ends(mean, var, start_mean, start_std):
    """Two starts, one standard deviation apart, through a fine flow: their mean and distance are C7's."""
    schedule = Cosine()
    t, law = 0.8, Gaussian([mean], [[var]])
    times = torch.cat(
        [uniform_log_snr(schedule, 150, float(schedule.snr(t)), 1e6), torch.zeros(1, dtype=torch.float64)]
    )
    x = torch.tensor([[start_mean], [start_mean + start_std]], dtype=torch.float64)
    end = ODE(schedule).sample(exact_denoiser(law, schedule), x, times)[:, 0]
    limits = (float(schedule.alpha(t)), float(schedule.sigma(t)), mean, torch.tensor(var, dtype=torch.float64))
    m, v = starts.flow_end(start_mean, start_std**2, *limits)
    scale = math.sqrt(var) * (1 + start_std + abs(start_mean)) + abs(mean)
    assert abs(float(end[0] - m)) < 2e-3 * scale
    assert abs(float(end[1] - end[0] - v.sqrt())) < 2e-3 * scale


def test_twins_of_the_brightness_law_are_refuted():
    """The near falsehoods of C7: a ratio of variances `1/√` and the posterior mean's slope `αλ/(α²λ+σ²)`."""
    law, schedule = Gaussian([0.0], [[4.0]]), Cosine()
    alpha, sigma = map(float, schedule(0.8))
    times = torch.cat([uniform_log_snr(schedule, 400, (alpha / sigma) ** 2, 1e8), torch.zeros(1, dtype=torch.float64)])
    slope = float(ODE(schedule).sample(exact_denoiser(law, schedule), torch.ones(1, 1), times))
    _, var = starts.flow_end(0.0, 1.0, alpha, sigma, 0.0, torch.tensor(4.0, dtype=torch.float64))
    marginal = alpha**2 * 4 + sigma**2
    assert slope**2 == pytest.approx(float(var), rel=1e-3)
    assert slope**2 != pytest.approx(4 / math.sqrt(marginal), rel=0.01)
    assert slope != pytest.approx(4 * alpha / marginal, rel=0.01)


@given(var=POSITIVE, start_std=st.floats(0.1, 3.0))
def test_spread_ratio_is_the_final_over_the_true_deviation(var, start_std):
    eigenvalue = torch.tensor(var, dtype=torch.float64)
    _, end_var = starts.flow_end(0.0, start_std**2, ALPHA, SIGMA, 0.0, eigenvalue)
    ratio = starts.spread_ratio(ALPHA, SIGMA, eigenvalue, start_std)
    assert float(ratio) == pytest.approx(math.sqrt(float(end_var) / var), rel=1e-12)


def test_quantile_end_keeps_quantiles_of_atoms():
    values = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    x = torch.linspace(-5, 6, 4001, dtype=torch.float64)
    arrivals = starts.quantile_end(x, values, weights, ALPHA, SIGMA)
    density = sum(w * torch.exp(-((x - ALPHA * v) ** 2) / (2 * SIGMA**2)) for w, v in zip(weights, values, strict=True))
    for value, weight in zip(values, weights, strict=True):
        assert float(density[arrivals == value].sum() / density.sum()) == pytest.approx(float(weight), abs=2e-3)
    assert bool((arrivals.diff() >= 0).all())


@pytest.mark.parametrize("middle", [-1.0, 0.5, 2.0])
@settings(max_examples=examples(5))
@given(weight=st.floats(0.05, 0.95))
def test_quantile_end_is_where_the_flow_of_atoms_ends(middle, weight):
    """In one dimension the flow keeps quantiles for any law: an ODE sampler must agree, but at the boundaries."""
    law = Atoms([[-2.0], [middle], [3.0]], [weight / 2, 1 - weight, weight / 2])
    schedule = Cosine()
    alpha, sigma = map(float, schedule(0.7))
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    expected = starts.quantile_end(x, law.points[:, 0], law.weights, alpha, sigma)
    far = (expected.roll(1) == expected) & (expected.roll(-1) == expected)
    times = torch.cat([uniform_log_snr(schedule, 100, (alpha / sigma) ** 2, 1e4), torch.zeros(1, dtype=torch.float64)])
    arrivals = ODE(schedule).sample(exact_denoiser(law, schedule), x[far, None], times)
    assert torch.allclose(arrivals[:, 0], expected[far], rtol=0, atol=1e-6)


def test_quantile_end_finds_the_middle_between_far_clusters():
    """Equal atoms 30 standard deviations apart, where `F_t` is flat to the last digit: the boundary is half way."""
    values, weights = torch.tensor([0.0, 40.0], dtype=torch.float64), torch.full((2,), 0.5, dtype=torch.float64)
    arrivals = starts.quantile_end(torch.tensor([11.9, 12.1], dtype=torch.float64), values, weights, ALPHA, SIGMA)
    assert arrivals.tolist() == [0.0, 40.0]


@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.01, 1e-3, 1e-6])
def test_quantile_end_beyond_all_tails(sigma):
    """Half-way between two atoms of weights ½ the flow parts, however little noise there is: x = 1.4 ends at 2, at 38σ as at 38,000σ."""
    x = torch.tensor([-5.0, 0.6, 0.999, 1.001, 1.4, 2.0, 9.0], dtype=torch.float64)
    values, half = torch.tensor([0.0, 2.0], dtype=torch.float64), torch.full((2,), 0.5, dtype=torch.float64)
    assert starts.quantile_end(x, values, half, 1.0, sigma).tolist() == [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("sigma", [0.05, 1e-3])
def test_a_rare_atom_moves_the_boundary_by_its_weight(sigma):
    """Between 0 and 2, of weights 1 − w and w, the boundary lies where the tails are equal: at `1 − σ² log((1 − w)/w)/2` to leading order; by mpmath."""
    w = 1e-30
    values, weights = (
        torch.tensor([2.0, 0.0, 7.0], dtype=torch.float64),
        torch.tensor([w, 1 - w, 0.0], dtype=torch.float64),
    )
    with mpmath.workdps(60):
        high = mpmath.findroot(
            lambda x: mpmath.log(1 - mpmath.mpf(w)) + mpmath.log(mpmath.ncdf(-x / sigma)) - mpmath.log(w) - mpmath.log(mpmath.ncdf((x - 2) / sigma)),
            (0.9, 1.1), solver="anderson",
        )  # fmt: skip
    x = torch.tensor([float(high) - 1e-6, float(high) + 1e-6], dtype=torch.float64)
    assert starts.quantile_end(x, values, weights, 1.0, sigma).tolist() == [0.0, 2.0]


@given(wild_atoms(dims=(1,)), st.floats(-3, 3), st.floats(-8, 1).map(lambda e: 10.0**e))
@settings(deadline=None, max_examples=examples(40))
def test_quantile_end_is_the_quantile_of_hostile_laws(law, off, sigma):
    """`F_0⁻¹(F_t(x))` by mpmath, between those of starts and weights that are off by the roundings that it states."""
    values, weights = law.points[:, 0], law.weights
    x = values[0] + off * sigma
    actual = float(starts.quantile_end(x[None], values, weights, 1.0, sigma))
    low, high = (_quantile_end(values.tolist(), weights.tolist(), float(x), sigma, side) for side in (-1, 1))
    assert low <= actual <= high


def _quantile_end(values: list[float], weights: list[float], x: float, sigma: float, side: int) -> float:
    """The first atom whose mass, with those below it, above x is at least that of the others below x; each rounded down or up as `side` says."""
    with mpmath.workdps(40):
        tails = []
        for y, w in sorted(zip(values, weights, strict=True)):
            if w > 0:
                distance = (mpmath.mpf(x) - mpmath.mpf(y) + side * mpmath.ldexp(abs(x) + abs(y), -50)) / sigma
                tails.append((y, w * mpmath.ncdf(-distance), w * mpmath.ncdf(distance)))
        for k, (y, _, _) in enumerate(tails):
            above, below = mpmath.fsum(t[1] for t in tails[: k + 1]), mpmath.fsum(t[2] for t in tails[k + 1 :])
            if above >= below * (1 + side * mpmath.mpf("1e-13")):
                return y
    raise AssertionError("the last atom has all mass below it")


@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_quantile_end_of_single_precision_is_that_of_its_numbers(kind):
    """x lies on either side of the boundary between the two by less than float32 has of `x − αy`."""
    x, values, half = (torch.tensor(v, dtype=kind) for v in ([1000.0], [1000.0, 1000.5], [0.5, 0.5]))
    for alpha, expected in ((1 - 1e-9, 1000.5), (1 + 1e-9, 1000.0)):
        assert starts.quantile_end(x, values, half, alpha * 1000 / 1000.25, 1e-2).tolist() == [expected]


def test_quantile_spread_of_normal_data_is_the_law():
    quantiles = torch.special.ndtri((torch.arange(2000, dtype=torch.float64) + 0.5) / 2000)
    values = 7 * quantiles / quantiles.std(correction=0)
    ratio = starts.quantile_spread(0.0, 1.0, values, ALPHA, SIGMA)
    law = starts.spread_ratio(ALPHA, SIGMA, torch.tensor(49.0, dtype=torch.float64))
    assert float(ratio) == pytest.approx(float(law), rel=5e-3)


def test_quantile_spread_of_the_matched_start_over_three_far_clusters():
    """`√(0.5403/⅔)`: a normal law with the variance of three equal clusters sends 54 % of its mass to the outer two."""
    values = torch.tensor([-40.0, 0.0, 40.0], dtype=torch.float64)
    std = math.sqrt(float(values.var(correction=0)) * ALPHA**2 + SIGMA**2)
    outer = 2 * float(torch.special.ndtr(torch.tensor(-math.sqrt(3 / 8), dtype=torch.float64)))
    ratio = starts.quantile_spread(0.0, std, values, ALPHA, SIGMA, nodes=20001)
    assert float(ratio) == pytest.approx(math.sqrt(outer * 1.5), rel=1e-3)


def _decaying_atoms(n: int, dim: int) -> Atoms:
    generator = torch.Generator().manual_seed(1)
    scales = 3.0 ** -torch.arange(dim, dtype=torch.float64)
    points = torch.randn(n, dim, dtype=torch.float64, generator=generator) * scales + 1
    return Atoms(points, torch.rand(n, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize(("n", "dim"), [(40, 7), (7, 40), (12, 12)])
@pytest.mark.parametrize("dense", [0, starts.DENSE])
def test_principal_components_are_eigenvectors_of_the_covariance(n, dim, dense):
    law = _decaying_atoms(n, dim)
    components = starts.principal_components(law, 3, dense=dense)
    eigenvalues = torch.linalg.eigvalsh(law.cov).flip(0)[:3]
    assert torch.allclose(components.std**2, eigenvalues, rtol=1e-9)
    residual = components.basis @ law.cov - eigenvalues[:, None] * components.basis
    assert float(residual.norm()) < 1e-9 * float(eigenvalues[0])


@pytest.mark.parametrize(("n", "dim"), [(40, 7), (3, 7)])
def test_principal_axes_are_a_basis_that_begins_with_the_components(n, dim):
    """With fewer points than dimensions, too."""
    law = _decaying_atoms(n, dim)
    axes = starts.principal_axes(law)
    torch.testing.assert_close(axes @ axes.mT, torch.eye(dim, dtype=torch.float64), atol=1e-12, rtol=0)
    components = starts.principal_components(law, 2)
    torch.testing.assert_close((axes[:2] * components.basis).sum(dim=1).abs(), torch.ones(2, dtype=torch.float64))


def test_the_randomised_search_repeats_itself_and_leaves_the_global_generator_alone():
    law = _decaying_atoms(60, 50)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (starts.principal_components(law, 2, dense=10) for _ in range(2))
    assert torch.equal(first.basis, second.basis)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_principal_components_of_a_mixture():
    law = GaussianMixture([0.5, 0.5], [[-3.0, 0.0], [3.0, 0.0]], [torch.eye(2).tolist()] * 2)
    components = starts.principal_components(law, 1)
    assert float(components.std) == pytest.approx(math.sqrt(10), rel=1e-12)
    assert components.basis.abs().tolist()[0] == pytest.approx([1.0, 0.0], abs=1e-12)


def test_bad_input():
    law = Atoms([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    with pytest.raises(InputError, match="at least one direction"):
        starts.principal_components(law, 0)
    with pytest.raises(InputError, match="vary in 1 directions only"):
        starts.principal_components(law, 2)
    with pytest.raises(InputError, match="orthonormal"):
        starts.Components(torch.tensor([[1.0, 1.0]]), torch.ones(1))
    with pytest.raises(InputError, match="not negative"):
        starts.Components(torch.tensor([[1.0, 0.0]]), -torch.ones(1))
    with pytest.raises(InputError, match="one a direction"):
        starts.Components(torch.tensor([[1.0, 0.0]]), torch.ones(2))
    with pytest.raises(InputError, match="the noise has 3"):
        starts.matched_start(
            torch.ones(1, 3), torch.zeros(3), starts.Components(torch.tensor([[1.0, 0.0]]), torch.ones(1)), 0.5, 0.5
        )


def test_stable_diffusion_leaks_at_its_first_step():
    """The noise start of SD's leading grid shrinks a brightness of variance 1500 (32×32 RGB) to a third."""
    schedule = Discrete.from_config(STABLE_DIFFUSION)
    alpha, sigma = map(float, schedule(0.982))
    assert alpha == pytest.approx(0.0760, abs=5e-5)
    assert float(starts.spread_ratio(alpha, sigma, torch.tensor(1500.0))) == pytest.approx(0.323, abs=2e-3)


def test_normalised_guidance_keeps_the_condition_without_an_unconditional_average_only():
    """C8: `c` at u = 0 and at w = 1, `c/w` at u = c; bounded by `‖c‖ + (1 − 1/w)‖u‖`, however large w."""
    cond, zero = torch.tensor([[0.5, -2.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    for guidance in (1.0, 7.5, 1e6):
        assert torch.equal(starts.guided_mean(cond, zero, guidance), cond)
        torch.testing.assert_close(starts.guided_mean(cond, cond, guidance), cond / guidance, rtol=1e-9, atol=0)
        opposed = starts.guided_mean(cond, -cond, guidance)
        torch.testing.assert_close(opposed.norm(), (2 - 1 / guidance) * cond.norm())
    assert torch.equal(starts.guided_mean(cond, 3 * cond, 1.0), cond)
    assert starts.guided_mean(cond.expand(3, 2), 3 * cond, 2.0).shape == (3, 2)


@pytest.mark.parametrize("guidance", [0.25, 0.0, -1.0, math.inf, math.nan])
def test_normalised_guidance_needs_a_weight_of_at_least_one(guidance):
    with pytest.raises(InputError, match="weight of at least 1"):
        starts.guided_mean(torch.ones(2), torch.ones(2), guidance)


@pytest.mark.parametrize("shape", [(40, 3), (3, 40)])
@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_directions_of_very_different_units_are_found(shape, unit):
    """Standard deviations 1 and 1e-9: a Gram matrix knows variances to 1e-16 of the largest, and a cut at 1e-12 of it lost the second."""
    n, d = shape
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(k, 2, dtype=torch.float64, generator=generator))[0] for k in (n, d))
    left = torch.linalg.qr(left - left.mean(dim=0))[0]
    points = left * torch.tensor([1.0, 1e-9], dtype=torch.float64) * unit @ right.mT * n**0.5
    for actual in (starts.all_components(Atoms(points)), starts.principal_components(Atoms(points), 2)):
        assert actual.std.tolist() == pytest.approx([unit, 1e-9 * unit], rel=1e-5)
        assert (actual.basis @ right).abs().diagonal().tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_equal_points_vary_in_no_direction():
    """Far from the origin, where the mean itself is rounded."""
    law = Atoms(torch.full((7, 4), 1e8 / 3, dtype=torch.float64))
    assert len(starts.all_components(law).std) == 0
    with pytest.raises(InputError, match="vary in 0 directions only"):
        starts.principal_components(law, 1)


def test_many_dimensions_take_a_gram_matrix(monkeypatch):
    """The two ways agree on what is far above the rounding of the lesser one."""
    law = Atoms(torch.randn(30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    exact = starts.all_components(law)
    monkeypatch.setattr(starts, "_BY_SINGULAR_VALUES", 2)
    other = starts.all_components(law)
    torch.testing.assert_close(other.std, exact.std, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        (other.basis @ exact.basis.mT).abs(), torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(("skew", "fits"), [(5e-4, True), (2e-3, False), (0.1, False)])
def test_directions_are_orthonormal_to_three_digits(skew, fits):
    """As many as half-precision checkpoints keep, and no fewer."""
    basis = torch.tensor([[1.0, 0.0], [skew, (1 - skew**2) ** 0.5]], dtype=torch.float64)
    std = torch.ones(2, dtype=torch.float64)
    if fits:
        assert starts.Components(basis, std).std is std
    else:
        with pytest.raises(InputError, match="orthonormal"):
            starts.Components(basis, std)


def test_equal_data_have_no_spread_to_keep():
    with pytest.raises(InputError, match="no spread to keep"):
        starts.quantile_spread(0.0, 1.0, torch.ones(3, dtype=torch.float64), 0.5, 0.5)


@pytest.mark.parametrize(
    "law",
    [
        Atoms([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1e15, 1.0]], [1.0, 1.0, 2.0, 0.0]),
        Atoms([[9e23, 9e23], [9e23 + 2.0**32, 9e23], [9e23, 9e23 + 2.0**32]], [1.0, 1.0, 2.0]),
        Atoms([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1e15, 1e15]], [1.0, 1.0, 2.0, 1e-60]),
    ],
)
def test_directions_in_which_data_vary_are_told_wherever_they_lie(law):
    """A point without weight, or a distant origin, is no rounding of a variance: the weights are ¼, ¼, ½ at 0, e_1 and e_2."""
    assert len(starts.all_components(law).std) == len(starts.principal_components(law, 2).std) == 2
    scale = float((law.points[1] - law.points[0]).norm())
    variances = (starts.all_components(law).std / scale).square()
    expected = torch.linalg.eigvalsh(torch.tensor([[3 / 16, -1 / 8], [-1 / 8, 1 / 4]], dtype=torch.float64)).flip(0)
    assert torch.allclose(variances, expected, rtol=1e-12)

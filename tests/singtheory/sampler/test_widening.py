"""Matched reverse kernels: noise of the posterior's covariance, whatever is known of it (B5, B7, E3)."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from singtheory import Atoms, Cosine, Gaussian, InputError, RectifiedFlow, numerics, schedule_named
from singtheory.grid import by_density, cosine
from singtheory.kernel import ReverseKernel, bridge
from singtheory.sampler import DDPM, Diagonal, Exact, Lanczos, LowRank, Matched, exact_denoiser, jacobian_product
from tests.support.strategies import wild_atoms

SCHEDULES = [Cosine(), RectifiedFlow(), schedule_named("sd")]
PLANE = Atoms([[0.0, 0.0], [1.0, 0.2], [-0.3, 1.4]], [0.2, 0.5, 0.3])
STEEP = Gaussian([0.3, -0.1, 0.0], [[4.0, 0.5, 0.0], [0.5, 0.2, 0.0], [0.0, 0.0, 1.0]])


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _smooth(law: Atoms, schedule):
    """The exact denoiser in operations that have a forward mode."""

    def denoise(x_t: Tensor, t: float) -> Tensor:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        off = x_t[:, None] - alpha * law.points
        weights = (law.weights.log() - off.square().sum(-1) / (2 * sigma**2)).softmax(dim=1)
        return weights @ law.points

    return denoise


def _drawn_cov(widening, denoiser, x_t: Tensor, t: float, base: float, gain: float) -> Tensor:
    """The covariance of what a linear widening makes of noise, from unit vectors."""
    noise = torch.eye(x_t.shape[1], dtype=torch.float64)
    columns = widening(denoiser, x_t.expand(len(noise), -1), t, noise, base, gain)[1]
    return columns.mT @ columns


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("t_s", [(0.9, 0.6), (0.4, 0.1)])
def test_the_exact_widening_gives_the_covariance_of_the_kernel(schedule, t_s):
    """`c²I + b²C`, the covariance of `q(x_s|x_t)` itself as `kernel.moment_matched` has it (B5)."""
    t, s = t_s
    x_t = torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    step = ReverseKernel(PLANE, schedule, t, s).at(x_t)
    widening = Exact(PLANE, schedule)
    actual = _drawn_cov(widening, exact_denoiser(PLANE, schedule), x_t, t, step.bridge.var, step.bridge.b**2)
    assert torch.allclose(actual, step.moment_matched()[0].cov, rtol=1e-11, atol=1e-14)
    assert widening.work.evaluations == widening.work.draws == 2 and widening.work.products == 0


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_matched_steps_keep_the_law_of_gaussian_data(schedule, eta):
    """For Gaussian data the step is exact at every η: from `q_t` it ends in `q_s`, mean and covariance, by propagation through one step (E3)."""
    t, s = 0.8, 0.3
    sampler, denoiser = Matched(schedule, Exact(STEEP, schedule), eta), exact_denoiser(STEEP, schedule)
    alpha_t, sigma_t, alpha_s, sigma_s = (float(f(u)) for u in (t, s) for f in (schedule.alpha, schedule.sigma))
    unit = torch.eye(3, dtype=torch.float64)

    def mean_of(x_t: Tensor) -> Tensor:  # the same noise in every row, taken away below
        return sampler.step(denoiser, x_t, t, s, _generator())

    centre = (alpha_t * STEEP.mean).expand(3, -1)
    linear = mean_of(centre + unit) - mean_of(centre)  # rows: images of unit deviations
    kernel = bridge(schedule, t, s)
    kept = math.sqrt(sigma_s**2 - eta**2 * kernel.var)
    weight = alpha_s - alpha_t * kept / sigma_t
    fresh = _drawn_cov(sampler.widening, denoiser, centre[:1], t, eta**2 * kernel.var, weight**2)
    before = alpha_t**2 * STEEP.cov + sigma_t**2 * unit
    after = linear.mT @ before @ linear + fresh
    assert torch.allclose(after, alpha_s**2 * STEEP.cov + sigma_s**2 * unit, rtol=1e-10, atol=1e-12)


def test_a_step_of_no_posterior_variance_is_ddpm():
    denoiser, x_t = exact_denoiser(PLANE, Cosine()), torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    none = Diagonal(Cosine(), lambda snr: torch.zeros(1, dtype=torch.float64))
    same = Matched(Cosine(), none).step(denoiser, x_t, 0.7, 0.4, _generator())
    assert torch.equal(same, DDPM(Cosine()).step(denoiser, x_t, 0.7, 0.4, _generator()))


@given(law=wild_atoms(), t=st.floats(0.05, 1.0), share=st.just(0.0) | st.floats(1e-140, 0.95))
def test_hostile_laws_give_finite_steps(law, t, share):
    """Far, near, equal and rare atoms; also from t = 1 and to s = 0; what lies between 0 and where γ overflows is refused."""
    x_t = law.points[:2] * float(Cosine().alpha(t))
    actual = Matched(Cosine(), Exact(law, Cosine())).step(
        exact_denoiser(law, Cosine()), x_t, t, share * t, _generator()
    )
    assert bool(torch.isfinite(actual).all())


def test_a_step_to_zero_draws_the_posteriors_covariance():
    """There c = 0: what is drawn has the variance b² C = α_0² C around x̂, where DDPM returns x̂ alone (D3, F11)."""
    x_t = torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    posterior = PLANE.posterior(x_t / Cosine().sigma(0.5), Cosine().snr(0.5))
    rows = x_t.expand(40_000, -1)
    widening = Diagonal(Cosine(), lambda snr: posterior.trace_cov / 2)
    actual = Matched(Cosine(), widening).step(lambda x, t: posterior.mean.expand_as(x), rows, 0.5, 0.0, _generator())
    assert float((actual - posterior.mean).var(dim=0).sum()) == pytest.approx(float(posterior.trace_cov), rel=0.02)


# --- Lanczos ----------------------------------------------------------------------------------------------------------


def test_as_many_products_as_dimensions_are_exact():
    """With k = d the space is everything: `f(C) n` to rounding, the Jacobian being `α/σ² C` (second Tweedie)."""
    schedule, t = Cosine(), 0.6
    law = Atoms(torch.randn(12, 5, dtype=torch.float64, generator=_generator()))
    x_t, noise = (torch.randn(7, 5, dtype=torch.float64, generator=_generator(seed)) for seed in (1, 2))
    expected = Exact(law, schedule)(exact_denoiser(law, schedule), x_t, t, noise, 0.3, 0.7)
    lanczos = Lanczos(schedule, 5)
    actual = lanczos(_smooth(law, schedule), x_t, t, noise, 0.3, 0.7)
    for one, other in zip(actual, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-10)
    assert lanczos.work.products == 35 and lanczos.work.evaluations == 0 and lanczos.work.negative == 0


def test_the_error_falls_with_every_product():
    schedule, t = Cosine(), 0.5
    law = Atoms(torch.randn(30, 12, dtype=torch.float64, generator=_generator()) * torch.logspace(0, -1, 12))
    x_t, noise = (torch.randn(20, 12, dtype=torch.float64, generator=_generator(seed)) for seed in (1, 2))
    exact = Exact(law, schedule)(exact_denoiser(law, schedule), x_t, t, noise, 1.0, 9.0)[1]
    errors = [
        float((Lanczos(schedule, k)(_smooth(law, schedule), x_t, t, noise, 1.0, 9.0)[1] - exact).norm())
        for k in (1, 2, 4, 8)
    ]
    assert all(after < 0.7 * before for before, after in pairwise(errors))


def test_finite_differences_serve_if_asked_for():
    schedule, t = Cosine(), 0.6
    law = Atoms(torch.randn(12, 4, dtype=torch.float64, generator=_generator()))
    x_t, noise = (torch.randn(6, 4, dtype=torch.float64, generator=_generator(seed)) for seed in (1, 2))
    mean, drawn = Lanczos(schedule, 3)(_smooth(law, schedule), x_t, t, noise, 0.3, 0.7)
    lanczos = Lanczos(schedule, 3, difference=1e-5)
    by_difference = lanczos(_smooth(law, schedule), x_t, t, noise, 0.3, 0.7)
    assert torch.allclose(by_difference[0], mean) and torch.allclose(by_difference[1], drawn, rtol=1e-3, atol=1e-4)
    assert lanczos.work.evaluations == lanczos.work.products == 18


def test_a_jacobian_that_is_not_positive_falls_back_and_is_counted():
    """x̂ = −x: C would be −σ²/α I. Nothing is added to the base then, and every sample counts; of a mixed Jacobian only what is negative is left out."""
    schedule, t = Cosine(), 0.5
    x_t = torch.ones(3, 2, dtype=torch.float64)
    noise = torch.randn(3, 2, dtype=torch.float64, generator=_generator())
    lanczos = Lanczos(schedule, 2)
    assert torch.allclose(lanczos(lambda x, t: -x, x_t, t, noise, 0.25, 1.0)[1], 0.5 * noise)
    assert lanczos.work.negative == lanczos.work.draws == 3
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    factor = float(schedule.sigma(t) ** 2 / schedule.alpha(t))
    drawn = lanczos(lambda x, t: signs * x, x_t, t, noise, 0.25, 1.0)[1]
    expected = noise * torch.tensor([(0.25 + factor) ** 0.5, 0.5], dtype=torch.float64)
    assert torch.allclose(drawn, expected) and lanczos.work.negative == 6


def test_an_asymmetric_jacobian_is_made_symmetric_in_its_space():
    matrix = torch.randn(4, 4, dtype=torch.float64, generator=_generator())
    matrix = matrix @ matrix.mT + 0.3 * torch.randn(4, 4, dtype=torch.float64, generator=_generator(1))
    schedule, t = Cosine(), 0.5
    noise = torch.randn(5, 4, dtype=torch.float64, generator=_generator(2))
    drawn = Lanczos(schedule, 4)(lambda x, t: x @ matrix.mT, torch.zeros(5, 4).double(), t, noise, 0.5, 1.0)[1]
    values, vectors = torch.linalg.eigh(float(schedule.sigma(t) ** 2 / schedule.alpha(t)) * (matrix + matrix.mT) / 2)
    root = vectors * (0.5 + values.clamp(min=0)).sqrt() @ vectors.mT
    assert torch.allclose(drawn, noise @ root, rtol=1e-9)


def test_a_space_that_ends_early_is_exact():
    """A Jacobian of one direction: two products span all that it does, and further ones add nothing."""
    along = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    actual = numerics.krylov(lambda v: (v @ along)[:, None] * along, torch.ones(2, 3, dtype=torch.float64), 3)
    root = torch.eye(3, dtype=torch.float64) + (2**0.5 - 1) * along[:, None] * along
    assert torch.allclose(actual.apply(lambda ritz: (1 + ritz).sqrt()), torch.ones(2, 3, dtype=torch.float64) @ root)
    zero = numerics.krylov(lambda v: v, torch.zeros(1, 3, dtype=torch.float64), 2)
    assert torch.equal(zero.apply(lambda ritz: (1 + ritz).sqrt()), torch.zeros(1, 3, dtype=torch.float64))


# --- variances that do not depend on x_t ------------------------------------------------------------------------------


def test_low_rank_has_its_variances_along_its_directions():
    basis = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64, generator=_generator()))[0].mT
    widening = LowRank(Cosine(), basis, lambda snr: torch.tensor([4.0, 1.0, 0.5], dtype=torch.float64))
    actual = _drawn_cov(widening, lambda x, t: x, torch.zeros(1, 5, dtype=torch.float64), 0.5, 0.1, 2.0)
    rest = torch.eye(5, dtype=torch.float64) - basis.mT @ basis
    expected = 0.1 * torch.eye(5) + 2 * (basis.mT @ torch.diag(torch.tensor([4.0, 1.0]).double()) @ basis + 0.5 * rest)
    assert torch.allclose(actual, expected)


def test_bad_input():
    x_t, noise = torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    ones = Diagonal(Cosine(), lambda snr: torch.ones(1))
    for eta in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(InputError, match=r"eta .*take DDIM"):
            Matched(Cosine(), ones, eta)
    with pytest.raises(InputError, match=r"basis: .*orthonormal.*qr"):
        LowRank(Cosine(), torch.ones(2, 3), lambda snr: torch.ones(3))
    with pytest.raises(InputError, match="k \\+ 1 variances"):
        LowRank(Cosine(), torch.eye(3)[:1], lambda snr: torch.ones(3))(lambda x, t: x, x_t, 0.5, noise, 1.0, 1.0)
    with pytest.raises(InputError, match="negative numbers or NaN"):
        Diagonal(Cosine(), lambda snr: -torch.ones(1))(lambda x, t: x, x_t, 0.5, noise, 1.0, 1.0)
    with pytest.raises(InputError, match="at least one"):
        Lanczos(Cosine(), 0)
    with pytest.raises(InputError, match="positive and finite"):
        Lanczos(Cosine(), 1, difference=0.0)
    with pytest.raises(InputError, match=r"t = 1.*start and leave within"):
        Lanczos(Cosine(), 1)(lambda x, t: x, x_t, 1.0, noise, 1.0, 1.0)
    with pytest.raises(InputError, match="not finite"):
        Lanczos(Cosine(), 1)(lambda x, t: x * math.nan, x_t, 0.5, noise, 1.0, 1.0)


class _Backward(torch.autograd.Function):
    """An operation that has no forward mode."""

    @staticmethod
    def forward(x):
        return 2 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass


@pytest.mark.parametrize(
    "denoiser", [lambda x, t: _Backward.apply(x), lambda x, t: x.detach() * 0 + 1], ids=["no forward mode", "constant"]
)
def test_a_denoiser_without_forward_mode_says_so_in_one_line(denoiser):
    """Instead of noise that silently lacks the covariance; finite differences are taken where they are asked for, and only there."""
    x_t = torch.ones(2, 3, dtype=torch.float64)
    with pytest.raises(InputError, match=r"^denoiser: not differentiable in forward mode .*difference=0.01$"):
        jacobian_product(denoiser, x_t, 0.5, x_t)
    actual = Lanczos(Cosine(), 1, difference=0.01)(denoiser, x_t, 0.5, x_t, 1.0, 1.0)
    assert bool(torch.isfinite(actual[1]).all())


# --- grids ------------------------------------------------------------------------------------------------------------


def test_a_grid_by_density_has_equal_steps_of_its_integral():
    snr = torch.linspace(0, 4, 401, dtype=torch.float64)
    actual = RectifiedFlow().snr(by_density(RectifiedFlow(), 8, snr, 1 / (1 + snr)))
    expected = torch.expm1(torch.linspace(0, math.log(5), 9, dtype=torch.float64))
    assert torch.allclose(actual, expected, rtol=1e-4)
    assert float(actual[0]) == 0 and float(actual[-1]) == pytest.approx(4)
    for bad in (snr.flip(0), snr - 1):
        with pytest.raises(InputError, match="snr"):
            by_density(RectifiedFlow(), 8, bad, 1 + 0 * snr)
    for bad in (snr - 1, 0 * snr, snr * math.nan, snr[1:]):
        with pytest.raises(InputError, match="density"):
            by_density(RectifiedFlow(), 8, snr, bad)


def test_matched_samples_keep_the_spread_that_ancestral_ones_lose():
    """Gaussian data in few steps: a matched chain ends with the right variance, an ancestral one with much less (F9, E3)."""
    law, schedule = Gaussian([0.0], [[9.0]]), Cosine()
    times = cosine(schedule, 4, 1e-4, 100.0)
    x = torch.randn(20_000, 1, dtype=torch.float64, generator=_generator())
    samples = {
        name: sampler.sample(exact_denoiser(law, schedule), x, times, _generator(1)).var()
        for name, sampler in (("matched", Matched(schedule, Exact(law, schedule))), ("ddpm", DDPM(schedule)))
    }
    right = float(schedule.alpha(times[-1])) ** 2 * 9 + float(schedule.sigma(times[-1])) ** 2
    assert float(samples["matched"]) == pytest.approx(right, rel=0.03)
    assert float(samples["ddpm"]) < 0.8 * right

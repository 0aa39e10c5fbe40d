r"""The two ends of time: denoiser, predictions, score and drift as functions of t, with their limits at t = 1 and t = 0.

At t = 1 with `α_1 = 0` the singularity is removable: `ε*(x, 1) = x/σ_1` makes `(x − σε*)/α` a 0/0 with the limit `μ` (C2), and the
denoiser is `μ + (α/σ²) Σ x + O(α²)` (C1). At t = 0 it is inherent for atoms: the denoiser becomes the nearest atom (D1) and the score
diverges like `dist/σ²` (D2).

The exact posterior is regular at γ = 0 and takes moments alone where their proven remainder allows it (`engine`), so that no function of time
here switches between formulas.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.errors import InputError
from singtheory.law import Atoms, AtomsPosterior, Gaussian, Law
from singtheory.schedule import Schedule, Time, as_time, snr_of_posterior

_CHUNK = 2**20
"""Numbers that are worked on with twice the digits at once."""
_MARGIN_ERROR = 2.0**-96
"""What is lost of a margin with twice the digits, relative to the sizes of its terms: some 2⁻¹⁰⁴ in each of fewer than a hundred operations that follow one another."""


def denoiser(law: Law, schedule: Schedule, x_t: Tensor, t: Time) -> Tensor:
    """`x̂(x_t, t) = E[x_0 | x_t]`, shape (batch, d), for t in [0, 1]; `x_t` itself at t = 0. Raises `InputError` at a t > 0 whose γ is beyond the domain."""
    t = as_time(t)
    if bool(torch.isinf(snr_of_posterior(schedule, t))):
        return law.rows("x_t", x_t).to(torch.float64, copy=True)
    return denoiser_direct(law, x_t, *schedule(t))


def denoiser_direct(law: Law, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """`x̂` from the exact posterior, for σ > 0; shape (batch, d)."""
    x_t, alpha, sigma = _double(x_t, alpha, sigma)
    numerics.check_noise("sigma", sigma)
    return law.posterior(x_t / sigma, formula.snr(alpha, sigma)).mean


def _double(*numbers: Tensor) -> list[Tensor]:
    """The numbers in float64: a quotient of fewer digits, such as `x_t/σ` near t = 0, belongs to another posterior, or overflows."""
    return [torch.as_tensor(values, dtype=torch.float64) for values in numbers]


def denoiser_series(law: Law, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """`μ + (α/σ²) Σ x`, with an error `O(α²)` (C1); shape (batch, d)."""
    x_t, alpha, sigma = _double(law.rows("x_t", x_t), alpha, sigma)
    numerics.check_coordinates("x_t", x_t)
    numerics.check_noise("sigma", sigma)
    return formula.denoiser_series(law.mean, x_t @ law.cov, alpha, sigma)


def denoiser_series_error(law: Atoms, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the error of the series cannot exceed for finite data, at any α and σ > 0 (C1); shape (batch,)."""
    x_t, alpha, sigma = _double(law.rows("x_t", x_t), alpha, sigma)
    numerics.check_coordinates("x_t", x_t)
    numerics.check_noise("sigma", sigma)
    radius = law.points.norm(dim=1).max()
    return formula.denoiser_series_error(alpha, sigma, law.diameter, radius, x_t.norm(dim=1))


@dataclass(frozen=True)
class Predictions:
    """What the three kinds of networks are trained to predict, at one `x_t`; each of shape (batch, d).

    Attributes:
        x: the denoiser `x̂`.
        epsilon: `ε* = (x_t − α x̂)/σ`.
        v: `v* = α ε* − σ x̂`.
    """

    x: Tensor
    epsilon: Tensor
    v: Tensor


def predictions(law: Law, schedule: Schedule, x_t: Tensor, t: Time) -> Predictions:
    """The three optimal predictions at t > 0 (notation, C2); regular at t = 1: `μ`, `x/σ_1`, `−σ_1 μ` where `α_1 = 0`."""
    t = as_time(t)
    alpha, sigma = schedule(t)
    if float(sigma) == 0:
        raise InputError("t = 0: epsilon is 0/0 there, ask for t > 0")
    (x_t,) = _double(x_t)
    x_hat = denoiser(law, schedule, x_t, t)
    epsilon = formula.epsilon_of(x_t, x_hat, alpha, sigma)
    return Predictions(x_hat, epsilon, formula.v_of(epsilon, x_hat, alpha, sigma))


def denoiser_of_epsilon(epsilon: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """`(x − σε)/α`: an error δ in ε becomes `−(σ/α)δ`, and it is 0/0 at α = 0 (C2)."""
    return formula.denoiser_of_epsilon(epsilon, x_t, alpha, sigma)


def denoiser_of_v(v: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """`(αx − σv)/(α² + σ²)`, regular at both ends and on every schedule (C2)."""
    return formula.denoiser_of_v(v, x_t, alpha, sigma)


def conditioning(schedule: Schedule, t: Time) -> dict[str, Tensor]:
    """`|dx̂/dδ|` for an error δ in each prediction at t: σ/α for ε (infinite at α = 0), 1 for x, σ/(α²+σ²) for v (C2)."""
    alpha, sigma = schedule(t)
    gains = {"epsilon": formula.epsilon_error_gain(alpha, sigma), "v": formula.v_error_gain(alpha, sigma)}
    return {name: gain.abs() for name, gain in gains.items()} | {"x": torch.ones_like(alpha)}


def score(law: Law, schedule: Schedule, x_t: Tensor, t: Time) -> Tensor:
    """`∇ log q_t(x) = (α x̂ − x)/σ²` at t > 0 (notation); for atoms its norm grows like dist/σ² towards t = 0 (D2)."""
    t = as_time(t)
    return -predictions(law, schedule, x_t, t).epsilon / schedule.sigma(t)


def ode_drift(law: Law, schedule: Schedule, x_t: Tensor, t: Time) -> Tensor:
    """The drift `α̇ x̂ + σ̇ ε*` of the probability flow at 0 < t < 1, shape (batch, d) (C3)."""
    at = predictions(law, schedule, x_t, t)
    return formula.ode_drift(schedule.alpha_dot(t), schedule.sigma_dot(t), at.x, at.epsilon)


def terminal_drift(law: Law, schedule: Schedule, x_1: Tensor) -> Tensor:
    """The limit of the drift at t = 1 where `α_1 = 0` and `α̇(1)` is finite: `α̇(1) μ + σ̇(1) x/σ_1` (C3); shape (batch, d).

    Raises:
        InputError: where `α_1 > 0` (no limit is needed) or `α̇(1)` is infinite (the drift diverges unless μ = 0).
    """
    if float(schedule.alpha(1.0)) != 0:
        raise InputError("alpha_1 > 0: the drift is regular at t = 1, use ode_drift")
    if not bool(torch.isfinite(schedule.alpha_dot(1.0))):
        raise InputError("alpha'(1) is infinite: the drift has no finite limit at t = 1 unless the mean is zero")
    (x_1,) = _double(law.rows("x_1", x_1))
    rates = schedule.alpha_dot(1.0), schedule.sigma_dot(1.0)
    return formula.terminal_drift(*rates, law.mean, x_1, schedule.sigma(1.0))


def sde_rate_integral(schedule: Schedule, s: Time, r: Time) -> Tensor:
    """`∫_s^r |α̇/α| dt = log(α_s/α_r)`: the total rate of the reverse SDE's coefficients; infinite at r = 1 if `α_1 = 0`, 0 for r = s (C4).

    From logarithms, for α itself may be below the least number of float64 long before r = 1.
    """
    log_s, log_r = schedule.log_alpha(s), schedule.log_alpha(r)
    return torch.where(log_s == log_r, 0.0, log_s - log_r)


def sde_growth(schedule: Schedule, factor: float) -> float:
    """The limit at t = 1 of the rate integral's part with 1 − t in `[u/k², u/k]` over that in `[u/k, u]`, `k = factor` (C4).

    One, and so no integrability, where α vanishes like a power of 1 − t; `1/k` where `α_1 > 0` and `α̇(1)` is finite, not zero.
    """
    singular = bool(torch.isinf(sde_rate_integral(schedule, 0.5, 1.0)))
    return 1.0 if singular else 1 / factor


def kl_terminal_bound(law: Law, snr_s: Time) -> Tensor:
    """`½ γ_s tr Σ`, at least `KL(q(x_s|x_1)‖N(α_s μ, σ_s² I))` where `α_1 = 0` (C5)."""
    numerics.check_precisions("snr", snr_s)
    return formula.kl_terminal_bound(snr_s, law.cov.trace())


def kl_terminal_leading(law: Law, snr_s: Time) -> Tensor:
    """`(γ_s²/4)‖Σ‖_F²`, its leading order (C5)."""
    numerics.check_precisions("snr", snr_s)
    return formula.kl_small_gap(snr_s, law.cov.square().sum())


def nearest_atom(law: Atoms, x_t: Tensor, alpha: Tensor) -> Tensor:
    """The index of the atom of positive weight whose `α y_i` is nearest to each `x_t`, shape (batch,)."""
    return rivals(law, x_t, alpha).nearest


@dataclass(frozen=True)
class Rivals:
    """How far the other atoms are from being nearest to each `x_t` (D1).

    Attributes:
        nearest: index of the nearest atom, shape (batch,).
        margins: `m_j = ‖x−αy_j‖² − ‖x−αy_{i*}‖²`, shape (batch, n); zero for the nearest itself.
        prior_ratios: `w_j/w_{i*}`, shape (batch, n).
    """

    nearest: Tensor
    margins: Tensor
    prior_ratios: Tensor


def rivals(law: Atoms, x_t: Tensor, alpha: Tensor) -> Rivals:
    """The margins of D1 at each `x_t`. Raises `InputError` for x_t of another width or beyond the domain."""
    x_t, alpha = _double(law.rows("x_t", x_t), alpha)
    numerics.check_coordinates("x_t", x_t)
    nearest, margins = zip(*(_margins(law, x, alpha) for x in x_t), strict=True)
    chosen = torch.stack(nearest)
    return Rivals(chosen, torch.stack(margins), law.weights / law.weights[chosen][:, None])


def _margins(law: Atoms, x: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest atom of one x (d,) and the margins of all, (n,): `α⟨y_i − y_j, 2x − α(y_i + y_j)⟩` with twice the digits, for far from all atoms squares lose them."""
    points, none = law.points, law.weights == 0
    rows = max(1, _CHUNK // law.dim)

    def about(i: Tensor) -> tuple[Tensor, Tensor]:
        margins, errors = zip(*(_margins_about(points[i], part, x, alpha) for part in points.split(rows)), strict=True)
        return torch.cat(margins), torch.cat(errors).masked_fill(none, torch.inf)

    nearest = (x - alpha * points).square().sum(dim=1).masked_fill(none, torch.inf).argmin()
    margins, errors = about(nearest)
    # of two that look alike from afar the nearer one is told by its own margins; among ties, where rounding alone is below 0, there is none to go on to
    while bool((nearer := margins < -errors).any()):
        nearest = margins.masked_fill(~nearer, torch.inf).argmin()
        margins, errors = about(nearest)
    return nearest, torch.where(none, margins, margins.clamp(min=0))


def _margins_about(atom: Tensor, points: Tensor, x: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """`‖x − αy_j‖² − ‖x − αy_i‖²` for `y_i = atom`, (d,), and points (m, d), and at least what rounding took of each; both (m,)."""
    factor = numerics.Double2(alpha, torch.zeros_like(alpha))
    step = factor.times(numerics.Double2.difference(atom, points))
    both = factor.times(numerics.Double2.difference(atom, -points))
    twice = numerics.Double2(2 * x, torch.zeros_like(x))
    sizes = (step.high.abs() * (twice.high.abs() + both.high.abs())).sum(dim=1)
    return step.times(twice.minus(both)).total().value(), _MARGIN_ERROR * sizes


def nearest_atom_weight(law: Atoms, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The posterior weight of the nearest atom from its margins, `1/(1 + S)` (D1); shape (batch,). Raises `InputError` for x_t and σ beyond the domain."""
    x_t, alpha, sigma = _double(x_t, alpha, sigma)
    numerics.check_noise("sigma", sigma)
    others = rivals(law, x_t, alpha)
    weights = formula.rival_weight(others.prior_ratios, others.margins, sigma, torch)
    weights.scatter_(1, others.nearest[:, None], 0.0)
    return formula.nearest_weight(weights.sum(dim=1))


def vp_tie_weights(law: Atoms, tied: list[int]) -> Tensor:
    """What atoms equally near to a fixed x weigh at t = 0 in VP, `∝ w e^{‖y‖²/4}`, in the order of `tied` (D1)."""
    points, priors = law.points[tied], law.weights[tied]
    top = int(priors.argmax())
    lead = torch.zeros_like(priors)
    for _ in tied:  # relative to the heaviest nothing overflows, and far out only differences find it
        lead = _norm2_lead(points, top).masked_fill(priors == 0, -torch.inf)
        gain = priors.log() - priors[top].log() + lead / 4
        if not float(gain.max()) > 0:
            break
        top = int(gain.argmax())
    ratios = formula.vp_tie_ratio(priors / priors[top], lead, torch)
    return ratios / ratios.sum()


def _norm2_lead(points: Tensor, i: int) -> Tensor:
    """`‖y_j‖² − ‖y_i‖²` of points (n, d), from `⟨y_j − y_i, y_j + y_i⟩` with twice the digits, for what the squares share is lost to their rounding."""
    apart = numerics.Double2.difference(points, points[i])
    return apart.times(numerics.Double2.difference(points, -points[i])).total().value()


def kl_atoms_lower(posterior: AtomsPosterior, gap: Tensor | float) -> Tensor:
    """`½ log det(I + gC) − H(p)`, at most the KL of the reverse kernel of finite data from any Gaussian, and at last equal to
    that from M; it grows without bound towards s = 0 (D3). Shape (batch,); the rounding of both terms is not bounded, so compare with an allowance. Raises `InputError` for a gap beyond the domain.
    """
    numerics.check_precisions("gap", gap)
    return formula.kl_atoms_lower(gap, posterior.eigenvalues, torch).sum(dim=1) - posterior.entropy


def tv_to_gaussian(posterior: AtomsPosterior, reference: Gaussian) -> float:
    """TV between the law of `x_0` given `x_t`, for one query and finite data, and a Gaussian: 1 unless that is a point (D3)."""
    if float(reference.cov.abs().max()) > 0:
        return 1.0
    at = (posterior.points == reference.mean).all(dim=1)
    return 1.0 - float(posterior.weights[0, at].sum())


def data_score(law: Law, x: Tensor) -> Tensor:
    """`∇ log π(x)`, the limit of the score at t = 0 for a smooth positive density (D4); shape (batch, d).

    Raises:
        InputError: for finite data, and for a Gaussian with a singular covariance.
    """
    x = law.rows("x", x).detach().to(torch.float64).requires_grad_()
    return torch.autograd.grad(law.log_prob(x).sum(), x)[0]


def foot_score(schedule: Schedule, foot: Tensor) -> Tensor:
    """The limit at t = 0 of the score normal to an affine subspace that holds the data, at a point of it (D4).

    `−f/2` in VP; infinite in rectified flow unless `f = 0`; zero if α stays 1.

    Args:
        schedule: the forward process.
        foot: `f`, the coordinate of the subspace along a unit normal, any shape.
    """
    (foot,) = _double(foot)
    if schedule.variance_preserving:
        return formula.vp_foot_score(foot)
    if float(schedule.alpha_dot(0.0)) == 0:
        return torch.zeros_like(foot)
    return torch.where(foot == 0, 0.0, -torch.inf * foot.sign())

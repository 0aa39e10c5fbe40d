"""Group D: the end t = 0."""

from singtheory.formula.number import Namespace, Number
from singtheory.formula.terminal import marginal_var, sde_rate


def nearest_weight(others: Number) -> Number:
    """`1/(1 + S)`, the posterior weight of an atom whose rivals weigh S against it (D1)."""
    return 1 / (1 + others)


def rival_weight(prior_ratio: Number, margin: Number, sigma: Number, xp: Namespace) -> Number:
    """`(w_j/w_i) exp(−m_j/2σ²)`, a rival's weight at margin `m_j = ‖x−αy_j‖² − ‖x−αy_i‖²` (D1)."""
    return prior_ratio * xp.exp(-margin / (2 * sigma**2))


def tie_exponent(alpha: Number, sigma: Number, norm2_difference: Number) -> Number:
    """`α(1−α)/(2σ²) (‖y_j‖² − ‖y_i‖²)`, what t adds to a log weight ratio at x with `‖x−y_j‖ = ‖x−y_i‖` (D1)."""
    return alpha * (1 - alpha) / (2 * sigma**2) * norm2_difference


def vp_tie_ratio(prior_ratio: Number, norm2_difference: Number, xp: Namespace) -> Number:
    """`(w_j/w_i) e^{(‖y_j‖² − ‖y_i‖²)/4}`, the ratio of the weights of tied points at t = 0 in VP, at a fixed x (D1)."""
    return prior_ratio * xp.exp(norm2_difference / 4)


def score_norm(distance: Number, sigma: Number) -> Number:
    """`dist(x, data)/σ²`, the leading order of `‖score‖` at t = 0 off finite data (D2)."""
    return distance / sigma**2


def epsilon_norm(distance: Number, sigma: Number) -> Number:
    """`dist(x, data)/σ`, the leading order of `‖ε*‖` at t = 0 off finite data (D2)."""
    return distance / sigma


def epsilon_norm2(dim: Number, snr: Number, mmse: Number) -> Number:
    """`E‖ε*‖² = d − γ mmse(γ)` (D2)."""
    return dim - snr * mmse


def kl_atoms_lower(gap: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`½ log(1 + gλ)`: summed over λ, less the entropy of the weights, at most the KL from P to any Gaussian (D3)."""
    return xp.log1p(gap * eigenvalue) / 2


def last_step_w2(mmse: Number) -> Number:
    """`mmse(γ_s)`, at least `W₂²(law of x̂(x_s), π)`: what a last x-prediction step costs (D3, B8)."""
    return mmse


def normal_score(offset: Number, foot: Number, alpha: Number, sigma: Number) -> Number:
    """`−(n − αf)/σ²`, the score along a direction in which all data are `f`, at the coordinate n of x (D4)."""
    return -(offset - alpha * foot) / sigma**2


def vp_foot_score(foot: Number) -> Number:
    """`−f/2`, its limit at t = 0 in VP on the subspace itself, `n = f` (D4)."""
    return -foot / 2


def sde_diffusion2(alpha: Number, sigma: Number, alpha_dot: Number, sigma_dot: Number) -> Number:
    """`2σσ̇ − 2σ²α̇/α = −σ² d log γ/dt`, the squared diffusion of the forward SDE on any schedule (D5)."""
    return 2 * sigma * sigma_dot - 2 * sigma**2 * sde_rate(alpha, alpha_dot)


def reverse_drift(x_t: Number, score: Number, rate: Number, diffusion2: Number) -> Number:
    """`f x − g² ∇log q`, the drift of the reverse SDE (D5)."""
    return rate * x_t - diffusion2 * score


def reverse_rate_integral(snr_t: Number, snr_s: Number, xp: Namespace) -> Number:
    """`log(γ_s/γ_t)`, the integral from s to t of the factor of `x − αx̂` in the reverse drift: infinite at s = 0 (D5)."""
    return xp.log(snr_s / snr_t)


def flow_deviation(deviation: Number, sigma_t: Number, sigma_s: Number) -> Number:
    """`(σ_s/σ_t) (x_t − α_t y)`, to where the flow towards an atom y takes the deviation from it (D5)."""
    return deviation * sigma_s / sigma_t


def smooth_epsilon_rate(data_score: Number, sigma_dot: Number) -> Number:
    """`−σ̇ ∇log π(x)`, the leading order of `∂_t ε*` at t = 0 for a smooth positive density (D6)."""
    return -sigma_dot * data_score


def gaussian_epsilon(x_t: Number, mean: Number, eigenvalue: Number, alpha: Number, sigma: Number) -> Number:
    """`ε* = σ(x − αμ)/(α²λ + σ²)` for data `N(μ, λ)` on a line (D6)."""
    return sigma * (x_t - alpha * mean) / marginal_var(alpha, sigma, eigenvalue)


def atom_epsilon_rate(
    x_t: Number, atom: Number, alpha: Number, sigma: Number, alpha_dot: Number, sigma_dot: Number
) -> Number:
    """`−σ̇(x − αy)/σ² − α̇y/σ`, `∂_t ε*` where `x̂` has become the point y (D6)."""
    return -sigma_dot * (x_t - alpha * atom) / sigma**2 - alpha_dot * atom / sigma


def atom_epsilon_exponent(p: Number) -> Number:
    """`−p − 1`: off the atoms `∂_t ε*` behaves like `σ̇/σ² ~ t^{−p−1}` where `σ ~ t^p` (D6)."""
    return -p - 1


def vp_atom_epsilon_rate(atom: Number, sigma_dot: Number) -> Number:
    """`½ σ̇ y`, its leading order in VP at `x = y` (D6)."""
    return sigma_dot * atom / 2

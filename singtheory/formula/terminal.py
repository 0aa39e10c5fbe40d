"""Group C: the end t = 1."""

from singtheory.formula.gaussian_error import kl_trace_bound
from singtheory.formula.number import Namespace, Number
from singtheory.formula.small import log_ratio_rest, root_rise
from singtheory.formula.transitions import snr


def denoiser_series(mean: Number, spread: Number, alpha: Number, sigma: Number) -> Number:
    """`μ + (α/σ²) Σx`, `spread = Σx`: the denoiser near `α = 0` (C1)."""
    return mean + alpha / sigma**2 * spread


def denoiser_series_error(alpha: Number, sigma: Number, diameter: Number, radius: Number, x_norm: Number) -> Number:
    """`(α²D²/8σ²)[2R + D(‖x‖ + 2αR)²/σ²]`, at least the error of the series if `‖y‖ ≤ R` and the diameter is D (C1)."""
    reach = x_norm + 2 * alpha * radius
    return (alpha * diameter) ** 2 / (8 * sigma**2) * (2 * radius + diameter * reach**2 / sigma**2)


def terminal_epsilon(x_1: Number, sigma_1: Number) -> Number:
    """`ε*(x, 1) = x/σ_1` where `α_1 = 0` (C2)."""
    return x_1 / sigma_1


def terminal_v(mean: Number, sigma_1: Number) -> Number:
    """`v*(x, 1) = −σ_1 μ` where `α_1 = 0` (C2)."""
    return -sigma_1 * mean


def denoiser_of_epsilon(epsilon: Number, x_t: Number, alpha: Number, sigma: Number) -> Number:
    """`x̂ = (x − σε)/α`, 0/0 at `α = 0` (C2)."""
    return (x_t - sigma * epsilon) / alpha


def denoiser_of_v(v: Number, x_t: Number, alpha: Number, sigma: Number) -> Number:
    """`x̂ = (αx − σv)/(α² + σ²)`, regular at both ends and on every schedule (C2)."""
    return (alpha * x_t - sigma * v) / (alpha**2 + sigma**2)


def epsilon_error_gain(alpha: Number, sigma: Number) -> Number:
    """`−σ/α`, by which an error in ε enters `x̂` (C2)."""
    return -sigma / alpha


def v_error_gain(alpha: Number, sigma: Number) -> Number:
    """`−σ/(α² + σ²)`, by which an error in v enters `x̂` (C2)."""
    return -sigma / (alpha**2 + sigma**2)


def ode_drift(alpha_dot: Number, sigma_dot: Number, x_hat: Number, epsilon: Number) -> Number:
    """`α̇ x̂ + σ̇ ε*`, the drift of the probability flow (C3)."""
    return alpha_dot * x_hat + sigma_dot * epsilon


def vp_ode_drift(x_t: Number, x_hat: Number, alpha: Number, sigma: Number, alpha_dot: Number) -> Number:
    """`α̇ (x̂ − αx)/σ²`, the same drift where `α² + σ² = 1` (C3)."""
    return alpha_dot * (x_hat - alpha * x_t) / sigma**2


def terminal_drift(alpha_dot: Number, sigma_dot: Number, mean: Number, x_1: Number, sigma_1: Number) -> Number:
    """`α̇(1) μ + σ̇(1) x/σ_1`, its limit where `α_1 = 0` and `α̇(1)` is finite (C3)."""
    return ode_drift(alpha_dot, sigma_dot, mean, terminal_epsilon(x_1, sigma_1))


def drift_exponent(p: Number) -> Number:
    """`p − 1`: for `α = (1−t)^p` in VP and `μ ≠ 0` the drift behaves like `(1−t)^{p−1}` (C3)."""
    return p - 1


def centred_drift_exponent(p: Number) -> Number:
    """`2p − 1`: the same with `μ = 0` and `Σx ≠ x` (C3)."""
    return 2 * p - 1


def sde_rate(alpha: Number, alpha_dot: Number) -> Number:
    """`f = α̇/α`, the linear coefficient of the forward SDE (C4)."""
    return alpha_dot / alpha


def vp_sde_diffusion2(alpha: Number, alpha_dot: Number) -> Number:
    """`−2α̇/α`, the squared diffusion of the forward SDE in VP (C4)."""
    return -2 * alpha_dot / alpha


def sde_rate_integral(alpha_s: Number, alpha_r: Number, xp: Namespace) -> Number:
    """`∫_s^r |α̇/α| dt = log(α_s/α_r)` (C4)."""
    return xp.log(alpha_s / alpha_r)


def kl_terminal_bound(snr_s: Number, trace: Number) -> Number:
    """`KL(q_s‖N(α_s μ, σ_s² I)) ≤ ½ γ_s tr Σ`, `trace = tr Σ` (C5)."""
    return kl_trace_bound(snr_s, trace)


def mean_gain(snr_s: Number, mean_norm2: Number) -> Number:
    """`½ γ_s ‖μ‖²`, the nats that the mean buys over a centred start of the same variance (C6)."""
    return snr_s * mean_norm2 / 2


def noise_start_gain(
    alpha: Number, sigma: Number, mean_norm2: Number, trace: Number, dim: int, xp: Namespace
) -> Number:
    """`½[α²‖μ‖² + (α² − γ) tr Σ + d(σ² − 1 − log σ²)]`, what the mean start buys over N(0, I) (C6)."""
    var = sigma**2
    return (alpha**2 * mean_norm2 + (alpha**2 - snr(alpha, sigma)) * trace + dim * log_ratio_rest(var, xp)) / 2


def marginal_var(alpha: Number, sigma: Number, eigenvalue: Number) -> Number:
    """`α²λ + σ²`, the variance of `x_t` along an eigenvector of Σ (C7)."""
    return alpha**2 * eigenvalue + sigma**2


def widening(alpha: Number, kept_std: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`√(α²λ + σ²) − σ`: by how much a start `σ x_1` is widened along a direction to have the variance of the noised data there (C7, F4).

    `kept_std` is σ, or where a step draws fresh noise what it keeps of `x_1`: independent noise adds its variance to both sides.
    """
    return root_rise(alpha**2 * eigenvalue, kept_std, xp)


def ode_slope(alpha: Number, sigma: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`√(λ/(α²λ + σ²))`, by which the flow carries deviations at t to t = 0 for Gaussian data (C7)."""
    return xp.sqrt(eigenvalue / marginal_var(alpha, sigma, eigenvalue))


def flow_end_mean(
    mean: Number, eigenvalue: Number, start_mean: Number, alpha: Number, sigma: Number, xp: Namespace
) -> Number:
    """`μ + √(λ/(α²λ+σ²)) (m − αμ)`, where the flow takes the mean of a start `N(m, s²)` (C7)."""
    return mean + ode_slope(alpha, sigma, eigenvalue, xp) * (start_mean - alpha * mean)


def flow_end_var(eigenvalue: Number, start_var: Number, alpha: Number, sigma: Number) -> Number:
    """`λ s²/(α²λ + σ²)`, the variance that the flow makes of a start's `s²` (C7)."""
    return eigenvalue * start_var / marginal_var(alpha, sigma, eigenvalue)


def posterior_slope(alpha: Number, sigma: Number, eigenvalue: Number) -> Number:
    """`αλ/(α²λ + σ²)`, by which the posterior mean of Gaussian data follows deviations at t (C1, C7)."""
    return alpha * eigenvalue / marginal_var(alpha, sigma, eigenvalue)


def sde_end_mean(mean: Number, eigenvalue: Number, start_mean: Number, alpha: Number, sigma: Number) -> Number:
    """`μ + αλ/(α²λ+σ²) (m − αμ)`, where the reverse SDE takes the mean of a start `N(m, s²)`: it draws `x_0 | x_t` (C7, D5)."""
    return mean + posterior_slope(alpha, sigma, eigenvalue) * (start_mean - alpha * mean)


def sde_end_var(eigenvalue: Number, start_var: Number, alpha: Number, sigma: Number) -> Number:
    """`λσ²/(α²λ+σ²) + (αλ/(α²λ+σ²))² s²`, the variance that the reverse SDE makes of a start's `s²` (C7, D5)."""
    slope = posterior_slope(alpha, sigma, eigenvalue)
    return mean_start_end_var(eigenvalue, alpha, sigma) + slope**2 * start_var


def mean_start_end_var(eigenvalue: Number, alpha: Number, sigma: Number) -> Number:
    """`λσ²/(α²λ + σ²)`, what is left of λ from the start `N(αμ, σ²)` (C7)."""
    return flow_end_var(eigenvalue, sigma**2, alpha, sigma)


def brightness_eigenvalue(brightness_var: Number, dim: Number) -> Number:
    """`λ = d Var(brightness)`, the variance along the constant image `(1, …, 1)/√d` (C7)."""
    return dim * brightness_var


def plain_guidance(cond: Number, uncond: Number, guidance: Number) -> Number:
    """`u + w(c − u)`, classifier-free guidance of an average image, which grows like `w‖c − u‖` (C8)."""
    return uncond + guidance * (cond - uncond)


def normalised_guidance(cond: Number, uncond: Number, guidance: Number) -> Number:
    """`ȳ_w = [u + w(c − u)]/w = c − (1 − 1/w) u` (C8)."""
    return cond - (1 - 1 / guidance) * uncond


def guidance_bound(cond_norm: Number, uncond_norm: Number, guidance: Number) -> Number:
    """`‖c‖ + (1 − 1/w)‖u‖`, at least `‖ȳ_w‖` for `w ≥ 1` (C8)."""
    return cond_norm + (1 - 1 / guidance) * uncond_norm


def guidance_segment_bound(cond_norm: Number, difference_norm: Number, guidance: Number) -> Number:
    """`‖c‖/w + (1 − 1/w)‖c − u‖`, for `ȳ_w` lies between c and `c − u`: at most `guidance_bound` (C8)."""
    return cond_norm / guidance + (1 - 1 / guidance) * difference_norm


def dependence_excess(bias2: Number, var: Number) -> Number:
    """`‖E f − μ‖² + tr Var f`, the squared error that a predictor f of `x_1` has beyond the best constant's where `α_1 = 0` (C9)."""
    return bias2 + var


def explained_share(mmse: Number, trace: Number) -> Number:
    """`R² = 1 − mmse(γ)/tr Σ`, the share of the data's variance that `x_t` explains (C9)."""
    return 1 - mmse / trace

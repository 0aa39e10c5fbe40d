"""Group E: samplers, with the terms of the error budget (B8)."""

from singtheory.formula.number import Namespace, Number, Pair
from singtheory.formula.origin import last_step_w2
from singtheory.formula.small import geometric_between, log_ratio_rest, quotient_rest
from singtheory.formula.terminal import terminal_epsilon


def ddim_noise_var(eta: Number, bridge_var: Number) -> Number:
    """`σ_η² = η² c²`, the variance of the fresh noise of a DDIM step (E1)."""
    return eta**2 * bridge_var


def ddim_kept_var(eta: Number, a: Number, bridge_var: Number, sigma_t: Number) -> Number:
    """`σ_s² − σ_η² = a²σ_t² + (1 − η²)c²`, what a DDIM step keeps of the old noise; this form does not cancel (E1)."""
    return a**2 * sigma_t**2 + (1 - eta**2) * bridge_var


def ddim_mean(x_hat: Number, epsilon: Number, alpha_s: Number, kept_std: Number) -> Number:
    """`α_s x̂ + √(σ_s² − σ_η²) ε*`, a DDIM step but for its fresh noise (E1)."""
    return alpha_s * x_hat + kept_std * epsilon


def chart_step(x_t: Number, drift: Number, here: Pair, rates: Pair, there: Pair, chart: Pair) -> Number:
    """Euler's rule for the flow in `(x/k, τ)`, `k = pα + qσ`, `τ = (pσ − qα)/k`, with the chart `(p, q)` (E1).

    `(α, σ)` is `here` with the time derivatives `rates`, and `there` after the step. The chart (1, 0) is `(x/α, σ/α)`, (0, 1) is
    `(x/σ, −α/σ)`.
    """
    p, q = chart
    (scale_t, clock_t), (scale_s, clock_s) = (
        (p * alpha + q * sigma, (p * sigma - q * alpha) / (p * alpha + q * sigma)) for alpha, sigma in (here, there)
    )
    scale_rate = p * rates[0] + q * rates[1]
    clock_rate = (p * rates[1] - q * rates[0] - clock_t * scale_rate) / scale_t
    slope = (drift - scale_rate / scale_t * x_t) / scale_t / clock_rate
    return scale_s * (x_t / scale_t + slope * (clock_s - clock_t))


def singular_step(mean: Number, x_1: Number, alpha_s: Number, sigma_s: Number, sigma_1: Number) -> Number:
    """`α_s μ + σ_s x_1/σ_1`, the step from `α_1 = 0` (E1)."""
    return ddim_mean(mean, terminal_epsilon(x_1, sigma_1), alpha_s, sigma_s)


def discretisation(gap: Number, mmse: Number, information: Number) -> Number:
    """`½(g mmse(γ_t) − ∫ mmse dγ)`, the mean KL of a step of gap g, `information` the integral over it (B8)."""
    return (gap * mmse - information) / 2


def mmse_ahead(mmse: Number, ahead: Number, rank: int) -> Number:
    """`m/(1 + hm/r)`: at most this is left of `mmse(γ) = m` at `γ + h`, and at least this at `γ + h` for h < 0; r the rank of Σ (B8).

    `−mmse′ = E‖C‖_F² ≥ (E tr C)²/r`, so that `1/mmse − γ/r` increases; for `Σ = λI` and Gaussian data it is constant.
    """
    return mmse / (1 + ahead * mmse / rank)


def area_ahead(mmse: Number, ahead: Number, rank: int, xp: Namespace) -> Number:
    """`r log(1 + hm/r)`, the integral of `mmse_ahead` from 0 to h (B8)."""
    return rank * xp.log1p(ahead * mmse / rank)


def gaussian_mmse(snr: Number, eigenvalue: Number) -> Number:
    """`λ/(1 + γλ)`, one eigenvalue's part of the mmse of Gaussian data; of all data of that covariance the most (B8)."""
    return eigenvalue / (1 + snr * eigenvalue)


def gaussian_information(snr: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`½ log(1 + γλ)`, one eigenvalue's part of `I(x_0; z) = ½∫_0^γ mmse` of Gaussian data; of all data of that covariance the most (B4)."""
    return xp.log1p(snr * eigenvalue) / 2


def mistake_chance(snr: Number, distance: Number, xp: Namespace) -> Number:
    """`Φ(−√γ d/2)`, how often an atom at distance d is nearer than the true one; times d² the squared error of taking it (D1, B8)."""
    return xp.erfc(xp.sqrt(snr / 8) * distance) / 2


def network_error(gap: Number, error2: Number) -> Number:
    """`½ g E‖x̂ − m_θ‖²`, what a denoiser's error adds to the KL of a step (B8)."""
    return gap * error2 / 2


def learned_last_step_w2(mmse: Number, error2: Number) -> Number:
    """`mmse(γ_s) + E‖x̂ − m_θ‖²`, at least `W₂²(law of m_θ(x_s), π)`: what the last x-prediction of any denoiser costs (B8)."""
    return last_step_w2(mmse) + error2


def next_optimal_snr(snr: Number, mmse_before: Number, mmse: Number, mmse_slope: Number) -> Number:
    """`γ_{k+1} = γ_k + (mmse(γ_{k−1}) − mmse(γ_k))/(−mmse′(γ_k))`, where moving `γ_k` changes nothing (E2)."""
    return snr + (mmse_before - mmse) / -mmse_slope


def geometric_snr(eigenvalue: Number, snr_start: Number, snr_end: Number, fraction: Number, xp: Namespace) -> Number:
    """The `γ_k`, `fraction = k/N`, of the grid geometric in `1 + λγ`, the best one for Gaussian data (E2)."""
    return geometric_between(eigenvalue, snr_start, snr_end, fraction, xp)


def geometric_cost(ratio: Number, steps: Number, xp: Namespace) -> Number:
    """`½N(r − 1 − log r)`, its discretisation term, `r` the ratio of `1 + λγ` over a step; one eigenvalue's part (E2)."""
    return steps * log_ratio_rest(ratio, xp) / 2


def optimal_cost(root_integral: Number, slope_ratio: Number, steps: Number, xp: Namespace) -> Number:
    """`(R²/4N)(1 + log ρ/6N)`, `R = ∫√|mmse′|dγ`, `ρ = mmse′(γ_0)/mmse′(γ_N)`: the least discretisation for many steps (E2)."""
    return root_integral**2 / (4 * steps) * (1 + xp.log(slope_ratio) / (6 * steps))


def matched_least_cost(cube_root_integral: Number, steps: Number) -> Number:
    """`S³/12N²`, `S = ∫(E‖κ‖²)^⅓dγ`: the least discretisation of the matched kernel for many steps (E3)."""
    return cube_root_integral**3 / (12 * steps**2)


def matched_density(skewness2: Number, xp: Namespace) -> Number:
    """`(E‖κ‖²)^⅓`, the number of steps a unit of γ, up to a factor, of the matched kernel's best grid (E3)."""
    return xp.exp(xp.log(skewness2) / 3)


def wrong_covariance(gap: Number, eigenvalue: Number, other: Number, xp: Namespace) -> Number:
    """`½[x − log(1 + x)]`, `x = g(λ − v)/(1 + gv)`: one direction's part of `KL(N(0, I + gC)‖N(0, I + gĈ))`, v of Ĉ that has C's eigenvectors (E3)."""
    above, below = 1 + gap * eigenvalue, 1 + gap * other
    return quotient_rest(gap * (eigenvalue - other) / below, above, below, xp) / 2

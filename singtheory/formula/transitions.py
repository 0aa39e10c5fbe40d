"""Group A: the forward process, the bridge and the gap."""

from singtheory.formula.number import Number


def alpha_ratio(alpha_t: Number, alpha_s: Number) -> Number:
    """`α_{t|s} = α_t/α_s`, the mean factor of `x_t` given `x_s` (notation)."""
    return alpha_t / alpha_s


def transition_var(alpha_t: Number, sigma_t: Number, alpha_s: Number, sigma_s: Number) -> Number:
    """`σ²_{t|s} = σ_t² − α²_{t|s} σ_s²`, the variance of `x_t` given `x_s` (notation)."""
    return sigma_t**2 - alpha_ratio(alpha_t, alpha_s) ** 2 * sigma_s**2


def composed_var(alpha_u_given_t: Number, var_u_given_t: Number, var_t_given_s: Number) -> Number:
    """`σ²_{u|s} = σ²_{u|t} + α²_{u|t} σ²_{t|s}` (A1)."""
    return var_u_given_t + alpha_u_given_t**2 * var_t_given_s


def bridge_a(alpha_t: Number, sigma_t: Number, alpha_s: Number, sigma_s: Number) -> Number:
    """`a = α_{t|s} σ_s²/σ_t²`, the factor of `x_t` in the bridge (A2)."""
    return alpha_ratio(alpha_t, alpha_s) * sigma_s**2 / sigma_t**2


def bridge_b(alpha_t: Number, sigma_t: Number, alpha_s: Number, sigma_s: Number) -> Number:
    """`b = α_s σ²_{t|s}/σ_t²`, the factor of `x_0` in the bridge (A2)."""
    return alpha_s * transition_var(alpha_t, sigma_t, alpha_s, sigma_s) / sigma_t**2


def bridge_var(alpha_t: Number, sigma_t: Number, alpha_s: Number, sigma_s: Number) -> Number:
    """`c² = σ_s² σ²_{t|s}/σ_t²`, the variance of the bridge (A2)."""
    return sigma_s**2 * transition_var(alpha_t, sigma_t, alpha_s, sigma_s) / sigma_t**2


def snr(alpha: Number, sigma: Number) -> Number:
    """`γ = α²/σ²`, the signal-to-noise ratio (notation)."""
    return (alpha / sigma) ** 2


def gap(snr_t: Number, snr_s: Number) -> Number:
    """`g = γ_s − γ_t = b²/c²` (A3)."""
    return snr_s - snr_t


def epsilon_of(x_t: Number, x_hat: Number, alpha: Number, sigma: Number) -> Number:
    """`ε = (x − α x̂)/σ`, the noise that a denoiser implies (notation)."""
    return (x_t - alpha * x_hat) / sigma


def v_of(epsilon: Number, x_hat: Number, alpha: Number, sigma: Number) -> Number:
    """`v = α ε − σ x̂` (notation)."""
    return alpha * epsilon - sigma * x_hat

r"""The scalar formulas of the theory, each written once.

Every function uses plain operators only, and takes the functions it needs (`log`, `log1p`, `exp`, `sqrt`, `pi`) from a
namespace `xp`: the module `torch`, or `singtheory.symbolic.NAMESPACE` (sympy), or `singtheory.interval.NAMESPACE` (ball
arithmetic). So one formula serves tensors, symbols and certificates, and a planted error shows in all of them.

Names follow theory.md: `alpha_t`, `sigma_t` of the forward process, `snr = alpha²/sigma²`, `gap = snr_s - snr_t` (theory.md: g),
`trace = tr C` and `eigenvalue = λ` of the posterior covariance at time t, always with 0 ≤ s < t ≤ 1.
"""

import math
from typing import Any

Number = Any
Namespace = Any


# --- A: kernels ------------------------------------------------------------------------------------------------------


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


# --- B: the Gaussian reverse-process error ---------------------------------------------------------------------------


def kl_chi2_bound(chi2: Number, xp: Namespace) -> Number:
    """`KL ≤ log(1 + χ²)` (B2)."""
    return xp.log1p(chi2)


def tv_chi2_bound(chi2: Number, xp: Namespace) -> Number:
    """`TV ≤ ½ √χ²` (B2)."""
    return xp.sqrt(chi2) / 2


def kl_trace_bound(gap: Number, trace: Number) -> Number:
    """`KL ≤ ½ g tr C` (B3)."""
    return gap * trace / 2


def tv_trace_bound(gap: Number, trace: Number, xp: Namespace) -> Number:
    """`TV ≤ √(g tr C/2π)`, the sharper form of B3."""
    return xp.sqrt(gap * trace / (2 * xp.pi))


def tv_pinsker_bound(gap: Number, trace: Number, xp: Namespace) -> Number:
    """`TV ≤ ½ √(g tr C)`, B3 through Pinsker's inequality."""
    return xp.sqrt(gap * trace) / 2


def tv_shift(distance: Number, xp: Namespace) -> Number:
    """`2Φ(m/2) − 1`, the TV distance of two unit Gaussians whose means are `m` apart (B3)."""
    return xp.erf(distance / 8**0.5)


def trace_diameter_bound(diameter: Number, atoms: int, dim: int) -> Number:
    """`tr C ≤ D² k/(2(k+1))`, `k = min(d, n − 1)`, for a support of `atoms` points and diameter D (B3)."""
    k = min(dim, atoms - 1)
    return diameter**2 * k / (2 * (k + 1))


def kl_gauss_term(gap: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`½ (gλ − log(1 + gλ))`, one eigenvalue's part of `KL(M‖Q)` (B5)."""
    return (gap * eigenvalue - xp.log1p(gap * eigenvalue)) / 2


def kl_small_gap(gap: Number, frobenius2: Number) -> Number:
    """`(g²/4)‖C‖_F²`, the leading order of `KL(P‖Q)` (B6)."""
    return gap**2 / 4 * frobenius2


def kl_small_gap_cubic(skewness2: Number, trace_cube: Number) -> Number:
    """`‖κ‖²/12 − tr C³/6`, the coefficient of g³ in `KL(P‖Q)` (B6)."""
    return skewness2 / 12 - trace_cube / 6


def kl_moment_small_gap(gap: Number, skewness2: Number) -> Number:
    """`(g³/12)‖κ‖²`, the leading order of `KL(P‖M)` (B6)."""
    return gap**3 / 12 * skewness2


def tv_small_gap(gap: Number, eigenvalue: Number) -> Number:
    """`(g/4) λ E|n² − 1| = gλ e^{−1/2}/√2π`, the leading order of TV in one dimension (B6)."""
    return gap * eigenvalue * (2 * math.pi * math.e) ** -0.5


def isotropic_var(var: Number, gap: Number, trace: Number, dim: int) -> Number:
    """`c²(1 + g tr C/d)`, the best isotropic variance of a Gaussian reverse step (B7)."""
    return var * (1 + gap * trace / dim)


def isotropic_gain(gap: Number, trace: Number, dim: int, xp: Namespace) -> Number:
    """`½[g tr C − d log(1 + g tr C/d)]`, what the best isotropic variance saves in KL (B7)."""
    return (gap * trace - dim * xp.log1p(gap * trace / dim)) / 2


# --- C: the end t = 1 ------------------------------------------------------------------------------------------------


def kl_terminal_bound(snr_s: Number, trace: Number) -> Number:
    """`KL(q_s‖N(α_s μ, σ_s² I)) ≤ ½ γ_s tr Σ`, `trace = tr Σ` (C5)."""
    return kl_trace_bound(snr_s, trace)


def mean_gain(snr_s: Number, mean_norm2: Number) -> Number:
    """`½ γ_s ‖μ‖²`, the nats that the mean buys over a centred start of the same variance (C6)."""
    return snr_s * mean_norm2 / 2


def noise_start_gain(alpha: Number, sigma: Number, mean_norm2: Number, trace: Number, dim: int, xp: Namespace) -> Number:
    """`½[α²‖μ‖² + (α² − γ) tr Σ + d(σ² − 1 − log σ²)]`, what the mean start buys over N(0, I) (C6)."""
    var = sigma**2
    return (alpha**2 * mean_norm2 + (alpha**2 - snr(alpha, sigma)) * trace + dim * (var - 1 - xp.log(var))) / 2


def marginal_var(alpha: Number, sigma: Number, eigenvalue: Number) -> Number:
    """`α²λ + σ²`, the variance of `x_t` along an eigenvector of Σ (C7)."""
    return alpha**2 * eigenvalue + sigma**2


def ode_slope(alpha: Number, sigma: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`√(λ/(α²λ + σ²))`, by which the flow carries deviations at t to t = 0 for Gaussian data (C7)."""
    return xp.sqrt(eigenvalue / marginal_var(alpha, sigma, eigenvalue))


# --- D: the end t = 0 ------------------------------------------------------------------------------------------------


def nearest_weight(others: Number) -> Number:
    """`1/(1 + S)`, the posterior weight of an atom whose rivals weigh S against it (D1)."""
    return 1 / (1 + others)


def rival_weight(prior_ratio: Number, margin: Number, sigma: Number, xp: Namespace) -> Number:
    """`(w_j/w_i) exp(−m_j/2σ²)`, a rival's weight at margin `m_j = ‖x−αy_j‖² − ‖x−αy_i‖²` (D1)."""
    return prior_ratio * xp.exp(-margin / (2 * sigma**2))

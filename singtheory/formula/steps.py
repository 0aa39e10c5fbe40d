"""Group F: what each step keeps of the data's spread, along one eigenvalue λ of Σ.

With `v = α²λ + σ²` (`marginal_var`) and `θ = arctan √(γλ)`: `cos θ = σ/√v`, `sin θ = α√λ/√v`; θ runs from 0 where α = 0 to π/2 where σ = 0.
"""

from singtheory.formula.number import Namespace, Number
from singtheory.formula.small import root_fall
from singtheory.formula.terminal import marginal_var, noise_start_gain, posterior_slope
from singtheory.formula.transitions import snr


def spread_angle(alpha: Number, sigma: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`θ = arctan √(γλ)`, from 0 at α = 0 to π/2 at σ = 0 (F1)."""
    return xp.atan2(alpha * xp.sqrt(eigenvalue), sigma)


def ddim_spread_factor(
    alpha_t: Number, alpha_s: Number, sigma_t: Number, kept_std: Number, eigenvalue: Number
) -> Number:
    """`(α_sα_tλ + kept_std σ_t)/v_t`, by which a DDIM step multiplies the deviation of `x_t` from `α_t μ` (F1, F9).

    `kept_std = √(σ_s² − σ_η²)` is what the step keeps of the old noise, `σ_s` for DDIM(0).
    """
    slope = posterior_slope(alpha_t, sigma_t, eigenvalue)  # of x̂
    return alpha_s * slope + kept_std * sigma_t / marginal_var(alpha_t, sigma_t, eigenvalue)


def flow_spread_factor(
    alpha_t: Number, sigma_t: Number, alpha_s: Number, sigma_s: Number, eigenvalue: Number, xp: Namespace
) -> Number:
    """`√(v_s/v_t)`, by which the exact flow multiplies the deviation from the mean (C7, F1)."""
    return xp.sqrt(marginal_var(alpha_s, sigma_s, eigenvalue) / marginal_var(alpha_t, sigma_t, eigenvalue))


def step_kept(
    alpha_t: Number, sigma_t: Number, alpha_s: Number, sigma_s: Number, eigenvalue: Number, xp: Namespace
) -> Number:
    """`cos(θ_s − θ_t) = (α_sα_tλ + σ_sσ_t)/√(v_s v_t)`, the share of the standard deviation that a DDIM(0) step keeps (F1).

    A sum of two positive terms: no digit is lost where the angles are near.
    """
    product = marginal_var(alpha_t, sigma_t, eigenvalue) * marginal_var(alpha_s, sigma_s, eigenvalue)
    return (alpha_s * alpha_t * eigenvalue + sigma_s * sigma_t) / xp.sqrt(product)


def first_step_kept(snr_s: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`cos θ_s = 1/√(1 + γ_s λ)`, what the mean start at s keeps, which is the first step from `α_1 = 0` (F2)."""
    return 1 / xp.sqrt(1 + snr_s * eigenvalue)


def kept_var_after(
    kept_var: Number,
    alpha_t: Number,
    alpha_s: Number,
    sigma_t: Number,
    sigma_s: Number,
    noise_var: Number,
    kept_std: Number,
    eigenvalue: Number,
) -> Number:
    """`r_s = [f² v_t r_t + σ_η²]/v_s`, the share of the variance kept after a DDIM(η) step, f its factor (F9)."""
    factor = ddim_spread_factor(alpha_t, alpha_s, sigma_t, kept_std, eigenvalue)
    moved = factor**2 * marginal_var(alpha_t, sigma_t, eigenvalue) * kept_var
    return (moved + noise_var) / marginal_var(alpha_s, sigma_s, eigenvalue)


def ancestral_loss(b: Number, alpha_t: Number, sigma_t: Number, eigenvalue: Number) -> Number:
    """`b²λσ_t²/v_t`, the variance that one ancestral step (η = 1) misses, b the bridge's (B7, F9)."""
    return b**2 * eigenvalue * sigma_t**2 / marginal_var(alpha_t, sigma_t, eigenvalue)


def shifted_time(t: Number, shift: Number) -> Number:
    """`t' = st/(st + 1 − t)`, the timestep shift of flow models, exact at both ends; it divides √γ by s (F3)."""
    return shift * t / (shift * t + (1 - t))


def resolution_shift(dim: Number, reference_dim: Number, xp: Namespace) -> Number:
    """`√(d/d_0)`: with λ ∝ d this shift leaves what each step keeps as it is at `d_0` (F6)."""
    return xp.sqrt(dim / reference_dim)


def corrected_end_low(snr: Number, eigenvalue: Number, mmse: Number, xp: Namespace) -> Number:
    """`√λ(c − 1) − c√m`, `c = √(1 + 1/γλ)`: at most this is `W₂` of a last step `μ + c(x̂ − μ)`, divided by its cosine, from the data; m the mmse (F4)."""
    inverse = 1 / (snr * eigenvalue)
    c = xp.sqrt(1 + inverse)
    return xp.sqrt(eigenvalue) * inverse / (c + 1) - c * xp.sqrt(mmse)  # c − 1 = (c² − 1)/(c + 1)


def zero_init_cost(
    alpha: Number, sigma: Number, mean_norm2: Number, mean_error2: Number, trace: Number, dim: int, xp: Namespace
) -> Number:
    """`½{α²‖μ‖² − γ‖μ − μ̂‖² + (α² − γ) tr Σ + d(σ² − 1 − log σ²)}`: nats by which `x_1` itself is farther than a mean start with `μ̂` (F7)."""
    return noise_start_gain(alpha, sigma, mean_norm2, trace, dim, xp) - snr(alpha, sigma) * mean_error2 / 2


def even_angles_kept(steps: Number, angle: Number, xp: Namespace) -> Number:
    """`cos(Θ/N)^N`, what N steps of equal angle keep of one λ, `Θ = π/2` from noise to data: the most that N steps can (F8)."""
    return xp.cos(angle / steps) ** steps


def even_angles_loss(steps: Number, angle: Number) -> Number:
    """`Θ²/2N + Θ⁴/12N³`, to which `−log` of that tends for many steps (F8)."""
    return angle**2 / (2 * steps) + angle**4 / (12 * steps**3)


def angle_rate(snr: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`dθ/d log γ = ½ √(γλ)/(1 + γλ)` (F8)."""
    return xp.sqrt(snr * eigenvalue) / (2 * (1 + snr * eigenvalue))


def denoiser_weight(alpha_t: Number, sigma_t: Number, alpha_s: Number, kept_std: Number) -> Number:
    """`B = α_s − α_t kept_std/σ_t`, the weight of `x̂` in a DDIM step `(kept_std/σ_t) x_t + B x̂ + σ_η n` (F11).

    `kept_std = √(σ_s² − σ_η²)`: `σ_s` for DDIM(0); at η = 1, B is the bridge's b.
    """
    return alpha_s - alpha_t * kept_std / sigma_t


def step_lost_var(weight: Number, mmse: Number) -> Number:
    """`B² m`, the variance that one DDIM step from the right law loses, whatever the law; m is `E Var(⟨u, x_0⟩|x_t)` along u (F11)."""
    return weight**2 * mmse


def step_w2_low(var: Number, lost: Number, xp: Namespace) -> Number:
    """`(√v − √(v − lost))²`: `W₂²` of two laws on a line whose variances are v and `v − lost` is at least this, and is this for Gaussians (F11)."""
    return root_fall(var, lost, xp) ** 2


def guess_rate(var: Number, third: Number, z: Number, x_hat: Number, root_snr: Number) -> Number:
    """`C(z − √γ x̂) − √γ κ₃`, how fast x̂ changes along the flow, a unit of √γ, on a line where `z = √γ x_0 + n` (F11).

    C and κ₃ are the posterior's variance and third central moment. In more dimensions, along u: `⟨u, C(z − √γ x̂)⟩ − √γ E[⟨u, r⟩|r|²]`, `r = x_0 − x̂`.
    """
    return var * (z - root_snr * x_hat) - root_snr * third


def gaussian_guess_rate(snr: Number, eigenvalue: Number, xp: Namespace) -> Number:
    """`λ/(1 + γλ)^{3/2}`, the root of the mean square of `guess_rate` for Gaussian data (F11)."""
    return eigenvalue / ((1 + snr * eigenvalue) * xp.sqrt(1 + snr * eigenvalue))

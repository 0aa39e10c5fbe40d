r"""Divergences between the exact reverse kernel P and Gaussians: KL, TV, χ² and W₂.

All live in the coordinate `u = (x_s − a x_t − b x̂)/c` of A4, where P is the law of `√g ξ + n` and the plug-in Gaussian Q is
`N(0, I)`; KL, TV and χ² do not change with the coordinate. Closed forms where they exist, quadrature in one and two dimensions,
Monte Carlo elsewhere.

The Monte Carlo estimators are built from variables with known bounds, so that their intervals hold at every sample size:

- TV `= E_Q (1 − r)₊` with `r = dP/dQ ≥ exp(−½ g tr C)` by Jensen's inequality.
- KL `= E_P[f(r); r > 1] + E_Q[φ(r); r < 1]`, `f(r) = log r − 1 + 1/r`, `φ(r) = r f(r)`: both parts are of the order of KL itself, where
  `log r` is of the order of its root. Above a threshold R the tail is at most `f(R)/(R − 1) (χ² − E_P[r − 1; r ≤ R])`, χ² by B1.
- KL `= ½ g tr C − H(p) + E_P H(x_0 | x_t, x_s)`, with entropies in [0, log n]: better at large gaps. The intervals are intersected.
"""

import math
from collections.abc import Callable

import torch
from scipy.optimize import brentq
from scipy.special import ndtri
from torch import Tensor

from singtheory import draw, formula
from singtheory.errors import InputError
from singtheory.estimate import Estimate, check_confidence, mean_interval
from singtheory.posterior import AtomsPosterior, GaussianPosterior, MixturePosterior, Posterior

_TAIL_STDS = 12.0
_MAX_NODES = 2**22
_ROUNDINGS = 8
"""Roundings of unit size in a distribution function or an exponent, and as many to spare."""


# --- χ² (B1) ---------------------------------------------------------------------------------------------------------


def log1p_chi2(posterior: Posterior, gap: float) -> Tensor:
    """`log(1 + χ²(P‖Q)) = log E exp(g⟨ξ, ξ'⟩)` (B1), shape (batch,); infinite where the expectation is."""
    if isinstance(posterior, AtomsPosterior):
        return torch.cat([_log1p_chi2_atoms(query, gap) for query in posterior])
    if isinstance(posterior, GaussianPosterior):
        return _log1p_chi2_gauss(posterior, gap)
    assert isinstance(posterior, MixturePosterior)
    return torch.cat([_log1p_chi2_mixture(query, gap) for query in posterior])


def _log1p_chi2_atoms(query: AtomsPosterior, gap: float, rows: int = 4096) -> Tensor:
    """Over all pairs of atoms, `rows` at a time."""
    log_p = query.log_weights[0]
    support = log_p > -torch.inf
    xi, log_p = (query.points - query.mean)[support], log_p[support]
    if gap * float(xi.square().sum(dim=1).max()) < 500:
        p = log_p.exp()
        sums = [torch.expm1(gap * (xi[i : i + rows] @ xi.mT)) @ p for i in range(0, len(xi), rows)]
        return torch.log1p(p @ torch.cat(sums))[None]
    parts = [torch.logsumexp(log_p + gap * (xi[i : i + rows] @ xi.mT), dim=1) for i in range(0, len(xi), rows)]
    return torch.logsumexp(log_p + torch.cat(parts), dim=0, keepdim=True)


def _log1p_chi2_gauss(posterior: GaussianPosterior, gap: float) -> Tensor:
    """`−½ Σ log(1 − g²λ²)`, infinite once `gλ ≥ 1`."""
    spread = gap * posterior.spectrum
    return torch.where(spread < 1, -torch.log1p(-spread.clamp(max=1).square()) / 2, torch.inf).sum(dim=1)


def _log1p_chi2_mixture(query: MixturePosterior, gap: float) -> Tensor:
    """Component by component: `E exp(g⟨ξ, ξ'⟩)` of two independent Gaussians is a Gaussian integral."""
    shifts, covs = query._shifts[0], [c.cov[0] for c in query.components]
    terms = [
        query.log_weights[0, j] + query.log_weights[0, k] + _log_gauss_pair(gap, shifts[j], covs[j], shifts[k], covs[k])
        for j in range(len(covs))
        for k in range(len(covs))
    ]
    return torch.logsumexp(torch.stack(terms), dim=0, keepdim=True)


def _log_gauss_pair(gap: float, mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> Tensor:
    """`log E exp(g⟨ξ, ξ'⟩)` for independent `ξ ~ N(mean, cov)`, `ξ' ~ N(other_mean, other_cov)`."""
    values, basis = torch.linalg.eigh(cov)
    root = basis * values.clamp(min=0).sqrt()
    quadratic = gap**2 * root.mT @ other_cov @ root
    if float(torch.linalg.eigvalsh(quadratic)[-1]) >= 1:
        return torch.tensor(torch.inf, dtype=torch.float64)
    linear = gap * other_mean + gap**2 * other_cov @ mean
    identity = torch.eye(len(mean), dtype=torch.float64)
    solved = torch.linalg.solve(identity - quadratic, root.mT @ linear)
    constant = gap * other_mean @ mean + gap**2 / 2 * mean @ other_cov @ mean
    return (linear @ root @ solved) / 2 + constant - torch.linalg.slogdet(identity - quadratic)[1] / 2


# --- KL --------------------------------------------------------------------------------------------------------------


def kl_gauss(posterior: Posterior, gap: float) -> Tensor:
    """`KL(M‖Q) = ½ Σ (gλ_i − log(1 + gλ_i))` (B5): all of `KL(P‖Q)` if the posterior is Gaussian; shape (batch,)."""
    return formula.kl_gauss_term(gap, posterior.eigenvalues, torch).sum(dim=1)


def kl_quadrature(posterior: Posterior, gap: float) -> Estimate:
    """`KL(P‖Q)` by the trapezoidal rule, d ≤ 2; error from halving the step."""
    return _each(posterior, lambda query: _kl_quadrature(query, gap, _log_standard))


def kl_moment_quadrature(posterior: Posterior, gap: float) -> Estimate:
    """`KL(P‖M)` by the trapezoidal rule, d ≤ 2: M has the mean and covariance of P."""

    def against_moments(query: Posterior) -> Estimate:
        spread = torch.eye(query.mean.shape[1], dtype=torch.float64) + gap * query.cov[0]
        inverse, log_det = torch.linalg.inv(spread), torch.linalg.slogdet(spread)[1]

        def log_density(u: Tensor) -> Tensor:
            return -((u @ inverse * u).sum(dim=-1) + log_det + u.shape[-1] * math.log(2 * math.pi)) / 2

        return _kl_quadrature(query, gap, log_density, math.sqrt(float(torch.linalg.eigvalsh(spread)[-1])))

    return _each(posterior, against_moments)


def kl_isotropic_quadrature(posterior: Posterior, gap: float, var: float) -> Estimate:
    """`KL(P‖N(0, var·I))` in the coordinate u by the trapezoidal rule, d ≤ 2 (B7)."""

    def log_density(u: Tensor) -> Tensor:
        return -(u.square().sum(dim=-1) / var + u.shape[-1] * math.log(2 * math.pi * var)) / 2

    return _each(posterior, lambda query: _kl_quadrature(query, gap, log_density, math.sqrt(var)))


def kl_monte_carlo(
    posterior: AtomsPosterior, gap: float, samples: int, generator: torch.Generator | None, confidence: float
) -> Estimate:
    """`KL(P‖Q)` of finite data in any dimension, half of the samples from P and half from Q (module docstring)."""
    _check_samples(samples, confidence)
    chi2 = torch.expm1(log1p_chi2(posterior, gap))
    pairs = zip(posterior, chi2, strict=True)
    return Estimate.stack([_kl_monte_carlo(q, gap, samples // 2, float(x), generator, confidence) for q, x in pairs])


def kl_asymptotic(
    posterior: Posterior, gap: float, samples: int, generator: torch.Generator | None, confidence: float
) -> Estimate:
    """`KL(P‖Q)` of any posterior with a normal interval: for mixtures in three or more dimensions, where r has no lower bound."""
    _check_samples(samples, confidence)
    values = excess(posterior.log_ratio(draw_kernel(posterior, gap, samples, generator), gap))
    mean, error = values.mean(dim=1), values.std(dim=1) / samples**0.5
    width = -float(ndtri((1 - confidence) / 2)) * error
    return Estimate(mean, mean - width, mean + width, confidence, samples, "monte-carlo (asymptotic)")


def kl_moment_draws(posterior: Posterior, gap: float, samples: int, generator: torch.Generator | None) -> Tensor:
    """Draws whose mean is `KL(P‖M)`: `f(dP/dM) ≥ 0` under P; shape (batch, samples)."""
    u = draw_kernel(posterior, gap, samples, generator)
    spread = gap * posterior.eigenvalues[:, None]
    rotated = u @ torch.linalg.eigh(posterior.cov)[1]
    log_m_over_q = (spread / (1 + spread) * rotated.square() - torch.log1p(spread)).sum(dim=-1) / 2
    return excess(posterior.log_ratio(u, gap) - log_m_over_q)


def _kl_monte_carlo(
    query: AtomsPosterior,
    gap: float,
    half: int,
    chi2: float,
    generator: torch.Generator | None,
    confidence: float,
) -> Estimate:
    u_p, u_q = draw_kernel(query, gap, half, generator), draw_plug_in(query, half, generator)
    log_r_p, log_r_q = query.log_ratio(u_p, gap)[0], query.log_ratio(u_q, gap)[0]
    side = 1 - (1 - confidence) / 2
    trace_bound = formula.kl_trace_bound(gap, float(query.trace_cov))
    forms = (
        _kl_by_ratio(log_r_p, log_r_q, chi2, trace_bound, side),
        _kl_by_entropy(query, u_p, gap, trace_bound, side),
    )
    value = min(forms, key=lambda form: form[2] - form[1])[0]
    low, high = max(0.0, forms[0][1], forms[1][1]), min(forms[0][2], forms[1][2])
    return _estimate(value, low, high, confidence, 2 * half, "monte-carlo")


def _kl_by_ratio(
    log_r_p: Tensor, log_r_q: Tensor, chi2: float, trace_bound: float, confidence: float
) -> tuple[float, float, float]:
    """Value, low and high from `f(r)` above one under P and `φ(r)` below one under Q."""
    above = excess(log_r_p) * (log_r_p > 0)
    below = torch.where(log_r_q < 0, _phi_mass(log_r_q, torch.zeros_like(log_r_q)), 0.0)
    value = float(above.mean() + below.mean())
    r_low = math.exp(-trace_bound)
    below_low, below_high = mean_interval(below, 0.0, 1 - r_low * (1 + trace_bound), _split(confidence, 3))
    # the threshold balances the range of the variables against the tail left out; any fixed choice is valid
    threshold = 1 + 6 * math.sqrt(chi2) + 200 * chi2
    if not math.isfinite(threshold):
        return value, 0.0, math.inf
    f_max = math.log(threshold) - 1 + 1 / threshold
    kept = torch.where(log_r_p <= math.log(threshold), above, 0.0)
    kappa = f_max / (threshold - 1) if threshold > 1 else 0.0
    ratio_part = torch.where(log_r_p <= math.log(threshold), torch.expm1(log_r_p), 0.0)
    low, _ = mean_interval(kept, 0.0, f_max, _split(confidence, 3))
    _, high = mean_interval(kept - kappa * ratio_part, -f_max, f_max + kappa * (1 - r_low), _split(confidence, 3))
    return value, low + below_low, high + kappa * chi2 + below_high


def _kl_by_entropy(
    query: AtomsPosterior, u: Tensor, gap: float, trace_bound: float, confidence: float
) -> tuple[float, float, float]:
    """Value, low and high from `½ g tr C − H(p) + E_P H(x_0 | x_t, x_s)`."""
    entropy = query.conditional_entropy(u, gap)[0]
    low, high = mean_interval(entropy, 0.0, math.log(query.log_weights.shape[1]), confidence)
    known = trace_bound - float(query.entropy)
    return known + float(entropy.mean()), known + low, known + high


def _kl_quadrature(
    query: Posterior, gap: float, log_reference: Callable[[Tensor], Tensor], reference_std: float = 1.0
) -> Estimate:
    """`∫ φ(p/m) dm` for a centred reference density m: the integrand is not negative, so nothing cancels."""
    box = _box(query, gap, reference_std)

    def integrate(nodes: int) -> float:
        u, cell = _tensor_grid(box, nodes)
        log_m = log_reference(u)
        log_r = query.log_ratio(u[None], gap)[0] + _log_standard(u) - log_m
        return float(_phi_mass(log_r, log_m).sum() * cell)

    value, error, nodes = _refine(integrate, len(box))
    return _estimate(value, value - error, value + error, 1.0, nodes, "quadrature")


# --- TV --------------------------------------------------------------------------------------------------------------


def tv_exact(posterior: Posterior, gap: float) -> Estimate:
    """`TV(P, Q)` in one dimension from the roots of `log r` and normal distribution functions (B12); the interval is their rounding."""
    return _each(posterior, lambda query: _tv_exact(query, gap))


def tv_monte_carlo(
    posterior: Posterior, gap: float, samples: int, generator: torch.Generator | None, confidence: float
) -> Estimate:
    """`TV(P, Q) = E_Q (1 − r)₊` in any dimension, between 0 and `1 − exp(−½ g tr C)` for finite data."""
    _check_samples(samples, confidence)

    def estimate(query: Posterior) -> Estimate:
        values = -torch.expm1(query.log_ratio(draw_plug_in(query, samples, generator), gap)[0]).clamp(max=0)
        trace_bound = formula.kl_trace_bound(gap, float(query.trace_cov))
        highest = -math.expm1(-trace_bound) if isinstance(query, AtomsPosterior) else 1.0
        low, high = mean_interval(values, 0.0, highest, confidence)
        return _estimate(float(values.mean()), low, high, confidence, samples, "monte-carlo")

    return _each(posterior, estimate)


def _tv_exact(query: Posterior, gap: float) -> Estimate:
    (low, high), *_ = _box(query, gap)
    u = torch.linspace(low, high, 2**14 + 1, dtype=torch.float64)

    def log_r(x: float) -> float:
        return float(query.log_ratio(torch.tensor([[[x]]], dtype=torch.float64), gap))

    positive = query.log_ratio(u[None, :, None], gap)[0] > 0
    flips = (positive[1:] != positive[:-1]).nonzero()[:, 0].tolist()
    roots = [brentq(log_r, float(u[i]), float(u[i + 1]), xtol=1e-15) for i in flips]
    edges = torch.tensor([-torch.inf, *roots, torch.inf], dtype=torch.float64)
    signed = _kernel_cdf(query, gap, edges) - _normal_cdf(edges)
    value = float(signed.diff().clamp(min=0).sum())
    # a few roundings an edge; and where log r is lost in those of its exponents, up to |m u|, r − 1 may have the wrong sign
    exponent = max(abs(low), abs(high)) * float(_parts(query, gap)[1].abs().max())
    rounding = _ROUNDINGS * torch.finfo(torch.float64).eps * (len(edges) + exponent)
    return _estimate(value, max(0.0, value - rounding), value + rounding, 1.0, 0, "exact")


# --- W₂ --------------------------------------------------------------------------------------------------------------


def w2_exact(posterior: Posterior, gap: float) -> Estimate:
    """`W₂(P, Q)` in one dimension, in units of c, through the monotone map between them."""

    def estimate(query: Posterior) -> Estimate:
        box = _box(query, gap)

        def integrate(nodes: int) -> float:
            u, cell = _tensor_grid(box, nodes)
            below, above = _kernel_cdf(query, gap, u[:, 0]), _kernel_survival(query, gap, u[:, 0])
            image = torch.where(below < above, torch.special.ndtri(below), -torch.special.ndtri(above))
            density = (query.log_ratio(u[None], gap)[0] + _log_standard(u)).exp()
            shift = torch.where(image.isfinite(), u[:, 0] - image, 0.0)
            return float((density * shift.square()).sum() * cell)

        value, error, nodes = _refine(integrate, 1)
        root = math.sqrt(value)
        width = error / max(root, 1e-300)
        return _estimate(root, max(0.0, root - width), root + width, 1.0, nodes, "quadrature")

    return _each(posterior, estimate)


def w2_bracket(posterior: Posterior, gap: float) -> Estimate:
    """`W₂(P, Q)` in units of c between Gelbrich's bound from the first two moments and the coupling by one noise, `√(g tr C)`."""
    low = ((1 + gap * posterior.eigenvalues).sqrt() - 1).square().sum(dim=1).sqrt()
    high = (gap * posterior.trace_cov).sqrt()
    return Estimate((low + high) / 2, low, high, 1.0, 0, "exact")


# --- shared pieces ---------------------------------------------------------------------------------------------------


def _estimate(value: float, low: float, high: float, confidence: float, n: int, method: str) -> Estimate:
    columns = torch.tensor([[value], [low], [high]], dtype=torch.float64)
    return Estimate(columns[0], columns[1], columns[2], confidence, n, method)


def _each(posterior: Posterior, estimate: Callable[[Posterior], Estimate]) -> Estimate:
    return Estimate.stack([estimate(query) for query in posterior])


def _check_samples(samples: int, confidence: float) -> None:
    check_confidence(confidence)
    if samples < 2:
        raise InputError(f"samples {samples}: need at least two")


def _split(confidence: float, parts: int) -> float:
    """The confidence of each of `parts` intervals that hold together with `confidence`."""
    return 1 - (1 - confidence) / parts


def excess(log_r: Tensor) -> Tensor:
    """`f(r) = log r − 1 + 1/r ≥ 0`."""
    return log_r + torch.expm1(-log_r)


def _phi_mass(log_r: Tensor, log_density: Tensor) -> Tensor:
    """`φ(r)` times a density, `φ(r) = r log r − r + 1 ≥ 0`; r alone would overflow."""
    below, above = log_r.clamp(max=0), log_r.clamp(min=0)
    small = (below.exp() * below - torch.expm1(below)) * log_density.exp()
    return torch.where(log_r < 0, small, excess(above) * (above + log_density).exp())


def draw_plug_in(posterior: Posterior, n: int, generator: torch.Generator | None) -> Tensor:
    """`u ~ N(0, I)`, shape (batch, n, d)."""
    return draw.normal((len(posterior), n, posterior.mean.shape[1]), posterior.mean.device, generator)


def draw_kernel(posterior: Posterior, gap: float, n: int, generator: torch.Generator | None) -> Tensor:
    """`u = √g ξ + n`, shape (batch, n, d) (A4)."""
    xi = posterior.sample(n, generator) - posterior.mean[:, None]
    return math.sqrt(gap) * xi + draw_plug_in(posterior, n, generator)


def _log_standard(u: Tensor) -> Tensor:
    return -(u.square().sum(dim=-1) + u.shape[-1] * math.log(2 * math.pi)) / 2


def _parts(query: Posterior, gap: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, centres (k, d) and largest standard deviations (k,) of P's Gaussian components in u."""
    if isinstance(query, AtomsPosterior):
        heavy = query.weights[0] > 1e-40
        centres, trace = (
            (query.points - query.mean)[heavy],
            torch.zeros(int(heavy.sum()), dtype=torch.float64),
        )
        weights = query.weights[0, heavy]
    elif isinstance(query, GaussianPosterior):
        weights, centres, trace = (
            torch.ones(1, dtype=torch.float64),
            torch.zeros_like(query.mean),
            query.spectrum.amax(1),
        )
    else:
        assert isinstance(query, MixturePosterior)
        weights, centres = query.weights[0], query._shifts[0]
        trace = torch.cat([c.spectrum.amax(dim=1) for c in query.components])
    return weights, math.sqrt(gap) * centres, (1 + gap * trace).sqrt()


def _box(query: Posterior, gap: float, reference_std: float = 1.0) -> list[tuple[float, float]]:
    """In each of the d ≤ 2 dimensions, an interval that P and the reference leave with probability below 1e-30."""
    if query.mean.shape[1] > 2:
        raise InputError(f"quadrature in {query.mean.shape[1]} dimensions: it serves one and two, use Monte Carlo")
    _, centres, stds = _parts(query, gap)
    reach = _TAIL_STDS * stds[:, None]
    reference = torch.full_like(centres[:1], _TAIL_STDS * reference_std)
    low = torch.cat([centres - reach, -reference]).amin(dim=0)
    high = torch.cat([centres + reach, reference]).amax(dim=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _tensor_grid(box: list[tuple[float, float]], nodes: int) -> tuple[Tensor, float]:
    axes = [torch.linspace(low, high, nodes, dtype=torch.float64) for low, high in box]
    cell = math.prod((high - low) / (nodes - 1) for low, high in box)
    return torch.cartesian_prod(*axes).reshape(-1, len(box)), cell


def _refine(integrate: Callable[[int], float], dims: int, rtol: float = 1e-13) -> tuple[float, float, int]:
    """Value, error and nodes: the step is halved until the value stays, as the rule converges exponentially for these integrands."""
    nodes = 129
    value = integrate(nodes)
    while True:
        nodes = 2 * nodes - 1
        finer = integrate(nodes)
        error = max(abs(finer - value), rtol * abs(finer))  # never below the rounding of the sum
        if abs(finer - value) <= rtol * abs(finer) or (2 * nodes) ** dims > _MAX_NODES:
            return finer, error, nodes**dims
        value = finer


def _normal_cdf(x: Tensor) -> Tensor:
    """`Φ(x)` with all digits in the lower tail, where torch's own `ndtr` loses them beyond −8."""
    return torch.special.erfc(-x / math.sqrt(2)) / 2


def _kernel_cdf(query: Posterior, gap: float, u: Tensor) -> Tensor:
    """P's distribution function in one dimension at `u` (n,)."""
    weights, centres, stds = _parts(query, gap)
    return _normal_cdf((u[:, None] - centres[:, 0]) / stds) @ weights


def _kernel_survival(query: Posterior, gap: float, u: Tensor) -> Tensor:
    """One less `_kernel_cdf`, with all digits in the upper tail."""
    weights, centres, stds = _parts(query, gap)
    return _normal_cdf((centres[:, 0] - u[:, None]) / stds) @ weights

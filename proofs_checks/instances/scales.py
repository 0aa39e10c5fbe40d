"""The data's own scales, and what rounding does to posteriors there: times are chosen by the one, and allowances derived from the other.

Allowances are first-order counts of roundings of the magnitudes that cancel, so that on any data a true equality stays one.
"""

import torch
from torch import Tensor

from singtheory import Atoms, Law, Schedule, formula, limit
from singtheory.law import AtomsPosterior

EPS = formula.DOUBLE
RESOLVED = 0.01
"""An instance says something where rounding allows at most this share of what is measured."""
SETTLED = 1e-20
"""Where the rivals of an atom move the denoiser by less than this share of their distance, it has become the atom."""
_KEPT_BY_PRODUCTS = 1e-9
"""What products may lose of log weights: where products would lose more, posteriors take differences."""
_DISTINCT = 2.0**-40
"""The share of the radius: nearer atoms cannot be told apart by differences of coordinates that are rounded."""


def radius(law: Law) -> float:
    """At least `√E‖x_0‖²`; of atoms the largest norm `R` of one that has weight."""
    if law.finite:
        atoms = law.atoms()
        return float(atoms.points[atoms.weights > 0].norm(dim=1).max())
    return float(law.mean.square().sum() + law.cov.trace()) ** 0.5


def moment_rounding(law: Law) -> float:
    """The rounding of the mean `μ` in units of `R`, and of the covariance in units of `R²`: sums over all atoms."""
    return EPS * (16 + (len(law.atoms().points) if law.finite else law.dim))


def log_weight_rounding(law: Atoms, x: Tensor, alpha: Tensor, sigma: Tensor) -> float:
    """What rounding does to the log weight of an atom that matters: a difference of squares over `2σ²`, and log priors.

    Squares come from products where these keep enough, else from differences of coordinates, of which each is off by a rounding.
    """
    x, weighs = torch.atleast_2d(x), law.weights > 0
    size = float(x.norm(dim=1).max()) + float(alpha) * radius(law)
    priors = -float(law.weights[weighs].log().min())
    var, roundings = float(sigma) ** 2, EPS * (64 + law.dim)
    products = roundings * (1 + size**2 / var) + 8 * EPS * priors
    if products <= _KEPT_BY_PRODUCTS:
        return products
    nearest = min(float((one - alpha * law.points[weighs]).square().sum(dim=1).min()) for one in x)
    matters = nearest + 2 * var * (40 + priors)  # what is farther weighs less than e^-40
    differences = roundings * (1 + matters / var) + 16 * EPS * matters**0.5 * size / var + 8 * EPS * priors
    return min(products, max(_KEPT_BY_PRODUCTS, differences))


def denoiser_rounding(law: Law, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """At least the error of `x̂` at each x through rounding, of `x/σ` and γ too; shape (batch,). A proven bound for atoms."""
    posterior = law.posterior(x / sigma, formula.snr(alpha, sigma))
    own = 8 * EPS * (radius(law) + x.norm(dim=1))
    if posterior.finite:
        return (
            4 * posterior.atoms().error_bound + own
        )  # which knows two roundings of z and of √γ; here there are up to four
    size = (x.norm(dim=1) + float(alpha) * radius(law)) / float(sigma)
    return own + 64 * EPS * (1 + size**2) * radius(law)


def trace_rounding(law: Atoms, posterior: AtomsPosterior, log_weights: float) -> float:
    """The rounding of `tr C` and of `Σ p_i‖y_i − x̂‖²` together: log weights are off by so much, x̂ by its error, coordinates by a rounding."""
    trace, error = float(posterior.trace_cov), float(posterior.error_bound)
    points, weights = posterior.points, posterior.weights[0]
    about_best, about_mean = (
        float(weights @ (points - y).square().sum(dim=1)) for y in (points[weights.argmax()], law.mean)
    )
    # tr C is what x̂'s share leaves of either
    cancels = EPS * (64 + len(points) + law.dim) * max(about_best, about_mean)
    moved = 2 * error + 8 * EPS * radius(law)
    return 4 * log_weights * about_best + cancels + moved * (2 * trace**0.5 + moved)


def distinct(law: Atoms, i: int) -> Tensor:
    """Which atoms of weight lie at another place than atom i, shape (n,)."""
    distance = (law.points - law.points[i]).norm(dim=1)
    return (distance > _DISTINCT * radius(law)) & (law.weights > 0)


def pull_of_rivals(law: Atoms, x: Tensor, alpha: Tensor, sigma: Tensor, i: int) -> float:
    """At least `‖x̂ − y_i‖` at one x: `Σ_j (w_j/w_i) e^{−m_j/2σ²}‖y_j − y_i‖`, margins from atom i (D1); infinite where it overflows."""
    weighs = law.weights > 0
    points, y = law.points[weighs], law.points[i]
    # ‖x − αy_j‖² − ‖x − αy_i‖² = ⟨α(y_i − y_j), 2x − α(y_i + y_j)⟩, where few digits cancel
    margins = ((y - points) * alpha * (2 * x - alpha * (y + points))).sum(dim=1)
    log_ratios = (law.weights[weighs] / law.weights[i]).log() - margins / (2 * sigma**2)
    distance = (points - y).norm(dim=1)
    return float(torch.where(distance > 0, log_ratios.exp() * distance, 0.0).sum())


def settled_time(
    law: Atoms, schedule: Schedule, i: int, towards: Tensor, snr: float, *, along: bool, tries: int = 40
) -> float:
    """The first t, from γ = snr in steps of 4, at which the rivals of atom i move the denoiser by less than `SETTLED` of its distance.

    Args:
        law: finite data.
        schedule: the forward process.
        i: number of the atom.
        towards: a point near it, shape (d,).
        snr: the largest γ that is not too late where weights and norms are alike.
        along: whether `x_t` is `α_t` times that point, rather than the point.
        tries: after so many steps the last is taken: the rivals are then equal to the atom but for rounding.
    """
    apart = float((towards - law.points[i]).norm())
    snr = max(snr, 2 * float(schedule.snr(1.0)))
    for k in range(tries):
        t = float(schedule.time_of_snr(snr * 4.0**k))
        alpha, sigma = schedule(t)
        x = (alpha if along else 1.0) * towards
        if pull_of_rivals(law, x, alpha, sigma, i) <= SETTLED * apart:
            return t
    return float(schedule.time_of_snr(snr))


def series_bound(law: Atoms, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """At least `‖x̂ − μ‖`: the linear term of C1 and its explicit remainder; shape (batch,)."""
    linear = (limit.denoiser_series(law, x, alpha, sigma) - law.mean).norm(dim=1)
    return linear + limit.denoiser_series_error(law, x, alpha, sigma)


def series_rounding(law: Atoms, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The rounding of `x̂` and of the series together; shape (batch,)."""
    linear = float(alpha / sigma**2) * float(law.cov.trace()) * x.norm(dim=1)
    return denoiser_rounding(law, x, alpha, sigma) + 4 * moment_rounding(law) * (radius(law) + linear)

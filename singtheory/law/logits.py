r"""Log weights of all points, to the last digits that they have: `log w_i − ½‖z − √γ y_i‖²` less the same of one point.

Relative to a point `y_0`, `log p_i/p_0 = log w_i/w_0 + √γ⟨ρ, Δ_i⟩ − ½γ‖Δ_i‖²` with `ρ = z − √γ y_0` and `Δ_i = y_i − y_0`: the squares of z and of the
points' common offset are gone before anything is rounded. Where what is left is still large against one, it is summed with twice the digits.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine import Points
from singtheory.numerics import DOUBLED, Double2

_LEAST_ROOT = 1e-145
_PLAIN = 1e-10
"""Products in float64 serve where they keep the log weights this well, unless there are few coordinates, which cost nothing."""
_FEW = 2
_CHUNK = 2**18
"""Numbers of a batch that are summed with twice the digits at once."""


class Component(Protocol):
    """What is asked of a component of a mixture."""

    @property
    def log_gain(self) -> Tensor:
        """What its spread adds to its log evidence and the sizes summed, shape (batch, 2)."""
        ...

    @property
    def log_gain_error(self) -> Tensor:
        """At least what the eigenvalues of its covariance take from that, shape (batch,)."""
        ...


def log_weights(points: Points, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised log weights and bounds on their errors, both of shape (batch, n).

    Args:
        points: the points with their prior weights.
        z: shape (batch, d).
        snr: γ, shape (batch,).
    """
    root = snr.sqrt()
    shifted = points.shifted(z, snr)
    sizes = root * shifted.norm(dim=1) * points.radius + snr * points.radius**2
    slack = formula.DOUBLE * (points.dim + 8) * (sizes + root * points.reach * root * points.radius)
    plain = (slack < _PLAIN) & (points.dim > _FEW)
    logits = torch.empty(len(z), len(points.weights), dtype=z.dtype, device=z.device)
    error = slack[:, None].expand_as(logits).clone()
    if plain.any():
        moved = points.whole - points.mean
        products = root[plain, None] * (shifted[plain] @ moved.mT)
        logits[plain] = products - snr[plain, None] / 2 * points.norms2
    if not plain.all():
        logits[~plain], error[~plain] = _exact(points.whole, points.log_weights, z[~plain], snr[~plain])
    logits = torch.where(points.weights > 0, logits, 0.0)
    error = error + 2 * formula.DOUBLE * (logits.abs() + _finite_sizes(points.log_weights))
    return _normalised(logits + points.log_weights, error)


def mixture_weights(
    weights: Tensor, means: Tensor, components: Sequence[Component], z: Tensor, snr: Tensor
) -> tuple[Tensor, Tensor]:
    """Normalised log weights of the components of a mixture and bounds on their errors, both of shape (batch, k).

    A component's evidence is that of a point at its mean and what its spread adds, of which only the latter is rounded at its own size.
    """
    log_w = weights.log()
    gains = torch.stack([c.log_gain for c in components], dim=1)
    apart, error = _exact(means, log_w, z, snr)
    gain, gain_size = gains.unbind(dim=2)
    # the residual behind a gain is turned into the axes of the component, and what that loses is of the size of the whole
    dim = means.shape[1]
    off = torch.stack([residual(z, snr, mean).norm(dim=1) for mean in means], dim=1)
    sizes = apart.abs() + _finite_sizes(log_w) + (dim + 8) * gain_size + (dim**1.5 + 4) * off * (2 * gain_size).sqrt()
    spectral = torch.stack([c.log_gain_error for c in components], dim=1)
    return _normalised(apart + gain + log_w, error + 2 * formula.DOUBLE * sizes + spectral)


def residual(z: Tensor, snr: Tensor, mean: Tensor) -> Tensor:
    """`z − √γ μ` of queries (batch, d), correct to its last digits."""
    root = Double2.root(snr[:, None]).times(Double2(mean[None], torch.zeros_like(mean[None])))
    return Double2(z, torch.zeros_like(z)).minus(root).value()


def _normalised(joint: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """Log weights that add up to one and bounds on their errors, from what was summed and bounds on its errors, both (batch, n).

    The logarithm of the sum is off by at most `log Σ p_i e^{δ_i}`, to which all count, not only the heaviest.
    """
    normalised = torch.log_softmax(joint, dim=1)
    moved = torch.where(normalised > -torch.inf, normalised + errors, -torch.inf).logsumexp(dim=1, keepdim=True)
    top = joint.amax(dim=1, keepdim=True)
    return normalised, errors + moved.clamp(min=0) + formula.DOUBLE * (
        8 + 2 * _finite_sizes(normalised) + 2 * top.abs()
    )


def _finite_sizes(log_w: Tensor) -> Tensor:
    return log_w.clamp(min=-1e300).abs()


def _exact(y: Tensor, log_w: Tensor, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`√γ⟨ρ, Δ_i⟩ − ½γ‖Δ_i‖²` relative to a point of large weight, and what is lost beside their last rounding; shape (batch, n)."""
    rows = max(1, _CHUNK // y.numel())
    parts = [_exact_rows(y, log_w, *part) for part in zip(z.split(rows), snr.split(rows), strict=True)]
    exponents, errors = zip(*parts, strict=True)
    return torch.cat(exponents), torch.cat(errors)


def _exact_rows(y: Tensor, log_w: Tensor, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    root = Double2.root(snr[:, None, None])
    first, errors = _relative(y, z, root, torch.zeros(len(z), dtype=torch.long, device=z.device))
    reference = (first + log_w).argmax(dim=1)
    moved = reference != 0
    if moved.any():
        some = Double2(root.high[moved], root.low[moved])
        first[moved], errors[moved] = _relative(y, z[moved], some, reference[moved])
    return first, errors


def _relative(y: Tensor, z: Tensor, root: Double2, reference: Tensor) -> tuple[Tensor, Tensor]:
    """`⟨√γ Δ_i, ρ − ½ √γ Δ_i⟩` about the point `reference` of each query, and what 106 bits lose of it; root of shape (batch, 1, 1)."""
    origin = y[reference][:, None]
    step = root.times(Double2.difference(y, origin))
    at = z[:, None]
    residual = Double2(at, torch.zeros_like(at)).minus(root.times(Double2(origin, torch.zeros_like(origin))))
    half = Double2(step.high / 2, step.low / 2)
    exponent = step.times(residual.minus(half)).total().value()
    sizes = step.high.abs() * (at.abs() + root.high * origin.abs() + step.high.abs())
    # of a smaller √γ the low half underflows
    unit = torch.where(root.high[:, 0] < _LEAST_ROOT, 4 * formula.DOUBLE, DOUBLED)
    lost = ((y.shape[1] + 4) * unit * sizes.sum(dim=2)).nan_to_num(nan=torch.inf)
    return torch.where(exponent.isnan(), -torch.inf, exponent), lost  # where squares overflow the point is far away

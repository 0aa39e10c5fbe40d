r"""Log weights of all points, to the last digits that they have: `log w_i − ½‖z − √γ y_i‖²` less the same of one point.

Relative to a point `y_0`, `log p_i/p_0 = log w_i/w_0 + √γ⟨ρ, Δ_i⟩ − ½γ‖Δ_i‖²` with `ρ = z − √γ y_0` and `Δ_i = y_i − y_0`: the squares of z and of the
points' common offset are gone before anything is rounded. Where what is left is still large against one, it is summed with twice the digits.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from singtheory.double_double import Double2
from singtheory.points import Points

if TYPE_CHECKING:
    from singtheory.posterior import GaussianPosterior

_UNIT = 2.0**-53
_PLAIN = 1e-10
"""Products in float64 serve where they keep the log weights this well, unless there are few coordinates, which cost nothing."""
_FEW = 2
_CHUNK = 2**18
"""Numbers of a batch that are summed with twice the digits at once."""


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
    slack = _UNIT * (points.dim + 8) * (sizes + root * points.reach * root * points.radius)
    plain = (slack < _PLAIN) & (points.dim > _FEW)
    found = torch.empty(len(z), len(points.weights), dtype=z.dtype, device=z.device)
    if plain.any():
        moved = points.whole - points.mean
        products = root[plain, None] * (shifted[plain] @ moved.mT)
        found[plain] = products - snr[plain, None] / 2 * points.norms2
    if not plain.all():
        found[~plain] = _exact(points.whole, points.log_weights, z[~plain], snr[~plain])
    error = torch.where(plain, slack, 0.0)[:, None]
    found = torch.where(points.weights > 0, found, 0.0)
    return _normalised(found + points.log_weights, found.abs() + _finite_sizes(points.log_weights), error)


def mixture_weights(
    weights: Tensor, means: Tensor, components: "Sequence[GaussianPosterior]", z: Tensor, snr: Tensor
) -> tuple[Tensor, Tensor]:
    """Normalised log weights of the components of a mixture and bounds on their errors, both of shape (batch, k).

    A component's evidence is that of a point at its mean and what its spread adds, of which only the latter is rounded at its own size.
    """
    log_w = weights.log()
    gains = torch.stack([c.log_gain for c in components], dim=1)
    apart = _exact(means, log_w, z, snr)
    gain, gain_size = gains.unbind(dim=2)
    # the residual behind a gain is a difference of z and √γ μ, and loses what they cancel
    residual = z.norm(dim=1, keepdim=True) + snr.sqrt()[:, None] * means.norm(dim=1)
    sizes = apart.abs() + _finite_sizes(log_w) + (means.shape[1] + 8) * gain_size
    return _normalised(apart + gain + log_w, sizes + 4 * residual * (2 * gain_size).sqrt(), 0.0)


def _normalised(joint: Tensor, sizes: Tensor, error: Tensor | float) -> tuple[Tensor, Tensor]:
    """Log weights that add up to one and bounds on their errors, from what was summed and how large it was, both (batch, n)."""
    heaviest = sizes.gather(1, joint.argmax(dim=1, keepdim=True))
    return torch.log_softmax(joint, dim=1), error + _UNIT * (8 + 2 * sizes + 2 * heaviest)


def _finite_sizes(log_w: Tensor) -> Tensor:
    return log_w.clamp(min=-1e300).abs()


def _exact(y: Tensor, log_w: Tensor, z: Tensor, snr: Tensor) -> Tensor:
    """`√γ⟨ρ, Δ_i⟩ − ½γ‖Δ_i‖²` relative to a point of large weight, each correct to its last digits; shape (batch, n)."""
    rows = max(1, _CHUNK // y.numel())
    return torch.cat([_exact_rows(y, log_w, *part) for part in zip(z.split(rows), snr.split(rows), strict=True)])


def _exact_rows(y: Tensor, log_w: Tensor, z: Tensor, snr: Tensor) -> Tensor:
    root = Double2.root(snr[:, None, None])
    first = _relative(y, z, root, torch.zeros(len(z), dtype=torch.long, device=z.device))
    reference = (first + log_w).argmax(dim=1)
    moved = reference != 0
    if moved.any():
        some = Double2(root.high[moved], root.low[moved])
        first[moved] = _relative(y, z[moved], some, reference[moved])
    return first


def _relative(y: Tensor, z: Tensor, root: Double2, reference: Tensor) -> Tensor:
    """`⟨√γ Δ_i, ρ − ½ √γ Δ_i⟩` about the point `reference` of each query; root of shape (batch, 1, 1)."""
    origin = y[reference][:, None]
    step = root.times(Double2.difference(y, origin))
    at = z[:, None]
    residual = Double2(at, torch.zeros_like(at)).minus(root.times(Double2(origin, torch.zeros_like(origin))))
    half = Double2(step.high / 2, step.low / 2)
    found = step.times(residual.minus(half)).total().value()
    return torch.where(found.isnan(), -torch.inf, found)  # where squares overflow the point is far away

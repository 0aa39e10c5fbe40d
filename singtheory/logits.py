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


def log_weights(points: Points, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised log weights and bounds on their errors, both of shape (batch, n).

    Args:
        points: the points with their prior weights.
        z: shape (batch, d).
        snr: γ, shape (batch,).
    """
    logits, errors = [], []
    root = snr.sqrt()
    shifted = points.shifted(z, snr)
    sizes = root * shifted.norm(dim=1) * points.radius + snr * points.radius**2
    slack = _UNIT * (points.dim + 8) * (sizes + root * points.reach * root * points.radius)
    plain = (slack < _PLAIN) & (points.dim > _FEW)
    for query in range(len(z)):
        if plain[query]:
            moved = points.whole - points.mean
            found = root[query] * (moved @ shifted[query]) - snr[query] / 2 * points.norms2
            error = torch.full_like(found, float(slack[query]))
        else:
            found = _exact(points.whole, points.log_weights, z[query], snr[query])
            error = torch.zeros_like(found)
        found = torch.where(points.weights > 0, found, 0.0)
        sizes = found.abs() + points.log_weights.clamp(min=-1e300).abs()
        joint = found + points.log_weights
        logits.append(torch.log_softmax(joint, dim=0))
        errors.append(error + _UNIT * (8 + 2 * sizes + 2 * sizes[joint.argmax()]))
    return torch.stack(logits), torch.stack(errors)


def mixture_weights(
    weights: Tensor, means: Tensor, components: "Sequence[GaussianPosterior]", z: Tensor, snr: Tensor
) -> tuple[Tensor, Tensor]:
    """Normalised log weights of the components of a mixture and bounds on their errors, both of shape (batch, k).

    A component's evidence is that of a point at its mean and what its spread adds, of which only the latter is rounded at its own size.
    """
    log_w = weights.log()
    gains = torch.stack([c.log_gain for c in components], dim=1)
    logits, errors = [], []
    for query in range(len(z)):
        apart = _exact(means, log_w, z[query], snr[query])
        joint = apart + gains[query, :, 0] + log_w
        sizes = apart.abs() + log_w.clamp(min=-1e300).abs() + (means.shape[1] + 8) * gains[query, :, 1]
        # the residual behind a gain is a difference of z and √γ μ, and loses what they cancel
        residual = z[query].norm() + snr[query].sqrt() * means.norm(dim=1)
        sizes = sizes + 4 * residual * (2 * gains[query, :, 1]).sqrt()
        logits.append(torch.log_softmax(joint, dim=0))
        errors.append(_UNIT * (8 + 2 * sizes + 2 * sizes[joint.argmax()]))
    return torch.stack(logits), torch.stack(errors)


def _exact(y: Tensor, log_w: Tensor, z: Tensor, snr: Tensor) -> Tensor:
    """`√γ⟨ρ, Δ_i⟩ − ½γ‖Δ_i‖²` relative to a point of large weight, each correct to its last digits."""
    root = Double2.root(snr)
    first = _relative(y, z, root, 0)
    reference = int((first + log_w).argmax())
    return first if reference == 0 else _relative(y, z, root, reference)


def _relative(y: Tensor, z: Tensor, root: Double2, reference: int) -> Tensor:
    """`⟨√γ Δ_i, ρ − ½ √γ Δ_i⟩` about the point `reference`."""
    origin = y[reference]
    step = root.times(Double2.difference(y, origin))
    residual = Double2(z, torch.zeros_like(z)).minus(root.times(Double2(origin, torch.zeros_like(origin))))
    half = Double2(step.high / 2, step.low / 2)
    found = step.times(residual.minus(half)).total().value()
    return torch.where(found.isnan(), -torch.inf, found)  # where squares overflow the point is far away

r"""`W₂(P, Q)` in units of c: in one dimension through the monotone map `T = Φ⁻¹ ∘ F_P` between them, beyond between two bounds."""

import math

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence.cells import integrate
from singtheory.divergence.components import Components
from singtheory.divergence.gauss import root_trace
from singtheory.divergence.quadrature import plug_in, windows
from singtheory.estimate import Estimate
from singtheory.law import Posterior

_REACH = 16.0
"""Beyond, a component has 1e-56 of its mass; what lies there is moved by at most u itself and the root of −2 log of that."""
_LOST = 64 * formula.DOUBLE
"""What a quantile of Q loses, for it is the value of Φ⁻¹ at a sum of distribution functions."""


def w2_exact(posterior: Posterior, gap: float) -> Estimate:
    """`W₂(P, Q)` in one dimension; the interval holds the rule's error and the rounding, within the bounds of `w2_bracket`."""
    return Estimate.stack([_w2(Components.of(query, gap).on_host()) for query in posterior])


def w2_bracket(posterior: Posterior, gap: float) -> Estimate:
    """`W₂(P, Q)` in units of c between Gelbrich's bound from the first two moments and the coupling by one noise, `√(g tr C)`."""
    brackets = [_bracket(Components.of(query, gap)) for query in posterior]
    low, high = torch.tensor(brackets, dtype=torch.float64).unbind(dim=1)
    return Estimate((low + high) / 2, low, high, 1.0, 0, "exact")


def _bracket(of: Components) -> tuple[float, float]:
    """`√(1 + λ) − 1 = λ/(1 + √(1 + λ))` along each axis."""
    least = (of.eigenvalues - of.eigenvalue_error).clamp(min=0)
    low = float((least / (1 + (1 + least).sqrt())).square().sum().sqrt()) * (1 - 8 * formula.DOUBLE)
    return low, root_trace(of).high


def _w2(of: Components) -> Estimate:
    low, high = _bracket(of)
    whole = torch.ones_like(of.p, dtype=torch.bool)
    integral = integrate(lambda n, k: _moved(of, n, k), windows(of, plug_in(of), whole, _REACH))
    root = math.sqrt(integral.value)
    outside = 2 * math.exp(-(_REACH**2) / 4) * math.sqrt(1 + of.trace)  # Cauchy and Schwarz on the tails
    weights = math.sqrt(float((of.p * of.tilt) @ (of.norms2 + of.spread_trace + 1)))
    error = integral.error + integral.rounding + 64 * formula.DOUBLE * integral.value
    # W₂ is a norm of the shift: its rounding adds to it
    width = min(error / max(root, 1e-300), math.sqrt(error)) + outside
    width += math.sqrt(float(of.p @ of.centre_errors.square()))  # the coupling that moves each component by its own
    width += min(weights, float(of.tilt.max()) * 2 * (root + high))
    value = min(max(root, low), high)
    least, most = min(value, max(low, root - width)), max(value, min(high, root + width))
    return Estimate.single(value, least, most, "quadrature", integral.nodes)


def _moved(of: Components, n: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """P's density times `(u − T(u))²`, and at least its error."""
    at, places = of.ratio(n, k), of.places(k)
    stds = of.stds()[:, 0]
    away = (n - places[:, 0]) / stds
    below, above = _normal_cdf(away) @ of.p, _normal_cdf(-away) @ of.p
    image = torch.where(below < above, torch.special.ndtri(below), -torch.special.ndtri(above))
    u = n[:, 0] + (float(of.centres[k, 0]) if k >= 0 else 0.0)
    known = image.isfinite()
    shift, density = torch.where(known, u - image, 0.0), at.log_p.exp()
    lost = _LOST * (1 + u.abs() + image.abs().nan_to_num(posinf=40.0))
    value = density * shift.square()
    return value, density * (2 * shift.abs() * lost + lost.square()) + (at.error_p + 8 * formula.DOUBLE) * value


def _normal_cdf(x: Tensor) -> Tensor:
    """`Φ(x)` with all digits in the lower tail, where torch's own `ndtr` loses them beyond −8."""
    return torch.special.erfc(-x / math.sqrt(2)) / 2

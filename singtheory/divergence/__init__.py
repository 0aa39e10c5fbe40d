r"""Divergences between the exact reverse kernel P and Gaussians: KL, TV, χ² and W₂.

All live in the coordinate `u = (x_s − a x_t − b x̂)/c` of A4, where P is the law of `√g ξ + n` and the plug-in Gaussian Q is
`N(0, I)`; KL, TV and χ² do not change with the coordinate. Closed forms where they exist, cubature in one and two dimensions,
Monte Carlo elsewhere. Every interval holds for the posterior and the gap that are given, with the rounding of its own computation; what
the schedule's own rounding makes of a gap is said at `ReverseKernel`'s `kl` and `Schedule.snr`, and is not in it.
"""

from singtheory.divergence.chi2 import chi_square, log1p_chi2, log1p_chi2_by_moments
from singtheory.divergence.components import Components
from singtheory.divergence.gauss import kl_gauss, kl_gauss_exact, kl_gauss_low, moments_kl
from singtheory.divergence.point import is_point, to_point, tv_to_point, w2_to_point
from singtheory.divergence.quadrature import kl_isotropic_quadrature, kl_moment_quadrature, kl_quadrature
from singtheory.divergence.sampled import (
    draw_kernel,
    draw_plug_in,
    excess,
    kl_moment_draws,
    kl_monte_carlo,
    tv_monte_carlo,
)
from singtheory.divergence.transport import w2_bracket, w2_exact
from singtheory.divergence.variation import components_tv, tv_exact
from singtheory.estimate import Estimate

__all__ = [
    "Components",
    "Estimate",
    "chi_square",
    "components_tv",
    "draw_kernel",
    "draw_plug_in",
    "excess",
    "is_point",
    "kl_gauss",
    "kl_gauss_exact",
    "kl_gauss_low",
    "kl_isotropic_quadrature",
    "kl_moment_draws",
    "kl_moment_quadrature",
    "kl_monte_carlo",
    "kl_quadrature",
    "log1p_chi2",
    "log1p_chi2_by_moments",
    "moments_kl",
    "to_point",
    "tv_exact",
    "tv_monte_carlo",
    "tv_to_point",
    "w2_bracket",
    "w2_exact",
    "w2_to_point",
]

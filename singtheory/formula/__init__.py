r"""The scalar formulas of the theory, each written once.

Every function uses plain operators only, and takes the functions it needs (`log`, `log1p`, `exp`, `sqrt`, `pi`) from a
namespace `xp`: the module `torch`, or `singtheory.formula.symbolic.NAMESPACE` (sympy), or `singtheory.certify.interval.NAMESPACE` (ball
arithmetic). So one formula serves tensors, symbols and certificates, and a planted error shows in all of them.

Names follow the derivations (docs/derivations): `alpha_t`, `sigma_t` of the forward process, `snr = alpha²/sigma²`, `gap = snr_s - snr_t` (g on the pages),
`trace = tr C` and `eigenvalue = λ` of the posterior covariance at time t, always with 0 ≤ s < t ≤ 1.

The files are the groups of the theory, A to F, and the rounding of what is computed; all names are to be had here, as `formula.gap`.
"""

from singtheory.formula.gaussian_error import *  # noqa: F403
from singtheory.formula.number import *  # noqa: F403
from singtheory.formula.origin import *  # noqa: F403
from singtheory.formula.rounding import *  # noqa: F403
from singtheory.formula.samplers import *  # noqa: F403
from singtheory.formula.small import *  # noqa: F403
from singtheory.formula.steps import *  # noqa: F403
from singtheory.formula.terminal import *  # noqa: F403
from singtheory.formula.transitions import *  # noqa: F403

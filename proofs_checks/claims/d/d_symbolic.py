"""Symbolic proof of D1, for any number of atoms in any dimension.

Distances enter by norms and inner products, and the atoms that are not nearest by three sums over them. Used beyond the algebra: the
triangle inequality, and that a sum of finitely many things that vanish vanishes.
"""

import sympy
from sympy import Expr

from proofs_checks.claims.a.a_symbolic import all_zero, holds
from proofs_checks.harness.claim import Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import worst
from singtheory.formula import symbolic

XP = symbolic.NAMESPACE


def nearest_point(sides: Sides, _: Context) -> Outcome:
    """D1: Bayes' rule, the distance of the denoiser from the nearest atom, both limits, and the ties."""
    return worst([_weights(sides), _denoiser(sides), _ties(sides)])


def _weights(sides: Sides) -> Outcome:
    """The weights of the nearest atom and of a rival; the mass of all rivals is one symbol. A rival vanishes with σ."""
    w_i, w_j, sigma, margin, rest = sympy.symbols("w_i w_j sigma m A", positive=True)
    d_i, d_j = sympy.symbols("d_i d_j", real=True)
    mass_i, mass_j = (w * sympy.exp(-d / (2 * sigma**2)) for w, d in ((w_i, d_i), (w_j, d_j)))
    rival = sides["rival"](w_j / w_i, d_j - d_i, sigma, XP)
    decay = sides["rival"](w_j / w_i, margin, sigma, XP)
    residuals = {
        "rival": rival - mass_j / mass_i,
        "nearest": sides["nearest"](rest / mass_i) - mass_i / (mass_i + rest),
        "weight of a rival": rival * sides["nearest"](rest / mass_i) - mass_j / (mass_i + rest),
        "rivals vanish": sympy.limit(decay, sigma, 0, "+"),
    }
    # so a margin that is at least m as σ → 0 is enough
    return worst([all_zero(residuals), holds(sympy.diff(decay, margin).is_negative, "a rival falls with its margin")])


def _denoiser(sides: Sides) -> Outcome:
    """`x̂ − y_i = Σ r_j (y_j − y_i)/(1 + S)` with the rivals' weights r_j: at most `Σ r_j ‖y_j − y_i‖`."""
    total, moved = sympy.symbols("S B", nonnegative=True)  # Σ r_j and Σ r_j ‖y_j − y_i‖
    nearest, others = vectors = sympy.symbols("y_i Y", real=True)  # Y = Σ r_j y_j
    share = sides["nearest"](total)
    denoised = share * (nearest + others)
    off = symbolic.coordinates(denoised - nearest, vectors)
    residuals: dict[str, Expr] = {
        "weights add up to 1": share * (1 + total) - 1,
        "factor of Σ r_j y_j": off[1] - share,
        "factor of y_i": off[0] + share * total,
    }
    return worst([all_zero(residuals), holds(sympy.simplify(moved - share * moved).is_nonnegative, "‖x̂ − y_i‖")])


def _ties(sides: Sides) -> Outcome:
    """`‖x − αy‖²` from `‖x‖² = X`, `⟨x, y⟩` and `‖y‖²`; a tie `‖x − y_i‖ = ‖x − y_j‖` fixes `⟨x, y_j⟩`."""
    alpha, sigma, t, w_i, w_j, larger = sympy.symbols("alpha sigma t w_i w_j Delta", positive=True)
    cross, n_i, n_j, norm2 = sympy.symbols("c n_i n_j X", real=True)
    tied, exponent = cross + (n_j - n_i) / 2, sides["tie_exponent"]
    margin = (norm2 - 2 * alpha * tied + alpha**2 * n_j) - (norm2 - 2 * alpha * cross + alpha**2 * n_i)
    scaled = alpha**2 * ((norm2 - 2 * tied + n_j) - (norm2 - 2 * cross + n_i))  # at x_t = αx
    vp_ratio = sides["rival"](w_j / w_i, margin, sympy.sqrt(1 - alpha**2), XP)
    residuals = {
        "tie": -margin / (2 * sigma**2) - exponent(alpha, sigma, n_j - n_i),
        "tie in VP": sympy.limit(sympy.simplify(vp_ratio), alpha, 1, "-")
        - sides["tie_ratio"](w_j / w_i, n_j - n_i, XP),
        "tie along αx": sides["rival"](w_j / w_i, sympy.simplify(scaled), sigma, XP) - w_j / w_i,
        # the exponent tends to ∞ where y_j is farther from the origin, and is 0 where it is as far
        "tie in rectified flow": 1 / sympy.limit(exponent(1 - t, t, larger), t, 0, "+"),
        "tie of equal norms": exponent(alpha, sigma, 0),
    }
    return all_zero(residuals)

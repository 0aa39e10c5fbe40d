"""`equal(left, right)` in a page: one step of a proof, shown if sympy confirms it; otherwise the page stops."""

import sympy
from IPython.display import Math, display
from sympy import Expr

from proofs_checks.harness.outcome import identically_zero


class StepError(Exception):
    """Two sides of a step that sympy does not find equal."""

    def _render_traceback_(self) -> list[str]:
        return [f"StepError: {self}"]


def equal(left: Expr, right: Expr, name: str = "") -> None:
    """Show `name = left = right`. Raises `StepError` unless the difference reduces to zero for symbols."""
    outcome = identically_zero(sympy.sympify(left) - sympy.sympify(right), name)
    if outcome.verdict != "proved":
        raise StepError(
            f"{left} is not {right}: {outcome.verdict}, difference {outcome.measured:g} at a rational point"
        )
    sides = [name] * bool(name) + [sympy.latex(left)] + [sympy.latex(right)] * (left != right)
    display(Math(" = ".join(sides)))

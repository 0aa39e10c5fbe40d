"""The least of the ladder's upper bounds over the truth."""

from collections.abc import Callable

from matplotlib.axes import Axes

from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, SIGNS
from proofs_checks.measurements.toy_steps import prior_posterior
from proofs_checks.report.figure import BLUE, GREEN, ORANGE, PURPLE, SKY, Picture, new_figure
from singtheory import Atoms, divergence
from singtheory.bound import LADDER

LAWS = {
    "golden": (GOLDEN, BLUE),
    "±1": (SIGNS, GREEN),
    "9:1": (NINE_TO_ONE, SKY),
    "99:1": (Atoms([[-1.0], [1.0]], [0.99, 0.01]), PURPLE),
    "999:1": (Atoms([[-1.0], [1.0]], [0.999, 0.001]), ORANGE),
}
"""From balanced to rare far atoms, with colours."""
GAPS = tuple(10 ** (-2 + k / 4) for k in range(15))
_TRUTH = {"kl": divergence.kl_quadrature, "tv": divergence.tv_exact}
_AXIS = {"kl": "least bound / KL(P‖Q)", "tv": "least bound / TV(P, Q)"}


def least_picture(step: Callable[[str], None]) -> Picture:
    """The factor between the least upper bound and KL or TV over the gap, for five laws on a line."""
    figure = new_figure(4.6)
    for axes, quantity in zip(figure.subplots(1, 2), ("kl", "tv"), strict=True):
        step(f"picture: least bound, {quantity}")
        _draw(axes, quantity)
    return Picture(
        "least",
        "The least of the ladder against the truth",
        "For laws on a line the least of all upper bounds (B2, B3, B9, B10 for KL; with B12 for TV) over the exact value by quadrature: 1 is "
        "exact. The worst gaps are those at which the atoms begin to part; the rarer an atom, the worse. 999:1 means atoms at −1 and 1 of "
        "weights 0.999 and 0.001.",
        "Curves over the gap that start and end near 1 and rise in between, highest for rare atoms.",
        figure,
    )


def _draw(axes: Axes, quantity: str) -> None:
    bounds = [bound for bound in LADDER if bound.quantity == quantity and bound.side == "upper"]
    for name, (law, colour) in LAWS.items():
        posterior = prior_posterior(law)
        factors = []
        for gap in GAPS:
            truth = float(_TRUTH[quantity](posterior, gap).value)
            factors.append(min(float(bound.evaluate(posterior, gap)) for bound in bounds) / truth)
        axes.semilogx(GAPS, factors, color=colour, label=f"{name}: at most {max(factors):.2f}")
    axes.axhline(1.0, color="0.6", linewidth=0.8)
    axes.set(xlabel="gap g (no unit)", ylabel=_AXIS[quantity], ylim=(0.9, None))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.2)

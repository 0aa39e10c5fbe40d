"""`check("B3")` in a page: the claim's checks and false twins, run there and then.

A claim that does not hold is shown like any other, and then stops the page with one line: the build fails.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import zip_longest

from IPython.display import HTML, display
from markupsafe import Markup

from docs.book.source import where
from proofs_checks.harness.claim import Outcome
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import ClaimResult, load_claims, run_claim, statistical_checks
from proofs_checks.report.report import humane, related
from proofs_checks.report.typeset import typeset
from proofs_checks.terminal.console import failures
from singtheory import data

ERROR = 1e-6
"""The probability that any of the statistical checks of a whole run is wrong."""


class ClaimError(Exception):
    """A claim of the theory that its checks refute or leave open, or a false twin that survives.

    Attributes:
        lines: what fails, a line each, with the places of the checks and of the functions that they try.
    """

    def __init__(self, message: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.lines = lines or (message,)

    def _render_traceback_(self) -> list[str]:
        """One line in the page instead of a traceback through the checks."""
        return [f"ClaimError: {self}"]


def check(statement: str) -> None:
    """Run the claim on the digits data, seed 0, as `make verify` does, and show every check and twin.

    Raises:
        ClaimError: if it does not hold or a twin stands.
    """
    shown(run_claim(load_claims()[statement], _context()))


def shown(result: ClaimResult) -> None:
    """Display a result. Raises `ClaimError` if the claim does not hold."""
    display(HTML(table(result)))
    if not result.holds:
        raise ClaimError("; ".join(failures([result])), tuple(_lines(result)))


def _lines(result: ClaimResult) -> Iterator[str]:
    """The failures, each check's with its place, and the functions that these checks compare."""
    failed = [check for check in result.checks if check.outcome.verdict in ("refuted", "undecided")]
    places = [where(check.check.run) for check in failed]
    for line, place in zip_longest(failures([result]), places):
        yield f"{line} (check: {place})" if place else line
    for name in sorted(set[str]().union(*(check.read for check in failed))):
        side = result.claim.sides[name]
        yield f"compares {name}: {getattr(side, '__qualname__', side)} ({where(side)})"


@lru_cache
def _context() -> Context:
    return Context(data.load("digits"), seed=0, error=ERROR / statistical_checks(load_claims().values()))


def table(result: ClaimResult) -> Markup:
    """What was checked, how tight it was, and what became of the false twins."""
    rows = [
        _row(i.check.method, i.check.scope, i.outcome.verdict, i.outcome, _stands(i.outcome)) for i in result.checks
    ]
    for twin in result.twins:
        fell = twin.outcome.verdict == "refuted"
        rows.append(_row("false twin", twin.name, "refuted" if fell else "NOT REFUTED", twin.outcome, fell))
    names = ("method", "of", "verdict", "measured", "must be")
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in names)
    return Markup(
        '<div class="check"><p>Claim {}: <strong class="{}">{}</strong></p><table class="docutils"><thead><tr>{}</tr>'
        "</thead><tbody>{}</tbody></table></div>"
    ).format(result.claim.id, "held" if result.holds else "failed", result.stated, head, Markup("").join(rows))


def _stands(outcome: Outcome) -> bool:
    return outcome.verdict in ("proved", "supported")


def _row(method: str, scope: str, verdict: str, outcome: Outcome, good: bool) -> Markup:
    cells = (method, typeset(scope), verdict, humane(outcome.measured), related(outcome))
    return Markup('<tr class="{}">{}</tr>').format(
        "held" if good else "failed", Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells)
    )

"""What the commands show in a terminal: a progress bar on stderr, tables on stdout."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from proofs_checks.claim import Claim, Outcome
from proofs_checks.harness import CheckResult, ClaimResult

_COLOURS = {"proved": "green", "supported": "green", "refuted": "red", "undecided": "yellow", "vacuous": "green"}


def progress() -> Progress:
    """A progress bar with the time left, on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def show(table: Table) -> None:
    """Print a table on stdout, as wide as it needs when no terminal cuts it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def number(value: float | None) -> str:
    """Four significant digits; ∞ for infinity, – for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}"


def tightest(result: ClaimResult) -> CheckResult:
    """The check to show for a claim: one that failed, or else the one with the smallest margin."""
    failed = [check for check in result.checks if check.outcome.verdict in ("refuted", "undecided")]
    return min(failed or result.checks, key=lambda check: _margin(check.outcome))


def _margin(outcome: Outcome) -> float:
    return math.inf if outcome.margin is None else outcome.margin


def claims_table(results: Sequence[ClaimResult]) -> Table:
    """One row a claim: verdict, methods, the tightest instance and the false twins that fell."""
    table = Table(title="Claims: the tightest instance of each")
    for name in ("id", "statement", "verdict", "methods"):
        table.add_column(name)
    for name in ("measured", "bound", "margin", "twins", "s"):
        table.add_column(name, justify="right")
    for result in results:
        shown = tightest(result).outcome
        refuted = sum(twin.outcome.verdict == "refuted" for twin in result.twins)
        table.add_row(
            result.claim.id,
            result.claim.title,
            Text(result.verdict, style=_COLOURS[result.verdict]),
            ", ".join(dict.fromkeys(check.check.method for check in result.checks)),
            number(shown.measured),
            number(shown.bound),
            number(shown.margin),
            Text(f"{refuted}/{len(result.twins)}", style="" if refuted == len(result.twins) else "red"),
            f"{result.seconds:.1f}",
        )
    return table


def claims_list(claims: Sequence[Claim]) -> Table:
    """One row a claim: what it says and how it is decided, without a run."""
    table = Table(title="Claims")
    for name in ("id", "title", "methods"):
        table.add_column(name)
    table.add_column("twins", justify="right")
    table.add_column("source")
    for claim in claims:
        methods = ", ".join(dict.fromkeys(check.method for check in claim.checks))
        # as Text, for brackets in prose are no markup
        table.add_row(claim.id, Text(claim.title), methods, str(len(claim.false_twins)), Text(claim.source))
    return table


def failures(results: Sequence[ClaimResult]) -> list[str]:
    """One line for each check that did not hold and each false twin that did."""
    lines = []
    for result in results:
        for check in result.checks:
            if check.outcome.verdict in ("refuted", "undecided"):
                lines.append(
                    f"{result.claim.id} {check.outcome.verdict}: {check.check.scope}; {_detail(check.outcome)}"
                )
        for twin in result.twins:
            if twin.outcome.verdict != "refuted":
                lines.append(f"{result.claim.id} false twin not refuted: {twin.name}; {_detail(twin.outcome)}")
    return lines


def _detail(outcome: Outcome) -> str:
    return f"measured {number(outcome.measured)}, bound {number(outcome.bound)}, at {outcome.where}"


_STEP_COLUMNS = {
    "t": "t",
    "s": "s",
    "gap": "gap g",
    "kl": "KL (nats)",
    "kl_low": "low",
    "kl_high": "high",
    "kl_gauss_lower": "B5 ≤",
    "kl_family_bound": "≤ B10",
    "kl_pair_bound": "≤ B9",
    "kl_chi2_bound": "≤ B2",
    "kl_trace_bound": "≤ B3",
    "tv": "TV",
    "tv_low": "low",
    "tv_high": "high",
    "tv_chi2_bound": "≤ B2",
    "tv_trace_bound": "≤ B3",
}


def steps_table(rows: Sequence[Mapping[str, float]]) -> Table:
    """One row a step of a sampler."""
    table = Table(title="KL and TV of the exact reverse kernel from the plug-in Gaussian, means over x_t")
    for title in _STEP_COLUMNS.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            *(f"{row[name]:.3g}" if math.isfinite(row[name]) else number(row[name]) for name in _STEP_COLUMNS)
        )
    return table

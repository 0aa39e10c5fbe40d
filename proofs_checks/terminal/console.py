"""What the commands show in a terminal: a progress bar on stderr, tables on stdout."""

import math
import os
import sys
from collections.abc import Mapping, Sequence

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from proofs_checks.harness.claim import Claim, Outcome
from proofs_checks.harness.harness import CheckResult, ClaimResult
from proofs_checks.terminal.sheet import Sheet, least_width
from proofs_checks.terminal.streams import printing, visible

_COLOURS = {"proved": "green", "supported": "green", "refuted": "red", "undecided": "yellow", "vacuous": "green"}


_PIPED = 200
"""Characters in a line where nothing says how wide it may be: a file or a pipe without COLUMNS."""


def progress() -> Progress:
    """A progress bar with the time left, on stderr; nothing where stderr is no terminal, for it would fill a log."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def show(*sheets: Sheet) -> None:
    """Print tables on stdout, as wide as the terminal or COLUMNS say, in as many pieces as that takes."""
    console = Console()
    if not (console.is_terminal or os.environ.get("COLUMNS", "").isdigit()):
        console = Console(width=_PIPED)
    width = console.width
    with console.capture() as shown:  # a closed pipe would make rich end the process
        for sheet in sheets:
            console.width = max(width, 1)
            console.print(Text(visible(sheet.title, console.encoding), style="italic"))
            for table in sheet.tables(width, console.encoding):
                console.width = max(width, least_width(table))  # or else rich leaves columns out
                console.print(table, crop=False, no_wrap=True)
    with printing(sys.stdout):
        typer.echo(shown.get(), nl=False)


def number(value: float | None) -> str:
    """Four significant digits; ∞ for infinity, – for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}"


def related(outcome: Outcome) -> str:
    """The bound behind the sign that says on which side of it the measured value must lie, such as `≤ 0.5`."""
    return f"{outcome.relation} {number(outcome.bound)}" if outcome.relation else number(outcome.bound)


def tightest(result: ClaimResult) -> CheckResult:
    """The check to show for a claim: one that failed, or else the one with the smallest margin."""
    failed = [check for check in result.checks if check.outcome.verdict in ("refuted", "undecided")]
    return min(failed or result.checks, key=lambda check: _margin(check.outcome))


def _margin(outcome: Outcome) -> float:
    return math.inf if outcome.margin is None else outcome.margin


def claims_table(results: Sequence[ClaimResult]) -> Sheet:
    """One row a claim: verdict, methods, the tightest instance and the false twins that fell."""
    table = Sheet("Claims: the tightest instance of each")
    for name in ("id", "statement", "verdict", "methods"):
        table.add_column(name)
    for name in ("measured", "must be", "margin", "twins", "s"):
        table.add_column(name, justify="right")
    for result in results:
        shown = tightest(result).outcome
        refuted = sum(twin.outcome.verdict == "refuted" for twin in result.twins)
        table.add_row(
            result.claim.id,
            result.claim.title,
            Text(result.stated, style=_COLOURS[result.verdict]),
            ", ".join(dict.fromkeys(check.check.method for check in result.checks)),
            number(shown.measured),
            related(shown),
            number(shown.margin),
            Text(f"{refuted}/{len(result.twins)}", style="" if refuted == len(result.twins) else "red"),
            f"{result.seconds:.1f}",
        )
    return table


def claims_list(claims: Sequence[Claim]) -> Sheet:
    """One row a claim: what it says and how it is decided, without a run."""
    table = Sheet("Claims")
    for name in ("id", "title", "methods"):
        table.add_column(name)
    table.add_column("twins", justify="right")
    table.add_column("source")
    for claim in claims:
        methods = ", ".join(dict.fromkeys(check.method for check in claim.checks))
        table.add_row(claim.id, claim.title, methods, str(len(claim.false_twins)), claim.source)
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
    against = f"must be {related(outcome)}" if outcome.relation else f"bound {number(outcome.bound)}"
    sides = (
        ""
        if outcome.measured is None and outcome.bound is None
        else f"measured {number(outcome.measured)}, {against}, "
    )
    remedy = f"; would decide: {outcome.remedy}" if outcome.verdict == "undecided" and outcome.remedy else ""
    return f"{sides}at {outcome.where}{remedy}"


_STEP_COLUMNS = {
    "t": "t",
    "s": "s",
    "gap": "gap g",
    "kl": "KL (nats)",
    "kl_low": "KL low",
    "kl_high": "KL high",
    "kl_gauss_lower": "B5 ≤ KL",
    "kl_family_bound": "KL ≤ B10",
    "kl_pair_bound": "KL ≤ B9",
    "kl_chi2_bound": "KL ≤ B2",
    "kl_trace_bound": "KL ≤ B3",
    "tv": "TV",
    "tv_low": "TV low",
    "tv_high": "TV high",
    "tv_chi2_bound": "TV ≤ B2",
    "tv_trace_bound": "TV ≤ B3",
}
"""Field and title; each title says whose bound it is, for in a narrow terminal the columns stand in several tables."""


def steps_table(rows: Sequence[Mapping[str, float]]) -> Sheet:
    """One row a step of a sampler."""
    table = Sheet("KL and TV of the exact reverse kernel from the plug-in Gaussian, means over x_t", keys=2)
    for title in _STEP_COLUMNS.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            *(f"{row[name]:.3g}" if math.isfinite(row[name]) else number(row[name]) for name in _STEP_COLUMNS)
        )
    return table

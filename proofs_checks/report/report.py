"""The report: one page that stands alone, with every claim, its checks, its false twins and the pictures."""

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from proofs_checks.harness.claim import Outcome
from proofs_checks.harness.harness import ClaimResult
from proofs_checks.harness.proof import counted, formal_statements
from proofs_checks.report.figure import Drawn
from proofs_checks.report.typeset import typeset
from proofs_checks.terminal import console
from proofs_checks.terminal.streams import visible_lines
from singtheory import system


def write_report(
    results: Sequence[ClaimResult],
    pictures: Sequence[Drawn],
    meta: Mapping[str, Any],
    folder: Path,
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Write `folder/index.html` and what belongs beside it, whole or not at all, and return its path.

    Args:
        results: of all claims of the run.
        pictures: in the order shown.
        meta: `version`, `seed`, `command`, `device`, `confidence` and `data` of the run, and `brightness` and `few_steps`, rows with what was
            measured, if it was.
        folder: is made if needed.
        beside: other files of the folder, by name.

    Raises:
        InputError: if the folder cannot be written.
    """
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            failed=[result for result in results if not result.holds],
            failures=console.failures(results),
            pictures=pictures,
            meta=meta,
            tightest=console.tightest,
            methods=sorted({item.check.method for result in results for item in result.checks}),
            counts=counted([result.stated for result in results]),
            formal=formal_statements(),
            today=datetime.datetime.now(datetime.UTC).date(),
        )
    )
    system.write_folder(folder, {**(beside or {}), "index.html": page.encode("utf-8", "replace")})
    return folder / "index.html"


def humane(value: float | None) -> Markup:
    """Four significant digits with a power of ten, ∞, or a dash."""
    if value is None or math.isnan(value):
        return Markup("–")
    if math.isinf(value):
        return Markup("∞" if value > 0 else "−∞")
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return escape(f"{value:.4g}".replace("-", "−"))
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", "−")
    factor = {"1": "", "−1": "−"}.get(mantissa, f"{mantissa}\u202f×\u202f")
    return Markup("{}10<sup>{}</sup>").format(factor, str(int(exponent)).replace("-", "−"))


def _without_controls(value: Any) -> Any:
    """Autoescaping leaves control characters of names as they are; no page should have them."""
    return visible_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def related(outcome: Outcome) -> Markup:
    """The bound behind the sign that says on which side of it the measured value must lie."""
    sign = Markup("{}\u00a0").format(outcome.relation) if outcome.relation else Markup("")
    return sign + humane(outcome.bound)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("proofs_checks.report"),
        autoescape=True,
        finalize=_without_controls,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"typeset": typeset, "humane": humane, "related": related}
    return environment

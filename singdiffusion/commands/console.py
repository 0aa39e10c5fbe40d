"""What the command shows in a terminal: what it is doing on stderr, by the first process for all, tables and findings on stdout."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn, track
from rich.status import Status
from rich.table import Table
from rich.text import Text

from singdiffusion.evaluation import Arrival, Diagnosis, Expected, Finding, FlowDiagnosis, Option, Picture
from singdiffusion.system import printable

if TYPE_CHECKING:  # no other command needs what it imports
    from singdiffusion.evaluation import Brightness

Item = TypeVar("Item")
_MOST_ROWS = 20
"""The most rows of a table of eigenvalues; the JSON has all."""
_COLUMNS, _LONG_NAME = 80, 10
"""The columns of a table where no terminal says how wide it is, and of a name over a column of numbers that stands on one line."""
CONSTANT = "constant: the means of the channels, whose average is the brightness"


def show(*parts: RenderableType) -> None:
    """Print on stdout; tables in the 80 columns that a terminal is sure to have where there is none."""
    console = _console()
    if not console.is_terminal:
        console = _console(width=_COLUMNS)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))  # a line of code stays whole


def _wide_table(title: str, first: str, names: Sequence[str]) -> Table:
    """A column of words, which are folded, and columns of numbers, which are not; nothing is spent on frames."""
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.title_justify = table.caption_justify = "left"
    table.add_column(first, overflow="fold")
    for name in names:
        table.add_column(_in_lines(name), justify="right", overflow="fold", no_wrap=True)
    return table


def _in_lines(name: str) -> str:
    """A long name over a column, a word a line."""
    return name if len(name) <= _LONG_NAME else name.replace(" ", "\n")


def _aside() -> Console:
    """A console on stderr, of the first process alone."""
    return _console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")


def _console(**settings: Any) -> Console:
    """Takes words as they are: a name in brackets is no markup, one between colons no emoji."""
    return Console(highlight=False, markup=False, emoji=False, **settings)


def doing(what: str) -> Status:
    """A line on stderr while something takes its time."""
    return _aside().status(what)


def tracked(items: Iterable[Item], what: str) -> Iterable[Item]:
    """Shows on stderr how far a loop is, where that is a terminal."""
    console = _aside()
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def watching(steps: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A bar over the steps of a training run, on stderr, with its loss, rate and time left."""
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=_aside())
    task = bar.add_task("training", total=steps)

    def watch(step: int, entry: dict[str, float]) -> None:
        bar.start()  # with the first step, so that what is refused before stands alone
        loss, rate = entry.get("loss"), entry.get("examples_per_second")
        shown = "" if loss is None or rate is None else f", loss {loss:.4g}, {rate:.0f} examples/s"
        bar.update(task, completed=step, description=f"training{shown}")

    try:
        yield watch
    finally:
        if bar.live.is_started:  # or else it prints an empty line
            bar.stop()


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """The start as it is, and others; one row each."""
    reading = diagnosis.reading
    names = ["timestep", "SNR"] if reading is None else ["timestep", "SNR", "nats", reading.name, "kept"]
    title = f"{diagnosis.scheduler}, {diagnosis.steps} steps: the start as it is, and others"
    table = _wide_table(title, "start", names)
    for option in diagnosis.options:
        cells = [_start(option), f"{option.first.timestep:.4g}", f"{option.first.snr:.3g}"]
        table.add_row(*cells, *([] if reading is None else _expected(option, reading.data)))
    if reading is not None:
        mean, std = reading.data
        table.caption = (
            f"data: {reading.name} {mean:.4g} ± {std:.4g}, {reading.points} in {reading.space}; kept: share of that spread; "
            "zero SNR is for models trained with it"
        )
    return table


def remedies_table(expected: Expected) -> Table:
    """What arrives as it is, with its parts for each direction, and with each remedy; a row each."""
    names = [arrival.name for arrival in expected.arrivals]
    rows = {remedy.name: (remedy.calls, remedy.kept) for remedy in expected.remedies}
    title = "Share of the data's standard deviation that arrives, for Gaussian data of their covariance (F10)"
    short = [re.sub(r"^components? ", "", name) for name in names]
    table = _arrivals_table(title, short, expected, expected.arrivals, rows)
    if short != names:
        table.caption = "numbered columns: principal components of the data"
    return table


def remedies_code(expected: Expected) -> str:
    """The lines that make each change, below its name."""
    changes = ("\n".join([f"{remedy.name}:", *(f"    {line}" for line in remedy.code)]) for remedy in expected.remedies)
    return "\n".join(changes)


def remedies_in_bands_table(expected: Expected) -> Table:
    """The table of remedies by spatial frequency."""
    names = [band.name for band in expected.bands]
    rows = {remedy.name: (remedy.calls, remedy.bands) for remedy in expected.remedies}
    title = "The same by spatial frequency, in cycles across the picture"
    table = _arrivals_table(title, names, expected, expected.bands, rows)
    if any(band.brightness for band in expected.bands):
        table.caption = CONSTANT
    return table


def _arrivals_table(
    title: str,
    names: Sequence[str],
    expected: Expected,
    arrivals: Sequence[Arrival],
    remedies: Mapping[str, tuple[int, Sequence[float]]],
) -> Table:
    """A column a direction; as it is with its parts, then each remedy with its calls of the network."""
    table = _wide_table(title, "change", ["calls", *names])
    table.add_row("share of the variance", "", *(f"{arrival.share:.1%}" for arrival in arrivals))
    for part, label in (
        ("kept", "as it is"),
        ("start", "by the start"),
        ("solver", "by the steps"),
        ("end", "by the end"),
    ):
        cells = [f"{getattr(arrival, part):.2f}" for arrival in arrivals]
        table.add_row(label, str(expected.calls) if part == "kept" else "", *cells)
    table.add_section()
    for name, (calls, kept) in remedies.items():
        table.add_row(name, str(calls), *(f"{share:.2f}" for share in kept))
    return table


def flow_table(diagnosis: Diagnosis, flow: FlowDiagnosis) -> Table:
    """What ways to sample a flow keep of the spread; one row each."""
    names = [f"{value:.4g}" for value in flow.eigenvalues]
    if flow.reading is not None:
        names[0] = flow.reading
    title = f"{diagnosis.scheduler}, {diagnosis.steps} steps: share of the standard deviation that arrives"
    table = _wide_table(title, "sampling", ["steps", *names])
    for option in flow.options:
        table.add_row(option.name, str(option.steps), *(f"{share:.3f}" for share in option.end))
    table.caption = "columns: variance of the data along a direction; exact for Gaussian data (F1, F10)"
    return table


def _start(option: Option) -> str:
    parts = [option.start, *([option.spacing] if option.spacing else []), *(["zero SNR"] if option.zero_snr else [])]
    return ", ".join(parts)


def _expected(option: Option, data: tuple[float, float]) -> list[str]:
    assert option.nats_low is not None and option.mean is not None and option.std is not None
    low, high = f"{option.nats_low:.3g}", f"{option.nats_high:.3g}"
    kept = f"{option.std / data[1]:.2f}" if data[1] > 0 else "–"
    return [low if low == high else f"{low} to {high}", f"{option.mean:.4g} ± {option.std:.3g}", kept]


def pictures_table(pictures: Sequence[Picture], start: str) -> Table:
    """The brightness of each, from noise and from another start."""
    table = Table(title="Brightness, 0 to 255")
    table.add_column("prompt")
    for name in ("seed", "noise", *([] if start == "noise" else [start])):
        table.add_column(name, justify="right")
    for picture in pictures:
        levels = [picture.plain_brightness] if start == "noise" else [picture.plain_brightness, picture.brightness]
        table.add_row(Text(printable(picture.prompt)), str(picture.seed), *(f"{level:.1f}" for level in levels))
    return table


def brightness_table(rows: "Sequence[Brightness]") -> Table:
    """Mean with its interval and spread, a row a prompt and start."""
    table = Table(title="Brightness, 0 to 255")
    table.add_column("prompt", overflow="fold")
    table.add_column("start")
    for name in ("mean", "99 % interval", "std", "images"):
        table.add_column(name, justify="right")
    for row in rows:
        low, high = row.interval()
        cells = [f"{row.mean:.1f}", f"{low:.1f} to {high:.1f}", f"{row.std:.1f}", str(len(row.levels))]
        table.add_row(Text(printable(row.prompt)), row.start, *cells)
    return table


def findings(verdicts: Sequence[Finding]) -> str:
    """The sentences, each with the code that mends it below."""
    return "\n".join("\n".join([finding.sentence, *(f"    {line}" for line in finding.code)]) for finding in verdicts)


def response_table(result: dict[str, Any]) -> Table:
    """What a scheduler keeps, a row an eigenvalue, the largest first: at most twenty, evenly among them, with both ends."""
    table = Table(title=f"{result['scheduler']}: standard deviation at the end over the data's (F10)")
    for name in ("eigenvalue", "kept", "start", "steps", "end"):
        table.add_column(name, justify="right")
    rows = sorted(result["rows"], key=lambda row: -row["eigenvalue"])
    if len(rows) > _MOST_ROWS:
        rows = [rows[round(k * (len(rows) - 1) / (_MOST_ROWS - 1))] for k in range(_MOST_ROWS)]
    for row in rows:
        table.add_row(f"{row['eigenvalue']:.4g}", *_parts_of(row))
    return table


def bands_table(result: dict[str, Any]) -> Table:
    """What a scheduler keeps in each band of spatial frequency, the lowest first."""
    table = Table(title="By spatial frequency, in cycles across the picture")
    for name in ("cycles", "share of the variance", "kept", "start", "steps", "end"):
        table.add_column(name, justify="right")
    for band in result["bands"]:
        table.add_row(band["name"], f"{band['share']:.1%}", *_parts_of(band))
    if any(band["brightness"] for band in result["bands"]):
        table.caption = CONSTANT
    return table


def _parts_of(row: Mapping[str, float]) -> Iterator[str]:
    return (f"{row[part]:.3f}" for part in ("kept", "start", "solver", "end"))

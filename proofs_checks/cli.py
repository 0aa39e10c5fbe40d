"""The command `singtheory`: list or verify the claims, tabulate the reverse-process error of a sampler, add up its error budget.

The first line is printed before anything heavy is imported, so that a run is seen to have started.
"""

import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofs_checks.terminal.arguments import (
    ClaimsOption,
    DataOption,
    DeviceOption,
    OneLine,
    ScheduleOption,
    SeedOption,
    one_line_errors,
)
from proofs_checks.terminal.streams import say

if TYPE_CHECKING:
    from proofs_checks.commands.second_process import Start
    from proofs_checks.harness.claim import Claim
    from proofs_checks.harness.context import Context
    from proofs_checks.harness.part import Part

# Waiting threads must sleep, not spin: beside any other process spinning makes a run several times slower. Read at torch's import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

PROGRAM = "program"
"""The object of a command that has a process of its own."""

app = typer.Typer(
    cls=OneLine,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=__doc__,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"singtheory {version('singdiffusion')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


@app.command(name="list")
def list_claims(claims: ClaimsOption = "*") -> None:
    """The claims with their methods, number of false twins and sources; nothing is checked."""
    with one_line_errors(f"singtheory list: claims {claims} (loading)"):
        from proofs_checks.harness import harness
        from proofs_checks.terminal import console

        console.show(console.claims_list(harness.select(harness.load_claims().values(), claims)))


@app.command()
def verify(
    called: typer.Context,
    data: DataOption = "digits",
    claims: ClaimsOption = "*",
    full: Annotated[bool, typer.Option("--full", help="The long checks and sweeps too.")] = False,
    device: Annotated[str, typer.Option(help="Where posteriors of the data are computed: cpu or cuda.")] = "cpu",
    seed: SeedOption = 0,
    confidence: Annotated[float, typer.Option(help="Of all statistical checks of the run together.")] = 1 - 1e-6,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/index.html with pictures.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results.")] = None,
) -> None:
    """Check every claim on the data and on toy laws.

    Exit status: 0 if all hold, 1 if something is refuted, 2 on bad input, 3 if something is undecided and nothing refuted.
    """
    start = time.perf_counter()
    with one_line_errors(f"singtheory verify: claims {claims} on {data}, seed {seed} (loading)"):
        from proofs_checks.commands import verify
        from proofs_checks.harness import harness, record
        from proofs_checks.terminal import console
        from singtheory import system
        from singtheory.system import command_line, provenance

        if report is not None:
            _check_drawing()
        _check_targets(data, json_file, report)
        chosen = harness.select(harness.load_claims().values(), claims)
        with _second_process(called) as second:
            context = _context(data, chosen, seed, confidence, full, device)
            parts = () if report is None else _report_parts(context, chosen)
            results, made = verify.run_claims(chosen, context, parts, second)
        meta = provenance(command_line("singtheory"), seed, device) | {
            "confidence": confidence,
            "data": record.describe_data(context.data),
        }
        entries = meta | {"claims": [record.describe_claim(result) for result in results]}
        try:
            if json_file is not None:
                system.write_json(json_file, entries)
            if report is not None:
                from proofs_checks.report.run import run_report

                run_report(results, made, meta, report, {"verify.json": system.json_bytes(entries)})
        finally:  # what cannot be written can still be read
            console.show(console.claims_table(results))
        if report is not None:
            say(f"report: {report / 'index.html'}")
        failed = console.failures(results)
        for line in failed:
            say(line, err=True)
        say(
            f"{len(results)} claim{'' if len(results) == 1 else 's'}, {len(failed)} failure{'' if len(failed) == 1 else 's'}, {time.perf_counter() - start:.1f} s"
        )
    raise typer.Exit(harness.exit_status(results))


@app.command()
def bounds(
    schedule: ScheduleOption = "sd",
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 50,
    spacing: Annotated[str, typer.Option(help="leading, trailing or linspace.")] = "leading",
    data: DataOption = "digits",
    queries: Annotated[int, typer.Option(help="How many x_t a step are averaged; time grows with it.")] = 16,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    json_file: Annotated[Path, typer.Option("--json", metavar="FILE", help="Where the table is written.")] = Path(
        "bounds.json"
    ),
) -> None:
    """The Gaussian reverse-process error of a sampler's steps beside its bounds, as a table and as JSON."""
    with one_line_errors(f"singtheory bounds: {steps} {spacing} steps of {schedule} on {data} (loading)"):
        from proofs_checks.commands import entry, verify
        from proofs_checks.harness import record
        from proofs_checks.terminal import console
        from singtheory import data as loaders
        from singtheory import system
        from singtheory.bound import check_queries
        from singtheory.grid import grid_named
        from singtheory.numerics import check_seed
        from singtheory.schedule import schedule_named
        from singtheory.system import check_device, command_line, provenance

        system.check_file(json_file)
        system.check_distinct([("--json", json_file)], [("--data", data), ("--schedule", schedule)])
        check_device(device)
        check_seed(seed)
        process = schedule_named(schedule)
        times = grid_named(spacing, process, steps)
        loaded = loaders.load(data)
        _say_notes(loaded.notes)
        law = entry.enter(loaded)
        check_queries(queries, law.law.dim)
        rows = verify.run_steps(law.law.to(device), process, times, queries, seed, lambda words: _say_notes([words]))
        meta = provenance(command_line("singtheory"), seed, device)
        meta |= {
            "schedule": schedule,
            "spacing": spacing,
            "data": record.describe_data(law),
            "queries": queries,
        }
        try:
            system.write_json(json_file, meta | {"steps": rows})
        finally:
            console.show(console.steps_table(rows))
        say(f"written to {json_file}")


@app.command()
def budget(
    schedule: ScheduleOption = "sd",
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 50,
    spacing: Annotated[
        str, typer.Option(help="leading, trailing, linspace, karras, uniform-log-snr, cosine or optimal (E2).")
    ] = "leading",
    data: Annotated[
        str,
        typer.Option(
            "--data", help="digits, fashion-mnist[:FOLDER], FILE.npy, FILE.npz, a FOLDER of images, golden or bumps."
        ),
    ] = "digits",
    queries: Annotated[
        int, typer.Option(help="How many x_t a node of the mmse curve, on average; time grows with it.")
    ] = 256,
    start: Annotated[str, typer.Option(help="noise, mean or matched.")] = "noise",
    kernel: Annotated[
        str,
        typer.Option(help="isotropic noise, or matched: of the posterior's covariance (E3), for the grid asked for."),
    ] = "isotropic",
    loss_curve: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Of a trained denoiser: snr, and mse = E‖x_0 − m‖² there.")
    ] = None,
    snr_start: Annotated[
        float | None,
        typer.Option(help="Where grids that are not spaced in time start; the schedule's γ at t = 1 if not given."),
    ] = None,
    snr_end: Annotated[
        float | None, typer.Option(help="Where all grids end; needed where the spacing ends at t = 0, where σ = 0.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals together.")] = 0.99,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the curve, the steps, the costs and what DDIM(0) keeps."),
    ] = None,
    json_file: Annotated[Path, typer.Option("--json", metavar="FILE", help="Where the results are written.")] = Path(
        "budget.json"
    ),
) -> None:
    """The error budget of a sampler (B8) in nats: start, discretisation and network, for its grid, for all others and for the best."""
    with one_line_errors(f"singtheory budget: {steps} {spacing} steps of {schedule} on {data} (loading)"):
        from proofs_checks.commands import budget
        from proofs_checks.terminal import budget_table, console
        from singtheory import system
        from singtheory.system import check_device, command_line, provenance

        if picture is not None:
            _check_drawing()
        for file in (picture, json_file):
            if file is not None:
                system.check_file(file)
        system.check_distinct(
            [("--json", json_file), ("--picture", picture)],
            [("--data", data), ("--schedule", schedule), ("--loss-curve", loss_curve)],
        )
        check_device(device)
        request = budget.Request(
            schedule,
            steps,
            spacing,
            data,
            queries,
            start,
            loss_curve,
            snr_start,
            snr_end,
            confidence,
            seed,
            device,
            kernel,
        )
        results = provenance(command_line("singtheory"), seed, device) | budget.run(request, _say_notes)
        try:
            system.write_json(json_file, results)
            if picture is not None:
                from proofs_checks.report.picture_budget import budget_picture

                system.write_bytes(picture, budget_picture(results).png())
        finally:
            title = f"{steps} {spacing} steps of {schedule} on {data}" + (
                ", matched kernel" if results.get("matched") else ""
            )
            grids = [row for row in results["grids"] if row["steps"] == steps]
            console.show(
                budget_table.budget_table(results["budget"], title),
                *([budget_table.matched_table(results["matched"], steps)] if results.get("matched") else []),
                budget_table.grids_table(grids, steps),
                budget_table.kept_table(results["kept"]),
            )
        say(f"written to {json_file}")
        if picture is not None:
            say(f"drawn in {picture}")


def _say_notes(notes: Iterable[str]) -> None:
    """What of the input is not used is said, on stderr."""
    for note in notes:
        say(f"note: {note}", err=True)


def _second_process(called: typer.Context) -> "AbstractContextManager[Start]":
    """A copy of the program's own process, made before it computes; a command that is called from Python cannot know what has been computed before, so it spawns one."""
    from proofs_checks.commands.second_process import copied, spawned

    return copied() if called.obj == PROGRAM else nullcontext(spawned)


def _report_parts(context: "Context", chosen: "list[Claim]") -> "list[Part]":
    from proofs_checks.report.run import report_parts

    return report_parts(context, {claim.id for claim in chosen})


def _check_drawing() -> None:
    """Load what draws before the work: where it is not installed, no result is lost."""
    import jinja2  # noqa: F401
    import latex2mathml.converter  # noqa: F401
    import matplotlib as mpl  # noqa: F401


def _check_targets(data: str, json_file: Path | None, report: Path | None) -> None:
    """Raise `InputError` before the work for what could not be written after it, or only over something else."""
    from singtheory import system

    if json_file is not None:
        system.check_file(json_file)
    of_report = []
    if report is not None:
        system.check_new_folder(report)
        of_report = [report / name for name in ("index.html", "verify.json")]
        for file in of_report:
            system.check_file(file)
    system.check_distinct([("--json", json_file), *(("--report", file) for file in of_report)], [("--data", data)])


@app.command()
def response(
    schedule: ScheduleOption = "rectified-flow",
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 10,
    spacing: Annotated[str, typer.Option(help="leading, trailing or linspace.")] = "trailing",
    shift: Annotated[float, typer.Option(help="Timestep shift of flow models; 1 is none.")] = 1.0,
    eta: Annotated[float, typer.Option(help="Of DDIM: 0 is deterministic, 1 ancestral.")] = 0.0,
    start: Annotated[str, typer.Option(help="noise, mean or matched.")] = "mean",
    corrected: Annotated[
        bool, typer.Option("--corrected", help="Divide the steps between the first and the last by their cosine.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="The eigenvalues of these data, read as by the other commands.")
    ] = None,
    eigenvalues: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Eigenvalues of the data's covariance.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the curve, the data and the quarter circle.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results.")] = None,
) -> None:
    """What a sampler keeps of the data's spread along each eigenvalue: the cosine law (F1, F9)."""
    with one_line_errors(f"singtheory response: {steps} {spacing} steps of {schedule} (loading)"):
        from proofs_checks.commands import response
        from proofs_checks.terminal import console
        from proofs_checks.terminal.response_table import bands_table, response_table
        from singtheory import system
        from singtheory.system import command_line, provenance

        if picture is not None:
            _check_drawing()
        targets = [("--json", json_file), ("--picture", picture)]
        for _, file in targets:
            if file is not None:
                system.check_file(file)
        system.check_distinct(targets, [("--data", data), ("--schedule", schedule)])
        request = response.Request(schedule, steps, spacing, shift, eta, start, corrected, data, eigenvalues)
        results = response.run(request, _say_notes)
        results = provenance(command_line("singtheory"), 0, "cpu") | results
        try:
            if json_file is not None:
                system.write_json(json_file, results)
            if picture is not None:
                from proofs_checks.report.picture_response import response_picture

                system.write_bytes(picture, response_picture(results).png())
        finally:  # what cannot be written can still be read
            console.show(response_table(results))
            if results["bands"]:
                console.show(bands_table(results))
        for _, file in targets:
            if file is not None:
                say(f"written to {file}")


def _context(data: str, chosen: "list[Claim]", seed: int, confidence: float, full: bool, device: str) -> "Context":
    """The circumstances of the run; the error probability is split evenly over its statistical checks."""
    from proofs_checks.commands.entry import enter, thinned
    from proofs_checks.harness.context import Context
    from proofs_checks.harness.harness import statistical_checks
    from proofs_checks.instances.own_units import described, in_own_units
    from singtheory import data as loaders
    from singtheory.estimate import check_run_confidence
    from singtheory.numerics import check_seed
    from singtheory.system import check_device

    check_run_confidence(confidence)
    check_device(device)
    check_seed(seed)
    error = (1 - confidence) / max(1, statistical_checks(chosen))
    loaded = loaders.load(data)
    _say_notes(loaded.notes)
    loaded, unit = in_own_units(loaded)
    if unit != 1:
        say(f"{data}: checked in {described(unit)}")
    return Context(enter(thinned(loaded)), seed, error, full, device)


if __name__ == "__main__":
    app()

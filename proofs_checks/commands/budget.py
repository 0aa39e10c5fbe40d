"""A run of `singtheory budget`: what was asked, checked before any work, and what was found, in plain values."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs_checks.commands.entry import enter
from proofs_checks.harness.record import describe_data
from proofs_checks.instances.laws import BUMPS, GOLDEN
from proofs_checks.instances.own_units import check_varied
from proofs_checks.measurements.budget_kept import kept_on_grids
from proofs_checks.measurements.grid_costs import (
    SPACINGS,
    SWEEP,
    TIMED,
    Comparison,
    check_queries,
    check_start,
    curve_of,
    named_times,
)
from proofs_checks.measurements.matched_costs import (
    check_kernel,
    cube_root_integral,
    describe,
    matched_term,
    with_matched,
)
from proofs_checks.terminal.console import progress
from singtheory import InputError, Law, Schedule, grid
from singtheory import data as loaders
from singtheory.budget import chain_snr, moments_of
from singtheory.errors import unknown_name
from singtheory.estimate import check_run_confidence
from singtheory.mmse import LossCurve, read_loss_curve
from singtheory.numerics import check_seed
from singtheory.schedule import schedule_named
from singtheory.start import Moments

_LAWS: dict[str, Law] = {"golden": GOLDEN, "bumps": BUMPS}
"""Mixtures that have a name: three atoms on a line, two Gaussians on a line."""


_MOST_NATS, _FAR = 1e12, 100.0
"""The largest `γ tr Σ` at which a chain on a line ends; from there to the next node of a loss curve γ may grow by this factor."""


@dataclass(frozen=True)
class Request:
    """The options of the command, by their names there."""

    schedule: str
    steps: int
    spacing: str
    data: str
    queries: int
    start: str
    loss_curve: Path | None
    snr_start: float | None
    snr_end: float | None
    confidence: float
    seed: int
    device: str
    kernel: str = "isotropic"


def run(request: Request, tell: Callable[[Sequence[str]], None] = lambda _: None) -> dict[str, Any]:
    """The budget of the grid that was asked for, of all others, and the curve they are computed from.

    Args:
        request: the options.
        tell: called with what of the files is not used.

    Raises:
        InputError: for bad input, before anything that takes long.
    """
    check_start(request.start)
    check_kernel(request.kernel)
    check_run_confidence(request.confidence)
    check_seed(request.seed)
    if request.spacing not in SPACINGS:
        raise unknown_name("spacing", request.spacing, SPACINGS)
    schedule = schedule_named(request.schedule)
    snr_start, snr_end = _snr_range(request, schedule)
    loss = None if request.loss_curve is None else read_loss_curve(request.loss_curve)
    law, about, moments, notes = _load(request)
    check_queries(request.queries, law.dim)
    check_kernel(request.kernel, law)
    _check_end(snr_end, law)
    tell([*notes, *(loss.notes if loss is not None else ())])
    if request.spacing != "optimal":
        times = named_times(request.spacing, schedule, request.steps, snr_start, snr_end)
        if loss is not None:
            loss.check_reach(chain_snr(schedule, times)[:-1])
    reach = snr_end if loss is None else _reach(loss, snr_end)
    with progress() as bar:
        task = bar.add_task("mmse curve", total=None)
        curve = curve_of(
            law, reach, request.seed, request.queries, request.confidence, request.device,
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
        compared = Comparison(law, schedule, curve, request.start, snr_start, snr_end, loss, moments)
        chosen = compared.row(request.spacing, request.steps)
        times = compared.times(request.spacing, request.steps)
        steps = compared.steps(times)
        kept = kept_on_grids(schedule, request.spacing, times, compared.eigenvalues, request.start)
        counts = tuple(sorted({*SWEEP, request.steps}))
        task = bar.add_task("grids", total=len(SPACINGS) * len(counts))
        rows = list(compared.rows(counts, lambda name: bar.update(task, advance=1, description=name)))
        matched: dict[str, Any] = {}
        if request.kernel == "matched":
            task = bar.add_task("matched kernel", total=None)
            chain = chain_snr(schedule, times)
            term = matched_term(
                law, chain, request.queries, request.seed,
                lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
            integral = cube_root_integral(law, float(chain[0]), float(chain[-1]), request.queries, request.seed)
            matched = {"matched": describe(term, chosen["discretisation"], integral)}
            chosen = with_matched(chosen, term)
            for one, cost in zip(steps, term.steps.tolist(), strict=True):
                one["discretisation"] = cost
    return {
        "schedule": request.schedule,
        "spacing": request.spacing,
        "start": request.start,
        "kernel": request.kernel,
        "data": about,
        "queries": request.queries,
        "method": curve.method,
        "confidence": curve.confidence,
        "snr_start": snr_start,
        "snr_end": snr_end,
        "limit": compared.limit(),
        "budget": chosen,
        "steps": steps,
        "grids": rows,
        "nodes": compared.nodes(request.steps),
        "mmse": compared.mmse(),
        "kept": kept,
        **matched,
    }


def _snr_range(request: Request, schedule: Schedule) -> tuple[float, float]:
    """The ends of the grids that are not spaced in time; all end at the second."""
    snr_start = float(schedule.snr(1.0)) if request.snr_start is None else request.snr_start
    if not 0 <= snr_start < math.inf:
        raise InputError(f"snr-start {snr_start}: must be finite and at least 0")
    if request.snr_end is not None:
        if not snr_start < request.snr_end < math.inf:
            raise InputError(f"snr-end {request.snr_end}: must be finite and above snr-start, {snr_start:.6g}")
        return snr_start, request.snr_end
    timed, steps = (request.spacing, request.steps) if request.spacing in TIMED else ("trailing", 1)
    times = grid.grid_named(timed, schedule, steps)
    if float(schedule.sigma(times[-1])) == 0:
        raise InputError(
            f"{request.steps} {request.spacing} steps of {request.schedule} end at t = 0, where σ = 0 and KL is infinite for atoms: "
            "say where the chain ends with --snr-end, as 1000; the step from there to t = 0 is judged by W₂² ≤ mmse"
        )
    snr_end = float(chain_snr(schedule, times)[-1])
    if not snr_start < snr_end:
        raise InputError(
            f"snr-start {snr_start}: must be below {snr_end:.6g}, where the grids of {request.schedule} end; or give --snr-end"
        )
    return snr_start, snr_end


def _check_end(snr_end: float, law: Law) -> None:
    """Raise `InputError` for a chain on a line that ends where quadrature would take more nodes than memory holds."""
    spread = max(float(law.cov.trace()), sys.float_info.min)
    if law.dim == 1 and snr_end * spread > _MOST_NATS:
        raise InputError(
            f"snr-end {snr_end:.6g}: at most {_MOST_NATS / spread:.6g} for these data on a line, where the noise is a millionth of "
            "them; give --snr-end, or scale the data to about 1"
        )


def _reach(loss: LossCurve, snr_end: float) -> float:
    """The first node of the loss at or beyond the end: the curve must be known there too. Raises `InputError` where it is too far."""
    beyond = loss.snr[loss.snr >= snr_end]
    reach = float(beyond[0]) if len(beyond) else snr_end
    if reach > _FAR * snr_end:
        raise InputError(
            f"loss curve: after snr {snr_end:.6g}, where the chain ends, the next is {reach:.6g}; measure the loss nearer to the end"
        )
    return reach


def _load(request: Request) -> tuple[Law, dict[str, Any], Moments | None, tuple[str, ...]]:
    """The law, in its span where that is smaller, what is said of it, then its moments in all dimensions, and what of its file is not used."""
    if request.data in _LAWS:
        return _LAWS[request.data], {"name": request.data, "dim": _LAWS[request.data].dim}, None, ()
    loaded = loaders.load(request.data)
    check_varied(loaded)
    entered = enter(loaded)
    moments = None if entered.span is None else moments_of(loaded.law)
    return entered.law, describe_data(entered), moments, loaded.notes

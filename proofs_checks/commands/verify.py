"""A run: claims with what a report draws beside them, and step tables, each under a progress bar."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from proofs_checks.commands.second_process import Start, spawned
from proofs_checks.commands.shared_run import run_shared
from proofs_checks.harness.claim import Claim
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import ClaimResult, steps
from proofs_checks.harness.part import Part
from proofs_checks.terminal.console import progress
from singtheory import Atoms, Schedule
from singtheory.bound import DRAWS_PER_QUERY, MAX_ATOMS, Row, draws_per_query, step_rows

_LONG = 60.0
"""Seconds: where more are left, a note says how many minutes."""


def run_claims(
    claims: Sequence[Claim], context: Context, parts: Sequence[Part] = (), second: Start = spawned
) -> tuple[list[ClaimResult], dict[str, Any]]:
    """Every claim with its twins, in order, and what the parts of a report make, by name; `second` starts a second process where that pays."""
    with progress() as bar:
        total = sum(steps(claim) for claim in claims) + sum(part.steps for part in parts)
        task = bar.add_task("claims", total=total)

        def step(name: str) -> None:
            bar.update(task, advance=1, description=name[:40])

        return run_shared(claims, context, step, parts, second)


def run_steps(
    law: Atoms,
    schedule: Schedule,
    times: Tensor,
    queries: int,
    seed: int,
    note: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """The step table of a grid; `note` is told before the work what of many points is bounded instead of summed, and after the first step how long the rest takes."""
    count, steps, start = len(law.points), len(times) - 1, time.monotonic()
    if count > MAX_ATOMS:
        note(
            f"{queries} x_t in each of {steps} steps: of its {count} points at most the {MAX_ATOMS} heaviest are summed in pairs, "
            "what the others add is bounded, so that B2, B9, B10 and B12 are a little looser"
        )
    draws = draws_per_query(count)
    if draws < DRAWS_PER_QUERY:
        note(
            f"an x_t gets {draws} draws instead of {DRAWS_PER_QUERY}, for there are {count} points: the intervals of KL and TV hold, "
            "and are wider; more --queries narrow them"
        )
    with progress() as bar:
        task = bar.add_task("steps", total=steps)
        rows = []
        for row in step_rows(law, schedule, times, queries, torch.Generator().manual_seed(seed)):
            rows.append(row)
            bar.advance(task)
            left = (time.monotonic() - start) * (steps - 1)
            if len(rows) == 1 and left > _LONG:
                note(f"the first step is done: about {left / 60:.1f} minutes for all others; fewer --queries take less")
        return rows

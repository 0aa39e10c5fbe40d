"""A run: claims and step tables, each under a progress bar."""

from collections.abc import Sequence

import torch
from torch import Tensor

from proofs_checks.claim import Claim
from proofs_checks.console import progress
from proofs_checks.context import Context
from proofs_checks.harness import ClaimResult, run_claim, steps
from singtheory import Atoms, Schedule
from singtheory.table import Row, step_rows


def run_claims(claims: Sequence[Claim], context: Context) -> list[ClaimResult]:
    """Every claim with its twins, in order."""
    with progress() as bar:
        task = bar.add_task("claims", total=sum(steps(claim) for claim in claims))

        def step(name: str) -> None:
            bar.update(task, advance=1, description=name[:40])

        return [run_claim(claim, context, step) for claim in claims]


def run_steps(law: Atoms, schedule: Schedule, times: Tensor, queries: int, seed: int) -> list[Row]:
    """The step table of a grid."""
    with progress() as bar:
        task = bar.add_task("steps", total=len(times) - 1)
        rows = []
        for row in step_rows(law, schedule, times, queries, torch.Generator().manual_seed(seed)):
            rows.append(row)
            bar.advance(task)
        return rows

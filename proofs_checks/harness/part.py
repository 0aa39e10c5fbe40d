"""A part of the report that is drawn or measured beside the claims, by whichever process is free."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proofs_checks.harness.context import Context

Step = Callable[[str], None]
"""Is called with the name of what comes next."""


@dataclass(frozen=True)
class Part:
    """One part. What it makes depends on the context alone, as with checks, and not on the process.

    Attributes:
        name: its key among the results.
        make: a function of a module, so that a second process finds it; returns what can be pickled.
        steps: how often it calls its `step`.
        work: how long it takes, in checks of claims; the longest are begun first.
    """

    name: str
    make: Callable[[Context, Step], Any]
    steps: int
    work: int


def made(part: Part, context: Context, step: Step) -> Any:
    """What the part makes, or the exception that it met, with where: the claims go on, and the report raises it once their results are safe."""
    try:
        return part.make(context, step)
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return error

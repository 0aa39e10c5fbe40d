"""Claims, and parts of a report, shared between this process and a second one: they are taken in turn, results come back in the order of the theory.

The claims of one letter share what they measure, so a letter is never divided. The second process has the claims (`second_process`) and is sent the
circumstances of the run; what it finds is sent back without the claims, which hold functions. What a check or a part finds does not depend on the
process: each draws numbers of its own (`Context.within`).
"""

import os
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

import torch

from proofs_checks.commands.second_process import Start, spawned
from proofs_checks.commands.unit import Unit, units_of
from proofs_checks.harness.claim import Claim
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import ClaimResult
from proofs_checks.harness.part import Part, Step

_LEAST_STEPS = 40
"""Checks and twins, or as much work of parts, beyond the largest unit: for fewer a second process would not be loaded in time."""
_LARGEST = 2**28
"""Bytes of data; a second copy of more is not made."""
Done = dict[str, Any]
"""The results of claims by id, and what parts have made by name."""


def run_shared(
    claims: Sequence[Claim], context: Context, step: Step, parts: Sequence[Part] = (), second: Start = spawned
) -> tuple[list[ClaimResult], dict[str, Any]]:
    """Every claim with its twins, in order, and what every part makes, by name; on two cores where that pays and the data are small.

    Args:
        claims: in the order of the results.
        context: of the run.
        step: is called with the name of each check and twin, and of what a part does, before it runs.
        parts: of the report; what one has made that fails is its exception, and once all claims are done, an interruption.
        second: starts the second process.
    """
    units, done = units_of(claims, parts), Done()
    try:
        _run(_Waiting(units), second if _pays(units, context) else None, done, context, step)
    except KeyboardInterrupt as interruption:
        if any(claim.id not in done for claim in claims):
            raise
        for part in parts:
            done.setdefault(part.name, interruption)
    return [done[claim.id] for claim in claims], {part.name: done[part.name] for part in parts}


def _run(waiting: "_Waiting", second: Start | None, done: Done, context: Context, step: Step) -> None:
    if second is not None:
        with _half_of_the_threads(), second() as connection:
            feeder = _Feeder(connection, context, waiting, done, step)
            feeder.start()
            _run_waiting(waiting, done, context, step)
            feeder.wait()
    _run_waiting(waiting, done, context, step)  # all of it, or what a second process has left that was ended by others


class _Waiting:
    """Units that nobody has taken yet, those with the most to do first."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units, self._lock = deque(units), Lock()

    def take(self) -> Unit | None:
        """The next unit, or None."""
        with self._lock:
            return self._units.popleft() if self._units else None

    def put_back(self, unit: Unit) -> None:
        """A unit that was not done."""
        with self._lock:
            self._units.appendleft(unit)


def _pays(units: Sequence[Unit], context: Context) -> bool:
    """Whether a second process ends before this one alone would, and fits."""
    data = context.data
    tensors = [data.law.points] if data.span is None else [data.law.points, data.span.basis]
    fits = sum(tensor.numel() * tensor.element_size() for tensor in tensors) <= _LARGEST
    others = sum(unit.work for unit in units[1:])
    return fits and context.device == "cpu" and _cores() > 1 and others >= _LEAST_STEPS


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _half_of_the_threads() -> Iterator[None]:
    """Two processes with all threads each would wait for one another."""
    usual = torch.get_num_threads()
    torch.set_num_threads(max(1, usual // 2))
    try:
        yield
    finally:
        torch.set_num_threads(usual)


class _Feeder(Thread):
    """Sends the run and then units to the second process until none is left.

    Args:
        connection: to the second process.
        context: of the run.
        waiting: units; what the process does not end of one is put back.
        done: results, to be added to.
        step: as of `run_shared`.
    """

    def __init__(
        self,
        connection: Connection,
        context: Context,
        waiting: _Waiting,
        done: Done,
        step: Step,
    ) -> None:
        super().__init__(daemon=True)
        self._connection, self._context, self._step = connection, context, step
        self._waiting, self._done = waiting, done
        self._error: BaseException | None = None

    def run(self) -> None:
        """All of it; an error is kept for `wait`, but for that of a process that others have ended."""
        try:
            _send(self._connection, self._context)
            while unit := self._waiting.take():
                self._feed(unit)
        except (EOFError, OSError):
            pass
        except BaseException as error:
            self._error = error

    def _feed(self, unit: Unit) -> None:
        try:
            self._connection.send(unit.order)
            for key, result in unit.there(self._answer):
                self._done[key] = result
        finally:
            if left := unit.left(self._done):
                self._waiting.put_back(left)

    def _answer(self) -> Any:
        """The next result; names of steps come before it."""
        while isinstance(message := self._connection.recv(), str):
            self._step(message)
        return message

    def wait(self) -> None:
        """Until it has ended. Raises what it met."""
        while self.is_alive():
            self.join(0.2)  # without a limit, Windows would not hear Ctrl-C meanwhile
        if self._error is not None:
            raise self._error


def _run_waiting(waiting: _Waiting, done: Done, context: Context, step: Step) -> None:
    while unit := waiting.take():
        for key, result in unit.here(context, step):
            done[key] = result


def _send(connection: Connection, context: Context) -> None:
    """With the number of threads that this process has left it, pickled whole: the shared memory that tensors are sent in by themselves may be smaller than the data."""
    run = (torch.get_num_threads(), context)
    connection.send_bytes(pickle.dumps(run, protocol=pickle.HIGHEST_PROTOCOL))

"""Claims shared between this process and a second one: groups of claims are taken in turn, results come back in the order of the theory.

The claims of one letter share what they measure, so a letter is never divided. The second process loads the claims itself and is sent the
circumstances of the run; what it finds is sent back without the claims, which hold functions. What a check finds does not depend on the process: each
draws numbers of its own (`Context.within`).
"""

import itertools
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any, cast

import torch

from proofs_checks.harness.claim import Claim
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import CheckResult, ClaimResult, load_claims, run_claim, steps

_LEAST_STEPS = 40
"""Checks and twins beyond the largest group: for fewer a second process would not be loaded in time."""
_LARGEST = 2**28
"""Bytes of data; a second copy of more is not made."""
Step = Callable[[str], None]


def run_shared(claims: Sequence[Claim], context: Context, step: Step) -> list[ClaimResult]:
    """Every claim with its twins, in order; on two cores where that pays and the data are small.

    Args:
        claims: in the order of the results.
        context: of the run.
        step: is called with the name of each check and twin before it runs.
    """
    groups = _groups(claims)
    if not _pays(groups, context):
        return [run_claim(claim, context, step) for claim in claims]
    waiting, done = _Waiting(groups), dict[str, ClaimResult]()
    with _half_of_the_threads(), _second_process() as connection:
        feeder = _Feeder(connection, context, waiting, done, step)
        feeder.start()
        _run_waiting(waiting, done, context, step)
        feeder.wait()
        _run_waiting(waiting, done, context, step)  # what a second process has left that was ended by others
    return [done[claim.id] for claim in claims]


class _Waiting:
    """Groups of claims that nobody has taken yet, those with the most checks first."""

    def __init__(self, groups: Sequence[list[Claim]]) -> None:
        self._groups, self._lock = deque(groups), Lock()

    def take(self) -> list[Claim] | None:
        """The next group, or None."""
        with self._lock:
            return self._groups.popleft() if self._groups else None

    def put_back(self, group: list[Claim]) -> None:
        """A group that was not done."""
        with self._lock:
            self._groups.appendleft(group)


def _groups(claims: Sequence[Claim]) -> list[list[Claim]]:
    """The claims of each letter, the groups with the most to do first."""
    groups = [list(group) for _, group in itertools.groupby(claims, key=lambda claim: claim.id[0])]
    return sorted(groups, key=_work, reverse=True)


def _work(group: Sequence[Claim]) -> int:
    return sum(steps(claim) for claim in group)


def _pays(groups: Sequence[list[Claim]], context: Context) -> bool:
    """Whether a second process ends before this one alone would, and fits."""
    data = context.data
    tensors = [data.law.points] if data.span is None else [data.law.points, data.span.basis]
    fits = sum(tensor.numel() * tensor.element_size() for tensor in tensors) <= _LARGEST
    return fits and context.device == "cpu" and _cores() > 1 and sum(map(_work, groups[1:])) >= _LEAST_STEPS


def _cores() -> int:
    """Those that this process may use."""
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


@contextmanager
def _second_process() -> Iterator[Connection]:
    """One that runs the claims it is sent, ended whatever happens here."""
    spawn = multiprocessing.get_context("spawn")
    here, there = cast(tuple[Connection, Connection], spawn.Pipe())  # of another class on Windows, alike
    process = spawn.Process(target=_serve, args=(there, torch.get_num_threads()), daemon=True)
    with _interruptions_held():  # the process inherits that, so that Ctrl-C is an affair of this one alone
        process.start()
    there.close()
    try:
        yield here
    finally:
        process.kill()  # what waits for an answer hears that there will be none
        process.join()
        here.close()


@contextmanager
def _interruptions_held() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


class _Feeder(Thread):
    """Sends the run and then groups to the second process until none is left.

    Args:
        connection: to the second process.
        context: of the run.
        waiting: groups; one that the process does not end is put back.
        done: results by id, to be added to.
        step: as of `run_shared`.
    """

    def __init__(
        self,
        connection: Connection,
        context: Context,
        waiting: _Waiting,
        done: dict[str, ClaimResult],
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
            while group := self._waiting.take():
                self._feed(group)
        except (EOFError, OSError):
            pass
        except BaseException as error:
            self._error = error

    def _feed(self, group: list[Claim]) -> None:
        try:
            self._connection.send([claim.id for claim in group])
            for claim in group:
                while isinstance(message := self._connection.recv(), str):
                    self._step(message)
                self._done[claim.id] = _with_claim(claim, message)
        finally:
            if left := [claim for claim in group if claim.id not in self._done]:
                self._waiting.put_back(left)

    def wait(self) -> None:
        """Until it has ended. Raises what it met."""
        while self.is_alive():
            self.join(0.2)  # without a limit, Windows would not hear Ctrl-C meanwhile
        if self._error is not None:
            raise self._error


def _run_waiting(waiting: _Waiting, done: dict[str, ClaimResult], context: Context, step: Step) -> None:
    while group := waiting.take():
        for claim in group:
            done[claim.id] = run_claim(claim, context, step)


def _send(connection: Connection, context: Context) -> None:
    """Pickled whole: the shared memory that tensors are sent in by themselves may be smaller than the data."""
    connection.send_bytes(pickle.dumps(context, protocol=pickle.HIGHEST_PROTOCOL))


def _serve(connection: Connection, threads: int) -> None:
    """The work of the second process: groups of claims, by their ids, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    try:
        claims, context = load_claims(), pickle.loads(connection.recv_bytes())
        while True:
            for id in connection.recv():
                connection.send(_without_claim(run_claim(claims[id], context, connection.send)))
    except (EOFError, OSError):  # the other end has gone
        os._exit(0)


def _without_claim(result: ClaimResult) -> dict[str, Any]:
    """What can be sent: outcomes, and by its place in the claim each check."""
    checks = [(checked.outcome, checked.read) for checked in result.checks]
    return {
        "verdict": result.verdict,
        "checks": checks,
        "twins": result.twins,
        "seconds": result.seconds,
        "proof": result.proof,
    }


def _with_claim(claim: Claim, sent: dict[str, Any]) -> ClaimResult:
    """The result as `run_claim` would have returned it here."""
    checked = zip(claim.checks, sent["checks"], strict=True)
    checks = tuple(CheckResult(check, outcome, read) for check, (outcome, read) in checked)
    return ClaimResult(claim, sent["verdict"], checks, sent["twins"], sent["seconds"], sent["proof"])

"""The second process of a run, and how it comes to be.

It has loaded what a run needs sooner where it is a copy of a process that has just done so, which is safe only before anything was computed: the threads of
libraries are not copied. Only a program knows that of itself; whoever else shares a run starts a process anew.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, cast

import torch

from proofs_checks.harness.harness import load_claims

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

Start = Callable[[], AbstractContextManager[Connection]]
"""Starts a second process, or has started it; the connection is to it, and it is ended whatever happens here."""


def spawned() -> AbstractContextManager[Connection]:
    """One that loads everything itself."""
    return _process(multiprocessing.get_context("spawn"), is_copy=False)


@contextmanager
def copied() -> Iterator[Start]:
    """One that is a copy of this process, of which nothing has computed yet, on Linux; elsewhere libraries do not bear that, and it is spawned when it is asked for."""
    if sys.platform != "linux":
        yield spawned
        return
    with _process(multiprocessing.get_context("fork"), is_copy=True) as connection:
        yield partial(nullcontext, connection)


@contextmanager
def _process(context: "ForkContext | SpawnContext", is_copy: bool) -> Iterator[Connection]:
    here, there = cast(tuple[Connection, Connection], context.Pipe())  # of another class on Windows, alike
    process = context.Process(target=_serve, args=(there, here if is_copy else None), daemon=True)
    # the process inherits that interruptions are held, so that Ctrl-C is an affair of this one alone
    with _interruptions_held(), warnings.catch_warnings():
        # the threads that a copy lacks wait for work here too
        warnings.filterwarnings("ignore", r".*multi-threaded, use of fork", DeprecationWarning)
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


def _serve(connection: Connection, other_end: Connection | None) -> None:
    """The work of the second process: units, until the other end closes, of which a copied process has a copy."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if other_end is not None:
        other_end.close()
    try:
        load_claims()  # while the run is on its way
        threads, context = pickle.loads(connection.recv_bytes())
        torch.set_num_threads(threads)
        while True:
            connection.recv().carry_out(context, connection.send)
    except (EOFError, OSError):  # the other end has gone
        os._exit(0)

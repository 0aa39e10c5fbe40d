"""`python -m proofs_checks` and the command `singtheory`: an interruption is one line and exit status 130, from the first moment on.

Nothing that takes time is imported before the handler stands: what a command needs takes a while to load, and an interruption in the middle of it
would end in a traceback of the import, or in whatever error a library makes of it.
"""

import os
import signal
import sys
from types import FrameType

from proofs_checks.terminal import interruption

INTERRUPTED = 130
"""The exit status of a process that Ctrl-C has ended: 128 and the number of the signal."""


def _interrupt(_: int, __: FrameType | None) -> None:
    """The first interruption unwinds, so that drafts are removed; a second one does not wait for that."""
    interruption.count += 1
    if interruption.count > 1:
        _leave()
    raise KeyboardInterrupt


def _swallowed(_: "sys.UnraisableHookArgs") -> None:
    """An interruption in a destructor or callback goes no further by itself, and other noise after one helps nobody."""
    if interruption.count:
        _leave()


def _tell() -> None:
    try:  # noqa: SIM105  contextlib is not loaded yet
        os.write(2, b"interrupted\n")
    except OSError:
        pass


def _leave() -> None:
    _tell()
    os._exit(INTERRUPTED)


def main() -> None:
    """Run the command; its name in messages is that of the process."""
    signal.signal(signal.SIGINT, _interrupt)
    usual, sys.unraisablehook = sys.unraisablehook, lambda said: _swallowed(said) if interruption.count else usual(said)
    try:
        from proofs_checks.cli import PROGRAM, app

        name = "python -m proofs_checks" if sys.argv[0].endswith("__main__.py") else "singtheory"
        app(prog_name=name, obj=PROGRAM)
    except BaseException:
        # whatever a library has made of an interruption, it is one
        if not interruption.count:
            raise
        _tell()
        sys.stdout = sys.stderr = None  # what is left in their buffers belongs to a run that was ended
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()

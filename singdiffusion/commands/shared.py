"""What the commands share: errors of one line, and which models are meant where none are named. Nothing heavy is imported before a command runs."""

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from singdiffusion.system import printable, say

_QUIET = {
    "TQDM_DISABLE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
}
"""Read by libraries when they are imported: their bars and remarks would stand around the one line of an error, and fill logs."""

_STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input becomes one line on stderr and exit status 2; a warning one line too."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with _one_line_warnings():
            yield
    except ImportError as error:
        from singtheory.errors import not_installed

        say(f"error: {not_installed('this command', error)}", err=True)
        raise typer.Exit(2) from None
    except (ValueError, OSError) as error:
        line = _line_of(error)
        if line is None:
            raise
        say(f"error: {line}", err=True)
        raise typer.Exit(2) from None


def _line_of(error: ValueError | OSError) -> str | None:
    """What to tell of bad input, and of an output that cannot be written; None for a fault of the program, and where nobody reads."""
    if isinstance(error, OSError):
        return None if error.errno == errno.EPIPE else f"{error.filename or 'output'}: {error.strerror or error}"
    from singtheory.errors import InputError  # it takes a while to load, and was by now

    return str(error) if isinstance(error, InputError) else None


@contextlib.contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Without the file and the line of code, which say nothing to who typed a command."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"warning: {printable(' '.join(str(message).splitlines()))}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def check_output(file: Path | None, *inputs: str | Path | None) -> None:
    """Raise `InputError`, before the work, for a file that cannot be written or is one of those that are read; None for no file."""
    from singtheory.errors import InputError
    from singtheory.system import check_file

    if file is None:
        return
    for source in inputs:
        if source is not None and os.path.exists(source) and file.exists() and os.path.samefile(file, source):
            raise InputError(f"--json {file}: is what is read; give another name")
    check_file(file)


DEVICE = "auto, cpu, cuda or mps; auto, the fastest that is there, if not given."
CONFIG = "Of a checkpoint of one file: folder or hub id of a pipeline of its kind; its weights are not needed."
"""The words of options that several commands take."""

OWN = ("diffusion", "flow")
"""The models that come with the package; the first is drawn from where none is named."""


class Models(NamedTuple):
    """What a command draws with.

    Attributes:
        base: pipeline.
        module: average image, or None.
        steps: of the sampler, where none are asked for.
        guidance: its weight, where none is asked for.
        own: whether they are the package's own.
        sampler: scheduler, its settings and steps, with which `sample` draws where neither scheduler nor steps are asked for; None for the pipeline's own.
    """

    base: str
    module: str | None
    steps: int
    guidance: float
    own: bool
    sampler: tuple[str, dict[str, Any], int] | None = None


def models(base: str | None, module: str | None, own: str | None = None) -> Models:
    """The package's own where neither is named: `diffusion`, with Stable Diffusion's betas, or `flow`, its twin that matches flows.

    Raises:
        InputError: for an unknown name, and for one beside a base or module of the caller's.
    """
    from singdiffusion import demonstrator, flow_demonstrator
    from singtheory.errors import InputError, unknown_name

    if own not in (None, *OWN):
        raise unknown_name("own", own, OWN)
    if base is not None or module is not None:
        if own is not None:
            raise InputError(f"own {own}: another model is given; leave out --own, or --base and --module")
        return Models(base or _STABLE_DIFFUSION, module, 50, 7.5, False)
    chosen = flow_demonstrator if own == "flow" else demonstrator
    sampler = (demonstrator.SAMPLER, demonstrator.SAMPLER_SETTINGS, demonstrator.SAMPLER_STEPS)
    fast = sampler if chosen is demonstrator else None
    return Models(str(chosen.PIPELINE), str(chosen.AVERAGE), chosen.STEPS, chosen.GUIDANCE, True, fast)

"""The command `singdiffusion`: pictures with the singular step, and what is wrong with a pipeline's start.

Each command is in the file of its name; nothing heavy is imported before one runs.
"""

import signal
import threading
from typing import Annotated

_ASKED = signal.getsignal(signal.SIGINT)
_BY_US = _ASKED is signal.default_int_handler and threading.current_thread() is threading.main_thread()
if _BY_US:  # an interrupt while this loads ends it without a traceback; a command has typer for that
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import typer  # noqa: E402

from singdiffusion.commands import evaluate  # noqa: E402
from singdiffusion.commands.calibrate import calibrate  # noqa: E402
from singdiffusion.commands.convert import convert  # noqa: E402
from singdiffusion.commands.diagnose import diagnose  # noqa: E402
from singdiffusion.commands.response import response  # noqa: E402
from singdiffusion.commands.sample import sample  # noqa: E402
from singdiffusion.commands.train import cache, train  # noqa: E402
from singdiffusion.system import replace_what_cannot_be_printed  # noqa: E402

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"singdiffusion {version('singdiffusion')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and stop.")
    ] = False,
) -> None:
    """Pictures with true black and true white, and what is wrong with a pipeline's start."""
    replace_what_cannot_be_printed()


for _command in (convert, sample, diagnose, response, calibrate, cache, train):
    app.command()(_command)
app.add_typer(evaluate.app, name="evaluate")

if _BY_US:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if __name__ == "__main__":
    app()

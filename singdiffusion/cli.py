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

from singdiffusion.commands import comfyui, evaluate, webui  # noqa: E402
from singdiffusion.commands.calibrate import calibrate  # noqa: E402
from singdiffusion.commands.convert import convert  # noqa: E402
from singdiffusion.commands.diagnose import diagnose  # noqa: E402
from singdiffusion.commands.response import response  # noqa: E402
from singdiffusion.commands.sample import sample  # noqa: E402
from singdiffusion.commands.train import cache, train  # noqa: E402
from singdiffusion.system import replace_what_cannot_be_printed, say  # noqa: E402

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"singdiffusion {version('singdiffusion')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Pictures with true black and true white, and what is wrong with a pipeline's start."""
    replace_what_cannot_be_printed()


for _command in (convert, sample, diagnose, response, calibrate, cache, train):
    app.command()(_command)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(comfyui.app, name="comfyui")
app.add_typer(webui.app, name="webui")

if _BY_US:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if __name__ == "__main__":
    app()

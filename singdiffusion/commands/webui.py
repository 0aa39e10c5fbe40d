"""The command `singdiffusion webui install`."""

from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import one_line_errors
from singdiffusion.system import say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The extension for A1111's web UI and Forge.")


@app.callback()
def webui() -> None:
    """The extension for A1111's web UI and Forge."""


@app.command("install")
def install_extension(
    folder: Annotated[Path, typer.Argument(help="The web UI's folder, in which extensions lies.")],
) -> None:
    """Write one script into extensions, which asks this Python for the start; exit 2 on bad input."""
    with one_line_errors():
        from singdiffusion.webui import install

        say(f"written to {install(folder)}; start the web UI again")

"""The command `singdiffusion comfyui install`."""

from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import one_line_errors
from singdiffusion.system import say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The nodes for ComfyUI.")


@app.callback()
def comfyui() -> None:
    """The nodes for ComfyUI."""


@app.command("install")
def install_nodes(
    folder: Annotated[Path, typer.Argument(help="ComfyUI's folder, in which custom_nodes lies.")],
) -> None:
    """Write one small folder into custom_nodes that imports this package, with example workflows; exit 2 on bad input."""
    with one_line_errors():
        from singdiffusion.comfyui import install

        say(f"written to {install(folder)}; start ComfyUI again. Its Python needs this package too")

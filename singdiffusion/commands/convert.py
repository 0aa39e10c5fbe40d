"""The command `singdiffusion convert`."""

from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import CONFIG, one_line_errors
from singdiffusion.system import say


def convert(
    source: Annotated[str, typer.Argument(help="Folder, hub id or .bin of a published checkpoint.")],
    target: Annotated[Path, typer.Argument(help="New folder, written whole or not at all.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_ID",
            help="The pipeline it was trained beside, whose latents and text encoder are noted; Stable Diffusion 1.x if not given.",
        ),
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
) -> None:
    """Turn a published checkpoint (config.json, diffusion_pytorch_model.bin) into safetensors; exit 2 on bad input."""
    with one_line_errors():
        say(f"singdiffusion convert: {source} (loading)")
        from singdiffusion import average
        from singdiffusion.base import Space

        module = average.convert(
            source, target, average.STABLE_DIFFUSION_1 if base is None else Space.stored(base, config)
        )
        weights = sum(weight.numel() for weight in module.parameters())
        say(f"written to {target}: {type(module).__name__}, {weights:,} weights")

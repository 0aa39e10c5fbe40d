"""The command `singdiffusion calibrate`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import CONFIG, DEVICE, one_line_errors
from singdiffusion.system import say


def calibrate(
    base: Annotated[str, typer.Option(metavar="PATH_OR_ID", help="The pipeline whose pictures are measured.")],
    prompts: Annotated[Path, typer.Option(metavar="FILE", help="Text, a prompt a line, as people ask the model.")],
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    images: Annotated[int, typer.Option(help="How many pictures; more than the rank.")] = 64,
    steps: Annotated[int, typer.Option(help="Steps of the sampler; many, for few lose what is measured.")] = 50,
    rank: Annotated[int, typer.Option(min=1, help="Directions of the spread.")] = 16,
    frequencies: Annotated[int, typer.Option(min=1, help="Along each side, within which the directions lie.")] = 4,
    guidance: Annotated[float | None, typer.Option(help="Its weight; the pipeline's own if not given.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Height and width in pixels; the pipeline's own if not given.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures drawn together.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first picture; the next ones count on.")] = 0,
    device: Annotated[str | None, typer.Option(help=DEVICE)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder, written whole or not at all.")] = Path("spread"),
) -> None:
    """Measure the spread of a model's own pictures, with which its first step is mended; no data is needed. Exit 2 on bad input."""
    with one_line_errors():
        say(f"singdiffusion calibrate: {images} pictures of {base} (loading)")
        from singdiffusion import evaluation
        from singdiffusion.base import cut_prompts
        from singdiffusion.commands import console
        from singdiffusion.evaluation import load_pipeline, place
        from singdiffusion.system import new_folder
        from singtheory.data import Notes
        from singtheory.system import command_line, provenance, write_json

        notes = Notes()
        lines = evaluation.read_prompts(prompts, notes)
        where, dtype = place(device)
        call = {"guidance_scale": guidance, "height": size, "width": size}
        with new_folder(out) as folder:
            with console.doing("loading"):
                pipe = load_pipeline(base, None, where, dtype, config)
            for line in (*notes.lines(), *cut_prompts(pipe, lines)):
                say(line)
            spread = evaluation.calibrate(
                pipe,
                lines,
                images,
                steps,
                frequencies=frequencies,
                rank=rank,
                seed=seed,
                batch=batch,
                tracked=partial(console.tracked, what="drawing"),
                **{name: value for name, value in call.items() if value is not None},
            )
            spread.save_pretrained(folder)
            settings = {"base": base, "images": images, "steps": steps, "prompts": lines, "std": spread.std.tolist()}
            write_json(folder / "calibration.json", provenance(command_line("singdiffusion"), seed, where) | settings)
        widest, narrowest = float(spread.std.max()), float(spread.std.min())
        say(f"written to {out}: {rank} directions, standard deviations {narrowest:.3g} to {widest:.3g}")

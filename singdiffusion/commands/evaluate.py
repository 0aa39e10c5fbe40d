"""The commands `singdiffusion evaluate brightness` and `coco`."""

from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import CONFIG, DEVICE, check_output, models, one_line_errors
from singdiffusion.system import say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure what a pipeline draws.")


@app.callback()
def evaluate() -> None:
    """Measure what a pipeline draws."""


@app.command("brightness")
def evaluate_brightness(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="[PROMPT...]", help="The paper's four if not given.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_ID", help="A text-to-image pipeline; the package's own model if not given."),
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    module: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help="Its average image.")] = None,
    starts: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Of noise, mean and matched; noise and the module's best.")
    ] = None,
    controlnet: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help="A ControlNet, with --control.")] = None,
    control: Annotated[Path | None, typer.Option(metavar="FILE", help="The image that a ControlNet is given.")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="NAME", help="A scheduler of diffusers.")] = None,
    images: Annotated[int, typer.Option(help="Images a prompt and start.")] = 16,
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 25,
    guidance: Annotated[float, typer.Option(help="Guidance weight; 1 for none.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first image; the next ones count on.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 16,
    device: Annotated[str | None, typer.Option(help=DEVICE)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured.")] = None,
) -> None:
    """Mean and spread of the brightness, from noise and from the singular step; exit 2 on bad input.

    Of the package's own model it says whether its committed table comes out again; exit 1 if not.
    """
    sources = models(base, module)
    base, module, own = sources.base, sources.module, sources.own
    with one_line_errors():
        say(f"singdiffusion evaluate brightness: {base} (loading)")
        from singdiffusion import evaluation
        from singdiffusion.base import cut_prompts
        from singdiffusion.commands import console
        from singdiffusion.evaluation import load_pipeline, load_start, place
        from singtheory.system import command_line, provenance, write_json

        check_output(json_file, base, module, controlnet, control)
        where, dtype = place(device)
        with console.doing("loading"):
            controlled = evaluation.control_of(controlnet, control, dtype)
            asked = [None if name == "best" else name for name in (starts or "noise,best").split(",")]
            if module is None and starts is None:
                asked = ["noise"]
            attached = {chosen: sing for sing, chosen in (load_start(module, name, dtype) for name in asked)}
            pipe = load_pipeline(base, scheduler, where, dtype, config, **controlled.parts)
        settings = {
            "base": "singdiffusion/demonstrator" if own else base,
            "module": "singdiffusion/demonstrator" if own else module,
            "weights": evaluation.fingerprint() if own else None,
            "scheduler": type(pipe.scheduler).__name__,
            "steps": steps,
            "guidance": guidance,
            "images": images,
        }
        texts = prompts or list(evaluation.OWN if own else evaluation.PROMPTS)
        for line in cut_prompts(pipe, texts):
            say(line)
        rows = list(
            evaluation.brightness(pipe, attached, texts, images, steps, guidance, seed, batch, **controlled.call)
        )
        if json_file is not None:  # first: what cannot be printed must not lose it
            origin = provenance(command_line("singdiffusion"), seed, where)
            write_json(json_file, origin | settings | {"rows": [row.to_json() for row in rows]})
        console.show(console.brightness_table(rows))
        if json_file is not None:
            say(f"written to {json_file}")
        odd = evaluation.committed(rows, settings) if own else None
        if odd is not None:
            say(*(odd or ["the committed table comes out again"]))
        if odd:
            raise typer.Exit(1)


@app.command("coco")
def evaluate_coco(
    data: Annotated[str, typer.Argument(help="Captioned photographs: a folder, .tar shards, or a hub id.")],
    base: Annotated[str, typer.Option(metavar="PATH_OR_ID", help="A text-to-image pipeline.")],
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    module: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help="Its average image.")] = None,
    starts: Annotated[str | None, typer.Option(metavar="NAME,NAME", help="Of noise, mean and matched.")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="NAME", help="A scheduler of diffusers.")] = None,
    count: Annotated[int, typer.Option(min=2, help="Captions, and as many real images.")] = 30_000,
    guidance: Annotated[str, typer.Option(metavar="W,W", help="Weights of guidance.")] = "1.5,2,3,4,5,6,7,8",
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 50,
    clip: Annotated[
        str, typer.Option(metavar="PATH_OR_ID", help="The CLIP of the score.")
    ] = "openai/clip-vit-base-patch16",
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first image; the next ones count on.")] = 0,
    device: Annotated[str | None, typer.Option(help=DEVICE)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured.")] = None,
) -> None:
    """FID against CLIP score over guidance, from noise and from the singular step, as in the paper; needs the extra [eval]. Exit 2 on bad input."""
    with one_line_errors():
        say(f"singdiffusion evaluate coco: {base} (loading)")
        from dataclasses import asdict

        from singdiffusion import evaluation
        from singdiffusion.base import cut_prompts
        from singdiffusion.commands import console
        from singdiffusion.evaluation import load_pipeline, load_start, place
        from singtheory.errors import InputError
        from singtheory.system import command_line, provenance, write_json

        check_output(json_file, base, module, data, clip)
        try:
            weights = [float(word) for word in guidance.split(",")]
        except ValueError:
            raise InputError(f"guidance {guidance}: give numbers with commas between") from None
        where, dtype = place(device)
        asked = (starts or ("noise" if module is None else "noise,best")).split(",")
        with console.doing("loading"):
            metrics = evaluation.Metrics.of_torchmetrics(clip, where)
            attached = {
                chosen: sing
                for sing, chosen in (load_start(module, None if name == "best" else name, dtype) for name in asked)
            }
            pipe = load_pipeline(base, scheduler, where, dtype, config)
            captions, real, notes = evaluation.captioned(data, count)
        for line in (*notes, *cut_prompts(pipe, captions)):
            say(line)
        points = []
        for point in evaluation.curve(pipe, attached, captions, real, metrics, weights, steps, seed):
            points.append(asdict(point))
            if json_file is not None:
                record = {"base": base, "module": module, "data": data, "steps": steps, "points": points}
                write_json(json_file, provenance(command_line("singdiffusion"), seed, where) | record)
            say(
                f"{point.start} at {point.guidance:g}: FID {point.fid:.2f}, CLIP score {point.clip:.2f}, {point.n} images"
            )

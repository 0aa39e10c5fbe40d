"""The command `singdiffusion sample`."""

from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import CONFIG, DEVICE, models, one_line_errors
from singdiffusion.system import say


def sample(
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT...", help="What to draw.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_ID",
            help="A text-to-image pipeline; the package's own small one if neither it nor a module is given, with a module Stable Diffusion 1.5.",
        ),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_ID", help="The average image; needed with --base unless the start is noise."),
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    own: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which of the package's own models, where no other is given: diffusion, or flow, its twin that matches flows; diffusion if not given.",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="noise, mean or matched; matched if the module has a spread, else mean.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A scheduler of diffusers; the pipeline's own if not given, but DPMSolverMultistepScheduler of the package's diffusion model, even in log SNR, if no steps are given either.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of the sampler; 50, or 10 of the package's own model, 25 with a scheduler named, and 4 of its flow, if not given."
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance weight, 1 for none; 7.5, or 1.5 of the package's own models, if not given."),
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What not to draw, for all prompts; with a guidance above 1.")
    ] = None,
    height: Annotated[int | None, typer.Option(min=8, help="In pixels; the pipeline's own if not given.")] = None,
    width: Annotated[int | None, typer.Option(min=8, help="In pixels; the pipeline's own if not given.")] = None,
    lora: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help="A LoRA in safetensors; needs peft.")] = None,
    vae: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_ID", help="An AutoencoderKL or AutoencoderTiny in the place of the base's."),
    ] = None,
    images: Annotated[int, typer.Option(help="Images a prompt.")] = 1,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Drawn at once; all of a prompt if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first image; the next ones count on.")] = 0,
    device: Annotated[str | None, typer.Option(help=DEVICE)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder, written whole or not at all.")] = Path(
        "samples"
    ),
) -> None:
    """Draw prompts with the singular step, beside what comes out without it, and measure the brightness of both.

    Writes 0000.png and so on, contact-sheet.png and result.json. Exit 2 on bad input.
    """
    with one_line_errors():
        sources = models(base, module, own)
        fast = sources.sampler if scheduler is None and steps is None else None
        steps = (fast[2] if fast else sources.steps) if steps is None else steps
        guidance = sources.guidance if guidance is None else guidance
        say(
            f"singdiffusion sample: {len(prompts)} {'prompt' if len(prompts) == 1 else 'prompts'} from {sources.base} (loading)"
        )
        from singdiffusion import evaluation
        from singdiffusion.base import cut_prompts
        from singdiffusion.commands import console
        from singdiffusion.evaluation import write_album
        from singdiffusion.system import new_folder
        from singtheory.system import command_line, provenance

        place, dtype = evaluation.place(device)
        asked = {"negative_prompt": negative_prompt, "height": height, "width": width}
        call = {name: value for name, value in asked.items() if value is not None}
        with new_folder(out) as folder:
            with console.doing("loading"):
                sing, chosen = evaluation.load_start(sources.module, start, dtype)
                parts = {} if vae is None else {"vae": evaluation.load_vae(vae, dtype)}
                pipe = evaluation.load_pipeline(sources.base, scheduler, place, dtype, config, lora, **parts)
                if fast:
                    evaluation.exchange_scheduler(pipe, fast[0], **fast[1])
            for line in cut_prompts(pipe, [*prompts, *([negative_prompt] if negative_prompt else [])]):
                say(line)
            drawn = evaluation.sample(pipe, sing, prompts, images, steps, guidance, seed, batch_size, **call)
            pictures = list(drawn)
            settings = (
                {
                    "base": sources.base,
                    "module": sources.module,
                    "scheduler": type(pipe.scheduler).__name__,
                    "steps": steps,
                    "guidance": guidance,
                    "lora": lora,
                    "vae": vae,
                }
                | (fast[1] if fast else {})
                | call
            )
            write_album(folder, pictures, chosen, provenance(command_line("singdiffusion"), seed, place) | settings)
        console.show(console.pictures_table(pictures, chosen))
        say(f"written to {out}")

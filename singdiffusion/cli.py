"""The command `singdiffusion`: pictures with the singular step, and what is wrong with a pipeline's start.

Nothing heavy is imported before a command runs.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # what is heavy waits for its command
    from singdiffusion.encode import Encoder
    from singdiffusion.records import Source
    from singdiffusion.settings import TrainSettings

_QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_VERBOSITY": "error"}
"""Read by libraries when they are imported: their bars and remarks would stand around the one line of an error."""

_RESOLUTION = "Side of the images in pixels; that at which the base draws if not given, 512 without a base."
_STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


_evaluate = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure what a pipeline draws.")
app.add_typer(_evaluate, name="evaluate")


@app.callback()
def main() -> None:
    """Pictures with true black and true white, and what is wrong with a pipeline's start."""


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Bad input becomes one line on stderr and exit status 2."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from singtheory.errors import InputError

    try:
        yield
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="Folder or hub id of a published checkpoint.")],
    target: Annotated[Path, typer.Argument(help="New folder, written whole or not at all.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_ID",
            help="The pipeline it was trained beside, whose latents and text encoder are noted; Stable Diffusion 1.x if not given.",
        ),
    ] = None,
) -> None:
    """Turn a published checkpoint (config.json, diffusion_pytorch_model.bin) into safetensors; exit 2 on bad input."""
    typer.echo(f"singdiffusion convert: {source} (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from singdiffusion import convert as room
        from singdiffusion.space import Space

        module = room.convert(source, target, room.STABLE_DIFFUSION_1 if base is None else Space.stored(base))
        weights = sum(weight.numel() for weight in module.parameters())
        typer.echo(f"written to {target}: {type(module).__name__}, {weights:,} weights")


@app.command()
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
    start: Annotated[
        str | None, typer.Option(help="noise, mean or matched; matched if the module has a spread, else mean.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="NAME", help="A scheduler of diffusers.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the sampler; 50, or 25 of the package's own model, if not given.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance weight, 1 for none; 7.5, or 1.5 of the package's own model, if not given."),
    ] = None,
    images: Annotated[int, typer.Option(help="Images a prompt.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first image; the next ones count on.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda if there is one.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder, written whole or not at all.")] = Path(
        "samples"
    ),
) -> None:
    """Draw prompts with the singular step, beside what comes out without it, and measure the brightness of both.

    Writes 0000.png and so on, contact-sheet.png and result.json. Exit 2 on bad input.
    """
    base, module, usual_steps, usual_guidance = _models(base, module)
    steps = usual_steps if steps is None else steps
    guidance = usual_guidance if guidance is None else guidance
    typer.echo(f"singdiffusion sample: {len(prompts)} prompts from {base} (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from singdiffusion import console
        from singdiffusion import sample as room
        from singdiffusion.album import write_album
        from singdiffusion.files import new_folder
        from singtheory.provenance import command_line, provenance

        place, dtype = room.place(device)
        with new_folder(out) as folder:
            with console.doing("loading"):
                sing, chosen = room.load_start(module, start, dtype)
                pipe = room.load_pipeline(base, scheduler, place, dtype)
            pictures = list(room.sample(pipe, sing, prompts, images, steps, guidance, seed))
            told = {
                "base": base,
                "module": module,
                "scheduler": type(pipe.scheduler).__name__,
                "steps": steps,
                "guidance": guidance,
            }
            write_album(folder, pictures, chosen, provenance(command_line("singdiffusion"), seed, place) | told)
        console.show(console.pictures_table(pictures, chosen))
        typer.echo(f"written to {out}")


@_evaluate.callback()
def evaluate() -> None:
    """Measure what a pipeline draws."""


@_evaluate.command("brightness")
def evaluate_brightness(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="[PROMPT...]", help="The paper's four if not given.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_ID", help="A text-to-image pipeline; the package's own model if not given."),
    ] = None,
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
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda if there is one.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured.")] = None,
) -> None:
    """Mean and spread of the brightness, from noise and from the singular step; exit 2 on bad input.

    Of the package's own model it says whether its committed table comes out again; exit 1 if not.
    """
    own = base is None and module is None
    base, module, *_ = _models(base, module)
    typer.echo(f"singdiffusion evaluate brightness: {base} (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from singdiffusion import console
        from singdiffusion import evaluate as room
        from singdiffusion.sample import load_pipeline, load_start, place
        from singtheory.files import check_folder, write_json
        from singtheory.provenance import command_line, provenance

        if json_file is not None:
            check_folder(json_file.parent)
        where, dtype = place(device)
        with console.doing("loading"):
            given = room.control_of(controlnet, control, dtype)
            asked = [None if name == "best" else name for name in (starts or "noise,best").split(",")]
            if module is None and starts is None:
                asked = ["noise"]
            found = {chosen: sing for sing, chosen in (load_start(module, name, dtype) for name in asked)}
            pipe = load_pipeline(base, scheduler, where, dtype, **given.parts)
        told = {
            "base": "singdiffusion/demonstrator" if own else base,
            "module": "singdiffusion/demonstrator" if own else module,
            "weights": room.fingerprint() if own else None,
            "scheduler": type(pipe.scheduler).__name__,
            "steps": steps,
            "guidance": guidance,
            "images": images,
        }
        texts = prompts or list(room.OWN if own else room.PROMPTS)
        rows = list(room.brightness(pipe, found, texts, images, steps, guidance, seed, batch, **given.call))
        console.show(console.brightness_table(rows))
        if json_file is not None:
            origin = provenance(command_line("singdiffusion"), seed, where)
            write_json(json_file, origin | told | {"rows": [row.to_json() for row in rows]})
            typer.echo(f"written to {json_file}")
        odd = room.committed(rows, told) if own else None
        if odd is not None:
            typer.echo("\n".join(odd) or "the committed table comes out again")
        if odd:
            raise typer.Exit(1)


@_evaluate.command("coco")
def evaluate_coco(
    data: Annotated[str, typer.Argument(help="Captioned photographs: a folder, .tar shards, or a hub id.")],
    base: Annotated[str, typer.Option(metavar="PATH_OR_ID", help="A text-to-image pipeline.")],
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
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda if there is one.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured.")] = None,
) -> None:
    """FID against CLIP score over guidance, from noise and from the singular step, as in the paper; needs the extra [eval]. Exit 2 on bad input."""
    typer.echo(f"singdiffusion evaluate coco: {base} (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from dataclasses import asdict

        from singdiffusion import console
        from singdiffusion import evaluate_coco as room
        from singdiffusion.sample import load_pipeline, load_start, place
        from singtheory.errors import InputError
        from singtheory.files import check_folder, write_json
        from singtheory.provenance import command_line, provenance

        if json_file is not None:
            check_folder(json_file.parent)
        try:
            weights = [float(word) for word in guidance.split(",")]
        except ValueError:
            raise InputError(f"guidance {guidance}: give numbers with commas between") from None
        where, dtype = place(device)
        asked = (starts or ("noise" if module is None else "noise,best")).split(",")
        with console.doing("loading"):
            metrics = room.Metrics.of_torchmetrics(clip, where)
            found = {
                chosen: sing
                for sing, chosen in (load_start(module, None if name == "best" else name, dtype) for name in asked)
            }
            pipe = load_pipeline(base, scheduler, where, dtype)
            captions, real = room.captioned(data, count)
        points = []
        for point in room.curve(pipe, found, captions, real, metrics, weights, steps, seed):
            points.append(asdict(point))
            typer.echo(
                f"{point.start} at {point.guidance:g}: FID {point.fid:.2f}, CLIP score {point.clip:.2f}, {point.n} images"
            )
            if json_file is not None:
                told = {"base": base, "module": module, "data": data, "steps": steps, "points": points}
                write_json(json_file, provenance(command_line("singdiffusion"), seed, where) | told)


def _models(base: str | None, module: str | None) -> tuple[str, str | None, int, float]:
    """Pipeline, average image, number of steps and weight of guidance: the package's own where neither is named."""
    from singdiffusion.demonstrator import AVERAGE, GUIDANCE, PIPELINE, STEPS

    if base is None and module is None:
        return str(PIPELINE), str(AVERAGE), STEPS, GUIDANCE
    return base or _STABLE_DIFFUSION, module, 50, 7.5


@app.command()
def diagnose(
    source: Annotated[
        str, typer.Argument(metavar="PATH_OR_ID", help="Folder or hub id of a pipeline, or a scheduler_config.json.")
    ],
    data: Annotated[
        str | None,
        typer.Option(help="What the model makes: digits, fashion-mnist, FILE.npy, FILE.npz or a FOLDER of images."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 50,
    spacing: Annotated[
        str | None, typer.Option(help="leading, trailing or linspace; the scheduler's own if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 2, help="Of the noise with which the network is asked.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was found.")] = None,
) -> None:
    """What is wrong with a pipeline's start, what it costs, and the line that mends it; exit 2 on bad input.

    Two-dimensional arrays given with --data are taken for points in the model's own space, such as flattened latents; images are
    encoded by the pipeline's VAE if it is there.
    """
    typer.echo(f"singdiffusion diagnose: {source} (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from singdiffusion import console
        from singdiffusion import diagnose as room
        from singdiffusion.checkpoint import Checkpoint
        from singdiffusion.reading import read
        from singdiffusion.verdict import verdict
        from singtheory import data as loaders
        from singtheory.errors import InputError
        from singtheory.files import check_folder, write_json
        from singtheory.provenance import command_line, provenance

        if json_file is not None:
            check_folder(json_file.parent)
        checkpoint = Checkpoint.find(source)
        # bad settings are told before anything large is read
        found = room.diagnose(checkpoint, steps, spacing, seed=seed)
        if not found.flow:
            loaded = None if data is None else loaders.load(data)
            with console.doing("reading the networks"):
                vae, unet = checkpoint.autoencoder(), checkpoint.network("unet")
            if vae is None and checkpoint.has("vae") and loaded is not None and loaded.image_shape is not None:
                raise InputError(
                    f"{source}: its VAE is no AutoencoderKL in safetensors, and without it images tell nothing of its latents; "
                    "give flattened latents as a two-dimensional .npy with --data"
                )
            reading = None if loaded is None else read(loaded, vae, partial(console.tracked, what="encoding"))
            with console.doing("measuring"):
                found = room.diagnose(checkpoint, steps, spacing, reading, vae, unet, seed)
        findings = verdict(found)
        if found.options:
            console.show(console.diagnosis_table(found))
        console.show(console.findings(findings))
        if json_file is not None:
            told = {
                "data": data,
                "findings": [{"sentence": finding.sentence, "remedy": finding.code} for finding in findings],
            }
            write_json(json_file, provenance(command_line("singdiffusion"), seed, "cpu") | found.to_json() | told)
            typer.echo(f"written to {json_file}")


@app.command()
def cache(
    source: Annotated[str, typer.Argument(help="Folder of images with captions, of .tar shards, a .tar, or a hub id.")],
    target: Annotated[Path, typer.Argument(help="Folder of the cache; an unfinished one is gone on with.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_ID", help="Pipeline whose VAE and text encoder are used; pixels and words if not given."
        ),
    ] = None,
    resolution: Annotated[int | None, typer.Option(min=1, help=_RESOLUTION)] = None,
    grey: Annotated[bool, typer.Option("--grey", help="One channel instead of three, without a base.")] = False,
    caption: Annotated[str | None, typer.Option(help="Column of the captions.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images encoded at once.")] = 16,
    bad_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the records that may be unusable.")] = 0.05,
) -> None:
    """Encode images and captions once, for training; a killed run goes on where it was. Exit 2 on bad input."""
    typer.echo(f"singdiffusion cache: {source} (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from singdiffusion.records import Source

        _fill(Source(source, caption), target, _encoder(base, resolution, 1 if grey else 3), batch, bad_share)


def _encoder(base: str | None, resolution: int | None, channels: int) -> "Encoder":
    """On the device of this process."""
    from singdiffusion import console
    from singdiffusion.encode import encoder_for
    from singdiffusion.processes import joined

    state = joined()
    with console.doing("loading"):
        return encoder_for(base, resolution, channels, str(state.device))


def _fill(source: "Source", target: Path, encoder: "Encoder", batch: int = 16, bad_share: float = 0.05) -> None:
    """Make a cache, or finish one that was begun, on all processes."""
    from singdiffusion import console
    from singdiffusion.encode import make_cache
    from singdiffusion.files import read_object
    from singdiffusion.processes import joined

    state = joined()
    many = state.process_index, state.num_processes
    tally = make_cache(
        source, target, encoder, batch, bad_share, *many, console.tracked, barrier=state.wait_for_everyone
    )
    if state.is_main_process:
        typer.echo(f"{tally.encoded} encoded, {tally.kept} kept from before, {len(tally.skipped)} skipped")
        index = read_object(target / "index.json")
        typer.echo(
            f"{index['examples']} examples in all, {index['duplicates']} of them twice, {len(index['skipped'])} skipped"
        )
        typer.echo(f"written to {target}")


@app.command()
def train(
    config: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Settings; options go over it.")] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Made by singdiffusion cache.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run.")] = None,
    model: Annotated[str | None, typer.Option(help="decoder, unet, statistics or table.")] = None,
    condition: Annotated[str | None, typer.Option(help="text, classes, image or none.")] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Images with captions, cached in OUT/cache first; instead of --cache."),
    ] = None,
    resolution: Annotated[int | None, typer.Option(min=1, help=_RESOLUTION)] = None,
    caption: Annotated[str | None, typer.Option(help="Column of the captions of --data.")] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_ID", help="Pipeline that encodes --data, and whose U-Net a U-Net starts from."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of the optimiser.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    frequencies: Annotated[int | None, typer.Option(help="Of the spread along each side; 0 for none.")] = None,
    precision: Annotated[str | None, typer.Option(help="no, bf16 or fp16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the run.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would happen, and stop.")] = False,
) -> None:
    """Train an average image and its spread; killed, it goes on with --resume. All settings can stand in the YAML. Exit 2 on bad input."""
    typer.echo("singdiffusion train (loading)")
    sys.stdout.flush()
    with _one_line_errors():
        from singdiffusion.settings import TrainSettings
        from singtheory.errors import InputError

        if resolution is not None and data is None:
            raise InputError(f"resolution {resolution}: goes with --data; images in a cache have their size already")
        given = {
            "cache": None if cache is None else str(cache),
            "out": None if out is None else str(out),
            "model": model,
            "condition": condition,
            "base": base,
            "steps": steps,
            "batch": batch,
            "lr": lr,
            "frequencies": frequencies,
            "precision": precision,
            "seed": seed,
        }
        settings = TrainSettings.read(config, given, own_cache=data is not None)
        from singdiffusion import console
        from singdiffusion import run as room
        from singdiffusion.cache import Cache
        from singdiffusion.processes import joined
        from singdiffusion.train import Stopped

        room.check_out(settings, resume)
        if data is not None and not _cached(settings, data, caption, resolution, dry_run):
            return
        stored = Cache.open(settings.cache, console.tracked)
        if dry_run:
            _show(room.plan(settings, stored))
            return
        try:
            with console.watching(settings.steps) as watch:
                folder = room.run(settings, stored, resume, watch, room.decoder_of(settings, stored))
            end = f"written to {folder}"
        except Stopped:
            end = f"stopped; go on with --resume and the same settings, in {settings.out}"
        if joined().is_main_process:
            typer.echo(end)


def _cached(settings: "TrainSettings", data: str, caption: str | None, resolution: int | None, dry_run: bool) -> bool:
    """Whether the data of a run are in its cache: always but in a dry run, which shows what would be cached.

    What would stop the run later is told before anything is encoded.
    """
    from singdiffusion import run as room
    from singdiffusion.encode import is_finished
    from singdiffusion.records import Source

    folder, source, encoder = Path(settings.cache), Source(data, caption), _encoder(settings.base, resolution, 3)
    outline = encoder.outline(folder)
    if is_finished(folder, outline.encoding, source):
        return True
    source.check()
    plan = room.plan(settings, outline)
    if dry_run:
        _show(
            {
                "to cache": data,
                "in": folder,
                "resolution": encoder.resolution,
                "base": settings.base or "none, pixels and words",
            }
            | plan
        )
        return False
    _fill(source, folder, encoder)
    return True


def _show(plan: dict[str, Any]) -> None:
    for name, value in plan.items():
        typer.echo(f"{name}: {value}")


if __name__ == "__main__":
    app()

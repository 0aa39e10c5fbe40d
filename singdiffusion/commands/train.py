"""The commands `singdiffusion cache` and `train`, of which the second may begin with the first."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from singdiffusion.commands.shared import CONFIG, DEVICE, one_line_errors
from singdiffusion.system import say

if TYPE_CHECKING:  # what is heavy waits for its command
    from singdiffusion.source import Source
    from singdiffusion.training import Encoder, TrainSettings

_CAPTION = "Column of the captions, or txt, caption, json or label (the folder's name)."
_BACKGROUND = "Colour behind transparent images: a name or #rrggbb."
_CAPTIONS = "Of a list of captions: one, drawn, or all, a record each."
_RESOLUTION = "Side of the images in pixels; that at which the base draws if not given, 512 without a base."

_BUCKETS = "Images keep their shape: sides are multiples of 64, the area about that of the resolution. Else they are cut to squares."


def cache(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of images with captions, of .tar shards, of .parquet or of save_to_disk; or a hub id."
        ),
    ],
    target: Annotated[Path, typer.Argument(help="Folder of the cache; an unfinished one is gone on with.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_ID", help="Pipeline whose VAE and text encoder are used; pixels and words if not given."
        ),
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    clip_skip: Annotated[
        int, typer.Option(min=0, max=256, help="Of the text encoder's last layers, how many are left out.")
    ] = 0,
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
    resolution: Annotated[int | None, typer.Option(min=1, help=_RESOLUTION)] = None,
    buckets: Annotated[bool, typer.Option("--buckets", help=_BUCKETS)] = False,
    grey: Annotated[bool, typer.Option("--grey", help="One channel instead of three, without a base.")] = False,
    caption: Annotated[str | None, typer.Option(help=_CAPTION)] = None,
    background: Annotated[str, typer.Option(metavar="COLOUR", help=_BACKGROUND)] = "white",
    captions: Annotated[str, typer.Option(metavar="one|all", help=_CAPTIONS)] = "one",
    seed: Annotated[int, typer.Option(min=0, help="Of the captions that are drawn.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Images encoded at once.")] = 16,
    bad_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the records that may be unusable.")] = 0.05,
) -> None:
    """Encode images and captions once, for training; a killed run goes on where it was. Exit 2 on bad input."""
    with one_line_errors():
        say(f"singdiffusion cache: {source} (loading)")
        from singdiffusion.source import Source
        from singdiffusion.training import choose

        images = Source(source, caption, background, captions, seed)
        choose(device)
        _fill(
            images, target, _encoder(base, resolution, 1 if grey else 3, buckets, config, clip_skip), batch, bad_share
        )


def _encoder(
    base: str | None, resolution: int | None, channels: int, buckets: bool, config: str | None, clip_skip: int | None
) -> "Encoder":
    """The encoder on the device of this process."""
    from singdiffusion.commands import console
    from singdiffusion.training import encoder_for, joined

    state = joined()
    with console.doing("loading"):
        return encoder_for(base, resolution, channels, str(state.device), buckets, config, clip_skip or 0)


def _fill(source: "Source", target: Path, encoder: "Encoder", batch: int = 16, bad_share: float = 0.05) -> None:
    """Make a cache, or finish one that was begun, on all processes."""
    from singdiffusion.commands import console
    from singdiffusion.system import read_object
    from singdiffusion.training import joined, make_cache

    state = joined()
    many = state.process_index, state.num_processes
    tally = make_cache(
        source, target, encoder, batch, bad_share, *many, console.tracked, barrier=state.wait_for_everyone
    )
    if state.is_main_process:
        say(f"{tally.encoded} encoded, {tally.kept} kept from before, {len(tally.skipped)} skipped")
        for line in tally.notes:
            say(line)
        index = read_object(target / "index.json")
        say(
            f"{index['examples']} examples in all, {index['duplicates']} of them twice, {len(index['skipped'])} skipped"
        )
        say(f"written to {target}")


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
    buckets: Annotated[bool, typer.Option("--buckets", help=f"Of --data. {_BUCKETS}")] = False,
    caption: Annotated[str | None, typer.Option(help=f"Of --data. {_CAPTION}")] = None,
    background: Annotated[str, typer.Option(metavar="COLOUR", help=f"Of --data. {_BACKGROUND}")] = "white",
    captions: Annotated[str, typer.Option(metavar="one|all", help=f"Of --data. {_CAPTIONS}")] = "one",
    base: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_ID", help="Pipeline that encodes --data, and whose U-Net a U-Net starts from."),
    ] = None,
    base_config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    clip_skip: Annotated[
        int | None, typer.Option(min=0, max=256, help="Of the text encoder's last layers, how many are left out.")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
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
    with one_line_errors():
        say("singdiffusion train (loading)")
        from singdiffusion.training import TrainSettings
        from singtheory.errors import InputError

        if resolution is not None and data is None:
            raise InputError(f"resolution {resolution}: goes with --data; images in a cache have their size already")
        if buckets and data is None:
            raise InputError("buckets: goes with --data; images in a cache have their size already")
        of_data = {"caption": (caption, None), "background": (background, "white"), "captions": (captions, "one")}
        for name, (value, usual) in of_data.items():
            if data is None and value != usual:
                raise InputError(f"{name} {value}: goes with --data; a cache has its captions and pictures already")
        options = {
            "cache": None if cache is None else str(cache),
            "out": None if out is None else str(out),
            "model": model,
            "condition": condition,
            "base": base,
            "base_config": base_config,
            "clip_skip": clip_skip,
            "steps": steps,
            "batch": batch,
            "lr": lr,
            "frequencies": frequencies,
            "precision": precision,
            "seed": seed,
        }
        settings = TrainSettings.read(config, options, own_cache=data is not None)
        from singdiffusion import training
        from singdiffusion.commands import console
        from singdiffusion.source import Source
        from singdiffusion.training import Cache, Stopped, joined

        training.check_out(settings, resume)
        training.choose(device)
        source = None if data is None else Source(data, caption, background, captions)
        if source is not None and not _cached(settings, source, resolution, buckets, dry_run):
            return
        stored = Cache.open(settings.cache, console.tracked)
        if dry_run:
            _show(training.plan(settings, stored))
            return
        try:
            with console.watching(settings.steps) as watch:
                folder = training.run(settings, stored, resume, watch, training.decoder_of(settings, stored))
            end = f"written to {folder}"
        except Stopped:
            end = f"stopped; go on with --resume and the same settings, in {settings.out}"
        if joined().is_main_process:
            say(end)


def _cached(settings: "TrainSettings", source: "Source", resolution: int | None, buckets: bool, dry_run: bool) -> bool:
    """Whether the data of a run are in its cache: always but in a dry run, which shows what would be cached.

    What would stop the run later is refused before anything is encoded.
    """
    from singdiffusion import training
    from singdiffusion.training import is_finished

    folder = Path(settings.cache)
    encoder = _encoder(settings.base, resolution, 3, buckets, settings.base_config, settings.clip_skip)
    outline = encoder.outline(folder)
    if is_finished(folder, outline.encoding, source):
        return True
    source.check()
    plan = training.plan(settings, outline)
    if dry_run:
        _show(
            {
                "to cache": source.name,
                "in": folder,
                "resolution": encoder.resolution,
                "shapes": outline.encoding.shapes,
                "base": settings.base or "none, pixels and words",
            }
            | plan
        )
        return False
    _fill(source, folder, encoder)
    return True


def _show(plan: dict[str, Any]) -> None:
    for name, value in plan.items():
        say(f"{name}: {value}")

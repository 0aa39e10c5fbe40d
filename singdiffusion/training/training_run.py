"""A training run from its settings to a folder with weights, card, pictures, log and checkpoints."""

import json
import os
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from singdiffusion.average import AverageModel, AverageNetwork, Decode, first_channels, gallery
from singdiffusion.base import Checkpoint, decode, vae_fingerprint
from singdiffusion.system import first_sentence, locked, replaced_folder
from singdiffusion.training.batches import DEFAULT_BATCH, Data, batch_of, class_names
from singdiffusion.training.build import build_network, closed_form, needs_training, untrained
from singdiffusion.training.cache import Cache, Outline
from singdiffusion.training.card import card
from singdiffusion.training.diagnostics import closed_loss, fixed, frequent, losses, measure
from singdiffusion.training.objective import Losses
from singdiffusion.training.processes import joined, on_cpu
from singdiffusion.training.settings import TrainSettings
from singdiffusion.training.snapshot import Snapshot, has_snapshots
from singdiffusion.training.train import Trainer, learning_rate
from singtheory.errors import InputError
from singtheory.system import check_folder, write_bytes, write_json

_SHOWN = 8
_COPIES = 5
"""Copies of the weights in memory: themselves, gradients, two moments, the average."""
_UNKNOWN = "not known before the data are read"
_NOTE = "run.json"
"""Says that the folder is a run's."""
_WRITTEN = ("checkpoints", "model", "log.jsonl", "pictures", "log", _NOTE)
"""What a run writes in its folder."""
_KINDS = ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP")
"""Accelerate's ways with many processes of which whole weights can be had."""

Watch = Callable[[int, dict[str, float]], None]
"""Shows a run to a person: called with the step and the last entry of the log after every step."""


def check_out(settings: TrainSettings, resume: bool) -> None:
    """Raise `InputError` for a folder in which a run would write into or replace what is there, unless that run is taken up again.

    A run is known by its checkpoints, or by the note that it writes first: a folder without a checkpoint was killed before its first.
    """
    out = Path(settings.out)
    if resume and not out.is_dir():
        raise InputError(f"{out}: is not there, nothing to resume; leave out --resume to begin")
    held = [name for name in _WRITTEN if os.path.lexists(out / name)]
    begun = has_snapshots(out) or (out / _NOTE).is_file()
    if not resume and held:
        remedy = "add --resume to go on with it, or take another folder" if begun else "take another folder"
        raise InputError(f"{out}: holds {'a run' if begun else held[0]}; {remedy}")
    if resume and held and not begun:
        raise InputError(f"{out}: holds {held[0]} but no run, nothing to resume; take another folder")
    if resume and "model" in held and not has_snapshots(out) and needs_training(settings):
        raise InputError(f"{out}: holds a model but no checkpoint to go on from; take another folder")


def plan(settings: TrainSettings, cache: Outline) -> dict[str, Any]:
    """What a run would do, in plain values; nothing is written.

    Args:
        settings: of the run.
        cache: its cache, or the outline of one that is not made yet.

    Raises:
        InputError: for settings that make no run, as far as the cache is known.
    """
    about: dict[str, Any] = {
        "examples": cache.examples or _UNKNOWN,
        "captions": len(cache.captions) - 1 or _UNKNOWN,
        "x_0": list(cache.encoding.size),
        "model": settings.model,
    }
    if not needs_training(settings):
        return about
    network = untrained(settings, cache)
    weights = sum(weight.numel() for weight in network.parameters())
    batch: Any = settings.batch or f"{DEFAULT_BATCH}, or all where there are fewer"
    epochs: Any = _UNKNOWN
    if cache.examples:
        batch = batch_of(settings, cache.examples)
        epochs = round(settings.steps * batch / cache.examples, 2)
    if settings.condition == "classes" and not class_names(cache):
        about["weights besides, a class"] = network.conditioning.width
    return about | {
        "weights": weights,
        "batch": batch,
        "epochs": epochs,
        "memory of weights, gradients, optimiser and average, in MiB": round(_COPIES * 4 * weights / 2**20, 1),
        "a checkpoint, in MiB": round((_COPIES - 1) * 4 * weights / 2**20, 1),
    }


def run(
    settings: TrainSettings,
    cache: Cache,
    resume: bool = False,
    watch: Watch = lambda step, entry: None,
    pixels: Decode = first_channels,
    accelerator: Accelerator | None = None,
) -> Path:
    """Train, and write the folder of the weights.

    Args:
        settings: of the run.
        cache: of its examples.
        resume: whether a run in the folder is gone on with.
        watch: called after every step.
        pixels: makes them of `x_0` for pictures.
        accelerator: of this process; made from the settings if None.

    Returns:
        The folder with the weights.

    Raises:
        Stopped: after SIGTERM, with a checkpoint saved.
        InputError: as `check_out`, `build_network` and `Trainer.fit`.
    """
    check_out(settings, resume)
    out = Path(settings.out)
    check_folder(out)
    _shown(settings, cache)  # unknown prompts are told before hours of work
    state = joined()
    state.wait_for_everyone()  # until all have seen that the folder is free
    with locked(out) if state.is_main_process else nullcontext():
        if not needs_training(settings):
            _write_closed(settings, cache, pixels)
            return out / "model"
        accelerator = accelerator or accelerator_of(settings)
        trainer = Trainer(settings, cache, build_network(settings, cache), accelerator)
        trainer.resume()
        if accelerator.is_main_process:
            _note(settings)
        if accelerator.log_with:
            accelerator.init_trackers("log")
        elif settings.tracker != "none" and accelerator.is_main_process:  # of which accelerate says nothing
            warnings.warn(
                f"tracker {settings.tracker}: is not installed, log.jsonl alone is written; pip install 'singdiffusion[train]'",
                stacklevel=2,
            )
        trainer.fit(_Reporter(trainer, watch, pixels))
        if accelerator.is_main_process:
            _write(trainer, pixels)
        accelerator.end_training()
    return out / "model"


def _note(settings: TrainSettings) -> None:
    """Say that the folder is a run's, once all that could refuse the run has passed."""
    write_json(Path(settings.out) / _NOTE, {"settings": asdict(settings)})


def decoder_of(settings: TrainSettings, cache: Cache) -> Decode:
    """Makes pixels of `x_0` for pictures: by the base's VAE if it made the cache, or else as `first_channels`."""
    if settings.base is None or cache.encoding.vae is None:
        return first_channels
    vae = Checkpoint.find(settings.base, settings.base_config).autoencoder()
    if vae is None or vae_fingerprint(vae) != cache.encoding.vae:
        return first_channels
    return partial(decode, vae)


def accelerator_of(settings: TrainSettings) -> Accelerator:
    """The accelerator with the precision and trackers of the settings; devices and processes are accelerate's own business.

    Raises:
        InputError: for a way of sharing weights of which no whole checkpoint could be written.
    """
    trackers = None if settings.tracker == "none" else settings.tracker
    joined()
    try:
        accelerator = Accelerator(
            mixed_precision=settings.precision,
            log_with=trackers,
            project_dir=settings.out,
            cpu=on_cpu(),
        )
    except ValueError as error:  # such as fp16 without a GPU, or what accelerate holds from an earlier run
        raise InputError(f"precision {settings.precision}: {first_sentence(error)}") from None
    kind = accelerator.distributed_type.value
    if kind not in _KINDS or (kind == "FSDP" and not accelerator.is_fsdp2):
        raise InputError(
            f"accelerate's config: {kind} is not supported; take plain processes, or FSDP with fsdp_version 2"
        )
    return accelerator


class _Reporter:
    """Writes the log, draws pictures and tells the watch, after every step."""

    def __init__(self, trainer: Trainer, watch: Watch, pixels: Decode) -> None:
        self.watch, self.pixels = watch, pixels
        self.entry: dict[str, float] = {}
        self._since, self._from = time.perf_counter(), trainer.step

    def __call__(self, trainer: Trainer, losses: Losses) -> None:
        if not trainer.accelerator.is_main_process:
            return
        settings, step = trainer.settings, trainer.step
        if step % settings.log_every == 0 or step == settings.steps:
            self.entry = self._entry(trainer, losses)
            _append(trainer.run / "log.jsonl", {"step": step} | self.entry)
            trainer.accelerator.log(self.entry, step)
        if step % settings.validate_every == 0 and not trainer.spread_over_processes:
            with trainer.ema.swapped():
                validation = validate(
                    trainer.network, trainer.data, self.pixels, trainer.run / "pictures" / f"{step:08}.png"
                )
            _append(trainer.run / "log.jsonl", {"step": step} | validation)
            trainer.accelerator.log({name: value for name, value in validation.items() if value is not None}, step)
            self._since, self._from = time.perf_counter(), step
        self.watch(step, self.entry)

    def _entry(self, trainer: Trainer, losses: Losses) -> dict[str, float]:
        now, count = time.perf_counter(), trainer.step - self._from
        entry = {
            "loss": float(losses.mean),
            "spread_loss": float(losses.spread),
            "lr": learning_rate(trainer.settings, trainer.step - 1),
            "examples_per_second": count * trainer.data.batch / max(now - self._since, 1e-9),
        }
        self._since, self._from = now, trainer.step
        return entry


@torch.no_grad()
def validate(network: AverageNetwork, data: Data, pixels: Decode, picture: Path) -> dict[str, Any]:
    """Measurements, and a picture of the prompts' averages."""
    was = network.training
    network.eval()
    values = measure(network, data, frequent(data.cache)).to_json()
    shown = _shown(data.settings, data.cache)
    noise = torch.randn(len(shown), *data.cache.encoding.size, generator=torch.Generator().manual_seed(0))
    average = network(data.condition_of(shown), noise.to(data.device))
    on_cpu = type(average)(
        *(None if part is None else part.float().cpu() for part in (average.mean, average.basis, average.std))
    )
    write_bytes(picture, gallery(on_cpu, [data.cache.captions[row] for row in shown], pixels))
    network.train(was)
    return values


def _shown(settings: TrainSettings, cache: Cache) -> torch.Tensor:
    """Rows of the captions to draw: those asked for, or else the most frequent."""
    if settings.prompts is None:
        return frequent(cache)[:_SHOWN]
    unknown = [prompt for prompt in settings.prompts if prompt not in cache.captions]
    if unknown:
        raise InputError(f"prompts: {unknown[0]!r} is no caption of the cache; pictures are drawn of captions")
    return torch.tensor([cache.captions.index(prompt) for prompt in settings.prompts])


def _write(trainer: Trainer, pixels: Decode) -> None:
    """The averaged weights of the last checkpoint, with card and picture."""
    settings, cache = trainer.settings, trainer.data.cache
    snapshot = Snapshot.latest(trainer.run)
    assert snapshot is not None  # every run ends with one
    network: Any = build_network(settings, cache).eval()
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in (snapshot.weights | snapshot.ema).items()}
    )
    device = torch.device("cpu") if trainer.spread_over_processes else trainer.data.device  # one may hold less than all
    data = Data(cache, settings, device)
    with replaced_folder(trainer.run / "model") as folder:
        measured = _measured(network.to(device), data, folder / "picture.png", pixels)
        _append(trainer.run / "log.jsonl", {"step": snapshot.step} | measured)
        _save_into(folder, network)
        steps = f"{snapshot.step} of {trainer.data.batch} examples"
        text = card(settings, cache, type(network).__name__, steps, measured)
        (folder / "README.md").write_text(text, encoding="utf-8")


def _measured(network: AverageNetwork, data: Data, picture: Path, pixels: Decode) -> dict[str, Any]:
    """What the card tells of the averaged weights."""
    mean, spread = losses(network, data)
    over = f"of the averaged weights over {len(fixed(data.cache))} examples"
    entry = {f"loss of the mean, {over}": float(mean)}
    if network.spread is not None:
        entry[f"loss of the spread, under noise of {data.settings.noise:g}, {over}"] = float(spread)
    return entry | validate(network, data, pixels, picture)


def _write_closed(settings: TrainSettings, cache: Cache, pixels: Decode) -> None:
    """The closed form with card and picture, by one process for all."""
    state = joined()
    if state.is_main_process:
        module = closed_form(settings, cache)
        measured = {f"loss of the mean, over {len(fixed(cache))} examples": closed_loss(module, cache)}
        names = [cache.captions[row] for row in _shown(settings, cache)]
        average = module(names, torch.zeros(len(names), *cache.encoding.size))
        _note(settings)
        with replaced_folder(Path(settings.out) / "model") as folder:
            write_bytes(folder / "picture.png", gallery(average, names, pixels))
            _save_into(folder, module)
            text = card(settings, cache, type(module).__name__, "none, in closed form", measured)
            (folder / "README.md").write_text(text, encoding="utf-8")
    state.wait_for_everyone()


def _save_into(folder: Path, module: AverageModel) -> None:
    """Beside what the folder holds already."""
    module.save_pretrained(folder / "weights")
    for file in (folder / "weights").iterdir():
        file.replace(folder / file.name)
    (folder / "weights").rmdir()


def _append(file: Path, entry: dict[str, Any]) -> None:
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); the last checkpoint is whole") from None

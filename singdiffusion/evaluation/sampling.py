"""Pictures of prompts with the singular step and without it, from the same noise."""

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL.Image import Image

from singdiffusion.average import load_average
from singdiffusion.base import SingleFile, is_single_file, matches_flow, scheduler_class, variant_of
from singdiffusion.start import SingDiffusion
from singdiffusion.system import printable, read_object, told_in_one_line
from singtheory.errors import InputError, unknown_name
from singtheory.system import chosen_device

_COMMON = "StableDiffusionPipeline"


@dataclass(frozen=True)
class Picture:
    """One image, with and without the singular step.

    Attributes:
        prompt: of both.
        seed: of the generator of both.
        image: with it; without, if there is none.
        plain: without it.
        flagged: whether the pipeline's safety checker has blacked one out, so that its brightness says nothing.
    """

    prompt: str
    seed: int
    image: Image
    plain: Image
    flagged: bool = False

    @property
    def brightness(self) -> float:
        """The image's mean over pixels and colours, in 0..255."""
        return _brightness(self.image)

    @property
    def plain_brightness(self) -> float:
        """The brightness of the image without the singular step."""
        return _brightness(self.plain)


def _brightness(image: Image) -> float:
    return float(np.asarray(image.convert("RGB"), dtype=np.float64).mean())


def place(device: str | None) -> tuple[str, torch.dtype]:
    """The device, the fastest that is there if none or `auto` is asked for, and the precision for it: half on a GPU.

    Raises:
        InputError: for a device that is not there.
    """
    where = chosen_device(device)
    return where, torch.float32 if where == "cpu" else torch.float16


def generators(device: Any, seeds: Sequence[int]) -> list[torch.Generator]:
    """One a seed, on the device; on the CPU for Metal, where diffusers draws there and moves the noise."""
    where = "cpu" if torch.device(device).type == "mps" else device
    return [torch.Generator(where).manual_seed(one) for one in seeds]


def _precision(pipe: Any, dtype: torch.dtype) -> torch.dtype:
    """The precision for a pipeline where half is meant: networks of flows are trained in bfloat16, and float16 overflows in some of them."""
    return torch.bfloat16 if dtype == torch.float16 and matches_flow(pipe.scheduler) else dtype


def load_start(module: str | None, start: str | None, dtype: torch.dtype) -> tuple[SingDiffusion | None, str]:
    """The singular step and the name of its start.

    Args:
        module: folder or hub id of an average image.
        start: `noise`, `mean` or `matched`; None for the best that the module has.
        dtype: of its weights.

    Raises:
        InputError: for an unknown start, without a module for one that needs it, and as `load_average`.
    """
    if start not in (None, "noise", "mean", "matched"):
        raise unknown_name("start", start, ["noise", "mean", "matched"])
    if start == "noise":
        return None, start
    if module is None:
        raise InputError("module: none; give the average image with --module, or --start noise to do without")
    average = load_average(module, dtype=dtype)
    chosen = start or ("matched" if average.rank else "mean")
    if chosen == "matched" and not average.rank:
        raise InputError(f"start matched: {module} has no spread; use --start mean, or a table of rank 1")
    return SingDiffusion(average, start=chosen), chosen


def load_pipeline(
    base: str,
    scheduler: str | None,
    device: str,
    dtype: torch.dtype,
    config: str | None = None,
    lora: str | None = None,
    **parts: Any,
) -> Any:
    """A text-to-image pipeline from a folder, a hub id or one file; nothing is unpickled with code.

    Args:
        base: folder, hub id, or a checkpoint of one file.
        scheduler: the name of a class of diffusers, made from the pipeline's own configuration; its own if None.
        device: where it goes.
        dtype: of its weights.
        config: of one file: folder or hub id of a pipeline of the same kind, whose weights are not needed.
        lora: file, folder or hub id of a LoRA in safetensors; None for none.
        parts: besides those that are stored, such as a ControlNet, or in their place, such as a VAE.

    Raises:
        InputError: if it cannot be loaded, and for an unknown scheduler.
    """
    if scheduler is not None:
        scheduler_class(scheduler)  # an unknown one is refused before anything is loaded
    pipe = _stored(base, dtype, config, parts)
    if lora is not None:
        _add_lora(pipe, lora)
    if scheduler is not None:
        exchange_scheduler(pipe, scheduler)
    return pipe.to(device, _precision(pipe, dtype))


def _stored(base: str, dtype: torch.dtype, config: str | None, parts: dict[str, Any]) -> Any:
    """The pipeline of `load_pipeline`, as it is stored."""
    if is_single_file(base):
        return SingleFile(base, config).pipeline(dtype, **parts)
    if config is not None:
        raise InputError(f"config {config}: goes with a checkpoint of one file; {base} has its own")
    variant = variant_of(Path(base) / "unet") if os.path.isdir(base) else None
    with told_in_one_line(f"{base}: no text-to-image pipeline can be loaded"):
        kind = _kind_of(base, parts)
        return kind.from_pretrained(base, dtype=dtype, use_safetensors=True, variant=variant, **parts)


def _kind_of(base: str, parts: dict[str, Any]) -> Any:
    """The class that loads a pipeline: of the commonest kind itself, for to find out about others diffusers imports all that it has."""
    index = Path(base) / "model_index.json"
    if "controlnet" not in parts and index.is_file() and read_object(index).get("_class_name") == _COMMON:
        return getattr(diffusers, _COMMON)
    from diffusers.pipelines.auto_pipeline import AutoPipelineForText2Image

    return AutoPipelineForText2Image


def _add_lora(pipe: Any, lora: str) -> None:
    """Put a LoRA into a pipeline. Raises `InputError` for what is none, and where peft is missing."""
    where = {"weight_name": Path(lora).name} if os.path.isfile(lora) else {}
    folder = str(Path(lora).parent) if where else lora
    with told_in_one_line(f"lora {lora}: cannot be put into {type(pipe).__name__}"):
        pipe.load_lora_weights(folder, use_safetensors=True, **where)
    if not any(getattr(part, "peft_config", None) for part in pipe.components.values()):
        raise InputError(f"lora {lora}: none of it fits {type(pipe).__name__}; give one made for this model")


def exchange_scheduler(pipe: Any, scheduler: str, **settings: Any) -> None:
    """Put another scheduler into a pipeline, made from the configuration of its own.

    Args:
        pipe: of diffusers.
        scheduler: the name of a class of diffusers.
        settings: of the class, in the place of those configured.

    Raises:
        InputError: for an unknown scheduler, and for one that cannot be made so.
    """
    kind = scheduler_class(scheduler)
    with told_in_one_line(f"{scheduler}: cannot be made from the pipeline's scheduler"):
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **settings)


def load_vae(source: str, dtype: torch.dtype) -> Any:
    """An `AutoencoderKL` or `AutoencoderTiny` from a folder or hub id, or an `AutoencoderKL` from one file.

    Raises:
        InputError: for what is neither, and for weights that are missing or damaged.
    """
    with told_in_one_line(f"vae {source}: cannot be loaded"):
        if is_single_file(source):
            return AutoencoderKL.from_single_file(source, torch_dtype=dtype)
        config: Any = AutoencoderKL.load_config(source)
        kind = config.get("_class_name")
        if kind not in ("AutoencoderKL", "AutoencoderTiny"):
            raise InputError(f"vae {source}: is a {kind}; give an AutoencoderKL or AutoencoderTiny")
        return getattr(diffusers, kind).from_pretrained(source, torch_dtype=dtype, use_safetensors=True)


def sample(
    pipe: Any,
    sing: SingDiffusion | None,
    prompts: Sequence[str],
    images: int = 1,
    steps: int = 50,
    guidance: float = 7.5,
    seed: int = 0,
    batch: int | None = None,
    **call: Any,
) -> Iterator[Picture]:
    """One picture after another; the k-th is drawn with seed + k.

    Args:
        pipe: a text-to-image pipeline.
        sing: the singular step; None to start from noise alone.
        prompts: what to draw.
        images: how many a prompt.
        steps: N.
        guidance: w.
        seed: of the first picture.
        batch: how many are drawn at once; all of a prompt if None.
        call: to the pipeline besides, such as `negative_prompt` and `height`.

    Raises:
        InputError: for numbers out of range, and as `SingDiffusion.attach`.
    """
    check(pipe, steps, images, guidance)
    if batch is not None and batch < 1:
        raise InputError(f"batch {batch}: draw at least one at once")
    if sing is not None:
        with sing.attached(pipe):  # what does not fit is refused before anything is drawn
            pass
    for index, prompt in enumerate(prompts):
        every = [seed + index * images + k for k in range(images)]
        for first in range(0, images, batch or images):
            yield from _pair(pipe, sing, prompt, every[first : first + (batch or images)], steps, guidance, call)


def _pair(
    pipe: Any,
    sing: SingDiffusion | None,
    prompt: str,
    seeds: list[int],
    steps: int,
    guidance: float,
    call: dict[str, Any],
) -> Iterator[Picture]:
    """The pictures of some seeds, drawn at once, with the singular step and without it."""
    name = "noise" if sing is None else "singular step"
    started, flagged = draw(pipe, sing, prompt, seeds, steps, guidance, name, **call)
    plain, also = started, flagged
    if sing is not None:
        plain, also = draw(pipe, None, prompt, seeds, steps, guidance, "noise", **call)
    for k, one in enumerate(seeds):
        yield Picture(prompt, one, started[k], plain[k], flagged[k] or also[k])


def check(pipe: Any, steps: int, images: int, guidance: float) -> None:
    """Raise `InputError` for numbers out of range."""
    train_steps = int(pipe.scheduler.config.num_train_timesteps)
    if not 1 <= steps <= train_steps:
        raise InputError(f"steps {steps}: the model was trained with {train_steps}; take 1 to {train_steps}")
    if images < 1:
        raise InputError(f"images {images}: draw at least one a prompt")
    if not 0 <= guidance < float("inf"):
        raise InputError(f"guidance {guidance}: must be finite and not negative; 1 is none")


def draw(
    pipe: Any,
    sing: SingDiffusion | None,
    prompt: str,
    seeds: list[int],
    steps: int,
    guidance: float,
    start: str,
    **call: Any,
) -> tuple[list[Image], list[bool]]:
    """The images of a prompt, one a seed, and which of them were blacked out; progress on stderr.

    Args:
        pipe: a pipeline that takes a prompt.
        sing: the singular step; None to start from noise alone.
        prompt: what to draw.
        seeds: of the images' generators.
        steps: N.
        guidance: w.
        start: its name, for the progress.
        call: to the pipeline besides.

    Raises:
        InputError: for whatever the pipeline raises.
    """
    # disable=None: no bar where nobody looks, as in a log
    pipe.set_progress_bar_config(desc=f"{printable(prompt)} ({start})", leave=False, disable=None)
    device = pipe._execution_device
    pair = f"{type(pipe).__name__} with {type(pipe.scheduler).__name__}, {steps} steps"
    with (
        told_in_one_line(f"{pair}: cannot draw {len(seeds)} images of {prompt!r}"),
        nullcontext() if sing is None else sing.attached(pipe),
    ):
        output = pipe(
            prompt,
            num_images_per_prompt=len(seeds),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators(device, seeds),
            **call,
        )
    return output.images, list(getattr(output, "nsfw_content_detected", None) or [False] * len(seeds))

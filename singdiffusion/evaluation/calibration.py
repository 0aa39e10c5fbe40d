"""Statistics of a model's own pictures, in the latents that it steps: a spread for its first step, without any data.

The model draws pictures of prompts with many steps, so that its first step is short and keeps the spread. Their latents are kept as they come
out of the last step, in the order in which the pipeline drew its noise; of videos the mean over frames, for frames share a deviation.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from singdiffusion import start
from singdiffusion.average import AverageStatistics
from singdiffusion.base import Space
from singdiffusion.evaluation.sampling import generators
from singdiffusion.source import decoded
from singdiffusion.start import Layout
from singdiffusion.system import first_sentence
from singtheory.data import Notes
from singtheory.errors import InputError

BATCH = 4
"""Pictures that are drawn together."""

Tracked = Callable[[Iterable[Any]], Iterable[Any]]
"""Goes through batches and shows how far it is."""


def read_prompts(file: Path, notes: Notes) -> list[str]:
    """The lines of a text file, read as captions are, that hold something. Raises `InputError` where there are none."""
    try:
        text = decoded(file.read_bytes(), notes, str(file))
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"prompts {file}: cannot be read as text ({first_sentence(error)}); give a file with a prompt a line"
        ) from None
    if "\0" in text:
        raise InputError(f"prompts {file}: holds NUL, so it is no text; save it as UTF-8 with a prompt a line")
    prompts = [line.strip() for line in text.split("\n") if line.strip()]
    if not prompts:
        raise InputError(f"prompts {file}: holds none; give a file with a prompt a line")
    return prompts


def calibrate(
    pipe: Any,
    prompts: Sequence[str],
    images: int,
    steps: int = 50,
    *,
    frequencies: int = 4,
    rank: int = 16,
    seed: int = 0,
    batch: int = BATCH,
    tracked: Tracked = iter,
    **call: Any,
) -> AverageStatistics:
    """Mean and widest directions of the latents of pictures that a pipeline draws.

    Args:
        pipe: a text-to-image or text-to-video pipeline of diffusers; it is left as it was.
        prompts: what to draw, in turn.
        images: how many; more than `rank`.
        steps: of the sampler; many, for few lose what is to be measured.
        frequencies: along each side, within which the directions lie.
        rank: how many directions.
        seed: of the first picture; the next ones count on.
        batch: pictures that are drawn together.
        tracked: shows the progress over batches.
        call: to the pipeline besides, such as `guidance_scale` and `height`.

    Raises:
        InputError: for too few images, for numbers out of range, and for a pipeline that cannot draw them or steps latents in an unknown order.
    """
    if not prompts:
        raise InputError("prompts: none; give at least one")
    if images <= rank:
        raise InputError(f"images {images}: {rank} directions need more than {rank}; draw more, or take a smaller rank")
    if steps < 1 or batch < 1:
        raise InputError(f"steps {steps}, batch {batch}: need at least 1 of both")
    space = Space.of(pipe)
    chunks = _drawn(pipe, space, prompts, images, steps, seed, batch, tracked, call)
    return AverageStatistics.from_chunks(
        chunks, frequencies=frequencies, rank=rank, scaling_factor=space.scaling_factor, shift_factor=space.shift_factor
    )


def _drawn(
    pipe: Any,
    space: Space,
    prompts: Sequence[str],
    images: int,
    steps: int,
    seed: int,
    batch: int,
    tracked: Tracked,
    call: dict[str, Any],
) -> Iterator[Tensor]:
    """The latents of all pictures, a batch at a time, shape (n, channels, height, width), float32 on the CPU."""
    pipe.set_progress_bar_config(disable=True)
    device = pipe._execution_device
    with _recording(pipe) as recorded:
        for first in tracked(range(0, images, batch)):
            numbers = range(first, min(first + batch, images))
            try:
                pipe(
                    [prompts[k % len(prompts)] for k in numbers],
                    num_inference_steps=steps,
                    generator=generators(device, [seed + k for k in numbers]),
                    output_type="latent",
                    **call,
                )
            except InputError:
                raise
            except Exception as error:  # pipelines, schedulers and the device's memory raise what they like
                raise InputError(
                    f"{type(pipe).__name__}: cannot draw {len(numbers)} pictures ({first_sentence(error)})"
                ) from error
            yield recorded.latents(space.channels)


class _Recorded:
    """What a pipeline's `prepare_latents` and `step` gave last."""

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.prepare = pipe, pipe.prepare_latents
        self.step = self._listening(pipe.scheduler.step)
        self.layout: Layout | None = None
        self.last: Tensor | None = None

    def prepare_latents(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, the first time with the layout of its latents."""
        made = self.prepare(*args, **kwargs)
        if self.layout is None:
            scale = float(getattr(self.pipe.scheduler, "init_noise_sigma", 1.0))
            self.layout = start.layout_of(lambda: self.prepare(*args, **kwargs), start.first_tensor(made), scale)
        return made

    def _listening(self, own: Callable[..., Any]) -> Callable[..., Any]:
        """The scheduler's own `step`, with its signature: pipelines ask whether it takes a generator."""

        @functools.wraps(own)
        def step(*args: Any, **kwargs: Any) -> Any:
            result = own(*args, **kwargs)
            self.last = start.sample_of(result)
            return result

        return step

    def latents(self, channels: int) -> Tensor:
        """The latents of the last step, one picture for all frames of a video."""
        if self.layout is None or self.last is None or tuple(self.last.shape[1:]) != self.layout.stepped:
            raise InputError(
                f"{type(self.pipe).__name__}: steps latents in an order that is not known; make the statistics from data"
            )
        layout = self.layout.of_pictures(channels) if channels in self.layout.drawn else self.layout
        unpacked = layout.unpacked(self.last.detach().float().cpu())
        return unpacked if unpacked.ndim == 4 else unpacked.mean(dim=2)


@contextmanager
def _recording(pipe: Any) -> Iterator[_Recorded]:
    if not hasattr(pipe, "prepare_latents") or "prepare_latents" in vars(pipe):
        raise InputError(
            f"{type(pipe).__name__}: has no prepare_latents, or a singular step is attached; detach it first"
        )
    scheduler, recorded = pipe.scheduler, _Recorded(pipe)
    pipe.prepare_latents, scheduler.step = recorded.prepare_latents, recorded.step
    try:
        yield recorded
    finally:
        del pipe.prepare_latents, scheduler.step

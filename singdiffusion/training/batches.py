"""The batches of a run: each is a function of the seed and the number of its step, and processes take shares of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from singdiffusion.training.cache import Cache, Outline
from singdiffusion.training.settings import TrainSettings
from singtheory.errors import InputError

DEFAULT_BATCH = 32
"""Examples a step where there are as many and none are named."""


class Batch(NamedTuple):
    """The share of one process in a step.

    Attributes:
        x_0: images or latents, shape (batch, channels, height, width).
        x_1: noise of that shape.
        condition: as the network takes it, left out for some.
    """

    x_0: Tensor
    x_1: Tensor
    condition: Tensor


Generators = Callable[[int, int], torch.Generator]
"""The generator of a number and a purpose."""


class Epochs:
    """Rows of examples of one size: one order an epoch, the epochs without a seam.

    Args:
        bounds: first row, and the one after the last.
        batch: rows a step.
        generator: of an epoch.
    """

    def __init__(self, bounds: Sequence[tuple[int, int]], batch: int, generator: Generators) -> None:
        ((_, self.count),) = bounds
        self.batch, self.generator = batch, generator
        self._epoch, self._shuffled = -1, torch.empty(0, dtype=torch.long)

    def rows(self, step: int) -> Tensor:
        """The rows of a step, shape (batch,)."""
        first = step * self.batch
        epochs = range(first // self.count, (first + self.batch - 1) // self.count + 1)
        whole = torch.cat([self._order(epoch) for epoch in epochs])
        return whole[first - epochs[0] * self.count :][: self.batch]

    def _order(self, epoch: int) -> Tensor:
        if self._epoch != epoch:
            self._epoch, self._shuffled = epoch, torch.randperm(self.count, generator=self.generator(epoch, 0))
        return self._shuffled


class Draws:
    """Rows of examples of several sizes: each step draws a size by how many examples have it, and then examples of that size.

    So every example is expected equally often, and a rare size is not weighted up by steps of its own; the mean of the data stays what is
    learned. Within a step examples are drawn with replacement.

    Args:
        bounds: of each size its first row, and the one after its last.
        batch: rows a step.
        generator: of a step.
    """

    def __init__(self, bounds: Sequence[tuple[int, int]], batch: int, generator: Generators) -> None:
        self.batch, self.generator = batch, generator
        self._bounds = torch.tensor(bounds)

    def rows(self, step: int) -> Tensor:
        """The rows of a step, shape (batch,)."""
        generator = self.generator(step, 3)
        any_row = torch.randint(int(self._bounds[-1, 1]), (1,), generator=generator)
        first, end = self._bounds[
            int(torch.searchsorted(self._bounds[:, 1].contiguous(), any_row, right=True))
        ].tolist()
        return torch.randint(first, end, (self.batch,), generator=generator)


class Data:
    """The batches of a run.

    Args:
        cache: of the examples.
        settings: of the run.
        device: where batches go.
        process: number of this process.
        processes: how many there are.

    Raises:
        InputError: for a condition that the cache cannot give, and a batch that does not divide or is larger than the data.
    """

    def __init__(
        self, cache: Cache, settings: TrainSettings, device: torch.device, process: int = 0, processes: int = 1
    ) -> None:
        check_condition(settings, cache)
        self.cache, self.settings, self.device = cache, settings, device
        self.names = class_names(cache)
        self.batch = batch_of(settings, len(cache), processes)
        share = self.batch // processes
        self.mine = slice(process * share, (process + 1) * share)
        number = {name: k for k, name in enumerate(self.names)}
        self._class = torch.tensor([number.get(caption, len(number)) for caption in cache.captions])
        order = Epochs if len(cache.buckets) == 1 else Draws
        self._order = order(cache.buckets, self.batch, self._generator)

    def rows(self, step: int) -> Tensor:
        """The examples of a step, over all processes, all of one size; shape (batch,)."""
        return self._order.rows(step)

    def _generator(self, number: int, purpose: int, device: str | torch.device = "cpu") -> torch.Generator:
        return torch.Generator(device).manual_seed((self.settings.seed * 1_000_003 + number) * 4 + purpose)

    def __getitem__(self, step: int) -> Batch:
        rows = self.rows(step)
        x_0 = self._moved(self.cache.in_own_size(rows[self.mine]))
        x_1 = torch.randn(
            self.batch, *x_0.shape[1:], generator=self._generator(step, 1, self.device), device=self.device
        )
        left_out = torch.rand(self.batch, generator=self._generator(step, 2)) < self.settings.dropout
        condition = self.condition(self.cache.caption[rows[self.mine]], x_0, left_out[self.mine])
        return Batch(x_0, x_1[self.mine], condition)

    def condition(self, captions: Tensor, x_0: Tensor, left_out: Tensor) -> Tensor:
        """What the network takes for caption rows, or for images where they are the condition."""
        return getattr(self, f"_{self.settings.condition}")(captions, x_0, left_out)

    def condition_of(self, captions: Tensor) -> Tensor:
        """What the network takes for caption rows, by the first example of each where images are the condition; shape (m, ...).

        Row 0, the caption "", has no example and stands for no condition.
        """
        firsts = torch.stack([(self.cache.caption == row).int().argmax() for row in captions])
        return self.condition(captions, self._moved(self.cache.x_0(firsts)), captions == 0)

    def _text(self, captions: Tensor, _: Tensor, left_out: Tensor) -> Tensor:
        return self._moved(self.cache.states(captions.masked_fill(left_out, 0)))  # row 0 is ""

    def _classes(self, captions: Tensor, _: Tensor, left_out: Tensor) -> Tensor:
        return self._moved(self._class[captions].masked_fill(left_out, len(self.names)))

    def _image(self, _: Tensor, x_0: Tensor, left_out: Tensor) -> Tensor:
        small = adaptive_avg_pool2d(x_0, self.settings.small)
        return small.masked_fill(self._moved(left_out)[:, None, None, None], torch.nan)

    def _none(self, captions: Tensor, _: Tensor, __: Tensor) -> Tensor:
        return self._moved(torch.zeros_like(captions))

    def _moved(self, values: Tensor) -> Tensor:
        if self.device.type == "cuda":
            return values.pin_memory().to(self.device, non_blocking=True) if not values.is_cuda else values
        return values.to(self.device)


def batch_of(settings: TrainSettings, examples: int, processes: int = 1) -> int:
    """Examples a step, over all processes. Raises `InputError` for a batch that does not divide or is larger than the data."""
    batch = settings.batch or max(1, min(DEFAULT_BATCH, examples) // processes) * processes
    if processes > examples:
        raise InputError(f"{processes} processes for {examples} examples: take at most {examples}")
    if batch > examples:
        raise InputError(f"batch {batch}: there are {examples} examples; take at most that")
    if batch % (processes * settings.accumulate):
        raise InputError(
            f"batch {batch}: must divide by {processes} processes times {settings.accumulate} parts of accumulation"
        )
    return batch


def check_condition(settings: TrainSettings, cache: Outline) -> None:
    """Raise `InputError` for a condition that the cache cannot give."""
    if settings.condition == "text" and not cache.token_width:
        raise InputError(
            f"{cache.folder}: holds captions without token states; make it with a text encoder, or take condition classes"
        )


def class_names(cache: Outline) -> list[str]:
    """The captions as names of classes, in alphabetical order."""
    return sorted(caption for caption in cache.captions if caption)

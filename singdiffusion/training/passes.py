"""The passes of a step through the network, forward and backward; on a GPU they can be recorded once and replayed.

A small network's step is hundreds of kernels of some microseconds each, and starting them one by one takes longer than they do, whatever the batch.
A recording (a CUDA graph) starts them as one, the same kernels in the same order. What changes from step to step is read from memory that stays in
its place: the batch, the weights, the state of the random numbers. Clipping, the optimiser and the running average are not part of it.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor, nn

from singdiffusion.system import first_sentence
from singdiffusion.training.batches import Batch
from singdiffusion.training.objective import Losses

_LOG = logging.getLogger(__name__)
_WARM = 3
"""Times that the passes are made before they are recorded: libraries set themselves up in the first, and in the last nothing may wait."""

Passes = Callable[[Batch], Losses]
"""Losses of a batch, means over its parts; the gradients are left in the parameters."""
Record = Callable[[Callable[[], Losses]], tuple[Callable[[], None], Losses]]
"""A recording of passes that are done again and again in the same memory: what does them again, and where their losses are then."""


class Eager:
    """The passes as they are written.

    Args:
        objective: whose parameters get gradients.
        forward: called in its place, such as compiled.
        accelerator: of this process.
        parts: in which a batch is taken.
    """

    def __init__(
        self, objective: nn.Module, forward: Callable[..., Losses], accelerator: Accelerator, parts: int
    ) -> None:
        self.parameters = list(objective.parameters())
        self._objective, self._forward, self._accelerator, self._parts = objective, forward, accelerator, parts

    def __call__(self, batch: Batch) -> Losses:
        """The losses, and new gradients."""
        for parameter in self.parameters:
            parameter.grad = None
        return self.added(batch)

    def added(self, batch: Batch) -> Losses:
        """The losses; gradients are added to those that there are."""
        losses = [
            self._part(part, last=index == self._parts - 1) for index, part in enumerate(_cut(batch, self._parts))
        ]
        return Losses(*(torch.stack(each).mean() for each in zip(*losses, strict=True)))

    def _part(self, part: Batch, last: bool) -> Losses:
        accelerator = self._accelerator
        with nullcontext() if last else accelerator.no_sync(self._objective), accelerator.autocast():
            losses = self._forward(part.condition, part.x_1, part.x_0)
            accelerator.backward(losses.total / self._parts)
        return Losses(*(loss.detach() for loss in losses))


class Replayed:
    """Passes that are recorded at the first batch of each shape and replayed; if one cannot be recorded, it and all later ones run as they are written, and the log says so.

    Args:
        eager: the passes.
        record: makes a recording.
    """

    def __init__(self, eager: Eager, record: Record) -> None:
        self._eager, self._record = eager, record
        self._recordings: dict[tuple[Any, ...], tuple[Batch, Callable[[], None], Losses]] = {}
        self._gradients: list[Tensor] = []
        self._failed = False

    def __call__(self, batch: Batch) -> Losses:
        """The losses, and new gradients."""
        if self._failed:
            return self._eager(batch)
        key = tuple((tuple(part.shape), part.dtype) for part in batch)
        try:
            if key not in self._recordings:
                self._recordings[key] = self._recorded(batch)
        except RuntimeError as error:  # what torch raises for what cannot be recorded, and where memory is short
            _LOG.warning("graph: the step cannot be recorded (%s); its kernels are started one by one", first_sentence(error))  # fmt: skip
            self._failed, self._recordings, self._gradients = True, {}, []
            return self._eager(batch)
        held, again, losses = self._recordings[key]
        for place, values in zip(held, batch, strict=True):
            place.copy_(values, non_blocking=True)
        again()
        return Losses(*(loss.clone() for loss in losses))

    @property
    def recordings(self) -> int:
        """How many there are, one a shape of batches."""
        return len(self._recordings)

    def _recorded(self, batch: Batch) -> tuple[Batch, Callable[[], None], Losses]:
        held = Batch(*(part.clone() for part in batch))

        def whole() -> Losses:
            for gradient in self._gradients:
                gradient.zero_()
            return self._eager.added(held)

        # what a network draws meanwhile is drawn again in the step
        with torch.random.fork_rng([held.x_0.device] if held.x_0.is_cuda else []):
            if not self._gradients:  # those that there are stay in their places for all recordings
                self._eager(held)
                self._gradients = [one.grad for one in self._eager.parameters if one.grad is not None]
            again, losses = self._record(whole)
        if sum(one.grad is not None for one in self._eager.parameters) > len(self._gradients):
            raise RuntimeError("weights have gradients at this shape of batches that had none at the first")
        return held, again, losses


class OnGpu:
    """Recordings of one GPU, which share their memory: none is needed any more when the next is replayed."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, whole: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        """Raises `RuntimeError` for what waits for the GPU, or for anything else that cannot be recorded."""
        before = torch.cuda.current_stream()
        with torch.cuda.stream(before):  # to which a recording that fails does not go back by itself
            stream = torch.cuda.Stream()
            stream.wait_stream(before)
            with torch.cuda.stream(stream):
                for _ in range(_WARM - 1):
                    whole()
                with _nothing_waits():
                    whole()
            before.wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # the thread that fetches the next batch goes on meanwhile
            with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                losses = whole()
        return graph.replay, losses


@contextmanager
def _nothing_waits() -> Iterator[None]:
    """Whatever waits for the GPU raises `RuntimeError`: found in a recording it would leave the random numbers unusable."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, that it does not see everything
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def passes_of(eager: Eager, accelerator: Accelerator, graph: bool) -> Passes:
    """The passes of a run: recorded where that is asked for, on one GPU alone; several processes exchange gradients within them."""
    alone = accelerator.distributed_type == DistributedType.NO
    if graph and alone and accelerator.device.type == "cuda":
        return Replayed(eager, OnGpu())
    return eager


def _cut(batch: Batch, count: int) -> list[Batch]:
    return [Batch(*part) for part in zip(*(values.chunk(count) for values in batch), strict=True)]

"""Training for so many seconds: one step is a function without arguments, captured as a CUDA graph where there is a GPU.

The data lie on the device and a step draws its own examples, so that a replay is all that the processor has to do.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from docs.experiments.data.captioned import Captioned
from docs.experiments.model.denoiser import Denoiser
from singtheory.data import HALF_RANGE
from singtheory.errors import InputError

Examples = Callable[[], tuple[Tensor, Tensor]]
"""Draws a batch of what is denoised, with the tokens of its captions."""
_WARM, _CLIP, _FALL, _EVERY = 5, 1.0, 0.35, 20


def say(*what: object) -> None:
    """Progress, on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}]", *what, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        step: taken so far.
        seconds: of training so far.
        loss: mean over the last steps.
    """

    step: int
    seconds: float
    loss: float


@dataclass
class Fit:
    """A run.

    Attributes:
        loss: of one batch, drawn anew in each call; on a GPU without any wait for it.
        parameters: that are trained.
        device: `cpu` or `cuda`.
        lr: peak learning rate; it rises over some steps, and falls to zero over the last third of the time.
        decay: of the averaged weights.
        warmup: steps over which the learning rate rises.
        graphed: whether a GPU's steps are captured as one launch.
        log: what was seen on the way.
    """

    loss: Callable[[], Tensor]
    parameters: list[nn.Parameter]
    device: str
    lr: float = 8e-4
    decay: float = 0.9995
    graphed: bool = True
    warmup: int = 300
    log: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        graphed = self.graphed = self.graphed and self.device == "cuda"
        self._lr = torch.tensor(0.0, device=self.device) if graphed else 0.0
        self.optimizer: Any = torch.optim.AdamW(
            self.parameters,
            lr=self._lr,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
            capturable=graphed,
        )
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self._step = self._taken

    def _taken(self) -> Tensor:
        """One step; returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, _CLIP, foreach=self.device == "cuda")
        self.optimizer.step()
        return loss.detach()

    def _set_lr(self, lr: float) -> None:
        if isinstance(self._lr, Tensor):
            self._lr.fill_(lr)
        else:
            for group in self.optimizer.param_groups:
                group["lr"] = lr

    def _capture(self) -> None:
        """Let a step be one launch; where that cannot be done, it stays as it is."""
        stream: Any = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM):
                self._taken()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        try:
            graph: Any = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(graph):
                held = self._taken()
        except Exception as error:  # whatever a library does that a graph cannot hold
            say("no CUDA graph:", type(error).__name__, str(error).splitlines()[0][:160])
            torch.cuda.synchronize()
            return

        def replay() -> Tensor:
            graph.replay()
            return held.clone()

        self._step = replay

    @torch.no_grad()
    def _keep_average(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            self.average, [parameter.detach() for parameter in self.parameters], 1 - decay
        )

    def run(self, seconds: float, steps: int | None = None, marks: Sequence[float] = ()) -> Iterator[int]:
        """Train; yields the number of each mark when it is reached, with the averaged weights in place.

        Args:
            seconds: of training, the making of the graph included.
            steps: at most.
            marks: shares of the time, increasing; the end is one more.
        """
        since, step, losses, paused, done = time.perf_counter(), 0, [], 0.0, 0
        if self.graphed:
            self._set_lr(self.lr / self.warmup)
            self._capture()
        while True:
            share = (time.perf_counter() - since - paused) / seconds
            if steps is not None:
                share = max(share, step / steps)
            for mark in list(marks)[done:]:
                if share >= mark and step:
                    before = time.perf_counter()
                    with _Swapped(self.parameters, self.average):
                        yield done
                    done, paused = done + 1, paused + time.perf_counter() - before
            if share >= 1 and step:
                break
            self._set_lr(self.lr * min(1.0, (step + 1) / self.warmup) * min(1.0, max(0.0, (1 - share) / _FALL)))
            losses.append(self._step())
            self._keep_average(step)
            step += 1
            if step % _EVERY == 0 and self.device == "cuda":
                torch.cuda.synchronize()  # the clock must not run ahead
            if step % (_EVERY * 25) == 0 or time.perf_counter() - since - paused > 15 * (len(self.log) + 1):
                self._note(step, time.perf_counter() - since - paused, losses)
                losses = []
        self._note(step, time.perf_counter() - since - paused, losses)
        with _Swapped(self.parameters, self.average):
            yield len(marks)

    def _note(self, step: int, seconds: float, losses: list[Tensor]) -> None:
        if losses:
            self.log.append(Progress(step, seconds, float(torch.stack(losses).mean())))
            if not math.isfinite(self.log[-1].loss):
                raise InputError(f"step {step}: the loss is not finite; try a smaller lr")
            say(f"step {step}, {seconds:.0f} s, loss {self.log[-1].loss:.5f}")


class _Swapped:
    """The averaged weights in the place of the last ones, for a while."""

    def __init__(self, parameters: list[nn.Parameter], average: list[Tensor]) -> None:
        self.parameters, self.average = parameters, average

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.average, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


def captioned_examples(model: Denoiser, data: Captioned, device: str, batch: int, dropout: float) -> Examples:
    """Draws examples: pictures in [−1, 1], (batch, channels, side, side), and the tokens of their captions, some of which are left out, for guidance.

    Args:
        model: whose tokens.
        data: on the CPU.
        device: `cpu` or `cuda`.
        batch: examples a draw.
        dropout: share of the captions that are left out.
    """
    images = data.images.to(device)
    words = caption_tokens(model, data, device, dropout)

    def draw() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(images), (batch,), device=device)
        return images[rows].float() / HALF_RANGE - 1, words(rows)

    return draw


def caption_tokens(model: Denoiser, data: Captioned, device: str, dropout: float) -> Callable[[Tensor], Tensor]:
    """Tokens of the captions of rows, some of which are left out."""
    caption, tokens = data.caption.to(device), model.ids(data.captions).to(device)
    empty = model.ids([""]).to(device)

    def words(rows: Tensor) -> Tensor:
        left_out = torch.rand(len(rows), 1, device=device) < dropout
        return torch.where(left_out, empty, tokens[caption[rows]])

    return words


def trained_output(model: Denoiser, device: str, unet: Any = None) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """What the network gives for points, times and tokens while it is trained, float32; computed in bfloat16 on a GPU.

    Args:
        model: on the device; gradients go through its text encoder too.
        device: `cpu` or `cuda`.
        unet: called in the model's place, such as compiled.
    """
    text, called = model.text, model.unet if unet is None else unet

    def output(x_t: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda", cache_enabled=False):
            return called(x_t, t, text(ids).last_hidden_state).sample.float()

    return output


def denoising_loss(
    model: Denoiser, data: Captioned, device: str, batch: int, dropout: float = 0.1, unet: Any = None
) -> Callable[[], Tensor]:
    """The usual one, `E‖target − network‖²/d` at random timesteps; some captions are left out, for guidance.

    Args:
        model: on the device; its text encoder is trained along where its weights ask for gradients.
        data: on the CPU.
        device: `cpu` or `cuda`.
        batch: examples a step.
        dropout: share of the captions that are left out.
        unet: called in the model's place, such as compiled.
    """
    return denoising_loss_of(model, captioned_examples(model, data, device, batch, dropout), device, unet)


def denoising_loss_of(model: Denoiser, examples: Examples, device: str, unet: Any = None) -> Callable[[], Tensor]:
    """`denoising_loss` of examples that are drawn elsewhere."""
    alphas, sigmas = model.alphas_sigmas(device)
    output = trained_output(model, device, unet)

    def loss() -> Tensor:
        x_0, ids = examples()
        t = torch.randint(len(alphas), (len(x_0),), device=device)
        alpha, sigma = alphas[t][:, None, None, None], sigmas[t][:, None, None, None]
        noise = torch.randn_like(x_0)
        return mse_loss(output(alpha * x_0 + sigma * noise, t, ids), model.target(x_0, noise, alpha, sigma))

    return loss

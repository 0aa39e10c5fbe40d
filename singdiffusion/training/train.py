"""Training of an average image from a cache, on one process or many; it can be killed at any moment and goes on to the same weights.

A step is a function of the seed and its number: which examples it takes, their noise, which conditions it leaves out, the learning
rate. Many processes draw the same numbers for the whole batch, and each takes its share.
"""

import json
import math
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.tensor import distribute_tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from singdiffusion.average import AverageNetwork
from singdiffusion.system import first_sentence, shown
from singdiffusion.training.batches import Batch, Data
from singdiffusion.training.cache import Cache
from singdiffusion.training.objective import Losses, Objective
from singdiffusion.training.passes import Eager, passes_of
from singdiffusion.training.settings import TrainSettings
from singdiffusion.training.snapshot import Snapshot, clear_drafts
from singtheory.errors import InputError
from singtheory.system import write_bytes

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_ASK_EVERY = 10


class Stopped(Exception):  # noqa: N818 it is no error
    """The run was asked to stop, and has saved what it had."""


class NotFiniteError(InputError):
    """A loss or a weight is no number any more: the run has diverged."""


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The learning rate of a step: up over the warmup, then constant or down along a cosine."""
    rise = min(1.0, (step + 1) / (settings.warmup + 1))
    if settings.schedule == "constant":
        return settings.lr * rise
    return settings.lr * rise * (1 + math.cos(math.pi * step / settings.steps)) / 2


class Ema:
    """The running average of weights; its memory grows with the run until it is that of `decay`.

    Args:
        parameters: that are averaged.
        decay: of a step, once there have been many.
    """

    def __init__(self, parameters: list[nn.Parameter], decay: float) -> None:
        self.decay, self._parameters = decay, parameters
        self.average = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the step of that number."""
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
        average(self.average, [parameter.detach() for parameter in self._parameters], step)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The network with the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self.average, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


class Trainer:
    """One run.

    Args:
        settings: of it.
        cache: of the examples.
        network: trained in place.
        accelerator: of this process.
    """

    def __init__(
        self, settings: TrainSettings, cache: Cache, network: AverageNetwork, accelerator: Accelerator
    ) -> None:
        self.settings, self.accelerator, self.run = settings, accelerator, Path(settings.out)
        self.network = network
        self.data = Data(cache, settings, accelerator.device, accelerator.process_index, accelerator.num_processes)
        if settings.channels_last:
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        objective: Any = Objective(network, settings.noise)
        optimizer = torch.optim.AdamW(
            objective.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, betas=(0.9, 0.99), fused=True
        )
        self.objective, self.optimizer = accelerator.prepare(objective, optimizer)
        forward = torch.compile(self.objective) if settings.compile else self.objective
        eager = Eager(self.objective, forward, accelerator, settings.accumulate)
        self.passes = passes_of(eager, accelerator, settings.graph)
        self.ema = Ema(eager.parameters, settings.ema)
        named = list(self.objective.named_parameters())
        of_spread = [parameter for name, parameter in named if ".spread." in f".{name}"]
        of_mean = [parameter for name, parameter in named if ".spread." not in f".{name}"]
        self._clipped = [group for group in (of_mean, of_spread) if group]
        self.step = 0
        self._asked = False

    # --- one step -----------------------------------------------------------------------------------------------------

    def take(self, batch: Batch) -> Losses:
        """One step of the optimiser; the losses are of this process's share."""
        settings = self.settings
        torch.manual_seed(settings.seed * 1_000_003 + self.step)  # for networks that draw, such as by dropout
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(settings, self.step)
        losses = self.passes(batch)
        self._clip()
        self.optimizer.step()
        self.ema.update(self.step)
        self.step += 1
        return losses

    def _clip(self) -> None:
        """The gradients of mean and spread apart, so that neither shortens the other's step."""
        self.accelerator.unscale_gradients()  # of float16 once a step, which accelerate's own clipping does at every call
        for group in self._clipped:
            nn.utils.clip_grad_norm_(group, self.settings.clip)

    # --- the run ------------------------------------------------------------------------------------------------------

    def fit(self, after: Callable[["Trainer", Losses], None] = lambda *_: None) -> None:
        """Take all steps that are left.

        Args:
            after: called after every step with its losses.

        Raises:
            Stopped: after SIGTERM or an interrupt, with a checkpoint saved.
            NotFiniteError: for a loss that is not finite, with the batch saved, and for weights that are not.
            InputError: for a checkpoint that cannot be written.
        """
        settings, before = self.settings, None
        with self._listening(), _fetched(self.data, self.step, settings.steps) as batches:
            for batch in batches:
                losses = self.take(batch)
                if before is not None:  # a step late, so that a GPU is not waited for
                    self._check_finite(*before)
                before = (self.step - 1, losses)
                asked = self._must_stop()
                if asked or self.step % settings.save_every == 0 or self.step == settings.steps:
                    self._check_finite(*before)
                    self._check_weights()
                    self.save()
                if asked:
                    raise Stopped
                if self.step % settings.validate_every == 0:
                    self._check_finite(*before)
                after(self, losses)  # last: what it writes and draws must not cost a checkpoint

    def _check_finite(self, step: int, losses: Losses) -> None:
        """Raise `NotFiniteError` for losses that are not finite, and save the batch."""
        if bool(torch.isfinite(losses.total)):
            return
        path = self.run / f"bad-batch-{step:08}-{self.accelerator.process_index}.safetensors"
        content = save({name: value.cpu().contiguous() for name, value in self.data[step]._asdict().items()})
        try:
            write_bytes(path, content)
            kept = f"its batch is in {path}"
        except InputError as error:
            kept = f"its batch is lost, {error}"
        raise NotFiniteError(f"step {step}: the loss is not finite; try a smaller lr or precision bf16; {kept}")

    def _check_weights(self) -> None:
        """Raise `NotFiniteError` before weights that are lost become the newest checkpoint: a gradient may overflow where the loss does not."""
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.objective.parameters()):
            raise NotFiniteError(
                f"step {self.step}: weights are not finite; the last checkpoint is whole, try a smaller lr or precision bf16"
            )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM and an interrupt ask the run to stop after its step."""

        def ask(*_: object) -> None:
            self._asked = True

        try:
            old = [(number, signal.signal(number, ask)) for number in (signal.SIGTERM, signal.SIGINT)]
        except ValueError:  # not in the main thread
            old = []
        try:
            yield
        finally:
            for number, handler in old:
                signal.signal(number, handler)

    def _must_stop(self) -> bool:
        """Whether any process was asked to; all of them answer alike."""
        if self.accelerator.num_processes == 1:
            return self._asked
        if self.step % _ASK_EVERY:
            return False
        asked = torch.tensor(float(self._asked), device=self.accelerator.device)
        total: Any = self.accelerator.reduce(asked, "sum")
        return bool(total > 0)

    # --- nothing lost -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint of this step."""
        states: Any = get_state_dict(self.objective, self.optimizer.optimizer, options=_WHOLE)
        weights, optimizer = states  # empty in all processes but the first where weights are spread over them
        average = {name: _whole(value) for name, value in zip(self._names(), self.ema.average, strict=True)}
        if self.accelerator.is_main_process:
            tensors = {
                f"{name}/{key}": value for name, held in optimizer["state"].items() for key, value in held.items()
            }
            state = {
                "settings": asdict(self.settings),
                "data": self._data(),
                "param_groups": optimizer["param_groups"],
                "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            }
            Snapshot(self.step, dict(weights), average, tensors, state).save(self.run, self.settings.keep)
        self.accelerator.wait_for_everyone()

    def resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one.

        Raises:
            InputError: for one of other settings or of another network, or damaged.
        """
        if self.accelerator.is_main_process:
            clear_drafts(self.run)
        snapshot = Snapshot.latest(self.run)
        if snapshot is None:
            return False
        self.settings.check_resumable(snapshot.state["settings"])
        for name, value in self._data().items():
            before = snapshot.state["data"].get(name)
            if before != value:
                raise InputError(
                    f"resume: {name} was {shown(before).strip(chr(39))} and is {value}; restore it, or take another folder for --out"
                )
        self._check_fits(snapshot)
        if snapshot.step > self.settings.steps:
            raise InputError(
                f"resume: the checkpoint is of step {snapshot.step}, of {self.settings.steps}; take another folder for --out"
            )
        optimizer: dict[str, Any] = {"state": {}, "param_groups": snapshot.state["param_groups"]}
        for name, value in snapshot.optimizer.items():
            parameter, key = name.rsplit("/", 1)
            optimizer["state"].setdefault(parameter, {})[key] = value
        weights: dict[str, Any] = dict(snapshot.weights)
        try:
            set_state_dict(
                self.objective,
                self.optimizer.optimizer,
                model_state_dict=weights,
                optim_state_dict=optimizer,
                options=StateDictOptions(full_state_dict=True),
            )
            if self.accelerator.scaler is not None and snapshot.state["scaler"]:
                self.accelerator.scaler.load_state_dict(snapshot.state["scaler"])
        except Exception as error:  # torch raises what it likes for a state that is not whole
            raise InputError(
                f"resume: the checkpoint is damaged ({first_sentence(error)}); take another folder for --out"
            ) from None
        for name, average in zip(self._names(), self.ema.average, strict=True):
            average.copy_(_spread_like(snapshot.ema[name], average))
        self.step = snapshot.step
        return True

    def _check_fits(self, snapshot: Snapshot) -> None:
        """Raise `InputError` that names the first weight which the network has in another shape, or only one of the two.

        The same of their averages and of the optimiser's moments, and of its numbers besides the learning rate, which each step sets.
        """
        stored = {name: tuple(value.shape) for name, value in snapshot.weights.items()}
        state: dict[str, Any] = get_model_state_dict(self.objective)
        own = {name: tuple(value.shape) for name, value in state.items()}
        for name in sorted(stored.keys() | own.keys()):
            if stored.get(name) != own.get(name):
                raise InputError(
                    f"resume: {name} of the checkpoint has shape {stored.get(name)}, of this version's network {own.get(name)}; "
                    "take another folder for --out"
                )
        parameters = dict(zip(self._names(), (tuple(value.shape) for value in self.ema.average), strict=True))
        kept = {name: tuple(value.shape) for name, value in snapshot.ema.items()}
        _check_same("average", kept, parameters)
        moments = {name: tuple(value.shape) for name, value in snapshot.optimizer.items()}
        _check_same("optimiser's state", moments, _moments(parameters) if moments else {})
        groups: Any = self.optimizer.optimizer.param_groups
        own: Any = json.loads(json.dumps([{key: group[key] for key in group if key not in _SET} for group in groups]))
        stored_groups = snapshot.state["param_groups"]
        names = [group.get("params") for group in stored_groups] == [self._names()]
        if not names or any(
            theirs.get(key, value) != value
            for mine, theirs in zip(own, stored_groups, strict=True)
            for key, value in mine.items()
        ):
            raise InputError(
                "resume: the optimiser of the checkpoint has other settings; take another folder for --out"
            )

    def _data(self) -> dict[str, Any]:
        """What besides the settings decides which examples a step takes: a batch left to itself depends on the processes."""
        return {"the cache's SHA-256": self.data.cache.digest, "the batch": self.data.batch}

    @property
    def spread_over_processes(self) -> bool:
        """Whether no process holds whole weights, as under FSDP."""
        return any(hasattr(average, "full_tensor") for average in self.ema.average)

    def _names(self) -> list[str]:
        return [name.removeprefix("module.") for name, _ in self.objective.named_parameters()]


@contextmanager
def _fetched(data: Data, first: int, end: int) -> Iterator[Iterator[Batch]]:
    """The batches of steps, on a GPU fetched a step ahead; on a CPU a second thread would only take its cores."""
    if data.device.type == "cpu":
        yield (data[step] for step in range(first, end))
        return
    with ThreadPoolExecutor(1) as ahead:
        yield _ahead(data, first, end, ahead)


def _ahead(data: Data, first: int, end: int, thread: ThreadPoolExecutor) -> Iterator[Batch]:
    coming = thread.submit(data.__getitem__, first) if first < end else None
    for step in range(first + 1, end + 1):
        assert coming is not None
        batch = coming.result()
        coming = thread.submit(data.__getitem__, step) if step < end else None
        yield batch


_SET = ("params", "lr")
"""What a step sets of an optimiser's group, and the names."""


def _moments(parameters: dict[str, Any]) -> dict[str, Any]:
    """The shapes of AdamW's state for parameters of some shapes."""
    kinds = {"exp_avg": True, "exp_avg_sq": True, "step": False}
    return {f"{name}/{key}": shape if same else () for name, shape in parameters.items() for key, same in kinds.items()}


def _check_same(what: str, stored: dict[str, Any], own: dict[str, Any]) -> None:
    """Raise `InputError` that names the first tensor of another shape."""
    for name in sorted(stored.keys() | own.keys()):
        if stored.get(name) != own.get(name):
            raise InputError(
                f"resume: {name} of the checkpoint's {what} has shape {stored.get(name)}, of this run {own.get(name)}; "
                "take another folder for --out"
            )


def _whole(value: Any) -> Tensor:
    """The whole of weights that are spread over processes, on the CPU."""
    return (value.full_tensor() if hasattr(value, "full_tensor") else value).cpu()


def _spread_like(whole: Tensor, held: Any) -> Tensor:
    """The tensor on its device, and spread over processes as `held` is."""
    if hasattr(held, "device_mesh"):
        return distribute_tensor(whole.to(held.device), held.device_mesh, held.placements)
    return whole.to(held.device)

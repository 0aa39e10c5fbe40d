"""`python -m tests.singdiffusion.scheduler.matrix`: what the network sees first, over every scheduler of diffusers and all its settings.

Each configuration runs in a real pipeline, stopped at its first U-Net call. What came in is regressed on the mean and the noise, and the
two factors are compared with the schedule computed here from its betas. A configuration that the unmodified pipeline cannot run, or
whose first step fails, is counted apart with its error. The last result is `matrix.json`.
"""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import scipy.stats
import torch
from diffusers import schedulers
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from singdiffusion.start.initial import initial_latents
from singtheory import InputError
from singtheory.system import write_json
from tests.singdiffusion.support import tiny
from tests.support.out_file import asked

STEPS = (1, 2, 5, 20, 50, 999, 1000)
SPACINGS = ("leading", "trailing", "linspace")
SIGMA_RULES = ("", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
BASE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "snr_shift_scale": 1.0}
TOLERANCE = 1e-3
RESULT = Path(__file__).parent / "matrix.json"
_quantile = cache(scipy.stats.beta.ppf)
"""Schedulers with beta sigmas ask for the same thousand quantiles at every setting, one number a call."""


diffusers.utils.logging.set_verbosity_error()  # several schedulers report each setting that they change


class Reached(Exception):  # noqa: N818 - not an error: the pipeline has come as far as it should
    """The first call of the network, or the end of the first step."""


@dataclass
class Tally:
    """What became of a scheduler's configurations.

    Attributes:
        right: how many are within the tolerance.
        wrong: a line for each that is not, or that raised what it should not.
        refused: how many are refused although diffusers can run them, by message.
        not_run: how many diffusers itself cannot run, by error.
    """

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    not_run: Counter[str] = field(default_factory=Counter)


def names() -> list[str]:
    """Every scheduler class that diffusers exports, found and not listed: a new one is in the matrix by itself."""
    actual = ((n, getattr(schedulers, n)) for n in dir(schedulers))
    return sorted(
        n for n, c in actual if inspect.isclass(c) and issubclass(c, SchedulerMixin) and n != "SchedulerMixin"
    )


def configurations(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Settings of the scheduler and arguments of the pipeline."""
    known = inspect.signature(getattr(schedulers, name).__init__).parameters
    base = {key: value for key, value in (BASE | {"steps_offset": 1}).items() if key in known}
    spacings = SPACINGS if "timestep_spacing" in known else ("",)
    predictions = PREDICTIONS if "prediction_type" in known else ("",)
    zero = (False, True) if "rescale_betas_zero_snr" in known else (False,)
    rules = [rule for rule in SIGMA_RULES if not rule or rule in known]
    for spacing, prediction, rescale, rule in product(spacings, predictions, zero, rules):
        settings = base | ({"timestep_spacing": spacing} if spacing else {})
        settings |= {"prediction_type": prediction} if prediction else {}
        settings |= ({"rescale_betas_zero_snr": True} if rescale else {}) | ({rule: True} if rule else {})
        for steps in STEPS:
            yield settings, {"num_inference_steps": steps}
        custom = inspect.signature(getattr(schedulers, name).set_timesteps).parameters
        if not rule and "timesteps" in custom:
            yield settings, {"timesteps": [901, 700, 400, 100, 1]}
        if not rule and "sigmas" in custom:
            yield settings, {"sigmas": [12.0, 5.0, 1.0, 0.1]}


def alpha_bars(zero_snr: bool) -> np.ndarray:
    """`ᾱ` of Stable Diffusion's betas, rescaled to a terminal SNR of zero as Lin et al. (2023) do."""
    root = np.cumprod(1 - np.linspace(BASE["beta_start"] ** 0.5, BASE["beta_end"] ** 0.5, 1000) ** 2) ** 0.5
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2 if zero_snr else root**2


def scheduled(scheduler: Any, timestep: float) -> tuple[float, float]:
    """The schedule's `(α, σ)` at the timestep that the network is told."""
    if not hasattr(scheduler, "alphas_cumprod"):  # EDM: a quarter of log σ, for data of standard deviation ½
        sigma = math.exp(4 * timestep)
        return 1 / math.hypot(sigma, 0.5), sigma / math.hypot(sigma, 0.5)
    bar = np.interp(timestep, np.arange(1000), alpha_bars(bool(scheduler.config.get("rescale_betas_zero_snr"))))
    return bar**0.5, (1 - bar) ** 0.5


class Bench:
    """A tiny pipeline that stops at its first U-Net call."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pipe = tiny.stable_diffusion()
        self.mean, self.noise = torch.randn(2, 1, *tiny.LATENTS, generator=generator)
        self.embeds = torch.zeros(1, 4, tiny.TEXT_WIDTH)
        self.pipe.unet.register_forward_pre_hook(self._stop, with_kwargs=True)
        self._prepare = self.pipe.prepare_latents
        self.seen: tuple[torch.Tensor, float] | None = None

    def _stop(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.seen = (args[0], float(args[1]))
        raise Reached

    def run(self, arguments: dict[str, Any]) -> None:
        """Up to the first U-Net call."""
        try:
            self.pipe(prompt_embeds=self.embeds, guidance_scale=1.0, output_type="latent", **arguments)
        except Reached:
            return
        raise RuntimeError("the pipeline never called its U-Net")

    def start(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As `prepare_latents`, from the singular step, given as `latents=` is."""
        self.refusal = None
        try:
            kwargs["latents"] = initial_latents(self.mean, self.noise, self.pipe.scheduler)
        except InputError as error:
            self.refusal = str(error)
            raise
        return self._prepare(*args[:7], **kwargs)

    def factors(self) -> tuple[float, float, float]:
        """Of the mean, of the noise, and the largest rest, in what the network saw."""
        assert self.seen is not None
        columns = torch.stack([self.mean.flatten(), self.noise.flatten()], dim=1).double()
        seen = self.seen[0].flatten().double()
        actual = torch.linalg.lstsq(columns, seen[:, None]).solution[:, 0]
        return float(actual[0]), float(actual[1]), float((columns @ actual - seen).abs().max())


def tally(name: str) -> Tally:
    """Every configuration of one scheduler."""
    bench, result, kind = Bench(), Tally(), getattr(schedulers, name)
    with mock.patch.object(scipy.stats.beta, "ppf", _quantile), _timesteps_kept(kind):
        for settings, arguments in configurations(name):
            try:
                bench.pipe.scheduler = fresh(kind, settings)
                bench.pipe.prepare_latents = bench._prepare
                bench.run(arguments)
            except Exception as error:
                result.not_run[f"{type(error).__name__}: {error}".split("\n")[0][:120]] += 1
                continue
            where = ", ".join(f"{key}={value}" for key, value in (settings | arguments).items() if key not in BASE)
            _compare(bench, fresh(kind, settings), arguments, where, result)
    return result


def fresh(kind: type, settings: dict[str, Any]) -> Any:
    """A scheduler as it is when it is made: a copy, for some compute a thousand timesteps in their constructor."""
    return deepcopy(_made(kind, tuple(settings.items())))


@lru_cache(maxsize=1)
def _made(kind: type, settings: tuple[tuple[str, Any], ...]) -> Any:
    return kind(**dict(settings))


def _timesteps_kept(kind: type) -> AbstractContextManager[Any]:
    """The timesteps of σ are looked up where the class searches for them in a table, one σ a call: the same ones at most settings."""
    plain = getattr(kind, "_sigma_to_t", None)
    if plain is None or "log_sigmas" not in inspect.signature(plain).parameters:
        return nullcontext()
    return mock.patch.object(kind, "_sigma_to_t", _kept(plain))


def _kept(plain: Callable[..., Any]) -> Callable[..., Any]:
    """The function of `(σ, log σ of the schedule)`, which reads nothing of its scheduler, with its answers kept."""
    answers: dict[Any, dict[Any, Any]] = {}

    def kept(scheduler: Any, sigma: Any, log_sigmas: Any) -> Any:
        of_schedule = answers.setdefault(_key(log_sigmas), {})
        key = _key(sigma)
        if key not in of_schedule:
            of_schedule[key] = plain(scheduler, sigma, log_sigmas)
        return of_schedule[key]

    return kept


def _key(numbers: Any) -> tuple[Any, ...]:
    array = numbers.numpy() if isinstance(numbers, torch.Tensor) else np.asarray(numbers)
    return type(numbers), array.dtype, array.shape, array.tobytes()


def _compare(bench: Bench, scheduler: Any, arguments: dict[str, Any], where: str, result: Tally) -> None:
    bench.pipe.scheduler, bench.pipe.prepare_latents = scheduler, bench.start
    try:
        bench.run(arguments)
    except InputError as error:
        failed = _step_error(scheduler)
        (result.not_run if failed else result.refused)[failed or str(error)] += 1
        return
    alpha, sigma, rest = bench.factors()
    assert bench.seen is not None
    expected = scheduled(scheduler, bench.seen[1])
    off = max(abs(alpha - expected[0]), abs(sigma - expected[1]), rest)
    if off <= TOLERANCE:
        result.right += 1
    else:
        result.wrong.append(
            f"{where}: {alpha:.5f}, {sigma:.5f}, rest {rest:.1e}; schedule {expected[0]:.5f}, {expected[1]:.5f}"
        )


def _step_error(scheduler: Any) -> str | None:
    """Why its own first step fails, if it does."""
    sample = torch.zeros(1, *tiny.LATENTS)
    try:
        scheduler.step(sample, scheduler.timesteps[0], scheduler.scale_model_input(sample, scheduler.timesteps[0]))
    except Exception as error:
        return f"first step: {type(error).__name__}: {error}".split("\n")[0][:120]
    return None


def main() -> None:
    """Count them all. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    results = {}
    for name in names():
        result = tally(name)
        print(
            f"{name}: {result.right} right, {len(result.wrong)} wrong, {sum(result.refused.values())} refused, {sum(result.not_run.values())} not run"
        )
        results[name] = {
            "right": result.right,
            "wrong": result.wrong,
            "refused": result.refused,
            "not_run": result.not_run,
        }
    right, wrong = sum(r["right"] for r in results.values()), sum(len(r["wrong"]) for r in results.values())
    print(f"{right} right, {wrong} wrong, {len(results)} schedulers")
    versions = {"diffusers": diffusers.__version__, "torch": torch.__version__}
    command = "python -m tests.singdiffusion.scheduler.matrix"
    result = {"command": command, "versions": versions, "right": right, "wrong": wrong, "schedulers": results}
    write_json(out, result)


if __name__ == "__main__":
    main()

"""A diagnosis in plain sentences, and the lines of code that mend what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from singdiffusion.diagnose import Diagnosis, Option

_NARROWED = 0.9
"""Below this share of the data's spread the advice is a matched start."""
_VISIBLE = 2.0
"""Levels of brightness by which a VAE may be off before it is mentioned."""
_ATTACH = "SingDiffusion.from_pretrained(MODULE).attach(pipe)"


@dataclass
class Finding:
    """One thing that was found.

    Attributes:
        sentence: what.
        code: the lines that mend it, with `pipe` for the pipeline; empty where nothing is to mend.
    """

    sentence: str
    code: list[str] = field(default_factory=list)


def verdict(diagnosis: Diagnosis) -> list[Finding]:
    """What to tell the person who asked, the gravest first."""
    if diagnosis.flow:
        return [
            Finding(
                "Flow matching starts at alpha = 0, where noise is the right start: there is no gap and nothing to mend."
            )
        ]
    return [finding for look in _LOOKS for finding in look(diagnosis)]


def _reset(diagnosis: Diagnosis, setting: str) -> list[str]:
    return [f"pipe.scheduler = {diagnosis.scheduler}.from_config(pipe.scheduler.config, {setting})"]


def _infinite(diagnosis: Diagnosis) -> Iterator[Finding]:
    first = diagnosis.now.first
    if first.finite and first.epsilon_gain < 1000:
        return
    if diagnosis.prediction != "epsilon":
        if not first.finite:
            yield Finding("The first step gives Inf or NaN; use another scheduler.")
        return
    end = (
        "divides by alpha = 0 and gives Inf or NaN"
        if not first.finite
        else f"makes errors of the network {first.epsilon_gain:.0f} times larger"
    )
    yield Finding(
        f"Epsilon-prediction with zero terminal SNR: the first step {end}. A model that predicts epsilon was not trained there.",
        _reset(diagnosis, "rescale_betas_zero_snr=False"),
    )


def _ignored_field(diagnosis: Diagnosis) -> Iterator[Finding]:
    if diagnosis.terminal_snr == 0 and diagnosis.implied_terminal_snr:
        yield Finding(
            f"{diagnosis.scheduler} does not read rescale_betas_zero_snr, which its config holds: the terminal SNR is "
            f"{diagnosis.implied_terminal_snr:.3g}, not 0.",
            ['pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")'],
        )


def _other_prediction(diagnosis: Diagnosis) -> Iterator[Finding]:
    implied = diagnosis.implied
    if implied is None or implied.prediction is None or diagnosis.prediction in implied.prediction:
        return
    meant = implied.prediction if implied.prediction == "epsilon" else "v_prediction"
    yield Finding(
        f"The network answers as for {implied.prediction} (correlation {implied.correlation:.2f} with its input at the last "
        f"timestep), the scheduler takes it for {diagnosis.prediction}.",
        _reset(diagnosis, f'prediction_type="{meant}"'),
    )


def _gap(diagnosis: Diagnosis) -> Iterator[Finding]:
    now = diagnosis.now
    where = f"timestep {now.first.timestep:.4g}"
    if now.first.alpha == 0:
        yield Finding(f"The sampler starts at SNR 0 ({where}), where noise is the right start: there is no gap.")
        return
    if now.zero_snr:
        yield Finding(
            f"The schedule ends at SNR 0, but {diagnosis.steps} {now.spacing} steps start at {where}, SNR {now.first.snr:.3g}: "
            "the right end is skipped.",
            _reset(diagnosis, 'timestep_spacing="trailing"'),
        )
        return
    yield Finding(
        f"At {where} the network expects {now.first.alpha:.3g} of the image and {now.first.sigma:.3g} of noise (SNR "
        f"{now.first.snr:.3g}) and is given noise alone, which it reads as an image of medium brightness.",
        [_ATTACH],
    )


def _cost(diagnosis: Diagnosis) -> Iterator[Finding]:
    now, reading = diagnosis.now, diagnosis.reading
    if now.first.alpha == 0:
        return
    if reading is None:
        yield Finding("What that costs depends on the data: give --data.")
        return
    yield Finding(f"Noise is {_nats(now)} away from the noised data{_savings(diagnosis)}.")
    mean, std = reading.data
    if std == 0:
        yield Finding(f"The data's {reading.name} is {mean:.1f}; from noise {now.mean:.1f} arrives.")
        return
    kept = (now.std or 0.0) / std
    about = f"The data's {reading.name} is {mean:.1f} ± {std:.1f}; from noise {now.mean:.1f} ± {now.std:.1f} arrives"
    if kept >= _NARROWED:
        yield Finding(f"{about}.")
    else:
        yield Finding(
            f"{about}, {kept:.0%} of the spread. The mean start does not widen it: take a module with a spread.",
            ["module = AverageTable.from_images(images, rank=1)"],
        )


def _nats(option: Option) -> str:
    low, high = f"{option.nats_low:.3g}", f"{option.nats_high:.3g}"
    return f"{low} nats" if low == high else f"{low} to {high} nats"


def _savings(diagnosis: Diagnosis) -> str:
    """What the other starts at the same timestep take off, exact for any data."""
    now = diagnosis.now.nats_low or 0.0
    same = [option for option in diagnosis.options[1:] if option.start != "noise"]
    parts = [f"the {option.start} start takes {now - (option.nats_low or 0.0):.3g}" for option in same]
    return f": {', '.join(parts)} off" if parts else ""


def _vae(diagnosis: Diagnosis) -> Iterator[Finding]:
    if diagnosis.vae is None:
        return
    meant = {"black": 0.0, "white": 255.0}
    off = {name: level for name, level in diagnosis.vae.items() if abs(level - meant.get(name, level)) > _VISIBLE}
    if off:
        given = " and ".join(f"{name} as {level:.1f}" for name, level in off.items())
        yield Finding(f"The VAE itself gives {given} of 0 to 255; no start gets beyond that.")


_LOOKS: tuple[Callable[[Diagnosis], Iterator[Finding]], ...] = (
    _infinite,
    _ignored_field,
    _other_prediction,
    _gap,
    _cost,
    _vae,
)

"""A diagnosis in plain sentences, and the lines of code that mend what it finds."""

import math
from collections.abc import Callable, Iterator

from singdiffusion.evaluation.diagnosis import Diagnosis, Option
from singdiffusion.evaluation.findings_flow import ATTACH, NARROWED, Finding, flow_findings
from singdiffusion.evaluation.remedies import ENOUGH, Remedy

WORTH = 1e-3
"""Nats that a start must save to be advised."""
VISIBLE = 2.0
"""Levels of brightness by which a VAE may be off before it is mentioned."""
_NO_SIGNAL = 1e-6
"""An SNR below which no start that has been measured matters."""
_HUGE = 1000.0


def verdict(diagnosis: Diagnosis) -> list[Finding]:
    """What to tell the person who asked, the gravest first."""
    if diagnosis.flows is not None:
        arrives = () if diagnosis.flows.learned else _arrives(diagnosis)
        return [*arrives, *flow_findings(diagnosis, diagnosis.flows), *_vae(diagnosis)]
    return [finding for look in _LOOKS for finding in look(diagnosis)]


def _reset(scheduler: str, settings: str) -> list[str]:
    return [
        f"from diffusers import {scheduler}",
        f"pipe.scheduler = {scheduler}.from_config(pipe.scheduler.config, {settings})",
    ]


def _infinite(diagnosis: Diagnosis) -> Iterator[Finding]:
    """The pair of ε-prediction and zero terminal SNR, reached or not: a model of ε is not trained at SNR 0."""
    now = diagnosis.now
    if now.zero_snr and diagnosis.prediction == "epsilon":
        gain = now.first.epsilon_gain or 0.0
        if not now.first.finite:
            end = "The first step divides by alpha = 0 and gives Inf or NaN."
        elif gain >= _HUGE:
            end = f"The first step makes errors of the network {gain:.0f} times larger."
        else:
            end = f"This grid stops short of it, at SNR {now.first.snr:.2g}; one that reaches it would give Inf or NaN."
        yield Finding(
            f"The config pairs epsilon-prediction with zero terminal SNR, for which no such model is trained. {end}",
            _reset(diagnosis.scheduler, "rescale_betas_zero_snr=False"),
        )
    elif not now.first.finite:
        yield Finding("The first step gives Inf or NaN; use another scheduler.")


def _ignored_field(diagnosis: Diagnosis) -> Iterator[Finding]:
    if diagnosis.terminal_snr != 0 or not diagnosis.implied_terminal_snr:
        return
    sentence = (
        f"{diagnosis.scheduler} does not read rescale_betas_zero_snr, which its config holds: the terminal SNR is "
        f"{diagnosis.implied_terminal_snr:.3g}, not 0."
    )
    if diagnosis.prediction == "epsilon":
        yield Finding(f"{sentence} For a model that predicts epsilon that is as well.")
    else:
        yield Finding(
            sentence,
            _reset("DDIMScheduler", 'rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False'),
        )


def _other_prediction(diagnosis: Diagnosis) -> Iterator[Finding]:
    implied = diagnosis.implied
    if implied is not None and not implied.trained:
        yield Finding(
            f"The network does not answer noise as a trained one does (correlation {implied.correlation:.2f} with its input at the last timestep, and too "
            "little at earlier ones): its weights may be random. What it predicts cannot be told, and the findings below hold for its scheduler alone."
        )
    if implied is None or implied.prediction is None or diagnosis.prediction in implied.prediction:
        return
    meant = implied.prediction if implied.prediction == "epsilon" else "v_prediction"
    yield Finding(
        f"The network answers as for {implied.prediction} (correlation {implied.correlation:.2f} with its input at the last "
        f"timestep), the scheduler takes it for {diagnosis.prediction}.",
        _reset(diagnosis.scheduler, f'prediction_type="{meant}"'),
    )


def _gap(diagnosis: Diagnosis) -> Iterator[Finding]:
    now, first = diagnosis.now, diagnosis.now.first
    where = f"timestep {first.timestep:.4g}"
    if first.alpha == 0:
        yield Finding(f"The sampler starts at SNR 0 ({where}), where noise is the right start: there is no gap.")
    elif now.zero_snr:
        if diagnosis.prediction != "epsilon":
            yield Finding(
                f"The schedule ends at SNR 0, but {diagnosis.steps} {now.spacing} steps start at {where}, SNR "
                f"{first.snr:.3g}: the right end is skipped.",
                _reset(diagnosis.scheduler, 'timestep_spacing="trailing"'),
            )
    elif first.snr > 1:
        yield Finding(
            f"The sampler starts at {where}, SNR {first.snr:.3g}, from noise where the network expects an image that is nearly done.",
            _reset(diagnosis.scheduler, 'timestep_spacing="trailing"') if now.spacing == "leading" else [],
        )
    elif first.snr < _NO_SIGNAL:
        yield Finding(f"The sampler starts at {where}, SNR {first.snr:.3g}: there is hardly a gap.")
    else:
        yield Finding(
            f"At {where} the network expects {first.alpha:.3g} of the image and {first.sigma:.3g} of noise (SNR "
            f"{first.snr:.3g}) and is given noise alone.",
            ATTACH if _remedy(diagnosis) is None and _saved(diagnosis) > WORTH else [],
        )


def _saved(diagnosis: Diagnosis) -> float:
    """The most nats that another start at the same timestep saves; exact for any data, and unknown without them."""
    if diagnosis.reading is None:
        return math.inf
    now = diagnosis.now.nats_low or 0.0
    return max((now - (option.nats_low or 0.0) for option in _other_starts(diagnosis)), default=0.0)


def _other_starts(diagnosis: Diagnosis) -> list[Option]:
    return [option for option in diagnosis.options if option.start != "noise"]


def _cost(diagnosis: Diagnosis) -> Iterator[Finding]:
    now, reading = diagnosis.now, diagnosis.reading
    if now.first.alpha == 0:
        return
    if reading is None:
        yield Finding("What that costs depends on the data: give --data.")
        return
    yield Finding(f"Noise is {_nats(now)} away from the noised data{_savings(diagnosis)}.")
    mean, std = reading.data
    sampler = "an ancestral sampler" if now.first.stochastic else "the flow"
    arrives = f"for Gaussian data {sampler} takes noise to {now.mean:.1f} ± {now.std:.1f}"
    about = f"The data's {reading.name} is {mean:.1f} ± {std:.1f}{_fit(diagnosis)}; {arrives}"
    kept = 1.0 if std == 0 else (now.std or 0.0) / std
    if kept >= NARROWED:
        yield Finding(f"{about}.")
    else:
        yield Finding(
            f"{about}, {kept:.0%} of the spread. The mean start does not widen it: take a module with a spread.",
        )


def _fit(diagnosis: Diagnosis) -> str:
    """How good the reading is, where it is fitted."""
    reading = diagnosis.reading
    if reading is None or reading.explained > 0.999:
        return ""
    return f" as far as it is linear in the latents (R² {reading.explained:.2f}; as it is, ± {reading.spread:.1f})"


def _nats(option: Option) -> str:
    low, high = f"{option.nats_low:.3g}", f"{option.nats_high:.3g}"
    return f"{low} nats" if low == high else f"{low} to {high} nats"


def _savings(diagnosis: Diagnosis) -> str:
    """What the other starts at the same timestep save, exact for any data."""
    now = diagnosis.now.nats_low or 0.0
    parts = []
    for option in _other_starts(diagnosis):
        saved = now - (option.nats_low or 0.0)
        parts.append(f"the {option.start} start is {abs(saved):.3g} {'nearer' if saved >= 0 else 'farther'}")
    return f": {', '.join(parts)}" if parts else ""


def _arrives(diagnosis: Diagnosis) -> Iterator[Finding]:
    """What the scheduler itself, start, steps and end, keeps of the spread (F10)."""
    answer, best = diagnosis.expected, _remedy(diagnosis)
    if answer is not None:
        without = [] if answer.cuts is None else _reset(diagnosis.scheduler, f"{answer.cuts}=False")
        yield Finding(answer.sentence(), without if best is None else best.code)


def _remedy(diagnosis: Diagnosis) -> Remedy | None:
    """What mends most of what arrives too narrow, None where nothing does or nothing is to mend."""
    answer = diagnosis.expected
    if answer is None or answer.refusal is not None or answer.worst.kept >= ENOUGH:
        return None
    return answer.best


def _vae(diagnosis: Diagnosis) -> Iterator[Finding]:
    if diagnosis.vae is None:
        return
    meant = {"black": 0.0, "white": 255.0}
    off = {name: level for name, level in diagnosis.vae.items() if abs(level - meant.get(name, level)) > VISIBLE}
    if off:
        levels = " and ".join(f"{name} as {level:.1f}" for name, level in off.items())
        yield Finding(f"The VAE gives {levels} of 0 to 255 back, which a better start does not mend.")


_LOOKS: tuple[Callable[[Diagnosis], Iterator[Finding]], ...] = (
    _infinite,
    _ignored_field,
    _other_prediction,
    _arrives,
    _gap,
    _cost,
    _vae,
)

"""The ladder page's tables and what is to be read off them: the core, quality, the stages with their budget, predictions, both ends."""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

import numpy as np
import torch

from docs.experiments.ladder.predict import budget_of
from docs.experiments.ladder.summary import CORE_STEPS, of_core
from docs.experiments.metric.distances import wasserstein

STAGES = ("early", "middle", "end")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    line = "| " + " | ".join(["---"] + ["---:"] * (len(head) - 1)) + " |"
    return "\n".join(["| " + " | ".join(head) + " |", line, *("| " + " | ".join(row) + " |" for row in rows)])


def holding(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    """How many of the rows hold."""
    return f"{sum(bool(row[key]) for row in rows)} of {len(rows)}"


def fixed_table(summary: Mapping[str, Any]) -> str:
    """Bias from each start."""
    lines = []
    for row in summary["verdicts"]["fixed"]:
        word = "yes" if row["holds"] else "no; beside the exact start yes" if row["holds beside exact"] else "no"
        levels = [f"{row[name]:+.1f}" for name in ("noise", "mean", "exact")]
        lines.append([row["prompt"], f"{row['guidance']:g}", *levels, word])
    return table(["prompt", "guidance", "noise", "mean", "exact start", "holds"], lines)


def fixed_reading(summary: Mapping[str, Any]) -> str:
    """Where it does not hold."""
    odd = [row for row in summary["verdicts"]["fixed"] if not row["holds"]]
    if not odd:
        return ""
    words = "; ".join(
        f"“{row['prompt']}” at guidance {row['guidance']:g} ({row['mean']:+.1f} from the mean, {row['exact']:+.1f} from the exact start)"
        for row in odd
    )
    rows = summary["verdicts"]["fixed"]
    return (
        f"Target: {len(rows)} of {len(rows)}; not met. Where it does not hold, {words}, the exact start is as far from the data, and no start can do better. It is guidance that "
        f"makes line art thinner: {_overshoot(summary, odd)}. Measured from the exact start it holds in {holding(rows, 'holds beside exact')}."
    )


def _overshoot(summary: Mapping[str, Any], odd: Sequence[Mapping[str, Any]]) -> str:
    """The exact start's bias over guidance, of each prompt of some rows."""
    rows = core_rows(summary, "exact")
    clauses = []
    for prompt in dict.fromkeys(row["prompt"] for row in odd):
        bias = [
            f"{row['bias']:+.1f} levels at {guidance:g}" for (name, guidance), row in rows.items() if name == prompt
        ]
        clauses.append(f"on “{prompt}” the exact start is off by " + ", ".join(bias))
    return "; ".join(clauses)


def core_rows(summary: Mapping[str, Any], start: str) -> dict[tuple[str, float], Mapping[str, Any]]:
    """A start's rows of the core by prompt and weight of guidance, in order."""
    rows = [row for row in summary["rows"] if row["start"] == start and of_core(row)]
    return {(row["prompt"], row["guidance"]): row for row in sorted(rows, key=lambda row: row["guidance"])}


def spread_table(summary: Mapping[str, Any]) -> str:
    """Spread ratios of the open prompts."""
    lines = []
    for where, closed, trained in _open_pairs(summary):
        ratios = (closed["ratio noise"], closed["ratio mean"], closed["ratio"], trained["ratio"], closed["ratio exact"])
        lines.append([*where, *(f"{ratio:.2f}" for ratio in ratios)])
    return table(["prompt", "guidance", "noise", "mean", "matched", "matched, trained", "exact"], lines)


def distance_table(summary: Mapping[str, Any]) -> str:
    """W₁ of the open prompts, and the share of it that the matched start closes."""
    lines = [
        [*where, *(f"{w1:.1f}" for w1 in (closed["w1 mean"], closed["w1"], trained["w1"], closed["w1 exact"]))]
        + [share(row) for row in (closed, trained)]
        for where, closed, trained in _open_pairs(summary)
    ]
    return table(
        ["prompt", "guidance", "mean", "matched", "matched, trained", "exact", "closed", "closed, trained"], lines
    )


def share(row: Mapping[str, Any]) -> str:
    """The share of the distance that is closed, rounded down: what is missed by little must not look reached."""
    return f"{floor(100 * row['closed'])}%"


def _open_pairs(summary: Mapping[str, Any]) -> list[tuple[list[str], Mapping[str, Any], Mapping[str, Any]]]:
    """Prompt and guidance, with the matched start in closed form and trained."""
    rows = summary["verdicts"]["open"]
    pairs = zip(rows[1::2], rows[::2], strict=True)
    return [([closed["prompt"], f"{closed['guidance']:g}"], closed, trained) for closed, trained in pairs]


def open_reading(
    summary: Mapping[str, Any], learned: Mapping[str, Mapping[str, float]], directions: Mapping[str, Any]
) -> str:
    """What is missed of the distance, and why; and what the directions of the spread are worth.

    Args:
        summary: the summary.
        learned: brightness that the trained average image promises, by prompt.
        directions: spread ratios of starts along other directions.
    """
    opened = summary["verdicts"]["open"]
    prompts = dict.fromkeys(row["prompt"] for row in opened)
    shape = ", ".join(f"{gaussian_distance(summary['data'][prompt]):.1f} for “{prompt}”" for prompt in prompts)
    reason = (
        f" The start has the shape of a Gaussian, and even a Gaussian with the very mean and deviation of the data is this far from them in W₁: {shape}. Four pictures are no Gaussian."
        if any(not row["distance holds"] for row in opened)
        else ""
    )
    return (
        f"Target: all of them. The distance is too large in closed form for {missed(opened, 'matched closed')}; with the trained average image for {missed(opened, 'matched')}.{reason}\n\n"
        + directions_reading(directions)
        + " "
        + promises(summary, learned)
    )


def missed(opened: Sequence[Mapping[str, Any]], start: str) -> str:
    """Where a start closes too little of the distance."""
    short = [row for row in opened if row["start"] == start and not row["distance holds"]]
    return ", ".join(f"“{row['prompt']}” at guidance {row['guidance']:g} ({share(row)})" for row in short) or "none"


def promises(summary: Mapping[str, Any], learned: Mapping[str, Mapping[str, float]]) -> str:
    """The deviation of the brightness in the trained average image beside the data's."""
    lines = [[prompt, f"{summary['data'][prompt]['std']:.1f}", f"{one['std']:.1f}"] for prompt, one in learned.items()]
    return (
        "The price: parts along them are taken for independent. Over all pictures they are nearly uncorrelated, but not within a prompt, so the deviation of the brightness that the trained average "
        "image promises is not quite the data's. Where a prompt's data have no spread it still promises a little, which is too small beside the noise of the first step to be seen.\n\n"
        + table(["deviation of the brightness", "data", "promised"], lines)
    )


def directions_reading(directions: Mapping[str, Any]) -> str:
    """What the directions of the spread are worth.

    Args:
        directions: spread ratios by prompt and kind of direction.
    """
    names = {
        "one by one": "low frequencies, one by one",
        "principal": "their principal components",
        "trained": "as trained",
        "closed": "closed form",
    }
    ratios = directions["ratios"]
    lines = [[prompt, *(f"{by_name[name]:.2f}" for name in names)] for prompt, by_name in ratios.items()]
    gains = [by_name["principal"] - by_name["one by one"] for by_name in ratios.values()]
    return (
        f"Along which directions a start spreads counts as well as how far (ratio at guidance 1, DDIM-{CORE_STEPS}, {directions['samples']} samples; the first two with the mean of the prompt's own pictures and "
        "their deviations along each direction):\n\n"
        + table(["prompt", *names.values()], lines)
        + f"\n\nThe same total variance along principal components of the data, in the place of low frequencies one by one, adds {min(gains):.2f} to {max(gains):.2f}. Principal components hold together what "
        "varies as one, such as a background that leaves the object alone."
    )


def gaussian_distance(pictures: Mapping[str, Any], count: int = 4096) -> float:
    """W₁ between brightnesses of data and a Gaussian of their mean and deviation, as far as bytes reach."""
    levels = torch.tensor(pictures["levels"], dtype=torch.float64)
    quantiles = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return wasserstein((pictures["mean"] + pictures["std"] * quantiles).clamp(0, 255), levels)


def worse_text(summary: Mapping[str, Any]) -> str:
    """Sentences on the comparisons with the noise start."""
    verdict = summary["verdicts"]["never worse"]
    text = (
        f"Matched against noise, by W₁ of the brightness to the data's, {verdict['comparisons']} comparisons over all prompts and weights of guidance, paired, error "
        f"{summary['error']} in total: better in {verdict['better']}, undecided in {verdict['comparisons'] - verdict['better'] - len(verdict['worse'])}, "
        f"worse in {len(verdict['worse'])}."
    )
    if not verdict["worse"]:
        return text
    weights = " and ".join(f"{w:g}" for w in sorted({row["guidance"] for row in verdict["worse"]}))
    text += f" Target: worse in none; not met at guidance {weights}, met at the others."
    bias = {start: core_rows(summary, start) for start in ("noise", "exact")}
    lines = [
        [
            f"{row['prompt']}, {row['start']}",
            f"{row['guidance']:g}",
            f"{row['w1 noise']:.1f}",
            f"{row['w1 noise'] + row['difference']:.1f}",
            f"{row['w1 exact']:.1f}",
            f"{row['low']:+.1f}",
            *(f"{bias[start][row['prompt'], row['guidance']]['bias']:+.1f}" for start in ("noise", "exact")),
        ]
        for row in verdict["worse"]
    ]
    as_far = all(row["w1 exact"] >= 0.8 * (row["w1 noise"] + row["difference"]) for row in verdict["worse"])
    reading = (
        "\n\nIn these the exact start is as far away: at such weights guidance takes the brightness past the data's, as the last column says, and the grey that noise "
        "leaks happens to pull it back. No start can mend that; where guidance does not overshoot, matched is never worse."
        if as_far
        else ""
    )
    head = ["prompt, start", "guidance", "W₁ noise", "matched", "exact", "worse by at least", "bias: noise", "exact"]
    return text + "\n\n" + table(head, lines) + reading


def quality_table(measured: Mapping[str, Any]) -> str:
    """Fréchet and kernel distances."""
    lines = []
    for row in measured["rows"]:
        background, thing = row["adherence"]["background"], row["adherence"]["object"]
        numbers = [f"{row['frechet']:.1f}", f"{row['kernel']:.3f}", f"{background:.3f}", f"{thing:.3f}"]
        lines.append([row["start"], f"{row['guidance']:g}", *numbers])
    data = measured["data"]
    lines.append(["other pictures of the data", "", f"{data['frechet']:.1f}", f"{data['kernel']:.3f}", "", ""])
    return table(["start", "guidance", "Fréchet", "kernel (unbiased)", "background", "object"], lines)


def quality_reading(measured: Mapping[str, Any], classifier: Mapping[str, float]) -> str:
    """The order of starts at each guidance, with the paired error of each difference."""
    rows = {(row["start"], row["guidance"]): row for row in measured["rows"]}
    parts = []
    for guidance in sorted({guidance for _, guidance in rows}):
        for better, worse in (("matched", "mean"), ("mean", "noise")):
            one, other = rows[better, guidance], rows[worse, guidance]
            repeats = np.subtract(other["frechet repeats"], one["frechet repeats"])
            parts.append(
                f"{worse} − {better} at {guidance:g}: {other['frechet'] - one['frechet']:+.1f} ± {2 * repeats.std():.1f}"
            )
    return (
        "Differences in Fréchet distance (± two standard errors, paired): "
        + "; ".join(parts)
        + f". The classifier behind the adherence is right on {classifier['background']:.2%} of backgrounds and {classifier['object']:.1%} of objects "
        f"of {classifier['held out']:.0f} pictures that it was not trained on."
    )


def stages_table(summary: Mapping[str, Any]) -> str:
    """Bias by stage."""
    prompts = list(summary["data"])
    lines = [
        [
            f"{row['prompt']}",
            row["model"],
            *(f"{row[name]:+.1f}" for name in ("noise", "mean", "exact", "of the start")),
        ]
        for row in sorted(summary["verdicts"]["stages"], key=lambda row: prompts.index(row["prompt"]))
    ]
    return table(["prompt", "model", "noise", "mean", "exact: the network's", "the start's"], lines)


def budgets(predicted: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """B8 by prompt and stage; the early one's curve is of the second run."""
    return {
        prompt: prediction["budget"] | {"early": budget_of(dict(second["curves"]), prompt)["early"]}
        for prompt, prediction in predicted["prompts"].items()
    }


def budget_table(
    laws: Mapping[str, Any], every: Mapping[str, Mapping[str, Any]], stages: Sequence[str] = ("end",)
) -> str:
    """B8 in nats, prompt by prompt: what each start misses, what the steps miss, and what the network adds at each stage.

    Args:
        laws: by prompt, with the `law` of each start.
        every: by prompt and stage, as `budget_of` tells it.
        stages: that are shown, the last of them in full.
    """
    lines = []
    for prompt, budget in every.items():
        law, last = laws[prompt]["law"], budget[stages[-1]]
        starts = [
            f"{law[name]['nats low']:.1f} to {law[name]['nats high']:.1f}" for name in ("noise", "mean", "matched")
        ]
        steps = [f"{last['discretisation']:.1f}", f"{last['discretisation by its own loss']:.0f}"]
        network = [f"{budget[stage]['network']:,.0f}" for stage in stages]
        lines.append([prompt or "(none)", *starts, *steps, *network, f"{last['network, first ten steps']:.0f}"])
    named = ["network"] if len(stages) == 1 else [f"network, {stages[0]}", *stages[1:]]
    head = ["prompt", "noise", "mean", "matched", "50 steps", "by its own loss", *named, "its first ten steps"]
    return table(head, lines)


def budget_text(predicted: Mapping[str, Any], second: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> str:
    """The budget on OpenMoji and what it says."""
    every = budgets(predicted, second)
    return (
        "The error budget B8 of ancestral steps on the same grid, in nats: initial mismatch of each start (Gaussian fit to C5's bound), discretisation (B4) by the exact denoiser's curve and by the trained model's own loss in its place, and the network by "
        "its loss curve.\n\n"
        + budget_table(predicted["prompts"], every, STAGES)
        + f"\n\n{_ranking(every, stages)} {_own_loss(every)} The budget does "
        "not predict the bias from noise in levels, and cannot: its expectations are over noised data, and from noise alone the network is evaluated at points where there are hardly any noised data. "
        "There it reads the grey of the noise as the picture's, which no exact denoiser would."
    )


def _ranking(every: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> str:
    """Whether the network's term falls with training, and with it the bias from the exact start."""
    falls = [[budget[stage]["network"] for stage in STAGES] for budget in every.values()]
    bias = {(row["prompt"], row["model"]): abs(row["exact"]) for row in stages}
    fixed = [[bias[prompt, stage] for stage in STAGES] for prompt in every if "background" in prompt]
    right, along = (sum(a > b > c for a, b, c in rows) for rows in (falls, fixed))
    return (
        f"The budget puts the three stages in the right order on {right} of {len(falls)} prompts: the network's term falls from stage to stage. Where the prompt fixes the brightness, so does the bias from the "
        f"exact start, on {along} of {len(fixed)} prompts. Most of that term lies in the last steps, where details are drawn; the first ten, which decide the brightness, have few nats of it."
    )


def _own_loss(every: Mapping[str, Any]) -> str:
    """B4 with the model's loss in the place of the mmse."""
    exact, own = (
        [budget["end"][name] for budget in every.values()]
        for name in ("discretisation", "discretisation by its own loss")
    )
    return (
        f"Fifty exact reverse kernels are within {max(exact):.1f} nats of Gaussians in all; by its own loss the model would put them {min(own):.0f} to {max(own):.0f} nats away, "
        "for it counts its errors as uncertainty of the data."
    )


def predicted_text(predicted: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """C7 and the exact denoiser beside the model."""
    rows = {
        (row["start"], row["prompt"]): row
        for row in summary["rows"]
        if (row["model"], row["guidance"], row["sampler"], row["steps"]) == ("end", 1.0, "DDIM", 50)
    }
    lines = []
    for prompt, prediction in predicted["prompts"].items():
        for start, name in (
            ("noise", "noise"),
            ("mean", "mean closed"),
            ("matched", "matched closed"),
            ("exact", "exact"),
        ):
            law, exact, row = prediction["law"].get(start), prediction["exact"].get(start), rows[name, prompt]
            both = [f"{one['mean']:.0f} ± {one['std']:.0f}" if one else "" for one in (law, exact, row)]
            lines.append([prompt, start, *both])
    return (
        "Brightness at guidance 1: C7's law for Gaussian data of the prompt's mean and covariance, the exact denoiser of the "
        "prompt's pictures in the place of the network, and the trained model.\n\n"
        + table(["prompt", "start", "C7", "exact denoiser", "trained"], lines)
        + f"\n\n{_agreement(predicted)} Where the prompt fixes it, the exact denoiser "
        "knows the answer at every step and needs no start; the trained one does not, and takes the start's brightness for the picture's: that "
        "part is network error, and the right start hides it."
    )


def _agreement(predicted: Mapping[str, Any]) -> str:
    """How far the exact denoiser's spread ratios are from the law's, where the brightness is open."""
    opened = {
        prompt: one
        for prompt, one in predicted["prompts"].items()
        if len(one["exact"]) == 4 and "background" not in prompt
    }
    off = {
        (prompt, start): abs(one["exact"][start]["ratio"] - one["law"][start]["ratio"])
        for prompt, one in opened.items()
        for start in ("noise", "mean", "matched")
    }
    near = sum(value <= 0.1 for value in off.values())
    missed = [f"“{prompt}” from {start}, by {value:.2f}" for (prompt, start), value in off.items() if value > 0.1]
    failures = f"not met for {'; '.join(missed)}: its data are four points and no Gaussian" if missed else "met"
    return (
        f"Where the prompt leaves the brightness open, law, exact denoiser and model lose nearly the same share of the spread: the exact denoiser's ratio is within 0.1 of the "
        f"law's in {near} of {len(off)} cases. Target: all of them; {failures}."
    )


def ends_text(curves: Mapping[str, Any]) -> str:
    """Numbers at the two ends."""
    names = {"ε": "twin epsilon", "v": "twin v", "x": "twin x", "v, zero terminal SNR": "twin v-zero-snr"}
    timesteps, gains = curves["timesteps"], np.asarray(curves["snr"]["end"]) ** -0.5
    shown = [0, 1, 501, 981, 999]
    lines = []
    for label, name in names.items():
        mean = np.mean([tables[name]["error2"] for tables in curves["prompts"].values()], axis=0)
        lines.append([label, *(f"{mean[timesteps.index(t)]:.3g}" for t in shown)])
    return (
        table(["prediction", *(f"t = {t}" for t in shown)], lines)
        + f"\n\nAs C2 says, an error δ in ε enters the picture as σ/α δ: ×{gains[-1]:.1f} at the last timestep, ×{gains[0]:.2f} at the first. So ε is the worst at t → 1 and "
        "the best at t → 0, x the other way round, and v does well at both ends."
    )

"""The ladder page's sections beside the core: factors, samples of three predictions, the collapse at t → 0, digits and Fashion-MNIST, reruns."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from docs.experiments.data.captioned import digits
from docs.experiments.ladder.page.tables import budget_table, table
from docs.experiments.ladder.predict import budget_of
from docs.experiments.ladder.small import verdicts
from docs.experiments.model.draw import plain_sampler
from docs.experiments.script.result import present, runs_of

Row = Mapping[str, Any]
SIDE = inspect.signature(digits).parameters["side"].default
"""Side of the digits' pictures, in pixels."""
_PLAIN = {"sampler": "DDIM", "steps": 50, "guidance": 3.0, "rule": "normalised"}
"""What a factor is changed from."""


def variant(row: Row) -> str | None:
    """The name of the one thing in which a row is not `_PLAIN`; None for other rows."""
    changed = {name: row[name] for name, usual in _PLAIN.items() if row[name] != usual}
    if row["model"] != "end" or len(changed) > 1 or "rule" in changed or row["sampler"] == "DDIM trailing":
        return None
    if not changed:
        return "DDIM, 50 steps, guidance 3"
    [(name, value)] = changed.items()
    return str(value) if name == "sampler" else f"{value} steps" if name == "steps" else f"guidance {value:g}"


VARIANTS = (
    "DDIM, 50 steps, guidance 3",
    "Euler",
    "DPM++",
    "PNDM",
    "10 steps",
    "25 steps",
    "100 steps",
    "guidance 1",
    "guidance 10",
)


def factor_rows(rows: Sequence[Row], prompts: Sequence[str]) -> dict[tuple[str, str, str], Row]:
    """By variant, start and prompt."""
    cells = {}
    for row in rows:
        name = variant(row)
        if name in VARIANTS and row["prompt"] in prompts:
            cells[name, row["start"], row["prompt"]] = row
    return cells


def factor_prompts(rows: Sequence[Row]) -> list[str]:
    """The prompts of the factors, in order."""
    return list(dict.fromkeys(row["prompt"] for row in rows if row["sampler"] == "Euler"))


def factors_text(summary: Mapping[str, Any]) -> str:
    """Bias and spread of each variant, and what holds in all of them."""
    rows, prompts = summary["rows"], factor_prompts(summary["rows"])
    by, kinds = factor_rows(rows, prompts), {prompt: summary["data"][prompt]["kind"] for prompt in prompts}
    fixed, opened = ([p for p in prompts if kinds[p] == kind] for kind in ("fixed", "open"))
    lines, spreads, narrow = [], [], []
    worse = [
        (name, p)
        for name in VARIANTS
        for p in fixed
        if abs(by[name, "mean", p]["bias"]) > abs(by[name, "noise", p]["bias"])
    ]
    cases = len(VARIANTS) * len(fixed)
    beside = "; ".join(
        f"not on “{p}” with {name}, where guidance takes the brightness past the data's and the grey that noise leaks pulls it back"
        for name, p in worse
    )
    for name in VARIANTS:
        numbers = [f"{by[name, start, p]['bias']:+.1f}" for p in fixed for start in ("noise", "mean", "matched")]
        ratios = [by[name, start, p]["ratio"] for p in opened for start in ("noise", "mean", "matched")]
        spreads += ratios[2::3]
        narrow += ratios[::3]
        lines.append([name, *numbers, *(f"{ratio:.2f}" for ratio in ratios)])
    head = ["", *(f"{_short(p)}: {start}" for p in prompts for start in ("noise", "mean", "matched"))]
    return (
        table(head, lines)
        + f"\n\nIn {cases - len(worse)} of {cases} cases of a fixed prompt the mean start is nearer to the data than noise{beside and ': ' + beside}. Where the brightness is open the "
        f"spread ratio from noise is {min(narrow):.2f} to {max(narrow):.2f}, and from the matched start with its trained average image {min(spreads):.2f} to {max(spreads):.2f}. "
        f"No sampler and no number of steps cures what the start lacks. {firsts_text()} Much guidance covers it up."
    )


def firsts_text() -> str:
    """Where the samplers of the variants begin, by their own default timesteps."""
    first = {(name, steps): int(plain_sampler(name, steps).timesteps[0]) for name in ("DDIM", "PNDM", "Euler", "DPM++") for steps in (10, 50)}  # fmt: skip
    by: dict[int, list[str]] = {}
    for (name, steps), t in first.items():
        if steps == 50:
            by.setdefault(t, []).append(name)
    begin = " and ".join(f"{' and '.join(names)} at t = {t}" for t, names in by.items())
    return f"Fewer of DDIM's steps make it worse, since they begin at a smaller timestep: 10 at t = {first['DDIM', 10]}. With 50 steps and their own default timesteps the samplers begin so: {begin}."


def _short(prompt: str) -> str:
    words = {"solid black background": "black", "monochrome line-art logo on a white background": "line art on white"}
    return words.get(prompt, prompt)


def rules_text(summary: Mapping[str, Any]) -> str:
    """Three rules by which guidance acts on the average image."""
    rows = {
        (row["rule"], row["prompt"], row["guidance"]): row
        for row in summary["rows"]
        if row["model"] == "end" and row["start"] == "mean" and row["sampler"] == "DDIM" and row["steps"] == 50
    }
    prompts = factor_prompts(summary["rows"])
    lines = []
    for guidance in (3.0, 7.5):
        for rule in ("normalised", "none", "plain"):
            some = [rows[rule, prompt, guidance] for prompt in prompts]
            levels = [f"{row['mean']:.0f} ± {row['std']:.0f}" for row in some]
            lines.append([f"{rule}, guidance {guidance:g}", *levels, f"{some[1]['adherence']['object']:.2f}"])
    lines.append(
        ["data", *(f"{summary['data'][p]['mean']:.0f} ± {summary['data'][p]['std']:.0f}" for p in prompts), ""]
    )
    lost = rows["plain", prompts[1], 7.5]["adherence"]["object"]
    kept = rows["normalised", prompts[1], 7.5]["adherence"]["object"]
    return (
        table(["rule", *map(_short, prompts), "line art recognised"], lines)
        + f"\n\nC8 in pictures: the plain rule `u + w (c − u)` overshoots the mean of “{prompts[1]}” until nothing but white is drawn; at guidance 7.5 the classifier finds the line art in "
        f"{lost:.0%} of its pictures, against {kept:.0%} with the normalised rule. Leaving guidance out of the average image (“none”) does as well here: where `u` is nearly "
        "grey, dividing by w changes little."
    )


def twins_text(rows: Sequence[Row]) -> str:
    """Bias from noise and from the mean for each prediction, on the fixed prompts."""
    names = {"ε": "twin epsilon", "v": "twin v", "x": "twin x", "v, zero terminal SNR": "twin v-zero-snr"}
    by = {(row["model"], row["start"], row["prompt"]): row for row in rows if row["model"] in names.values()}
    prompts = list(dict.fromkeys(prompt for _, _, prompt in by))
    fixed = [prompt for prompt in prompts if "background" in prompt]
    opened = [prompt for prompt in prompts if prompt not in fixed]
    lines = []
    for label, name in names.items():
        cells = []
        for start in ("noise", "mean closed", "exact"):
            some = [abs(by[name, start, p]["bias"]) for p in fixed if (name, start, p) in by]
            cells.append(f"{np.mean(some):.1f}" if some else "")
        for start in ("noise", "matched closed", "exact"):
            some = [by[name, start, p]["ratio"] for p in opened if (name, start, p) in by]
            cells.append(f"{np.mean(some):.2f}" if some else "")
        lines.append([label, *cells])
    head = ["prediction", "bias: noise", "mean", "exact", "spread: noise", "matched", "exact"]
    return table(head, lines)


def collapse_text(measured: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """How near the last pictures are to the nearest of the training set."""
    lines, copied = [], {}
    for prompt, denoisers in measured["prompts"].items():
        exact, trained = denoisers["exact denoiser"], denoisers["trained model"]
        stages = {
            row["model"]: row
            for row in rows
            if (row["start"], row["prompt"], row["guidance"], row["rule"], row["sampler"], row["steps"])
            == ("exact", prompt, 1.0, "normalised", "DDIM", 50)
        }
        shares = [f"{stages[stage]['near duplicates']:.0%}" for stage in ("early", "middle", "end")]
        distances = [f"{one['nearest'][-1]:.3f}" for one in (exact, trained)]
        chosen = next(t for t, d in zip(measured["timesteps"], exact["nearest"], strict=True) if d < measured["near"])
        copied[prompt] = stages["end"]["near duplicates"]
        lines.append([prompt, *distances, str(chosen), f"{exact['near duplicates'][-1]:.0%}", *shares])
    head = [
        "prompt",
        "distance: exact",
        "trained",
        "exact: a copy from t =",
        "near duplicates: exact",
        "early",
        "middle",
        "end",
    ]
    most = max(copied, key=lambda prompt: copied[prompt])
    return (
        table(head, lines)
        + f"\n\n*Median distance of the last `x̂` to the nearest training picture (root mean square, of a range of 2), {measured['n']} samples; and the share under {measured['near']} of 256 samples of each stage of training, "
        "exact start, guidance 1.*\n\nThe exact denoiser has chosen its training picture within the first ten steps, and ends on it, always (D1). The trained model comes nearer for a while and stays at a "
        f"distance: it mixes what it has seen. Copies appear with training and where a prompt has few pictures; at the end “{most}”, with four, has most: {copied[most]:.0%}."
    )


def small_table(cells: Sequence[Row], predicted: Mapping[str, Any]) -> str:
    """Brightness from each start, with the data's and C7's."""
    starts = ("noise", "mean closed", "matched closed", "statistics", "exact")
    table_of: dict[tuple[str, float], dict[str, Row]] = {}
    for cell in cells:
        table_of.setdefault((cell["prompt"], cell["guidance"]), {})[cell["start"]] = cell
    lines = []
    for (prompt, guidance), row in table_of.items():
        law, exact = predicted[prompt]["law"]["noise"], predicted[prompt].get("exact", {}).get("noise")
        data = f"{row['noise']['truth mean']:.0f} ± {row['noise']['truth std']:.0f}"
        levels = [f"{row[start]['mean']:.0f} ± {row[start]['std']:.0f}" for start in starts]
        theory = [f"{one['mean']:.0f} ± {one['std']:.0f}" if one else "" for one in (law, exact)]
        lines.append([prompt or "(none)", f"{guidance:g}", data, *levels, *theory])
    head = ["prompt", "guidance", "data", "noise", "mean", "matched", "statistics", "exact start"]
    return table([*head, "C7 from noise", "exact denoiser from noise"], lines)


def small_budget_text(result: Mapping[str, Any]) -> str:
    """B8 of a small model from its loss curve, beside its bias in levels."""
    every = {prompt: budget_of(result["curves"], prompt) for prompt in result["curves"]["prompts"]}
    noise = [result["predicted"][prompt]["law"]["noise"]["nats low"] for prompt in every]
    first, network = (
        [budget["end"][name] for budget in every.values()] for name in ("network, first ten steps", "network")
    )
    off = {
        start: max(
            abs(cell["mean"] - cell["truth mean"])
            for cell in result["cells"]
            if cell["start"] == start and cell["guidance"] == 1
        )
        for start in ("noise", "mean closed", "exact")
    }
    in_nats, in_levels = sum(noise) > sum(first), off["noise"] > 2 * off["exact"]
    fault = {True: "the start is the larger fault", False: "the network is the larger fault"}
    agreed = (
        f"in levels as well {fault[in_levels]}"
        if in_nats == in_levels
        else f"in levels {fault[in_levels]}, for the budget's expectations are over noised data, and from noise alone the network is evaluated at points where there are hardly any noised data"
    )
    return (
        "The error budget B8 of 50 ancestral steps in nats, as on the first page, from the model's own loss curve:\n\n"
        + budget_table(result["predicted"], every)
        + f"\n\nThe network's term is by far the largest, {min(network):,.0f} to {max(network):,.0f} nats, and lies in the last steps. In the first ten, which decide the brightness, it is {min(first):.1f} to {max(first):.1f} nats, "
        f"and noise in the place of the exact start costs at least {min(noise):.1f} to {max(noise):.1f}: {fault[in_nats]}. Measured, the brightness is off by up to {off['exact']:.0f} levels from the exact start, which leaves the network's error alone, "
        f"by {off['mean closed']:.0f} from the mean and by {off['noise']:.0f} from noise: {agreed}."
    )


def digits_text(result: Mapping[str, Any]) -> str:
    """What the cells of the digits say."""
    held = verdicts(result["cells"])
    parts = {
        name: [value for key, value in held.items() if key.endswith(name)]
        for name in (": bias", "exact start", ": spread")
    }
    training, side = result["training"], SIDE
    kept = [one["law"]["noise"]["ratio"] for prompt, one in result["predicted"].items() if "background" not in prompt]
    return (
        f"{training['weights of the U-Net']:,} weights after {training['steps']} steps of {training['batch']} hardly read their prompt yet: from noise, “on a black background” is any grey. The mean start takes away most of that, "
        f"the bias is cured in {sum(parts[': bias'])} of {len(parts[': bias'])} cells, and measured from the exact start in {sum(parts['exact start'])} of {len(parts['exact start'])}: what is left is the network's. "
        f"Where no background is named, the matched start's deviation is nearer to the exact start's than the mean start's in {sum(parts[': spread'])} of {len(parts[': spread'])}. "
        f"C7 predicts that noise keeps {min(kept):.0%} of their spread: at {side}×{side} less is lost than at 32×32, because the loss grows with the number of pixels. {_time_text(result)}"
    )


def _time_text(result: Mapping[str, Any], target: int = 120) -> str:
    """The time that the digits took, beside the target of two minutes on two cores."""
    wall, processor = result["seconds"], result["processor seconds"]
    threads = result["device"].rpartition(", ")[2].replace("1 threads", "one thread")
    load = "" if result["load"] is None else f" under a load of {result['load']:.1f} processes"
    shared = f"{threads} on {result['processors']} processors{load}"
    took = f"All of it took {wall:.0f} s ({shared}), training {result['training']['seconds']:.0f} s of it, and {processor:.0f} s of processor time"
    if wall <= target:
        return f"{took}. Target: {target} s; met."
    return f"{took}. Target: {target} s on two idle cores; not met here. The processor time alone is {processor / 2:.0f} s on each of two."


def foreign_text(rows: Sequence[Row], cells: Sequence[Row]) -> str:
    """Means of other data in the place of the model's own."""
    lines = [
        [
            row["prompt"] or "(none)",
            row["mean of"],
            f"{row['its brightness']:.0f}",
            f"{row['truth']:.0f}",
            f"{row['predicted mean']:.0f}",
            f"{row['mean']:.0f}",
            f"{row['nats']:.2f}",
        ]
        for row in rows
    ]
    noise = {cell["prompt"]: cell["mean"] for cell in cells if cell["start"] == "noise"}
    off = max(abs(row["predicted mean"] - row["mean"]) for row in rows)
    grey = max(abs(row["mean"] - noise[row["prompt"]]) for row in rows if row["mean of"].endswith("white"))
    return (
        table(["prompt", "mean of", "its brightness", "data", "C7", "measured", "cost in nats (C6)"], lines)
        + f"\n\nC7 says within {off:.0f} levels where each mean ends up, before anything is drawn. The mean of digits on black makes the pictures too dark; that of digits on three backgrounds is grey, "
        f"and with it they come out as bright as from noise, within {grey:.0f} levels: the wrong average image is as bad as none."
    )


_UNTOLD = ("cells", "plan")
"""Parts that are no result of their own."""


def runs_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Which command made what, and on which device, of results by name."""
    lines = [
        [
            name,
            ", ".join(part for part in run["parts"] if part not in _UNTOLD),
            run["device"],
            f"`{present(run['command'])}`",
        ]
        for name, result in results.items()
        for run in runs_of(result)
    ]
    return table(["", "parts", "device", "command"], lines)


_VERDICTS = {
    "fixed: holds": "the bias is cured where the prompt fixes the brightness",
    "fixed: holds beside exact": "the same, measured from the exact start",
    "open: spread holds": "the spread ratio is near 1 where the prompt leaves it open",
    "open: distance holds": "the distance is closed there",
    "never worse": "matched is no worse than noise",
}
"""In words, the verdicts that a second run is asked for."""


def reruns_text(again: Mapping[str, Any], rerun: Mapping[str, Any]) -> str:
    """What a second run says."""
    apart = again["largest difference of a mean"]
    near = f"and means of brightness within {apart:.2g} levels" if apart else "and the same brightness to all digits"
    counts = "; ".join(f"{_VERDICTS[name]}, {same} of {of}" for name, (same, of) in rerun["same verdicts"].items())
    return (
        f"The digits, run again from a clean clone, give {again['same']} of {again['of']} verdicts again, {near}. "
        f"On OpenMoji {rerun['cells']} cells at guidance 1.5 and 3 were drawn again from the committed weights, by the same program on a device of the same kind: the largest difference of a mean is "
        f"{rerun['largest difference of a mean']:.1g} levels. With these in the place of the first run's, verdicts that stay the same: {counts}."
    )

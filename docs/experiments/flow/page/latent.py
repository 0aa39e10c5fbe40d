"""What latents show on the page of flows: the autoencoder's own floor, F6 said before and measured since, and where the gain ends."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.keep import ours
from docs.experiments.flow.latent.judge import RECONSTRUCTED
from docs.experiments.flow.page.ranks import ranks_text, unguided_text
from docs.experiments.flow.page.resolution import MATCHED, Border
from docs.experiments.flow.page.results import ERROR, MAIN, Change, Results, border, changes, committed
from docs.experiments.flow.page.runs import run_lines
from docs.experiments.flow.page.tables import folded, listed, table
from docs.experiments.flow.page.targets import Target
from docs.experiments.flow.page.verdicts import agreement_text, best_again_text, best_text, differences
from docs.experiments.flow.predict import brightness_kept
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.flow.ways import EVERY
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

LATENT = FOLDER / "latent"
"""The folder of the results in latents, as `keep` lays them down; those of the ε twin are in `epsilon` below it."""
OURS = "UniPC matched, statistics, rank 64"
CORRECTED = "Euler corrected, network mean, statistics, rank 64"
COMPARED = (OURS, CORRECTED, "Euler matched, statistics, rank 64", "DPM++ 2M matched, statistics, rank 64")
TWIN = ("DDIM matched, rank 64", "DDIM corrected, rank 64", "DPM++ 2M matched, rank 64", "UniPC matched, rank 64")
NOISE, MEAN = "DDIM from noise", "DDIM from the mean"
VAE = LATENT / "vae"
"""The committed autoencoder (CC BY-SA 4.0, trained on OpenMoji)."""
_MOST, _SMALL = 400, (3, 32, 32)


def read(folder: Path = LATENT) -> Results:
    """The results of the flow in latents."""
    return Results.read(folder)


def read_second(folder: Path = LATENT / "second") -> Results | None:
    """The run with another seed of samples; None where none was kept."""
    return read(folder) if (folder / "measured.json").is_file() else None


def trained(folder: Path = LATENT) -> dict[str, Any]:
    """The record of the training."""
    return committed("train", folder)["flow-train-latent"]


# --- the autoencoder --------------------------------------------------------------------------------------------------


def autoencoder_text(results: Results, made: dict[str, Any]) -> str:
    """How good the reconstructions are, and what of every later figure is theirs."""
    content, again, floor = made["autoencoder"], made["reconstructions"], results.content["floor"]
    metrics = [name for name in floor["pictures"] if name != RECONSTRUCTED]
    rows = [[name, f"{floor['pictures'][name]:.2f}", f"{floor['reconstructions'][name]:.2f}"] for name in metrics]
    prompts = [
        [prompt, f"{one['bias']:+.2f}", "" if one["ratio"] is None else f"{one['ratio']:.3f}"]
        for prompt, one in floor["prompts"].items()
    ]
    return "\n\n".join(
        [
            f"The pictures are those of the demonstrator at 128×128. An `AutoencoderKL` of {content['parameters'] / 1e6:.1f} million weights, trained on them for {content['seconds']:.0f} s ({content['steps']:,} steps of "
            f"{content['batch']}), makes latents of {_size()}; their scaling factor, one over their standard deviation, is {content['scaling factor']:.3f}. "
            f"Reconstructions have a PSNR of {again['PSNR']:.1f} dB ({again['PSNR of the worst hundredth']:.1f} in the worst hundredth). Their brightness is off by {again['brightness error']:.2f} levels and varies "
            f"{again['brightness ratio']:.3f} times as much as the pictures'; true black comes back at {again['black error']:+.2f} and true white at {again['white error']:+.2f} levels from it.",
            "What the autoencoder costs by itself, before any flow: the distances of as many pictures as are compared below, drawn at random from the data, and of their reconstructions.",
            table(["distance to the data", "pictures", "reconstructions"], rows),
            folded(
                "Brightness of each prompt's reconstructions",
                table(["prompt", "bias, levels", "spread ratio"], prompts),
            ),
        ]
    )


def _size() -> str:
    """The size of the latents, from the configuration of the committed autoencoder."""
    side, channels = _shape()
    return f"{side}×{side} in {channels} channels, d = {_dimension():,}"


def _shape() -> tuple[int, int]:
    content = json.loads((VAE / "config.json").read_text(encoding="utf-8"))
    return content["sample_size"] // 2 ** (len(content["block_out_channels"]) - 1), content["latent_channels"]


def _dimension() -> int:
    side, channels = _shape()
    return channels * side**2


# --- F6 -----------------------------------------------------------------------------------------------------------------


def said(content: dict[str, Any]) -> dict[tuple[int, float], float]:
    """What was expected of brightness, by steps and shift."""
    return {(row["steps"], row["shift"]): row["brightness"] for row in content["expected"]}


def prediction_table(results: Results, made: dict[str, Any]) -> str:
    """Brightness by steps and shift: said before, by the exact denoiser, by the network."""
    network = {(row["steps"], row["shift"]): row for row in results.content["prediction"]["network"]}
    exact = {(row["steps"], row["shift"]): row["brightness"] for row in results.content["prediction"]["exact"]}
    rows = []
    for (steps, shift), before in sorted(said(made).items(), key=lambda one: (one[0][1], one[0][0])):
        row = network.get((steps, shift))
        if row is not None:
            cells = [before, exact[steps, shift], row["brightness"], row["law"][0], row["network"][0]]
            rows.append([f"{shift:g}, {steps}", *(f"{one:.3f}" for one in cells)])
    head = ["shift, steps", "F6, predicted before", "exact denoiser", "network, decoded", "law, first component", "network, first component"]  # fmt: skip
    return table(head, rows)


def departures(results: Results, made: dict[str, Any]) -> list[float]:
    """The network's brightness over what was said before, wherever both are there."""
    before = said(made)
    return [
        row["brightness"] / before[row["steps"], row["shift"]]
        for row in results.content["prediction"]["network"]
        if (row["steps"], row["shift"]) in before
    ]


def prediction_text(results: Results, small: Results, made: dict[str, Any]) -> str:
    """The verdict on F6 in latents."""
    share, lam = made["brightness shares"], made["eigenvalues"]
    ratios = departures(results, made)
    close = sum(abs(one - 1) <= 0.15 for one in ratios)
    scale = _dimension() / math.prod(_SMALL)
    there = small.content["prediction"]["eigenvalues"][0]
    return "\n\n".join(
        [
            f"The first eigenvalues of the latents are {', '.join(f'{one:.0f}' for one in lam[:4])}. From 32×32 alone, λ ∝ d (F6) says {there * scale:.0f} for the first: {there:.0f} there, times {scale:.2f} for the larger d. That is {there * scale / lam[0] - 1:+.0%} off. "
            f"Brightness of the decoded pictures is linear in the latents to {sum(share):.1%} of its variance, {share[0]:.0%} of it along the first component and {sum(share[:4]):.0%} along the first four. From the "
            "latents' eigenvalues alone, before anything was drawn, the training wrote down what Euler's steps keep of the standard deviation of brightness (F1, F6):",
            prediction_table(results, made),
            f"*Standard deviation over the data's; empty prompt, {results.content['amounts']['no prompt']:,} samples; brightness is read from decoded pictures; the exact denoiser is that of the data's latents.*\n\nThe network keeps {min(ratios):.2f} to "
            f"{max(ratios):.2f} times what was predicted, within 15% in {close} of {len(ratios)} cells{'' if close == len(ratios) else ': it does not keep the law'}. Where the exact denoiser leaves the law too, the cause is that the latents are not Gaussian:",
            _apart(results, made),
        ]
    )


def _apart(results: Results, made: dict[str, Any]) -> str:
    """By how many of Euler's steps the network and the exact denoiser leave the law."""
    before = said(made)
    rows = {
        "the network": {
            (row["steps"], row["shift"]): row["brightness"] for row in results.content["prediction"]["network"]
        },
        "the exact denoiser": {
            (row["steps"], row["shift"]): row["brightness"] for row in results.content["prediction"]["exact"]
        },
    }
    body = []
    for steps in sorted({key[0] for key in rows["the network"] if key in before}):
        kept = [[one[key] / before[key] for key in one if key[0] == steps and key in before] for one in rows.values()]
        body.append([str(steps), *(f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "–" for ratios in kept)])
    return table(["steps", *(f"{name}, over what was predicted" for name in rows)], body)


def law_brightness(content: dict[str, Any], steps: int, shift: float) -> float:
    """By the law, from eigenvalues and the shares of brightness."""
    lam = torch.tensor(content["eigenvalues"], dtype=torch.float64)
    kept = spread_kept(RectifiedFlow(), shifted_grid(steps, shift), lam)
    return brightness_kept(kept, torch.tensor(content["brightness shares"], dtype=torch.float64))


def predicted_border(made: dict[str, Any], small: Results, steps: int, shift: float = 3.0) -> int:
    """At how many of Euler's steps as much of brightness is kept in latents as at 32×32 by so many, by the law."""
    first = torch.tensor(small.content["prediction"]["eigenvalues"][:1], dtype=torch.float64)
    there = float(spread_kept(RectifiedFlow(), shifted_grid(steps, shift), first))
    return next((n for n in range(1, _MOST) if law_brightness(made, n, shift) >= there), _MOST)


def border_of(results: Results, small: Results, made: dict[str, Any]) -> Border:
    """Where the gain ends at 32×32, where that is by the law in latents, and where it ends there."""

    def of(one: Results, way: str) -> int:
        return border([row for row in changes(one, [way], MAIN[:1]) if row.guidance == 1])

    before = of(small, MATCHED[1])
    drawn = sorted({row.budget for row in changes(results, [OURS], MAIN[:1]) if row.guidance == 1})
    return Border(before, predicted_border(made, small, before), of(results, OURS), drawn)


def verdict(one: Border) -> str:
    """Whether the gain ends at the last drawn number of evaluations up to the predicted one; where it does not end, that is said."""
    last = max(one.drawn, default=0)
    if one.now == last and one.said >= last:
        return "beyond what was drawn, which agrees with that but is no test of it"
    if one.agrees:
        return "as predicted"
    return "later than predicted" if one.now > one.expected else "earlier than predicted"


def border_text(results: Results, small: Results, made: dict[str, Any]) -> str:
    """Where the gain ends, beside where F6 says so."""
    one = border_of(results, small, made)
    return (
        f"At 32×32 the gain at guidance 1 is beyond the interval up to {one.before} evaluations in {MAIN[0]}. By the law Euler keeps as much of brightness there as with {one.said} steps in latents. "
        f"Measured in latents, around the network's own mean and with the prompt-free spread of the latents: beyond the interval up to {one.now}; drawn were {listed([str(n) for n in one.drawn])}. "
        f"So the gain ends **{verdict(one)}**."
    )


def target(results: Results, small: Results, made: dict[str, Any], second: Results | None = None) -> Target:
    """The law's border, for the table of targets; not decided where the gain does not end within what was drawn, not met where a second run says otherwise."""
    one = border_of(results, small, made)
    other = None if second is None else border_of(second, small, made)
    met = None if verdict(one).startswith("beyond") else one.agrees and (other is None or other.agrees)
    statement = f"the same in latents of 128×128, by the law from their eigenvalues ({MAIN[0]})"
    return Target(statement, one.outcome + ("" if other is None else other.again), met)


def first_sentence(results: Results, small: Results, made: dict[str, Any]) -> str:
    """For the first paragraph of the page."""
    one = border_of(results, small, made)
    four = [row for row in changes(results, [OURS], MAIN[:1]) if (row.guidance, row.budget) == (1, 4)]
    content = f" ({four[0].before:.0f} without and {four[0].after:.0f} with it at 4 evaluations)" if four else ""
    return (
        f"**In latents**, 128×128 pictures through an autoencoder, the gain at guidance 1 is beyond the interval up to {one.now} evaluations{content}, of {listed([str(n) for n in one.drawn])} that were drawn. "
        f"Predicted was a gain up to {one.said} evaluations: it ends {verdict(one)}."
    )


# --- cells ------------------------------------------------------------------------------------------------------------


def metrics_of(results: Results) -> list[str]:
    """The distances of its cells."""
    every = dict.fromkeys(name for pair in results.pairs.values() for name in pair["errors"])
    return [name for name in every if name != "256 components"]


def _counted(rows: Sequence[Change]) -> str:
    counts = [sum(row.verdict == one for row in rows) for one in ("better", "undecided", "worse")]
    return f"better in {counts[0]}, undecided in {counts[1]}, worse in {counts[2]} of {len(rows)}"


def changes_text(results: Results, ways: Sequence[str]) -> str:
    """Beside the same solver without it: counts of these ways by guidance, and every change of all that were drawn."""
    drawn = [way for way in dict.fromkeys(way for way, _, _ in results.cells) if ours(way)]
    rows = changes(results, drawn, metrics_of(results))
    lines = []
    for guidance in sorted({row.guidance for row in rows}):
        for way in ways:
            mine = [row for row in rows if (row.guidance, row.mine) == (guidance, way) and row.metric != RECONSTRUCTED]
            if mine:
                lines.append(f"- Guidance {guidance:g}, {way} beside {mine[0].plain}: {_counted(mine)}.")
    body = [
        [f"{one.guidance:g}, {one.budget}", one.mine, one.metric, f"{one.before:.1f} → {one.after:.1f} ±{one.half:.1f}", one.verdict]
        for one in sorted(rows, key=lambda one: (one.guidance, one.budget, one.mine))
    ]  # fmt: skip
    head = ["guidance, evaluations", "way", "distance", "without → with", "verdict"]
    note = "Not counted are the distances to the reconstructions, which are almost those to the pictures."
    return "\n".join(lines) + f"\n\n{note}\n\n" + folded("Every change", table(head, body))


def cells_text(results: Results) -> str:
    """Every cell: distances, spread in open prompts, bias in fixed ones."""
    metrics, parts = metrics_of(results), []
    for guidance in sorted({key[1] for key in results.cells}):
        rows = []
        for budget in sorted({key[2] for key in results.cells if key[1] == guidance}):
            for (way, weight, number), cell in results.cells.items():
                if (weight, number) == (guidance, budget):
                    ratios = " ".join(f"{cell['prompts'][one]['ratio']:.2f}" for one in results.kinds("open"))
                    bias = " ".join(f"{cell['prompts'][one]['bias']:+.1f}" for one in results.kinds("fixed"))
                    distances = [f"{cell[name]:.1f}" if name in cell else "–" for name in metrics]
                    rows.append([f"{budget}, {way}", *distances, ratios, bias])
        head = ["evaluations, way", *metrics, "spread ratios, open prompts", "bias in levels, fixed prompts"]
        parts.append(folded(f"All cells in latents, guidance {guidance:g}", table(head, rows)))
    return "\n\n".join(parts)


def brightness_text(results: Results) -> str:
    """Spread and bias at few evaluations beside the autoencoder's own."""
    floor = results.content["floor"]["prompts"]
    rows = []
    for (way, guidance, budget), cell in results.cells.items():
        if guidance == 1 and budget == 4:
            ratios = [cell["prompts"][one]["ratio"] for one in results.kinds("open")]
            biases = [abs(cell["prompts"][one]["bias"]) for one in results.kinds("fixed")]
            rows.append([way, f"{min(ratios):.2f} to {max(ratios):.2f}", f"{max(biases):.1f}"])
    ratios = [floor[one]["ratio"] for one in results.kinds("open")]
    own = [
        "the autoencoder's own",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{max(abs(floor[one]['bias']) for one in results.kinds('fixed')):.1f}",
    ]
    return table(
        ["4 evaluations, guidance 1", "spread ratio, open prompts", "largest bias, fixed prompts"], [*rows, own]
    )


def _ranks(results: Results) -> str:
    return listed([str(rank) for rank in sorted({EVERY[way].rank for way, _, _ in results.cells if ours(way)})])


def _short(steps: int) -> str:
    """Said where it is trained less than the demonstrator."""
    there = committed("train")["flow-train"]["flow"]["steps"]
    return (
        ""
        if steps >= there
        else f" These are {steps / there:.0%} of the demonstrator's {there:,} steps, so its distances are farther from their floor, whichever way it is drawn."
    )


def again_text(results: Results, second: Results | None, small: Results, made: dict[str, Any]) -> str:
    """What a second run says of the same differences, and of the border; nothing where there is none."""
    if second is None:
        return ""
    one, other = (border_of(run, small, made) for run in (results, second))
    here, there = (differences(run, metrics_of(run)) for run in (results, second))
    return (
        f"{agreement_text(here, there, second.content['seed'])} In the {len(second.cells)} cells of that run the gain at guidance 1 in {MAIN[0]} is beyond the interval up to {other.now} evaluations, "
        f"of {listed([str(n) for n in other.drawn])} that were drawn; in the first run up to {one.now}. {best_again_text(results, second)}"
    )


def section(results: Results, small: Results, made: dict[str, Any], second: Results | None = None) -> str:
    """The flow's part of the page; `second` is a run with another seed of samples."""
    flow = made["flow"]
    runs = [made, results.content, *([] if second is None else [second.content])]
    return "\n\n".join(
        [
            autoencoder_text(results, made),
            f"The flow is the demonstrator's U-Net on these latents ({flow['steps']:,} steps of {flow['batch']}, {flow['seconds']:.0f} s); it reads the demonstrator's token states.{_short(flow['steps'])} No average image is trained "
            f"here: the first step is matched around the network's own output at t = 1, with the spread of all latents along their first {_ranks(results)} principal components.",
            prediction_text(results, small, made),
            border_text(results, small, made),
            brightness_text(results),
            f"Intervals are of differences from the same noise, {results.content['amounts']['captions']:,} samples of captions drawn from the data, and hold for all {results.compared} of this section at once (error {ERROR}).",
            best_text(results),
            changes_text(results, COMPARED),
            ranks_text(results),
            unguided_text(results),
            cells_text(results),
            again_text(results, second, small, made),
            "\n".join(map(run_lines, runs)),
        ]
    ).replace("\n\n\n\n", "\n\n")


def twin_brightness(results: Results) -> str:
    """Spread and bias from noise, the mean start and the matched one, without guidance, and what they say of a spread without prompts; nothing where not all three were drawn."""
    ways, rows, off = (NOISE, MEAN, TWIN[0]), [], {}
    drawn = [budget for budget in results.budgets(1.0) if all((way, 1.0, budget) in results.cells for way in ways)]
    for budget in drawn:
        for way in ways:
            ratios = results.of_prompts(way, 1.0, budget, "open", "ratio") or []
            off[way, budget] = max(results.of_prompts(way, 1.0, budget, "fixed", "bias") or [], key=abs)
            rows.append([f"{budget}, {way}", f"{min(ratios):.2f} to {max(ratios):.2f}", f"{off[way, budget]:+.1f}"])
    if not drawn:
        return ""
    head = ["steps, way, guidance 1", "spread ratio, open prompts", "largest bias, fixed prompts"]
    return (
        f"{table(head, rows)}\n\nWith {drawn[-1]} steps the worst of the prompts that fix the brightness is {off[NOISE, drawn[-1]]:+.0f} levels off from noise, {off[MEAN, drawn[-1]]:+.1f} from the mean and {off[TWIN[0], drawn[-1]]:+.1f} "
        "from the start that is widened by the spread of all latents. That spread knows no prompt: it is for prompts that leave the brightness open, and one that fixes it wants the mean alone, or a spread that knows prompts."
    )


def twin_section(results: Results, made: dict[str, Any]) -> str:
    """The ε twin's part: what the start costs there."""
    twin = made["epsilon"]
    lines = []
    for guidance, budget in sorted(results.pairs):
        noise, mine = (results.value(way, guidance, budget, MAIN[0]) for way in (NOISE, TWIN[0]))
        half = results.half(TWIN[0], NOISE, guidance, budget, MAIN[0])
        if noise is not None and mine is not None and half is not None:
            sure = "undecided" if abs(noise - mine) <= half else "better" if mine < noise else "worse"
            lines.append(
                f"- Guidance {guidance:g}, {budget} steps: DDIM from noise {noise:.1f}, matched {mine:.1f} ± {half:.1f} in {MAIN[0]}, **{sure}**."
            )
    parts = [
        f"The ε twin ({twin['steps']:,} steps of {twin['batch']}, {twin['seconds']:.0f} s, Stable Diffusion's betas and leading timesteps) starts where α is not 0. Its average image is the flow twin's first output for the "
        "prompt, one evaluation more; the spread is that of the latents.",
        "\n".join(lines),
        twin_brightness(results),
        best_text(results),
        changes_text(results, TWIN),
        cells_text(results),
        run_lines(results.content),
    ]
    return "\n\n".join(filter(None, parts))

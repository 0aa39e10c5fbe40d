"""What the flow page says of the cosine law beside the network (F1, F2), and of zero-init beside the mean start (F7), from the committed results."""

from collections.abc import Sequence
from typing import Any

from docs.experiments.flow.page.results import Results
from docs.experiments.flow.page.tables import folded, listed, table
from docs.experiments.flow.page.targets import FIRST, apart, explained, is_sure, off_slopes

STAGES = ("first", "very-early", "early", "middle", "end")


def prediction_text(results: Results) -> str:
    """Law, exact denoiser and network."""
    body = []
    rows = sorted({(one["shift"], one["steps"]) for one in results.content["prediction"]["network"]})
    for shift, steps in rows:
        line = [f"{shift:g}, {steps}"]
        for first, second in (("network", "law"), ("exact", "law"), ("network", "exact")):
            off = apart(results, steps, shift, first, second)
            line += [f"{sorted(off)[len(off) // 2]:+.0%}", f"{max(map(abs, off)):.0%}"]
        body.append(line)
    head = [
        "shift, steps",
        "network − law, median",
        "farthest",
        "exact − law, median",
        "farthest",
        "network − exact, median",
        "farthest",
    ]
    return folded(f"How far apart along the first {FIRST} components", table(head, body))


def prediction_reading(results: Results) -> str:
    """Where the law departs, and why."""

    def far(steps: int, first: str, second: str) -> float:
        return max(map(abs, apart(results, steps, 3.0, first, second)))

    many = max(one["steps"] for one in results.content["prediction"]["network"])
    brightness = apart(results, 6, 3.0, "network", "law")[0]
    exact = apart(results, 6, 3.0, "exact", "law")[0]
    measured = results.content["prediction"]
    last, end = (
        measured["components"][-1],
        next(one for one in measured["network"] if one["steps"] == many)["network"][-1],
    )
    return (
        f"Along the first {FIRST} components at shift 3, the exact denoiser of the same pictures is within {far(6, 'exact', 'law'):.0%} of the law with 6 steps, "
        f"{far(10, 'exact', 'law'):.0%} with 10 and {far(50, 'exact', 'law'):.0%} with 50. That much is the data's, which are no Gaussian. The network is off the exact "
        f"denoiser by {far(6, 'network', 'exact'):.0%}, {far(10, 'network', 'exact'):.0%} and {far(50, 'network', 'exact'):.0%}, and by {far(many, 'network', 'exact'):.0%} still with {many} steps, "
        f"where no grid is to blame. That is the network's. With few steps it keeps more than the law along brightness, the first component ({brightness:+.0%} at 6, the exact denoiser "
        f"{exact:+.0%}). Along component {last} it ends at {end:.2f} of the data with {many} steps, as if some noise were left.\n\n{_slopes_reading(results)}"
    )


def _slopes_reading(results: Results) -> str:
    """The network's error by band: its slopes where it was trained."""
    rows = {one["steps"]: one for one in results.content["slopes"]}
    first, lam = rows[6]["slopes"][0], results.content["prediction"]["eigenvalues"]
    off = {n: (apart(results, n, 3.0, "network", "law")[0], off_slopes(results, n)[0]) for n in (6, 10, 20, 50)}
    fine = slice(8, FIRST)
    medians = [
        sorted(one)[len(one) // 2]
        for one in (apart(results, 6, 3.0, "network", "law")[fine], apart(results, 6, 3.0, "exact", "law")[fine])
    ]
    left = explained(results, 6)
    return (
        f"**Why: the network's own slopes along brightness, and the data's law along finer components.** At t = 1 the exact x̂ is one picture for all noises. The network's answer there goes with the noise: "
        f"by {first[0]:.1f} for each unit of noise along brightness, where the data's standard deviation is {lam[0] ** 0.5:.0f}, and by {first[1]:.1f}, {first[2]:.1f} and {first[3]:.1f} along the next three. So its first step takes brightness from the noise. "
        f"With the slopes that it has at the steps' own times on noised pictures, in the place of the Gaussian ones, the law is off along brightness by "
        f"{listed([f'{b:+.0%} in the place of {a:+.0%} at {n}' for n, (a, b) in off.items()])}. Along components 9 to {FIRST} the network keeps less ({medians[0]:+.0%} in the median at 6) and the exact denoiser too ({medians[1]:+.0%}): "
        f"there the pictures' law is no Gaussian. With both, the median of the {FIRST} is off by {sorted(map(abs, left))[len(left) // 2]:.0%} at 6 steps and the farthest by {max(map(abs, left)):.0%}."
    )


def zero_text(results: Results) -> str:
    """F7 over training."""
    body, wrong = [], []
    for stage in STAGES:
        rows = results.content["zero"][stage]
        sure = [one for one in rows if is_sure(one)]
        right = [one for one in sure if (one["predicted"] > 0) == (one["measured"] > 0)]
        wrong += [(stage, one) for one in sure if one not in right]
        scatter = sum(one["scatter"] for one in rows) / len(rows)
        error = sum(one["error2"] for one in rows) / len(rows)
        body.append(
            [
                stage.replace("-", " "),
                f"{error:.0f}",
                f"{scatter:.0f}",
                f"{len(right)} of {len(sure)}",
                f"{sum(one['predicted'] < 0 for one in rows)}",
            ]
        )
    head = ["stage of training", "‖μ̂ − μ‖²", "scatter of x̂", "sign right", "zero-init predicted better"]
    where = [f"{sum(one[0] == stage for one in wrong)} at “{stage.replace('-', ' ')}”" for stage in STAGES]
    least = min(one["predicted"] for rows in results.content["zero"].values() for one in rows)
    return (
        f"{table(head, body)}\n\nF7 predicts the mean start to be better in every cell, by {least:.1f} nats at least: zero-init leaves the whole variance of the noise at the first node. For it to win, the mean would "
        f"have to be farther off than it is at any stage. Of the cells beyond three standard errors {len(wrong)} have the other sign: {', '.join(where)}. "
        f"{_late(wrong)}{_farther(results, wrong)}"
    )


def _farther(results: Results, wrong: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Why: the sign of F7's first term alone, in every cell."""
    every = [one for rows in results.content["zero"].values() for one in rows if is_sure(one)]
    alone = sum((one["mean norm2"] > one["error2"]) == (one["measured"] > 0) for one in every)
    off = [one for _, one in wrong if one["error2"] > one["mean norm2"]]
    widest = max(off, key=lambda one: one["error2"] / one["mean norm2"], default=None)
    content = (
        ""
        if widest is None
        else f" (for “{widest['prompt']}” at the first stage {widest['error2']:.0f} beside {widest['mean norm2']:.0f})"
    )
    return (
        f"In {len(off)} of the {len(wrong)} the network's mean picture is farther from the true one than no picture is, ‖μ̂ − μ‖² > ‖μ‖²{content}: zero-init is better there, as one would say from the means. F7 says otherwise for it "
        f"counts in nats at the first node, and there the noise that zero-init leaves weighs most. Later steps take that noise away, and the distance at the end does not see it. The means alone, ‖μ‖ beside ‖μ̂ − μ‖, "
        f"give the sign of {alone} of {len(every)} cells; what is left lies where both are about equal, or has 28 steps, of which the first is short."
    )


def _late(wrong: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """How many steps the cells of the later stages have whose sign is the other."""
    steps = sorted({str(one["steps"]) for stage, one in wrong if stage != STAGES[0]})
    return f"Those after the first stage have {listed(steps)} steps. " if steps else ""

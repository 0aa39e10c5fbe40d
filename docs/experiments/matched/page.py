"""Tables and figures of docs/experiments/matched.md, from the results in docs/experiments/results/matched/ alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown

from docs.book.drawing import Drawing, drawing
from docs.book.table import table

WAYS = ("DDPM", "Analytic-DPM", "diagonal", "low rank", "Lanczos 1", "Lanczos 3", "Lanczos 8")
COLOURS = dict(
    zip(
        (*WAYS, "whole Jacobian"),
        ("#8a8a8a", "#3b7dd8", "#5aa9e6", "#2a9d6f", "#e9b44c", "#d8582a", "#9b2226", "#222222"),
        strict=True,
    )
)


def rows_of(result: Mapping[str, Any], part: str, **wanted: Any) -> list[Mapping[str, Any]]:
    """The rows of a part of a result that have the wanted values."""
    return [row for row in result.get(part, []) if all(row[name] == value for name, value in wanted.items())]


def nats_table(result: Mapping[str, Any], kind: str = "angle", key: str = "above") -> Markdown:
    """A number of path nats: a row a kernel, a column a number of steps."""
    counts = sorted({row["steps"] for row in rows_of(result, "nats", grid=kind)})
    ways = dict.fromkeys(row["way"] for row in rows_of(result, "nats", grid=kind))
    lines = []
    for way in ways:
        cells = {row["steps"]: row for row in rows_of(result, "nats", grid=kind, way=way)}
        lines.append([way, *(_with_error(cells[steps], key) for steps in counts)])
    return table(["kernel", *(f"N = {steps}" for steps in counts)], lines)


def _with_error(row: Mapping[str, Any], key: str) -> object:
    """With twice the standard error of a kernel that depends on a few Jacobians."""
    error = row.get(f"{key} error")
    return float(row[key]) if error is None else f"{row[key]:.3g} ± {2 * error:.2g}"


def split_table(result: Mapping[str, Any], steps: Sequence[int], kind: str = "angle") -> Markdown:
    """Discretisation and network term apart."""
    lines = []
    for way in dict.fromkeys(row["way"] for row in rows_of(result, "nats", grid=kind)):
        line: list[object] = [way]
        for count in steps:
            (row,) = rows_of(result, "nats", grid=kind, way=way, steps=count)
            line += [float(row["discretisation"]), float(row["network"]), float(row["total"])]
        lines.append(line)
    head = [f"{name}, N = {count}" for count in steps for name in ("discretisation", "network", "total")]
    return table(["kernel", *head], lines)


def order(result: Mapping[str, Any], way: str, few: int, many: int, key: str = "above", kind: str = "angle") -> float:
    """The power of N with which a number falls between two numbers of steps; NaN where it is not positive."""
    values = [float(rows_of(result, "nats", grid=kind, way=way, steps=n)[0][key]) for n in (few, many)]
    return math.log(values[0] / values[1]) / math.log(many / few) if min(values) > 0 else math.nan


def orders_table(result: Mapping[str, Any], pairs: Sequence[tuple[int, int]], kind: str = "angle") -> Markdown:
    """Measured orders of every kernel, and those of E3's leading terms."""
    lines = [
        [way, *(order(result, way, *pair, kind=kind) for pair in pairs)]
        for way in dict.fromkeys(row["way"] for row in rows_of(result, "nats", grid=kind))
    ]
    for name in ("network plug-in", "network matched"):
        lines.append([f"E3, {name}", *(order(result, "DDPM", *pair, key=name, kind=kind) for pair in pairs)])
    return table(["kernel", *(f"N from {few} to {many}" for few, many in pairs)], lines)


def nats_figure(result: Mapping[str, Any], caption: str, kind: str = "angle") -> Drawing:
    """Path nats above the limit of many steps over N, with E3's leading orders."""
    figure, axis = drawing(caption, height=3.6)
    for way in dict.fromkeys(row["way"] for row in rows_of(result, "nats", grid=kind)):
        rows = [row for row in rows_of(result, "nats", grid=kind, way=way) if row["above"] > 0]
        axis.plot(
            [row["steps"] for row in rows],
            [row["above"] for row in rows],
            "o-",
            ms=3.5,
            lw=1.3,
            color=COLOURS[way],
            label=way,
        )
    rows = [row for row in rows_of(result, "nats", grid=kind, way="DDPM") if row["steps"] >= 10]
    for name, style in (("network plug-in", ":"), ("network matched", "--")):
        axis.plot([row["steps"] for row in rows], [row[name] for row in rows], style, color="0.3", label=f"E3, {name}")
    axis.set(xscale="log", yscale="log", xlabel="steps N", ylabel="nats above the limit")
    axis.legend(fontsize=7, ncols=2)
    return figure


def cells_table(result: Mapping[str, Any], kind: str = "angle", key: str = "frechet") -> Markdown:
    """A measurement of samples: a row a kernel, a column a number of passes; intervals are twice the standard error."""
    passes = sorted({row["passes"] - 1 for row in rows_of(result, "cells", grid=kind)})
    groups = _grouped(passes)
    lines = []
    for way in WAYS:
        line: list[object] = [way]
        for group in groups:
            rows = [row for row in rows_of(result, "cells", grid=kind, way=way) if row["passes"] - 1 in group]
            line.append(_cell(rows[-1], key) if rows else "–")
        lines.append(line)
    return table(["kernel", *(_range(group) for group in groups)], lines)


def _cell(row: Mapping[str, Any], key: str) -> str:
    steps = f" (N = {row['steps']})" if row["steps"] != row["passes"] - 1 else ""
    error = f" ± {2 * row['frechet error']:.1f}" if key == "frechet" else ""
    return f"{row[key]:.3g}{error}{steps}"


def _grouped(passes: Sequence[int]) -> list[list[int]]:
    """Numbers of passes within an eighth of each other."""
    groups: list[list[int]] = []
    for one in passes:
        if groups and one <= 1.125 * groups[-1][0]:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _range(group: Sequence[int]) -> str:
    return f"{group[0]} passes" if group[0] == group[-1] else f"{group[0]} to {group[-1]} passes"


def cells_figure(result: Mapping[str, Any], caption: str, key: str = "frechet", kind: str = "angle") -> Drawing:
    """A measurement over passes of the network and over steps, side by side."""
    figure, axes = drawing(caption, panels=2, height=3.4)
    for axis, place, title in zip(axes, ("passes", "steps"), ("passes of the network", "steps N"), strict=True):
        for way in WAYS:
            rows = sorted(rows_of(result, "cells", grid=kind, way=way), key=lambda row: row[place])
            axis.plot(
                [row[place] for row in rows],
                [row[key] for row in rows],
                "o-",
                ms=3.5,
                lw=1.3,
                color=COLOURS[way],
                label=way,
            )
        axis.set(xscale="log", yscale="log" if key == "frechet" else "linear", xlabel=title)
    if key == "frechet":
        axes[0].axhline(result["floor"]["frechet"], color="0.5", ls=":")
    axes[0].set(ylabel="Fréchet distance, 64 components" if key == "frechet" else key)
    axes[1].legend(fontsize=7)
    return figure


def jacobians_table(result: Mapping[str, Any]) -> Markdown:
    """What the network's Jacobian is like at each level: means over the draws, beside the exact covariance."""
    lines = []
    for snr in sorted({row["snr"] for row in result["spectra"]}):
        rows = rows_of(result, "spectra", snr=snr)
        profile = min(result["profile"], key=lambda row: abs(row["snr"] / snr - 1))
        numbers = (
            profile["mse"],
            profile["mmse"],
            profile["trace"],
            profile["norm2"] ** 0.5,
            profile["exact norm2"] ** 0.5,
        )
        shares = [float(np.mean([row[name] for row in rows])) for name in ("antisymmetric", "negative")]
        lines.append([f"{snr:.3g}", *map(float, numbers), *shares])
    head = ("E‖x_0 − m‖²", "mmse", "tr C_θ", "‖C_θ‖", "‖C‖", "antisymmetric", "negative")
    return table(["γ", *head], lines)


def differences_table(result: Mapping[str, Any], kind: str = "angle") -> Markdown:
    """Differences of Fréchet distances to DDPM's at about equal passes."""
    lines = [
        [row["way"], row["passes"], row["rival passes"], f"{row['difference']:+.2f} ± {2 * row['error']:.2f}"]
        for row in rows_of(result, "differences", grid=kind)
        if row["way"] in WAYS
    ]
    return table(["kernel", "passes", "DDPM's passes", "Fréchet distance less DDPM's"], lines)


def pooled(first: Mapping[str, Any], second: Mapping[str, Any], **which: Any) -> dict[str, float]:
    """A difference to DDPM, the mean of two runs with other seeds, and its standard error."""
    rows = [rows_of(one, "differences", **which)[0] for one in (first, second)]
    error = math.hypot(*(row["error"] for row in rows)) / 2
    return {"difference": sum(row["difference"] for row in rows) / 2, "error": error}


def _judged(row: Mapping[str, Any]) -> str:
    """A difference with twice its standard error, and what it says."""
    word = "apart by less than the error"
    if abs(row["difference"]) > 2 * row["error"]:
        word = "ahead" if row["difference"] < 0 else "behind"
    return f"{row['difference']:+.2f} ± {2 * row['error']:.2f}, {word}"


def second_table(first: Mapping[str, Any], second: Mapping[str, Any], kind: str = "angle") -> Markdown:
    """Differences to DDPM in two runs, and of both together; those that both have."""
    lines = []
    for row in sorted(
        rows_of(second, "differences", grid=kind), key=lambda row: (WAYS.index(row["way"]), row["passes"])
    ):
        which = {name: row[name] for name in ("way", "grid", "passes")}
        earlier = rows_of(first, "differences", **which)
        if earlier:
            both = _judged(pooled(first, second, **which))
            lines.append([row["way"], row["passes"] - 1, _judged(earlier[0]), _judged(row), both])
    return table(["kernel", "passes", "seed 0", "seed 1", "together"], lines)


def second_nats_table(
    first: Mapping[str, Any], second: Mapping[str, Any], ways: Sequence[str], counts: Sequence[int]
) -> Markdown:
    """Nats above the limit, in equal angles, in two runs."""
    lines = []
    for way in ways:
        for steps in counts:
            rows = [rows_of(one, "nats", grid="angle", way=way, steps=steps)[0] for one in (first, second)]
            lines.append([way, steps, *(_with_error(row, "above") for row in rows)])
    return table(["kernel", "N", "nats above the limit, seed 0", "seed 1"], lines)


def agreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[int, int, list[str]]:
    """How many of all differences beyond twice their standard error in one of two runs have the same sign in both, how many there are, and the others."""
    of_second = {(row["way"], row["grid"], row["passes"]): row for row in second.get("differences", [])}
    same, count, others = 0, 0, []
    for row in first.get("differences", []):
        other = of_second.get((row["way"], row["grid"], row["passes"]))
        if other is None or max(abs(one["difference"]) - 2 * one["error"] for one in (row, other)) <= 0:
            continue
        count += 1
        if row["difference"] * other["difference"] > 0:
            same += 1
        else:
            others.append(f"{row['way']}, {row['passes']} passes, {row['grid']}")
    return same, count, others

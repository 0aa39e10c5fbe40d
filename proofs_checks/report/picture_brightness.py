"""The picture of the brightness law C7: what arrives from each start, and the spread ratio over the number of pixels."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator
from PIL import Image

_WIDTH, _HEIGHT, _DPI = 11.0, 11.4, 100
_NAMES = {
    "noise": "noise start",
    "mean": "mean start (SingDiffusion)",
    "matched": "moment-matched start",
    "exact": "exact start (noised data)",
}
# Okabe and Ito's colours, which colour-blind readers tell apart; the markers differ too
_COLOURS = {"noise": "#D55E00", "mean": "#CC79A7", "matched": "#0072B2", "exact": "#009E73"}
_MARKERS = {"noise": "o", "mean": "s", "matched": "D", "exact": "^"}
_DODGE = {"noise": 0.965, "mean": 1.035, "matched": 0.985, "exact": 1.015}
_DATA = "#B4B4B4"
_INK = "#333333"


def draw(result: dict[str, Any], dim: int = 3072) -> Figure:
    """The figure of a sweep, 1100 pixels wide.

    Args:
        result: the JSON of `python -m proofs_checks.report.brightness --out FILE`.
        dim: the number of values in an image of the size whose histograms and samples are shown.
    """
    size = next(entry for entry in result["sizes"] if entry["dim"] == dim)
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI)
    FigureCanvasAgg(figure)
    figure.suptitle("Where a sampler starts decides how much of the data's brightness it keeps", fontsize=15, y=0.988)
    rows = figure.add_gridspec(
        5, 2, left=0.075, right=0.985, top=0.93, bottom=0.445, width_ratios=[1, 1.3], wspace=0.03, hspace=0.16
    )
    most = max(_shares(entry).max() for entry in [size["data"], *size["starts"]])
    for row, entry in enumerate([size["data"], *size["starts"]]):
        histogram, strip = figure.add_subplot(rows[row, 0]), figure.add_subplot(rows[row, 1])
        _draw_histogram(histogram, size["data"], entry, 1.08 * most)
        _draw_strip(strip, entry["images"], size["side"])
        histogram.tick_params(labelbottom=row == 4)
        if row == 0:
            histogram.set_title("share of images in each 5 steps of brightness", fontsize=10)
            strip.set_title(_caption(size), fontsize=10)
        if row == 4:
            histogram.set_xlabel("brightness, 0 to 255: the mean of an image over its pixels")
    _draw_ratios(figure.add_axes((0.075, 0.088, 0.6, 0.285)), result)
    return figure


def _caption(size: dict[str, Any]) -> str:
    channels = "RGB" if size["channels"] == 3 else "grey"
    return (
        f"first samples of {size['samples']:,} a start: {size['side']}×{size['side']} {channels}, d = {size['dim']:,}, "
        f"exact denoiser, {size['steps']} steps"
    )


def _shares(entry: dict[str, Any]) -> np.ndarray:
    counts = np.asarray(entry["counts"], dtype=float)
    return counts / counts.sum()


def _draw_histogram(axes: Axes, data: dict[str, Any], entry: dict[str, Any], top: float) -> None:
    """Brightness of one start over the data's; of the data alone in the first row."""
    edges = np.linspace(0, 255, len(data["counts"]) + 1)
    axes.stairs(_shares(data), edges, fill=True, color=_DATA)
    name = entry.get("start")
    if name is None:
        text, colour = f"data\n{entry['mean']:.0f} ± {entry['std']:.0f}", _INK
    else:
        colour = _COLOURS[name]
        axes.stairs(_shares(entry), edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(_shares(entry), edges, color=colour, linewidth=1.4)
        kept = f"{entry['spread_ratio']:.2f} of the spread"
        text = f"{_NAMES[name].replace(' (', chr(10) + '(')}\n{entry['mean']:.0f} ± {entry['std']:.0f}\n{kept}"
    axes.text(85, 0.95 * top, text, color=colour, fontsize=9, ha="center", va="top", linespacing=1.25)
    axes.set(xlim=(0, 255), ylim=(0, top))
    axes.xaxis.set_major_locator(FixedLocator([0, 50, 100, 150, 200, 255]))
    axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)


def _draw_strip(axes: Axes, address: str, side: int) -> None:
    """A row of images, with a gap between them and a line around each so that white ones show on white paper."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))))
    count, pitch = pixels.shape[1] // side, 1.09 * side
    for i, image in enumerate(np.split(pixels, count, axis=1)):
        left, extent = i * pitch, (i * pitch, i * pitch + side, 0, side)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
        axes.add_patch(Rectangle((left, 0), side, side, fill=False, edgecolor=_INK, linewidth=0.7))
    axes.set(xlim=(-0.5, (count - 1) * pitch + side + 0.5), ylim=(-0.5, side + 0.5), aspect="equal")
    axes.set_axis_off()


def _draw_ratios(axes: Axes, result: dict[str, Any]) -> None:
    """Spread ratio over d for the four starts, beside the Gaussian law and the flow that keeps quantiles."""
    curves = result["curves"]
    axes.axhline(1, color=_DATA, linewidth=1, zorder=0)
    axes.plot(curves["dim"], curves["gaussian"], color=_INK, linestyle="--", linewidth=1.8)
    axes.plot(curves["dim"], curves["quantile_noise"], color=_COLOURS["noise"], linewidth=1.5, alpha=0.75)
    axes.plot(curves["dim"], curves["quantile_matched"], color=_COLOURS["matched"], linewidth=1.5, alpha=0.75)
    for size in result["sizes"]:
        for entry in size["starts"]:
            _draw_point(axes, size["dim"], entry)
    axes.set_xscale("log")
    axes.set(xlim=(400, 24000), ylim=(-0.02, 1.15))
    _label_dims(
        axes,
        [
            (size["dim"], f"{size['side']}×{size['side']} {'RGB' if size['channels'] == 3 else 'grey'}")
            for size in result["sizes"]
        ],
    )
    axes.set_title("standard deviation of brightness, samples over data", fontsize=10.5)
    axes.set_ylabel("spread ratio")
    axes.set_xlabel("d, values in an image (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        handles=_legend(result),
        fontsize=9.5,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        labelspacing=0.9,
    )


def _draw_point(axes: Axes, dim: int, entry: dict[str, Any]) -> None:
    """One ratio with its interval, moved aside a little so that starts do not hide each other."""
    name, value = entry["start"], entry["spread_ratio"]
    low, high = entry["spread_ratio_interval"]
    axes.errorbar(
        dim * _DODGE[name],
        value,
        yerr=[[value - low], [high - value]],
        fmt=_MARKERS[name],
        color=_COLOURS[name],
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.8,
        capsize=2.5,
        linewidth=1.3,
        zorder=3,
    )


def _label_dims(axes: Axes, labels: list[tuple[int, str]]) -> None:
    """Name each size below its d; every other one stands lower, for 3,072 and 4,096 are close."""
    for minor in (False, True):
        here = labels[minor::2]
        axes.set_xticks([dim for dim, _ in here], [f"{dim:,}\n{text}" for dim, text in here], minor=minor)
    axes.tick_params(axis="x", which="both", length=4, labelsize=8.5)
    axes.tick_params(axis="x", which="minor", pad=27)


def _legend(result: dict[str, Any]) -> list[Line2D]:
    confidence = f"bars: {result['sizes'][0]['confidence']:.0%} confidence"
    points = [
        Line2D([], [], color=_COLOURS[name], marker=_MARKERS[name], linestyle="", markersize=7, label=label)
        for name, label in _NAMES.items()
    ]
    return [
        Line2D([], [], linestyle="", label=f"measured; {confidence}"),
        *points,
        Line2D([], [], linestyle="", label="predicted"),
        Line2D([], [], color=_INK, linestyle="--", linewidth=1.8, label="law C7 for one Gaussian, noise start"),
        Line2D([], [], color=_COLOURS["noise"], linewidth=1.5, label="three clusters, noise start"),
        Line2D([], [], color=_COLOURS["matched"], linewidth=1.5, label="three clusters, moment-matched start"),
    ]

"""The brightness of what a pipeline draws: the paper's test, from noise and from the singular step, of the same noise.

For each prompt and start the mean and standard deviation over images, in 0..255. The mean's interval is Student's; between the model's own
table, that comes with the package, and a rerun the interval is that of a mean of so many new images.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from PIL import Image as Pillow

from singdiffusion.demonstrator import FOLDER
from singdiffusion.evaluation.sampling import check, draw
from singdiffusion.start import SingDiffusion
from singdiffusion.system import (
    Kind,
    check_fields,
    first_sentence,
    listed,
    number,
    one_of,
    sha256_of,
    shown,
    whole,
    word,
)
from singtheory.errors import InputError
from singtheory.system import naming, read_json

PROMPTS = (
    "solid black background",
    "solid white background",
    "monochrome line-art logo on a black background",
    "monochrome line-art logo on a white background",
)
"""The paper's (arXiv 2403.08381): each fixes the brightness."""
OWN = ("solid black background", "monochrome line-art logo on a white background", "logo", "red apple")
"""The prompts of the model that comes with the package: two fix the brightness, two leave it open."""
TABLE = FOLDER / "brightness.json"
"""Its committed table."""
ROUNDING = 0.5
"""Half a level, by which processors may differ."""
LEVEL_ROUNDING = 0.002
"""The rounding of mean and standard deviation of a table against those of its levels, which are stored to a thousandth."""
MOST_IMAGES = 10**5
"""The most images of a row of a table."""


@dataclass(frozen=True)
class Brightness:
    """The brightness of one prompt and start.

    Attributes:
        prompt: of all images.
        start: `noise`, `mean` or `matched`.
        levels: of each image, in 0..255.
        flagged: how many a safety checker has blacked out; they are left in.
    """

    prompt: str
    start: str
    levels: tuple[float, ...]
    flagged: int = 0

    @property
    def mean(self) -> float:
        """Over the images."""
        return float(np.mean(self.levels))

    @property
    def std(self) -> float:
        """Over the images, unbiased in its square; 0 for one."""
        return float(np.std(self.levels, ddof=1)) if len(self.levels) > 1 else 0.0

    def interval(self, confidence: float = 0.99, again: int | None = None) -> tuple[float, float]:
        """For the mean of the law, or of `again` new images, if the levels are about Gaussian."""
        from scipy.stats import t as student  # late: what draws alone needs none of it

        n = len(self.levels)
        if n < 2:
            return 0.0, 255.0
        spread = math.sqrt(1 / n + (0 if again is None else 1 / again))
        half = float(student.ppf((1 + confidence) / 2, n - 1)) * self.std * spread + (0 if again is None else ROUNDING)
        return self.mean - half, self.mean + half

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        low, high = self.interval()
        return {
            "prompt": self.prompt,
            "start": self.start,
            "n": len(self.levels),
            "mean": self.mean,
            "low": low,
            "high": high,
            "std": self.std,
            "flagged": self.flagged,
            "levels": [round(level, 3) for level in self.levels],
        }


def brightness(
    pipe: Any,
    starts: Mapping[str, SingDiffusion | None],
    prompts: Sequence[str],
    images: int = 16,
    steps: int = 25,
    guidance: float = 1.0,
    seed: int = 0,
    batch: int = 16,
    **call: Any,
) -> Iterator[Brightness]:
    """One prompt and start after another; image k of every prompt and start is drawn with seed + k.

    Args:
        pipe: a text-to-image pipeline.
        starts: by name; None for noise.
        prompts: what to draw.
        images: how many a prompt and start.
        steps: N.
        guidance: w.
        seed: of the first image.
        batch: images at once.
        call: to the pipeline besides, such as a ControlNet's `image`.

    Raises:
        InputError: as `sample`.
    """
    check(pipe, steps, images, guidance)
    for sing in starts.values():
        if sing is not None:
            with sing.attached(pipe):  # what does not fit is refused before anything is drawn
                pass
    for prompt in prompts:
        for name, sing in starts.items():
            levels, flagged = [], 0
            for first in range(0, images, batch):
                seeds = [seed + k for k in range(first, min(first + batch, images))]
                drawn, flags = draw(pipe, sing, prompt, seeds, steps, guidance, name, **call)
                levels += [float(np.asarray(one.convert("RGB"), dtype=np.float64).mean()) for one in drawn]
                flagged += sum(flags)
            yield Brightness(prompt, name, tuple(levels), flagged)


@dataclass(frozen=True)
class Control:
    """What a ControlNet adds.

    Attributes:
        parts: of the pipeline.
        call: of each call.
    """

    parts: dict[str, Any]
    call: dict[str, Any]


def control_of(controlnet: str | None, control: Path | None, dtype: torch.dtype) -> Control:
    """A ControlNet with the image that it is given; nothing where neither is named.

    Raises:
        InputError: for one without the other, and for what cannot be read.
    """
    if controlnet is None and control is None:
        return Control({}, {})
    if controlnet is None or control is None:
        raise InputError("controlnet and control: give both, the network and its image")
    try:
        with Pillow.open(control) as stored:
            image = stored.convert("RGB")
        network: Any = ControlNetModel.from_pretrained(controlnet, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{controlnet} with {control}: cannot be loaded ({first_sentence(error)})") from None
    return Control({"controlnet": network}, {"image": image})


def fingerprint() -> str:
    """The fingerprint of all weights that come with the package: what was measured with others is known by it."""
    digests = [sha256_of(file) for file in sorted(FOLDER.rglob("*.safetensors"))]
    return hashlib.sha256(bytes.fromhex("".join(digests))).hexdigest()[:16]


_LEVEL = number(0, 255)
_ROW = {
    "prompt": word(),
    "start": one_of(("noise", "mean", "matched")),
    "n": whole(1, MOST_IMAGES),
    "mean": _LEVEL,
    "low": number(-1e6, 1e6),  # Student's interval knows no ends
    "high": number(-1e6, 1e6),
    "std": number(0, 255),
    "flagged": whole(0, MOST_IMAGES),
    "levels": listed(_LEVEL, 1, MOST_IMAGES),
}
_TABLE = {
    "version": word(),
    "seed": whole(0, 2**62),
    "command": word(),
    "device": word(),
    "base": word(),
    "module": word(optional=True),
    "weights": word(optional=True),
    "scheduler": word(),
    "steps": whole(1, 2**20),
    "guidance": number(-1e6, 1e6),
    "images": whole(1, MOST_IMAGES),
    "rows": Kind("a list of 1 to 10000 rows", lambda x: isinstance(x, list) and 1 <= len(x) <= 10_000),
}
"""The fields of the JSON that `singdiffusion evaluate brightness` writes."""


def read_table(path: Path) -> dict[str, Any]:
    """A table of brightness as it is stored.

    Raises:
        InputError: one line that names the file, for a field that is unknown, missing or of another kind, and for a row whose numbers are not those
            of its own levels.
    """
    stored = read_json(path, "table of brightness")
    with naming(path):
        check_fields(stored, _TABLE, "field of a table of brightness")
        for index, row in enumerate(stored["rows"]):
            with naming(f"row {index}"):
                _check_row(row)
        names = [(row["prompt"], row["start"]) for row in stored["rows"]]
        if len(set(names)) < len(names):
            raise InputError("holds two rows of one prompt and start; make it again")
    return stored


def _check_row(row: Any) -> None:
    """Raise `InputError` for what is no row."""
    if not isinstance(row, dict):
        raise InputError(f"need an object, not {shown(row)}")
    check_fields(row, _ROW, "field of a row")
    measured = Brightness(row["prompt"], row["start"], tuple(row["levels"]), row["flagged"])
    if row["n"] != len(measured.levels) or row["flagged"] > row["n"]:
        raise InputError(
            f"n {row['n']}, flagged {row['flagged']}: it has {len(measured.levels)} levels; make the table again"
        )
    for name, value in {"mean": measured.mean, "std": measured.std}.items():
        if abs(row[name] - value) > LEVEL_ROUNDING:
            raise InputError(f"{name} {row[name]:g}: its levels give {value:g}; make the table again")
    if not row["low"] <= row["mean"] <= row["high"]:
        raise InputError(
            f"low {row['low']:g}, high {row['high']:g}: its mean {row['mean']:g} is not between; make the table again"
        )


def committed(rows: Sequence[Brightness], settings: Mapping[str, Any], table: Path = TABLE) -> list[str] | None:
    """What does not agree with the committed table, in words; None if that was made with other settings.

    Args:
        rows: of a run.
        settings: its `steps`, `guidance` and `scheduler`.
        table: the committed one.

    Raises:
        InputError: as `read_table`.
    """
    if not table.is_file():
        return None
    stored = read_table(table)
    if any(stored[name] != settings[name] for name in ("steps", "guidance", "scheduler")):
        return None
    expected = {
        (row["prompt"], row["start"]): Brightness(row["prompt"], row["start"], tuple(row["levels"]))
        for row in stored["rows"]
    }
    known = [(row, expected[row.prompt, row.start]) for row in rows if (row.prompt, row.start) in expected]
    if not known:
        return None
    confidence = 1 - 0.01 / len(known)
    odd = []
    for row, before in known:
        low, high = before.interval(confidence, again=len(row.levels))
        if not low <= row.mean <= high:
            odd.append(f"{row.prompt!r} from {row.start}: {row.mean:.1f}, not within {low:.1f} to {high:.1f}")
    return odd

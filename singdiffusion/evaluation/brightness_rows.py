"""The brightness of what a pipeline draws: the paper's test, from noise and from the singular step, of the same noise.

For each prompt and start the mean and standard deviation over images, in 0..255. The mean's interval is Student's; between the model's own
table, that comes with the package, and a rerun the interval is that of a mean of so many new images.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from PIL import Image as Pillow
from scipy.stats import t as student

from singdiffusion.demonstrator import FOLDER
from singdiffusion.evaluation.sampling import check, draw
from singdiffusion.start import SingDiffusion
from singdiffusion.system import first_sentence, sha256_of
from singtheory.errors import InputError

PROMPTS = (
    "solid black background",
    "solid white background",
    "monochrome line-art logo on a black background",
    "monochrome line-art logo on a white background",
)
"""The paper's (arXiv 2403.08381): each fixes the brightness."""
OWN = ("solid black background", "monochrome line-art logo on a white background", "logo", "red apple")
"""Of the model that comes with the package: two fix the brightness, two leave it open."""
TABLE = FOLDER / "brightness.json"
"""Its committed table."""
ROUNDING = 0.5
"""Half a level, by which processors may differ."""


@dataclass(frozen=True)
class Brightness:
    """Of one prompt and start.

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
            with sing.attached(pipe):  # what does not fit is told before anything is drawn
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
    """Of all weights that come with the package: what was measured with others is known by it."""
    digests = [sha256_of(file) for file in sorted(FOLDER.rglob("*.safetensors"))]
    return hashlib.sha256(bytes.fromhex("".join(digests))).hexdigest()[:16]


def committed(rows: Sequence[Brightness], settings: Mapping[str, Any], table: Path = TABLE) -> list[str] | None:
    """What does not agree with the committed table, in words; None if that was made with other settings.

    Args:
        rows: of a run.
        settings: its `steps`, `guidance` and `scheduler`.
        table: the committed one.
    """
    if not table.is_file():
        return None
    stored = json.loads(table.read_text(encoding="utf-8"))
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

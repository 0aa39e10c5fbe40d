"""The paper's protocol on captioned photographs such as COCO's: FID and CLIP score over weights of guidance, by torchmetrics.

Of each start, for every weight: one image a caption, against as many real ones. Needs the extra [eval] and torchvision, whose networks
torchmetrics fetches; nothing else of the package does.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singdiffusion.evaluation.sampling import check, draw
from singdiffusion.source import Record, Source
from singdiffusion.start import SingDiffusion
from singtheory.errors import InputError, not_installed

COCO = 30_000
"""Captions of the paper's protocol."""
GUIDANCES = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


@dataclass(frozen=True)
class Metrics:
    """What judges images, uint8 (n, 3, height, width).

    Attributes:
        fid: `FrechetInceptionDistance` of torchmetrics, or anything with its `update(images, real)`, `compute` and `reset`.
        clip: `CLIPScore` of torchmetrics, or anything with its `update(images, texts)`, `compute` and `reset`.
    """

    fid: Any
    clip: Any

    @classmethod
    def of_torchmetrics(cls, clip: str = "openai/clip-vit-base-patch16", device: str = "cpu") -> "Metrics":
        """The real ones. Raises `InputError` where the extra [eval] or torchvision is missing or broken."""
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance  # pyright: ignore[reportMissingImports]

            fid = FrechetInceptionDistance(reset_real_features=False).to(device)
            return cls(fid, clip_score(clip).to(device))
        except (ImportError, RuntimeError, OSError, ValueError) as error:
            line = not_installed("FID and CLIP score", error, "eval")
            raise InputError(f"{line} with a torchvision that fits torch") from None


def clip_score(clip: str) -> Any:
    """`CLIPScore` of torchmetrics for a folder or hub id of a CLIP.

    torchmetrics reads a CLIP's features as tensors; transformers 5 answers with an output of which they are the `pooler_output`.
    """
    from torchmetrics.multimodal.clip_score import CLIPScore  # pyright: ignore[reportMissingImports]
    from transformers import CLIPModel, CLIPProcessor

    class Features(CLIPModel):
        def get_image_features(self, *args: Any, **named: Any) -> Any:
            features: Any = super().get_image_features(*args, **named)
            return getattr(features, "pooler_output", features)

        def get_text_features(self, *args: Any, **named: Any) -> Any:
            features: Any = super().get_text_features(*args, **named)
            return getattr(features, "pooler_output", features)

    return CLIPScore(lambda: (Features.from_pretrained(clip).eval(), CLIPProcessor.from_pretrained(clip)))


@dataclass(frozen=True)
class Point:
    """The metrics of one start at one weight of guidance.

    Attributes:
        start: its name.
        guidance: w.
        fid: against the real images.
        clip: mean score, in 0..100.
        n: images.
    """

    start: str
    guidance: float
    fid: float
    clip: float
    n: int


def captioned(source: str, count: int) -> tuple[list[str], Iterator[Tensor], list[str]]:
    """The first captions of a source, their images one after another, uint8 (3, height, width), and lines about what was unusual or left out.

    Raises:
        InputError: for fewer than two.
    """
    source_records = Source(source)
    source_records.check()

    def records() -> Iterator[Record]:
        return itertools.islice((record for record in source_records if record.caption), count)

    captions, left_out = [], []
    for record in source_records:
        if record.caption:
            captions.append(record.caption)
        else:
            left_out.append(f"{record.key} ({record.fault})")
        if len(captions) == count:
            break
    notes = source_records.notes.lines()
    if left_out:
        notes.append(f"{len(left_out)} records have no caption that can be used; left out; the first is {left_out[0]}")
    if len(captions) < 2:
        raise InputError(f"{source}: {len(captions)} captioned images; a Fréchet distance needs at least two")
    return captions, (torch.from_numpy(np.array(record.image())).movedim(2, 0) for record in records()), notes


def curve(
    pipe: Any,
    starts: Mapping[str, SingDiffusion | None],
    captions: Sequence[str],
    real: Iterable[Tensor],
    metrics: Metrics,
    guidances: Sequence[float] = GUIDANCES,
    steps: int = 50,
    seed: int = 0,
    **call: Any,
) -> Iterator[Point]:
    """One point after another; caption k is drawn with seed + k, from every start and at every weight.

    Args:
        pipe: a text-to-image pipeline.
        starts: by name; None for noise.
        captions: one an image.
        real: as many real images, uint8.
        metrics: that judge.
        guidances: weights.
        steps: N.
        seed: of the first image.
        call: to the pipeline besides.

    Raises:
        InputError: as `sample`.
    """
    for guidance in guidances:
        check(pipe, steps, len(captions), guidance)
    for image in real:
        metrics.fid.update(image[None], real=True)
    for guidance, (name, sing) in itertools.product(guidances, starts.items()):
        for k, caption in enumerate(captions):
            [image], _ = draw(pipe, sing, caption, [seed + k], steps, guidance, name, **call)
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).movedim(2, 0)
            metrics.fid.update(pixels[None], real=False)
            metrics.clip.update(pixels, caption)
        yield Point(name, guidance, float(metrics.fid.compute()), float(metrics.clip.compute()), len(captions))
        metrics.fid.reset()
        metrics.clip.reset()

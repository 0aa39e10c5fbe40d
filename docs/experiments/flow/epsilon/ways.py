"""The ways of drawing from an ε model that are compared: a start, a sampler of diffusers, and which of DDIM's steps are corrected."""

from dataclasses import dataclass
from typing import Literal

StartName = Literal["noise", "mean", "matched"]
AlongName = Literal["none", "trained", "statistics"]


@dataclass(frozen=True)
class Way:
    """How an ε model is drawn from.

    Attributes:
        sampler: one of `model.draw.SAMPLERS`.
        start: noise, the mean start (C6), or the matched start (C7) of the trained average image.
        along: whose directions and eigenvalues correct DDIM's steps: the trained spread of the prompt, or those of all pictures; none for no correction.
        spared: how many steps at the end are left as they are (F4).
    """

    sampler: str
    start: StartName = "matched"
    along: AlongName = "none"
    spared: int = 1

    @property
    def name(self) -> str:
        """Its name; unlike any other's."""
        if self.along == "none":
            return f"{self.sampler}, {self.start} start"
        last = {0: "to the end", 1: "but the last"}.get(self.spared, f"but the last {self.spared}")
        return f"{self.sampler} corrected {last}, {self.along}"

    @property
    def corrected(self) -> bool:
        """Whether steps are corrected: those are ours here, and every other way is a rival."""
        return self.along != "none"


SPACINGS = ("", " trailing")
"""Spacings of timesteps, with which the names of samplers end: each sampler's own default, which is leading for DDIM and even from t = 999 for the others, and trailing."""

MATCHED = tuple(Way(f"{solver}{spacing}") for spacing in SPACINGS for solver in ("DDIM", "DPM++", "UniPC"))
CORRECTED = tuple(Way(f"DDIM{spacing}", along=along) for spacing in SPACINGS for along in ("trained", "statistics"))
"""All steps but the last, along the directions of the trained spread, and along every direction of all pictures."""
SPARED = (Way("DDIM", along="statistics", spared=2), Way("DDIM", along="trained", spared=2))
"""The last but one of the leading timesteps reaches t = 1, where σ is 0.04: it is the one that reaches the data."""
TO_THE_END = (Way("DDIM trailing", along="statistics", spared=0), Way("DDIM trailing", along="trained", spared=0))
NOISE = tuple(Way(way.sampler, start="noise") for way in MATCHED)
MEAN = tuple(Way(f"DDIM{spacing}", start="mean") for spacing in SPACINGS)

ALL_WAYS = (*MATCHED, *CORRECTED, *SPARED, *TO_THE_END, *NOISE, *MEAN)
WAYS = {way.name: way for way in ALL_WAYS}

"""The ways of drawing from a flow that are compared, in the order of their importance."""

from dataclasses import dataclass, replace
from typing import Literal

MeanName = Literal["network", "unguided", "trained", "trained unguided"]
SpreadName = Literal["none", "trained", "statistics"]
CorrectedName = Literal["no", "all but the last", "all"]
GuideName = Literal["plain", "scaled"]

ALL = 0
"""The rank that stands for every direction."""


@dataclass(frozen=True)
class Way:
    """How a flow is drawn from.

    Attributes:
        name: of it.
        solver: one of `solvers.SOLVERS`.
        grid: as `grids.grid_of` reads it.
        mean: of the first step; `network` is the network's own guided output, `unguided` its output for the prompt alone.
        spread: by which the first step is widened (C7).
        rank: of the spread's directions, `ALL` for all.
        corrected: which later steps have deviations from the mean divided by their cosine.
        pixels: whether deviations are corrected pixel by pixel in the place of directions.
        guide: `scaled` is CFG-Zero*'s, the output without the prompt scaled towards the one with it.
        zero: whether the first velocity is set to zero.
        teleport: time to which the Gaussian solution of all data goes without the network; None for none.
        spare: whether the evaluation that a trained mean saves is spent on one more step.
    """

    name: str
    solver: str = "Euler"
    grid: str = "shift 3"
    mean: MeanName = "network"
    spread: SpreadName = "none"
    rank: int = ALL
    corrected: CorrectedName = "no"
    pixels: bool = False
    guide: GuideName = "plain"
    zero: bool = False
    teleport: float | None = None
    spare: bool = False

    @property
    def matched(self) -> bool:
        """Whether it is one of ours."""
        return self.spread != "none" or self.corrected != "no"

    @property
    def saves_first(self) -> bool:
        """Whether the network is not asked at t = 1."""
        return self.mean.startswith("trained") or self.zero


def _joined(solver: str, name: str, **settings: object) -> tuple[Way, ...]:
    """The ways of one solver with the trained spread, by mean."""
    one = Way(f"{name}", solver=solver, spread="trained", **settings)  # pyright: ignore[reportArgumentType]
    means: tuple[MeanName, ...] = ("network", "trained", "unguided", "trained unguided")
    return tuple(replace(one, name=f"{name}, {mean} mean", mean=mean) for mean in means)


EULER = (Way("Euler, shift 1", grid="shift 1"), Way("Euler, shift 3"), Way("Euler, shift 4", grid="shift 4"))
_CORRECTED = Way("Euler corrected, trained mean", mean="trained", spread="trained", corrected="all but the last")

CORE = (
    *EULER,
    Way("UniPC", solver="UniPC"),
    Way("DPM++ 2M", solver="DPM++ 2M"),
    *_joined("UniPC", "UniPC matched")[:2],
    *_joined("Euler", "Euler matched")[:2],
    *_joined("DPM++ 2M", "DPM++ 2M matched")[:2],
    _CORRECTED,
    Way("Heun", solver="Heun"),
)
"""Drawn at every number of evaluations."""

RIVALS = (
    Way("zero-init, scaled (CFG-Zero*)", guide="scaled", zero=True),
    Way("scaled", guide="scaled"),
    Way("zero-init", zero=True),
    *(Way(f"teleported to {t:g}", teleport=t) for t in (0.95, 0.9, 0.8, 0.7)),
    *(Way(f"Euler, {grid}", grid=grid) for grid in ("W2", "nats", "spectral", "entropic", "rescaled", "sharp")),
    Way("Euler, shift 8", grid="shift 8"),
    Way("UniPC, shift 1", solver="UniPC", grid="shift 1"),
    Way("UniPC, shift 4", solver="UniPC", grid="shift 4"),
)

OURS = (
    *_joined("UniPC", "UniPC matched")[2:],
    *_joined("Euler", "Euler matched")[2:],
    replace(_CORRECTED, name="Euler corrected, network mean", mean="network"),
    Way("Heun matched, network mean", solver="Heun after the first", spread="trained"),
    Way("UniPC matched, shift 1", solver="UniPC", grid="shift 1", spread="trained"),
    Way("Euler matched, shift 1", grid="shift 1", spread="trained"),
    Way("UniPC matched, trained mean, one more step", solver="UniPC", mean="trained", spread="trained", spare=True),
    *(Way(f"UniPC matched, rank {k}", solver="UniPC", spread="trained", rank=k) for k in (1, 16)),
    *(Way(f"UniPC matched, statistics, rank {k}", solver="UniPC", spread="statistics", rank=k) for k in (64, 1, 16)),
    Way("Euler matched, W2", grid="W2", spread="trained"),
    Way("Euler matched, spectral", grid="spectral", spread="trained"),
    Way("UniPC matched, spectral", solver="UniPC", grid="spectral", spread="trained"),
    replace(_CORRECTED, name="Euler corrected, statistics, rank 64", spread="statistics", rank=64),
    replace(_CORRECTED, name="Euler corrected, statistics, all directions", spread="statistics"),
    replace(_CORRECTED, name="Euler corrected, pixels", pixels=True),
    replace(_CORRECTED, name="Euler corrected to the end, trained mean", corrected="all"),
    replace(_CORRECTED, name="Euler corrected, shift 1", grid="shift 1"),
)

_SPENT = {"mean": "trained", "spread": "trained", "spare": True}
SPARED = (
    *(
        Way(f"{solver} matched, trained mean, one more step", solver=solver, **_SPENT)  # pyright: ignore[reportArgumentType]
        for solver in ("Euler", "DPM++ 2M")
    ),
    Way("Heun matched, trained mean, one more step", solver="Heun after the first", **_SPENT),  # pyright: ignore[reportArgumentType]
    *(
        Way(f"{solver} matched, {grid}, trained mean, one more step", solver=solver, grid=grid, **_SPENT)  # pyright: ignore[reportArgumentType]
        for solver, grid in (("UniPC", "shift 1"), ("Euler", "shift 1"), ("Euler", "W2"), ("Euler", "spectral"))
    ),
    replace(
        _CORRECTED,
        name="Euler corrected, statistics, all directions, one more step",
        spread="statistics",
        spare=True,
    ),
)
"""Each solver and grid around a trained mean, at as many evaluations as without it: the one that the mean saves is spent on one more step."""

TWICE = (
    Way("UniPC, shift 6", solver="UniPC", grid="shift 6"),
    Way("UniPC matched, network mean, shift 6", solver="UniPC", grid="shift 6", spread="trained"),
)
"""At twice the side, where a shift of 6 is what 3 is here (F6)."""

_STATISTICS = replace(_CORRECTED, mean="network", spread="statistics")
_UNIPC = Way("UniPC matched", solver="UniPC", spread="statistics", rank=64)

LATENT = (
    Way("Euler, shift 4.6", grid="shift 4.6"),
    *(Way(f"Euler matched, statistics, rank {k}", spread="statistics", rank=k) for k in (64, 1, 16)),
    Way("DPM++ 2M matched, statistics, rank 64", solver="DPM++ 2M", spread="statistics", rank=64),
    *(replace(_STATISTICS, name=f"Euler corrected, network mean, statistics, rank {k}", rank=k) for k in (64, 1, 16)),
    replace(_UNIPC, name="UniPC matched, shift 1, statistics, rank 64", grid="shift 1"),
    replace(_UNIPC, name="UniPC matched, unguided mean, statistics, rank 64", mean="unguided"),
    replace(_STATISTICS, name="Euler corrected, unguided mean, statistics, rank 64", mean="unguided", rank=64),
)
"""In latents, where no average image is trained; a shift of 4.6 is √(d/192) there (F6)."""

_DDIM = Way("DDIM from noise", grid="leading", zero=True)
_DDIM_MATCHED = replace(_DDIM, zero=False, spread="statistics")
_SOLVED = ("DPM++ 2M", "UniPC")

EPSILON = (
    _DDIM,
    replace(_DDIM, name="DDIM from the mean", zero=False),
    *(replace(_DDIM_MATCHED, name=f"DDIM matched, rank {k}", rank=k) for k in (64, 1, 16)),
    replace(_DDIM_MATCHED, name="DDIM corrected, rank 64", rank=64, corrected="all but the last"),
    *(replace(_DDIM, name=f"{solver} from noise", solver=solver) for solver in _SOLVED),
    *(replace(_DDIM, name=f"{solver} from the mean", solver=solver, zero=False) for solver in _SOLVED),
    *(replace(_DDIM_MATCHED, name=f"{solver} matched, rank 64", solver=solver, rank=64) for solver in _SOLVED),
)
"""Ways of an ε-model on Stable Diffusion's timesteps. From noise, the average image is set to zero; the mean is that of the flow twin's first output."""

WAYS = {way.name: way for way in (*CORE, *RIVALS, *OURS, *SPARED, *TWICE, *LATENT)}
"""Ways of a flow."""
EVERY = WAYS | {way.name: way for way in EPSILON}

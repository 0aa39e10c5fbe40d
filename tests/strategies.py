"""The hypothesis strategies of the suite: schedules, times with their exact ends, laws with their degenerate cases."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

from singtheory import Atoms, Schedule, schedule_named

SCHEDULE_NAMES = (
    "cosine",
    "linear-vp",
    "rectified-flow",
    "variance-exploding",
    "power:0.5",
    "power:1",
    "power:3",
    "sd",
    "sd-zero-snr",
)


def examples(quick: int) -> int:
    """How many examples a slow test takes: `quick`, or those of `--hypothesis-profile=full`."""
    return max(quick, settings.default.max_examples) if settings.default.max_examples >= 1000 else quick


def schedules() -> st.SearchStrategy[Schedule]:
    """Every named schedule."""
    return st.sampled_from(SCHEDULE_NAMES).map(schedule_named)


def times() -> st.SearchStrategy[float]:
    """Times in [0, 1], the exact ends often."""
    return st.one_of(st.sampled_from([0.0, 1.0, 1e-9, 1 - 1e-9, 0.001, 0.999]), st.floats(0.0, 1.0))


def steps() -> st.SearchStrategy[tuple[float, float]]:
    """`(t, s)` with 0 < s < t ≤ 1, at least a thousandth apart."""
    return st.tuples(st.floats(0.001, 0.998), st.floats(0.001, 1.0)).map(lambda p: (p[0] + p[1] * (1 - p[0]), p[0]))


def snrs() -> st.SearchStrategy[float]:
    """γ from zero over 1e-12 to 1e12."""
    return st.one_of(st.sampled_from([0.0, 1e-12, 1.0, 1e12]), st.floats(-12, 12).map(lambda e: 10.0**e))


def gaps() -> st.SearchStrategy[float]:
    """g from 1e-3 to 30."""
    return st.floats(-3, 1.4).map(lambda e: 10.0**e)


@st.composite
def atoms(draw: st.DrawFn, dims: tuple[int, ...] = (1, 2, 3), least: int = 1) -> Atoms:
    """Up to five weighted atoms; they may coincide, and all weights but one may be zero."""
    dim, count = draw(st.sampled_from(dims)), draw(st.integers(least, 5))
    points = draw(st.lists(st.lists(st.floats(-2, 2), min_size=dim, max_size=dim), min_size=count, max_size=count))
    weights = draw(st.lists(st.sampled_from([0.0, 0.01, 0.5, 1.0]), min_size=count - 1, max_size=count - 1))
    return Atoms(points, [1.0, *weights])


def queries(dim: int) -> st.SearchStrategy[torch.Tensor]:
    """One query z of that width, shape (1, dim)."""
    return st.lists(st.floats(-3, 3), min_size=dim, max_size=dim).map(lambda z: torch.tensor([z], dtype=torch.float64))

"""The hypothesis strategies of the suite: schedules, times with their exact ends, laws with their degenerate cases."""

import re

import torch
from hypothesis import settings
from hypothesis import strategies as st

from singtheory import Atoms, Schedule, schedule_named
from singtheory.numerics import LENGTHS, PRECISIONS
from singtheory.schedule import SCHEDULES

SCHEDULE_NAMES = (*SCHEDULES, "power:0.5", "power:1", "power:3")


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


def snrs_to(most: float) -> st.SearchStrategy[float]:
    """γ up to a moderate one; what is below the domain is 0."""
    return st.floats(0, most).map(lambda snr: snr if snr >= PRECISIONS[0] else 0.0)


def gaps() -> st.SearchStrategy[float]:
    """g from 1e-3 to 30."""
    return st.floats(-3, 1.4).map(lambda e: 10.0**e)


@st.composite
def atoms(draw: st.DrawFn, dims: tuple[int, ...] = (1, 2, 3), least: int = 1) -> Atoms:
    """Up to five weighted atoms; they may coincide, and all weights but one may be zero."""
    dim, count = draw(st.sampled_from(dims)), draw(st.integers(least, 5))
    # what is smaller than 1e-30 is 0: the fourth powers of smaller differences are no numbers, and are refused
    coordinate = st.floats(-2, 2).map(lambda x: x if abs(x) > 1e-30 else 0.0)
    points = draw(st.lists(st.lists(coordinate, min_size=dim, max_size=dim), min_size=count, max_size=count))
    weights = draw(st.lists(st.sampled_from([0.0, 0.01, 0.5, 1.0]), min_size=count - 1, max_size=count - 1))
    return Atoms(points, [1.0, *weights])


def queries(dim: int) -> st.SearchStrategy[torch.Tensor]:
    """One query z of that width, shape (1, dim)."""
    return st.lists(st.floats(-3, 3), min_size=dim, max_size=dim).map(lambda z: torch.tensor([z], dtype=torch.float64))


def precisions() -> st.SearchStrategy[float]:
    """γ or g over the whole domain, its ends often."""
    return st.one_of(st.sampled_from(PRECISIONS), st.floats(-80, 80).map(lambda e: min(max(10.0**e, 1e-80), 1e80)))


def eigenvalues() -> st.SearchStrategy[float]:
    """Squares of lengths over the whole domain, its ends often."""
    return st.one_of(st.sampled_from([1e-60, 1e60]), st.floats(-60, 60).map(lambda e: min(max(10.0**e, 1e-60), 1e60)))


def dimensions() -> st.SearchStrategy[int]:
    """d from 1 to that of a large picture."""
    return st.sampled_from([1, 2, 3, 64, 10**4, 10**6])


def wild_snrs() -> st.SearchStrategy[float]:
    """γ = 0, and from 1e-16 to 1e16."""
    return st.one_of(st.just(0.0), st.floats(-16, 16).map(lambda e: 10.0**e))


def wild_gaps() -> st.SearchStrategy[float]:
    """g from 1e-16 to 1e16."""
    return st.floats(-16, 16).map(lambda e: 10.0**e)


@st.composite
def wild_atoms(draw: st.DrawFn, dims: tuple[int, ...] = (1, 2, 3, 5, 20), at_ends: bool = True) -> Atoms:
    """Laws that a hostile reader would give: far and rare atoms, near duplicates, collinear points far from the origin, any scale, zero weights; some at the ends of the domain."""
    dim, count = draw(st.sampled_from(dims)), draw(st.integers(1, 8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    points = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    weights = torch.ones(count, dtype=torch.float64)
    shape = draw(st.sampled_from(["cloud", "near duplicates", "line", "equal", "corners"]))
    if shape == "near duplicates":
        points = points[:1] + points * 10.0 ** draw(st.floats(-16, 0))
    elif shape == "line":
        points = points[:, :1] * torch.randn(1, dim, generator=generator, dtype=torch.float64)
    elif shape == "equal":
        points = points[:1].expand(count, dim).clone()
    elif shape == "corners":
        points = points.sign()
    if draw(st.booleans()):  # a far atom, usually a rare one
        points[-1] = points[-1] * 10.0 ** draw(st.floats(0, 12))
        weights[-1] = 10.0 ** draw(st.floats(-300, 0))
    if count > 1 and draw(st.booleans()):
        weights[0] = 0.0
    offset = draw(st.sampled_from([0.0, 1.0, 1e4, 1e8]))
    scale = 10.0 ** draw(st.one_of(st.just(0.0), st.floats(-8, 8)))
    places = ["as it is", "as it is", *(LENGTHS if at_ends else ())]
    return Atoms(_inside((points + offset) * scale, weights, draw(st.sampled_from(places))), weights)


def _inside(points: torch.Tensor, weights: torch.Tensor, end: float | str) -> torch.Tensor:
    """The points as they are, or so large or so small that they lie at an end of the domain."""
    if isinstance(end, str):
        return points
    held = points[weights > 0]
    apart = float((held.amax(dim=0) - held.amin(dim=0)).max())
    if end == LENGTHS[1]:
        return points / float(points.abs().max()) * (end / 2)
    return points if apart == 0 else (points - held[0]) / apart * (2 * end)


def mutations() -> int:
    """How many mutations a file format takes: 50, or 2,000 of `--hypothesis-profile=full`."""
    return 2000 if examples(50) >= 1000 else 50


_NUMBERS = [
    b"0",
    b"-1",
    b"1",
    b"7",
    b"255",
    b"65536",
    b"4294967296",
    b"9" * 19,
    b"9" * 30,
    b"1e400",
    b"nan",
    b"True",
    b"''",
    b"(",
    b"[[[",
]
"""What may stand where a header or a JSON file has a number."""


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """`original` with one to four changes: flipped, lost, repeated, foreign bytes, an early end, another number where one stands as text."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, min(len(content) - 1, draw(st.sampled_from([15, 130, 10**6]))))))
        kind = draw(st.sampled_from(["flip", "set", "lose", "repeat", "insert", "end", "number"]))
        if kind == "flip" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and content:
            content[place] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == "lose":
            del content[place : place + draw(st.integers(1, 40))]
        elif kind == "repeat":
            content[place:place] = content[place : place + 40] * draw(st.integers(1, 30))
        elif kind == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "end":
            del content[place:]
        elif results := list(re.finditer(rb"\d[\d.e+-]*", bytes(content[:3000]))):
            one = draw(st.sampled_from(results))
            content[one.start() : one.end()] = draw(st.sampled_from(_NUMBERS))
    return bytes(content)


def json_values() -> st.SearchStrategy[object]:
    """What a JSON file may hold, infinities, huge numbers and nesting with it."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([10**18, -(10**30), 10**400]),
        st.floats(),
        st.text(max_size=8),
    )
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    )

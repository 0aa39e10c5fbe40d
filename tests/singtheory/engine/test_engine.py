"""The engine: no mean is ever further off than its bound says, whichever way it was found; bad input is one line."""

import math
from typing import get_type_hints

import flint
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from singtheory import Atoms, InputError
from singtheory.engine.gpu import FusedEngine
from singtheory.engine.host import DOUBLE_TOL, Engine
from singtheory.engine.points import Points
from singtheory.engine.rescore import Candidates, rescore
from singtheory.engine.results import PosteriorMoments, Uncertified
from singtheory.engine.scan import most_parts, scan
from singtheory.engine.screen import TILE, left_out_below
from singtheory.law import AtomsPosterior, Posterior
from tests.support import reference_posterior
from tests.support.strategies import examples, queries, wild_atoms, wild_snrs

GAMMAS = (0.0, 1e-12, 1e-6, 1e-3, 0.05, 0.5, 5.0, 200.0, 1e6)


def ball_means(points: Points, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Means of posteriors in 200-bit balls, shape (batch, d), and at least how far float64 is from them, (batch,)."""
    before, flint.ctx.prec = flint.ctx.prec, 200
    try:
        atoms = flint.arb_mat([[flint.arb(v) for v in row] for row in points.whole.tolist()])
        norms = [sum(flint.arb(v) ** 2 for v in row) for row in points.whole.tolist()]
        means, off = [], []
        for query, gamma in zip(z.tolist(), snr.tolist(), strict=True):
            root = flint.arb(gamma).sqrt()
            inner = atoms * flint.arb_mat([[flint.arb(v)] for v in query])
            logits = [root * inner[i, 0] - flint.arb(gamma) * norms[i] / 2 for i in range(points.count)]
            top = max(logits, key=lambda ball: float(ball.mid()))
            weights = [flint.arb(w) * (one - top).exp() for w, one in zip(points.weights.tolist(), logits, strict=True)]
            sums = flint.arb_mat([weights]) * atoms
            mean = [sums[0, k] / sum(weights) for k in range(points.dim)]
            means.append([float(ball.mid()) for ball in mean])
            off.append(math.fsum(float(ball.rad()) + 2.0**-53 * abs(float(ball.mid())) for ball in mean))
        return torch.tensor(means, dtype=torch.float64), torch.tensor(off, dtype=torch.float64)
    finally:
        flint.ctx.prec = before


@st.composite
def clouds(draw, kinds: tuple[str, ...] = ("normal", "levels", "bytes", "clusters", "far", "twins")) -> Points:
    """Atoms of many kinds, 65 to 300 of them, more than are always weighed from differences."""
    n, d = draw(st.integers(65, 300)), draw(st.integers(1, 24))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    atoms = torch.randn(n, d, generator=generator, dtype=torch.float64)
    kind = draw(st.sampled_from(kinds))
    if kind == "levels":
        atoms = (atoms * 60).round().clamp(-127, 128) / 127.5
    elif kind == "clusters":
        atoms = atoms[torch.randint(5, (n,), generator=generator)] + 1e-4 * atoms
    elif kind == "far":
        atoms = atoms + draw(st.sampled_from([1e2, -1e4]))
    elif kind == "twins":
        atoms = atoms[torch.arange(n) // 2]
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    weights[torch.rand(n, generator=generator) < draw(st.sampled_from([0.0, 0.3]))] = 0
    weights[0] = 1
    if kind == "bytes":
        return Points((atoms * 60 + 128).round().clamp(0, 255).to(torch.uint8), weights / weights.sum())
    return Points(atoms * draw(st.sampled_from([1e-3, 1.0, 30.0])), weights / weights.sum())


@st.composite
def asked(draw, points: Points, kinds: tuple[str, ...] = ("noised", "nowhere", "between")) -> tuple[Tensor, Tensor]:
    """Queries at several γ: noised atoms, some from nowhere near, and points between two atoms, where every digit of a log weight counts."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    snr = torch.tensor(draw(st.lists(st.sampled_from(GAMMAS), min_size=1, max_size=6)), dtype=torch.float64)
    snr = snr / points.scale**2
    atoms = points.take(torch.randint(points.count, (len(snr),), generator=generator))
    noise = torch.randn(len(snr), points.dim, generator=generator, dtype=torch.float64)
    kind = draw(st.sampled_from(kinds))
    if kind == "between":
        second = torch.cdist(atoms, points.whole).topk(2, dim=1, largest=False).indices[:, 1]
        return snr.sqrt()[:, None] * (atoms + points.take(second)) / 2, snr
    return snr.sqrt()[:, None] * atoms + (10 if kind == "nowhere" else 1) * noise, snr


WAYS = {
    "scan": lambda engine, z, snr: scan(engine.points, z, snr, 1),
    "scan in parts": lambda engine, z, snr: scan(engine.points, z, snr, most_parts(engine.points)),
    "rescore": lambda engine, z, snr: rescore(
        engine.points, z, snr, Candidates.everything(len(z), engine.points.count, z.device), math.inf
    ),
    "screened, tol 1e-3": lambda engine, z, snr: _screened(engine, z, snr, 1e-3),
    "screened, tol 1e-12": lambda engine, z, snr: _screened(engine, z, snr, DOUBLE_TOL),
    "series": lambda engine, z, snr: engine.series.posterior(z, snr),
    "found, tol 1e-3": lambda engine, z, snr: engine.find(z, snr, 1e-3),
    "found, tol 1e-12": lambda engine, z, snr: engine.find(z, snr, DOUBLE_TOL),
}


def _screened(engine: Engine, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
    points = engine.points
    kept = engine.screen(z, snr).kept(points, tol * points.scale)
    return rescore(points, z, snr, Candidates(kept, TILE, engine._order), left_out_below(points, tol * points.scale))


@pytest.mark.parametrize("way", WAYS)
@given(st.data())
def test_no_way_is_further_off_than_its_bound(way, data):
    points = data.draw(clouds())
    z, snr = data.draw(asked(points))
    actual = WAYS[way](Engine(points), z, snr)
    mean, off = ball_means(points, z, snr)
    error = (actual.mean - mean).norm(dim=1)
    assert bool((error <= actual.error_bound + off).all()), (error, actual.error_bound)


@given(st.data())
def test_what_is_asked_for_is_reached_for_data_like_ours(data):
    points = data.draw(clouds().filter(lambda p: p.reach < 100 * p.variance**0.5))
    # between two atoms at γ = 1e12 the rounding of √γ z itself costs more
    z, snr = data.draw(asked(points, ("noised", "nowhere")))
    assert float(Engine(points).find(z, snr, 1e-10).error_bound.max()) <= 1e-10 * points.scale


@given(st.data())
def test_trace_and_evidence_are_those_of_plain_sums(data):
    points = data.draw(clouds().filter(lambda p: p.reach < 100 * p.variance**0.5))
    z, snr = data.draw(asked(points))
    actual = Engine(points).find(z, snr, DOUBLE_TOL)
    apart = z[:, None] - snr.sqrt()[:, None, None] * points.whole
    joint = points.log_weights - apart.square().sum(dim=2) / 2 - points.dim / 2 * math.log(2 * math.pi)
    p = torch.softmax(joint, dim=1)
    spread = (points.whole - (p @ points.whole)[:, None]).square().sum(dim=2)
    torch.testing.assert_close(actual.trace_cov, (p * spread).sum(dim=1), rtol=1e-7, atol=1e-9 * points.variance)
    torch.testing.assert_close(actual.log_evidence, joint.logsumexp(dim=1), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("at", [0.0, -0.3, 0.3])
@pytest.mark.parametrize("snr", [1.0, 0.01])
def test_the_evidence_from_moments_is_as_precise_as_the_mean(at, snr):
    """`log E e^t` to the second order in t, of which the mean is the gradient: near the mean of the data what ‖y‖² varies by is all there is."""
    law = Atoms([[2.555011994740795], [2.53832727201791], [2.5211792738496452], [2.3461661850670456]], [1, 2, 3, 1])
    z, gamma = snr**0.5 * law.mean[None] + at, torch.tensor([snr], dtype=torch.float64)
    actual = Engine(Points(law.points, law.weights)).series.posterior(z, gamma)
    joint = law.weights.log() - (z - snr**0.5 * law.points[:, 0]).square()[0] / 2 - math.log(2 * math.pi) / 2
    third = (0.09 * snr**0.5 * (abs(at) + 0.05 * snr**0.5)) ** 3  # the deviation of the data is 0.07
    assert float(actual.log_evidence) == pytest.approx(float(joint.logsumexp(0)), rel=0, abs=third + 1e-15)


def test_every_way_is_taken_where_it_is_the_cheapest(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    points = Points(
        torch.randn(4000, 8, generator=generator, dtype=torch.float64),
        torch.full((4000,), 1 / 4000, dtype=torch.float64),
    )
    engine, taken = Engine(points), []
    for name in ("_rescored", "_dense"):
        way = getattr(engine, name)
        monkeypatch.setattr(engine, name, lambda *a, way=way, name=name, **k: taken.append(name) or way(*a, **k))
    monkeypatch.setattr(
        engine.series, "posterior", lambda *q, way=engine.series.posterior: taken.append("series") or way(*q)
    )
    z = torch.randn(1, 8, generator=generator, dtype=torch.float64)
    for gamma in (1e-16, 1.0, 1e4):
        snr = torch.tensor([gamma], dtype=torch.float64)
        engine.find(z + snr.sqrt() * points.take(torch.tensor([7])), snr, DOUBLE_TOL)
    assert taken == ["series", "_dense", "_rescored"]


def test_queries_at_all_levels_of_noise_in_one_call_are_those_of_one_at_a_time():
    generator = torch.Generator().manual_seed(1)
    law = Atoms(torch.randn(700, 12, generator=generator, dtype=torch.float64))
    snr = torch.tensor(GAMMAS, dtype=torch.float64)[torch.randperm(len(GAMMAS), generator=generator)]
    z = torch.randn(len(snr), 12, generator=generator, dtype=torch.float64) + snr.sqrt()[:, None] * law.points[:9]
    together = law.posterior(z, snr)
    for k, gamma in enumerate(snr.tolist()):
        alone = law.posterior(z[k], gamma)
        bound = float(alone.error_bound + together.error_bound[k])
        assert float((alone.mean[0] - together.mean[k]).norm()) <= bound
        assert float((together[k].mean - together.mean[k]).norm()) == 0


def test_a_tolerance_that_cannot_be_reached_names_the_smallest_one():
    law = Atoms(1e6 + torch.randn(200, 3, dtype=torch.float64))
    with pytest.raises(InputError, match=r"tol 1e-16: .*certifies \S+; take at least that"):
        law.posterior([1e6] * 3, 1.0, tol=1e-16)


@pytest.mark.parametrize("tol", [0.0, -1.0, math.nan])
def test_a_tolerance_is_positive(tol):
    with pytest.raises(InputError, match="tol"):
        Atoms([[0.0], [1.0]]).posterior([0.0], 1.0, tol=tol)


def test_no_queries_are_no_posteriors():
    law = Atoms(torch.randn(500, 3, dtype=torch.float64))
    actual = law.posterior(torch.empty(0, 3), 1.0)
    assert actual.mean.shape == (0, 3) and actual.error_bound.shape == actual.log_evidence.shape == (0,)
    assert actual.nearest(2).shape[0] == 0


def test_atoms_that_are_all_one_are_told_exactly():
    law = Atoms(torch.full((300, 4), 0.25, dtype=torch.float64))
    actual = law.posterior(torch.randn(5, 4, dtype=torch.float64), 2.0)
    assert bool((actual.mean == 0.25).all()) and bool((actual.trace_cov <= 1e-28).all())


def test_a_subset_is_the_law_of_its_class():
    generator = torch.Generator().manual_seed(2)
    law = Atoms(torch.randn(300, 5, generator=generator, dtype=torch.float64), torch.rand(300, generator=generator))
    mask = torch.rand(300, generator=generator) < 0.3
    z = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    whole = law.posterior(z, 0.7)
    p = whole.weights * mask
    expected = (p / p.sum(dim=1, keepdim=True)) @ law.points
    torch.testing.assert_close(law.subset(mask).posterior(z, 0.7).mean, expected, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(
        law.subset(mask.nonzero()[:, 0]).posterior(z, 0.7).mean, expected, rtol=1e-11, atol=1e-12
    )
    with pytest.raises(InputError, match="empty"):
        law.subset(torch.zeros(300, dtype=torch.bool))


def test_a_device_without_memory_answers_fewer_queries_at_once_and_then_says_what_is_needed(monkeypatch):
    generator = torch.Generator().manual_seed(3)
    law = Atoms(torch.randn(500, 6, generator=generator, dtype=torch.float64))
    z, group, sizes = torch.randn(11, 6, generator=generator, dtype=torch.float64), law._engine._group, []
    expected, most = law.posterior(z, 0.5).mean, 2

    def short(z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        if len(z) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(len(z))
        return group(z, snr, tol)

    monkeypatch.setattr(law._engine, "_group", short)
    torch.testing.assert_close(law.posterior(z, 0.5).mean, expected, rtol=1e-12, atol=1e-12)
    assert max(sizes) == 2 and sum(sizes) == 11
    most = 0
    with pytest.raises(InputError, match=r"no memory for one query over 500 points of width 6; \S+ GB are needed"):
        _ = law.posterior(z, 0.5).mean
    monkeypatch.setattr(law._engine, "_group", lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        _ = law.posterior(z, 0.5).mean


def test_the_screen_is_as_precise_as_it_says_whatever_torch_was_told_of_float32(monkeypatch):
    """Products of float32 may then have the digits of bfloat16, which the screen must not take for its own."""
    generator = torch.Generator().manual_seed(4)
    points = Points(
        torch.randn(300, 20, generator=generator).double(), torch.full((300,), 1 / 300, dtype=torch.float64)
    )
    z, snr = 30 * torch.randn(5, 20, generator=generator).double(), torch.full((5,), 50.0, dtype=torch.float64)
    expected = Engine(points).screen(z, snr)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    monkeypatch.setattr(torch.Tensor, "__matmul__", _low(torch.Tensor.__matmul__))
    actual = Engine(points).screen(z, snr)
    assert bool(((actual.largest - expected.largest).abs().amax(dim=1) <= 2 * actual.error).all())


def _low(product):
    def of(left: Tensor, right: Tensor) -> Tensor:
        if left.dtype == torch.float32:
            return product(left.bfloat16(), right.bfloat16()).float()
        return product(left, right)

    return of


@pytest.mark.parametrize("way", ["scan", "scan in parts", "differences", "moments"])
@given(st.data(), wild_atoms(dims=(1, 2)), wild_snrs())
@settings(deadline=None, max_examples=examples(30))
def test_every_way_keeps_its_bound_on_hostile_laws(way, data, law, snr):
    """Against mpmath; a bound may be infinite, but not wrong."""
    engine, gamma = Engine(Points(law.points, law.weights)), torch.tensor([snr], dtype=torch.float64)
    row = data.draw(st.integers(0, len(law.points) - 1))
    z = math.sqrt(snr) * law.points[row : row + 1] + data.draw(queries(law.dim)) * 10 ** data.draw(st.floats(0, 2))
    ways = {
        "scan": lambda: scan(engine.points, z, gamma, 1),
        "scan in parts": lambda: scan(engine.points, z, gamma, most_parts(engine.points)),
        "differences": lambda: engine._rescored(
            z, gamma, Candidates.everything(1, len(law.points), z.device), DOUBLE_TOL
        ),
        "moments": lambda: engine.series.posterior(z, gamma),
    }
    actual = ways[way]()
    mean, _, _ = reference_posterior.posterior(law, z[0].tolist(), snr)
    if way == "moments" and float(actual.error_bound) < 1e-9 * engine.points.scale:
        plain = engine._rescored(z, gamma, Candidates.everything(1, len(law.points), z.device), DOUBLE_TOL)
        # the gradient of the log evidence along z is √γ times the mean, and so is that of its error
        off = float(actual.error_bound) * math.sqrt(snr) * float(engine.points.shifted(z, gamma).norm())
        assert float(actual.log_evidence) == pytest.approx(float(plain.log_evidence), rel=1e-9, abs=1e-9 + off)
    off = math.sqrt(sum(float(v - m) ** 2 for v, m in zip(actual.mean[0].tolist(), mean, strict=True)))
    assert not off > float(actual.error_bound) + 3e-16 * float(law.points.norm(dim=1).max())


def test_no_bound_is_given_where_log_weights_are_lost():
    """Beyond z = 10¹⁵ a log weight is off by more than the first order of its exponential covers."""
    points = Points(
        torch.tensor([[0.0], [1.0], [1.0 + 1e-7]], dtype=torch.float64), torch.full((3,), 1 / 3, dtype=torch.float64)
    )
    z, snr = torch.tensor([[0.5], [1e10], [1e15], [1e18]], dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    bound = scan(points, z, snr, 1).error_bound
    assert bound.isinf().tolist() == [False, False, True, True]


def test_what_carries_no_bound_says_so_in_its_type():
    """`error_bound` is that of the mean alone."""
    fields_of = get_type_hints(PosteriorMoments, include_extras=True)
    assert [name for name, kind in fields_of.items() if kind == Uncertified] == ["trace_cov", "log_evidence"]
    for name in ("trace_cov", "log_evidence"):
        for kind in (Posterior, AtomsPosterior):
            of = getattr(kind, name, None)
            hints = get_type_hints(of.fget if isinstance(of, property) else kind, include_extras=True)
            assert hints["return" if isinstance(of, property) else name] == Uncertified


@pytest.mark.parametrize("make", [Engine, FusedEngine])
@pytest.mark.parametrize("log_scale", [-120, -30, 14, 15, 19, 20, 120])
def test_data_whose_squares_float32_cannot_hold(make, log_scale):
    """One point lies near the centre, where float32 would hold its square, and queries at the one that lies furthest and at others."""
    y = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(log_scale)) * 10.0**log_scale
    y[0] = 0.0
    points = Points(y, torch.full((300,), 1 / 300, dtype=torch.float64))
    snr = torch.tensor([1e-3, 1.0, 1e4, 1e4, 1e4, 1e30], dtype=torch.float64) * 10.0 ** (-2 * log_scale)
    furthest = y.norm(dim=1).argsort(descending=True)
    z = snr.sqrt()[:, None] * y[furthest[[0, 0, 0, 150, 299, 0]]]
    actual = make(points).find(z, snr, DOUBLE_TOL)
    mean, off = ball_means(points, z, snr)
    assert bool(((actual.mean - mean).norm(dim=1) <= actual.error_bound + off).all())
    # of γ r² = 10³⁰ float64 keeps no digits
    assert bool((actual.error_bound[:5] <= 1e-9 * points.scale).all())

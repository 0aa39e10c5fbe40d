"""The engine of GPUs, with its kernels in plain torch: as `test_engine`, for every way that it has of its own."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from singtheory.engine import gpu, reference
from singtheory.engine.gpu import FusedEngine, engine_of
from singtheory.engine.host import DOUBLE_TOL, SINGLE_TOL, Engine
from singtheory.engine.levels import levels_of
from singtheory.engine.points import Points
from singtheory.engine.results import PosteriorMoments
from singtheory.engine.rounding import Asking
from singtheory.engine.rows import Look
from singtheory.errors import InputError
from singtheory.law import Atoms
from singtheory.law.posterior import AtomsPosterior
from tests.singtheory.engine.test_engine import asked, ball_means, clouds


def prepared(points: Points) -> FusedEngine:
    engine = FusedEngine(points)
    engine._prepare()
    return engine


def near(engine: FusedEngine, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
    """From few tiles; infinitely far off where there are more."""
    mean, numbers, _ = engine._look(z, snr, goal=tol * engine.points.scale)
    look = Look(*numbers)
    return PosteriorMoments(mean, look.trace, look.evidence, look.bound)


def weighed(engine: FusedEngine, z: Tensor, snr: Tensor, digits: int, weight_digits: int) -> PosteriorMoments:
    """From all atoms."""
    goal = DOUBLE_TOL * engine.points.scale
    _, numbers, _ = engine._look(z, snr, goal=engine.points.scale)
    mean, numbers, short = engine._weigh(z, snr, Look(*numbers).top, digits, weight_digits, goal)
    assert int(short) == int((~(numbers[2] <= goal)).sum())
    return PosteriorMoments(mean, *numbers)


WAYS = {
    "near, tol 1e-2": lambda engine, z, snr: near(engine, z, snr, 1e-2),
    "near, tol 1e-12": lambda engine, z, snr: near(engine, z, snr, DOUBLE_TOL),
    "found, tol 1e-6": lambda engine, z, snr: engine.find(z, snr, SINGLE_TOL),
    "found, tol 1e-12": lambda engine, z, snr: engine.find(z, snr, DOUBLE_TOL),
}
DIGITS = [(1, 3), (2, 2), (7, 8)]


def within_its_bound(points: Points, z: Tensor, snr: Tensor, actual: PosteriorMoments) -> None:
    mean, off = ball_means(points, z, snr)
    error = (actual.mean - mean).norm(dim=1)
    assert bool(((error <= actual.error_bound + off) | actual.error_bound.isinf()).all()), (error, actual.error_bound)


@pytest.mark.parametrize("way", WAYS)
@given(st.data())
def test_no_way_is_further_off_than_its_bound(way, data):
    points = data.draw(clouds())
    z, snr = data.draw(asked(points))
    within_its_bound(points, z, snr, WAYS[way](prepared(points), z, snr))


@pytest.mark.parametrize(("digits", "weight_digits"), DIGITS)
@given(st.data())
def test_few_digits_are_not_further_off_than_their_bound(digits, weight_digits, data):
    points = data.draw(clouds(("levels", "bytes")))
    z, snr = data.draw(asked(points))
    within_its_bound(points, z, snr, weighed(prepared(points), z, snr, digits, weight_digits))


@given(st.data())
def test_no_tile_is_left_out_that_holds_a_log_weight_above_the_threshold(data):
    """The screen's error is an error."""
    points = data.draw(clouds())
    z, snr = data.draw(asked(points))
    engine = prepared(points)
    scaled = snr.sqrt()[:, None] * points.shifted(z, snr)
    whole = engine.levels is not None
    constants = Asking.whole if whole else Asking.of
    known = constants(engine._sizes, 1e-9 * points.scale, engine.series.rounding, engine.series.constant)
    queries = reference.asked(z, snr, points.mean, engine._screened.shape[1], known, whole)
    largest = reference.screen(queries, engine._screened, *engine._single, snr, gpu.TILE)
    error = queries.error
    atoms = points.whole - points.mean
    exact = scaled @ atoms.mT - snr[:, None] * atoms.square().sum(dim=1) / 2 + points.log_weights
    exact = torch.nn.functional.pad(exact, (0, -points.count % gpu.TILE), value=-math.inf)
    exact = exact.unflatten(1, (-1, gpu.TILE)).amax(dim=2)
    # what is screened is off by what rounding may have taken of a query, too, and by a number common to a query's atoms
    error = error + queries.rest * atoms.norm(dim=1).amax()
    off = (largest[:, : exact.shape[1]].double() - exact).where(exact > -1e6, torch.nan)
    spread = off.nan_to_num(-math.inf).amax(dim=1) - off.nan_to_num(math.inf).amin(dim=1)
    assert bool((spread <= 2 * error * (1 + 1e-9) + 1e-9 * exact.abs().where(exact > -1e6, 0).amax(dim=1)).all())
    below = 3.0
    tiles = reference.tiles(largest, queries, engine._tile_norms, below, largest.shape[1])
    needed = exact >= (exact.amax(dim=1) - below)[:, None]
    for index, count, chosen in zip(tiles.index, tiles.count.int(), needed, strict=True):
        assert set(chosen.nonzero()[:, 0].tolist()) <= set(index[: int(count)].tolist())


@given(st.data())
def test_what_is_asked_for_is_reached_for_data_like_ours(data):
    points = data.draw(clouds().filter(lambda p: p.reach < 100 * p.variance**0.5))
    z, snr = data.draw(asked(points, ("noised", "nowhere")))
    engine = FusedEngine(points)
    assert float(engine.find(z, snr, 1e-10).error_bound.max()) <= 1e-10 * points.scale


@given(st.data())
def test_trace_and_evidence_by_digits_are_those_of_the_engine_of_cpus(data):
    points = data.draw(clouds(("levels", "bytes")))
    z, snr = data.draw(asked(points, ("noised", "nowhere")))
    actual, other = weighed(prepared(points), z, snr, 7, 8), Engine(points).find(z, snr, DOUBLE_TOL)
    # the digits of a log weight are those of a number as large as this
    size = 2.0**-50 * (1 + z.square().sum(dim=1) + snr * points.reach**2)
    known = (actual.error_bound <= 1e-9 * points.scale) & (size < 1e-6)
    off = (actual.log_evidence - other.log_evidence).abs()
    assert bool((off <= 1e-9 + 8 * size)[known].all())
    torch.testing.assert_close(actual.trace_cov[known], other.trace_cov[known], rtol=1e-6, atol=1e-9 * points.variance)


@given(st.data())
def test_trace_and_evidence_are_those_of_the_engine_of_cpus(data):
    points = data.draw(clouds().filter(lambda p: p.reach < 100 * p.variance**0.5))
    z, snr = data.draw(asked(points))
    actual, other = FusedEngine(points).find(z, snr, DOUBLE_TOL), Engine(points).find(z, snr, DOUBLE_TOL)
    torch.testing.assert_close(actual.trace_cov, other.trace_cov, rtol=1e-7, atol=1e-9 * points.variance)
    torch.testing.assert_close(actual.log_evidence, other.log_evidence, rtol=1e-9, atol=1e-8)


def test_every_way_is_taken_where_it_is_the_cheapest(monkeypatch):
    """Moments, all atoms, and few, each for the queries that want it, in one call."""
    generator = torch.Generator().manual_seed(0)
    atoms = torch.randint(0, 256, (4000, 8), generator=generator).double() / 127.5 - 1
    points = Points(atoms, torch.full((4000,), 1 / 4000, dtype=torch.float64))
    engine, taken = FusedEngine(points), {}
    for name in ("posterior", "_all", "_weighed"):
        owner = engine.series if name == "posterior" else engine
        way = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda z, *a, way=way, name=name, **k: taken.update({name: len(z)}) or way(z, *a, **k)
        )
    snr = torch.tensor([1e-17, 1.0, 2.0, 1e5, 1e5], dtype=torch.float64)
    z = torch.randn(5, 8, generator=generator, dtype=torch.float64) + snr.sqrt()[:, None] * atoms[:5]
    actual = engine.find(z, snr, DOUBLE_TOL)
    assert taken == {"posterior": 1, "_all": 2}
    within_its_bound(points, z, snr, actual)


def test_data_off_levels_and_in_the_middle_take_the_ways_in_float64(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    points = Points(
        torch.randn(4000, 8, generator=generator).double(), torch.full((4000,), 1 / 4000, dtype=torch.float64)
    )
    engine, asked_for = FusedEngine(points), []
    way = engine._weighed
    monkeypatch.setattr(engine, "_weighed", lambda z, snr, tol: asked_for.append(len(z)) or way(z, snr, tol))
    engine.find(torch.randn(3, 8, generator=generator).double(), torch.tensor([0.5, 1.0, 1e5]).double(), SINGLE_TOL)
    assert asked_for == [2]


def test_without_a_gpu_the_engine_is_that_of_cpus():
    assert (
        type(engine_of(Points(torch.randn(100, 2).double(), torch.full((100,), 0.01, dtype=torch.float64)))) is Engine
    )


def test_blocks_of_atoms_add_up(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    atoms = torch.randint(0, 256, (1500, 10), generator=generator).double() / 127.5 - 1
    points = Points(atoms, torch.full((1500,), 1 / 1500, dtype=torch.float64))
    snr = torch.tensor([0.1, 1.0, 3.0]).double()
    z = snr.sqrt()[:, None] * atoms[:3] + torch.randn(3, 10, generator=generator).double()
    monkeypatch.setattr(gpu, "_CHUNK", 256)
    actual = weighed(prepared(points), z, snr, 6, 7)
    within_its_bound(points, z, snr, actual)
    assert float(actual.error_bound.max()) < 1e-10


def test_a_weight_that_rounding_doubles_is_within_the_bound():
    """Half the atoms at +1, half at −1 with weights that round up from a half of the last digit."""
    atoms = torch.cat([torch.ones(200, 1), -torch.ones(200, 1)]).double()
    weights = torch.cat([torch.full((200,), 2.0), torch.full((200,), 1.0)]).double() / 600
    points = Points(atoms, weights)
    engine = prepared(points)
    z, snr = torch.zeros(1, 1).double(), torch.full((1,), 1e-9, dtype=torch.float64)
    top = points.log_weights[:1] + math.log(127)
    mean, numbers, _ = engine._weigh(z, snr, top, 2, 1, 1.0)
    within_its_bound(points, z, snr, PosteriorMoments(mean, *numbers))


def pixels(count: int = 1500, dim: int = 8) -> Points:
    """On levels, of one weight."""
    atoms = torch.randint(0, 256, (count, dim), generator=torch.Generator().manual_seed(0)).double() / 127.5 - 1
    return Points(atoms, torch.full((count,), 1 / count, dtype=torch.float64))


def noised(points: Points, snr: list[float]) -> tuple[Tensor, Tensor]:
    levels = torch.tensor(snr, dtype=torch.float64)
    noise = torch.randn(len(snr), points.dim, generator=torch.Generator().manual_seed(1)).double()
    return levels.sqrt()[:, None] * points.whole[: len(snr)] + noise, levels


def test_an_answer_that_was_started_is_that_of_its_queries_as_they_were():
    """Few atoms, all atoms and moments, which are looked at at different times."""
    points = pixels()
    z, snr = noised(points, [1e-17, 1.0, 2.0, 1e5])
    expected = FusedEngine(points).find(z.clone(), snr, SINGLE_TOL)
    started = FusedEngine(points).start(z, snr, SINGLE_TOL)
    z.neg_()
    actual = started.finish()
    assert bool(((actual.mean - expected.mean).norm(dim=1) <= actual.error_bound + expected.error_bound).all())


@pytest.mark.parametrize("levels", [[0.5, 1.0, 1.5, 2.0], [1e-17] * 4, [1e-17, 1.0, 2.0, 1e5]])
def test_searches_may_be_started_before_the_ones_before_them_are_finished(levels):
    """One way for all queries, which is begun at once, and several."""
    engine = FusedEngine(pixels())
    z, snr = noised(engine.points, levels)
    batches = [z, z.flip(0).neg(), 2 * z]
    started = [engine.start(batch, snr, DOUBLE_TOL) for batch in batches]
    for batch, one in zip(batches, started, strict=True):
        actual, expected = one.finish(), Engine(engine.points).find(batch, snr, DOUBLE_TOL)
        assert float(actual.error_bound.max()) <= DOUBLE_TOL * engine.points.scale
        assert bool(((actual.mean - expected.mean).norm(dim=1) <= actual.error_bound + expected.error_bound).all())


def test_a_whole_batch_whose_digits_fall_short_is_mended(monkeypatch):
    """What counts them is looked at, and nothing is returned above the tolerance."""
    monkeypatch.setattr(reference.rounding, "query_digits", lambda size, *_: torch.full_like(size, 2.0))
    engine, taken = FusedEngine(pixels()), []
    z, snr = noised(engine.points, [0.5, 1.0, 1.5, 2.0])
    weigh = engine._weigh
    monkeypatch.setattr(engine, "_weigh", lambda *a: taken.append(a[3]) or weigh(*a))
    looked = engine._looked(z, snr, DOUBLE_TOL)
    assert looked.short() == 4 and looked.plan.digits == 2
    assert float(engine._found(z, snr, DOUBLE_TOL, looked).error_bound.max()) <= DOUBLE_TOL * engine.points.scale
    assert taken == [7]


def test_atoms_are_screened_once_for_a_posterior_and_those_of_its_queries(monkeypatch):
    points, looks = pixels(), []
    engine = FusedEngine(points)
    look = engine._look
    engine._first.function = lambda *arguments, **more: looks.append(len(arguments[0])) or look(*arguments, **more)
    posterior = AtomsPosterior(engine, *noised(points, [1.0, 2.0, 1e5]), SINGLE_TOL)
    posterior.start()
    assert [one.mean.shape for one in posterior] == [(1, points.dim)] * 3
    assert looks == [3]


@pytest.mark.parametrize(
    "z, snr",
    [(math.nan, 1.0), (math.inf, 1.0), (-math.inf, 0.0), (0.5, math.nan), (0.5, math.inf), (0.5, -1.0), (0.5, -1e-300)],
)
def test_numbers_that_are_none_are_seen_in_the_pass_that_is_made_anyway(z, snr):
    """One of them among sound ones, in the first, a middle and the last query."""
    engine = FusedEngine(pixels())
    for row in (0, 2, 4):
        queries, levels = noised(engine.points, [1e-17, 1.0, 2.0, 1e5, 1e7])
        assert engine.start(queries, levels, SINGLE_TOL).checked
        queries[row, 1], levels[row] = z, snr
        assert not engine.start(queries, levels, SINGLE_TOL).checked


def test_what_the_pass_cannot_judge_is_looked_at_by_the_law(monkeypatch):
    """A query that float32 does not hold is answered; one beyond the domain, or that is no number, is refused in one line."""
    law = Atoms(pixels().whole)
    monkeypatch.setattr(law, "_engine", FusedEngine(law._points))
    far = torch.full((1, law.dim), 1e60, dtype=torch.float64)
    assert not law._engine.start(far, torch.ones(1).double(), SINGLE_TOL).checked
    assert bool(law.posterior(far, 1.0).mean.isfinite().all())
    with pytest.raises(InputError, match="query z holds NaN or infinity"):
        law.posterior(far * math.nan, 1.0)
    with pytest.raises(InputError, match=r"query z: the largest number is 1e\+72"):
        law.posterior(far * 1e12, 1.0)
    for snr in (1e-81, 1e81):
        with pytest.raises(InputError, match="snr is 1e"):
            law.posterior(far / 1e60, snr)
    assert law._engine.start(far / 1e60, torch.zeros(1).double(), SINGLE_TOL).checked
    with pytest.raises(InputError, match="snr must be finite and at least 0"):
        law.posterior(far / 1e60, -1.0)


@pytest.mark.parametrize("at", ["_first", "_all"])
def test_without_memory_for_all_queries_at_once_they_are_answered_in_halves(monkeypatch, at):
    points = pixels()
    z, snr = noised(points, [0.5, 1.0, 1.5, 2.0])
    engine, refused = FusedEngine(points), []
    way = getattr(engine, at)

    def short(z: Tensor, *arguments, **more):
        if len(z) > 2:
            refused.append(len(z))
            raise RuntimeError("CUDA out of memory")
        return way(z, *arguments, **more)

    monkeypatch.setattr(engine, at, short)
    actual, expected = engine.start(z, snr, SINGLE_TOL).finish(), Engine(points).find(z, snr, DOUBLE_TOL)
    assert refused == [4, 4]
    assert bool(((actual.mean - expected.mean).norm(dim=1) <= actual.error_bound + expected.error_bound).all())


@pytest.mark.parametrize(
    ("gamma", "tol", "known"), [(20.0, 1e-6, True), (0.3, 1e-6, True), (0.3, 1e-17, False), (1e-17, 1e-6, False)]
)
def test_bounds_that_a_device_has_looked_at_are_below_the_goal(gamma, tol, known):
    """From few atoms, or from all of them; one by the series has yet to be looked at, and so has one that is too large."""
    points = pixels(1000, 64)
    z, snr = noised(points, [gamma] * 4)
    started = prepared(points).start(z, snr, tol)
    bound = started.finish().error_bound
    assert started.reached() == known
    assert (float(bound.max()) <= tol * points.scale) == (tol > 1e-17)
    assert not Engine(points).start(z, snr, tol).reached()


def test_bytes_are_held_as_bytes_and_answer_as_their_doubles():
    """Three bytes a number in all; nothing of them is held in float64."""
    points = pixels(1000, 64)
    doubles, engine = (
        prepared(points),
        prepared(Points(levels_of(points.whole).numbers.view(torch.uint8) ^ 128, points.weights)),
    )
    z, snr = noised(points, [1e-17, 1e-3, 0.5, 5.0, 1e4])
    for tol in (SINGLE_TOL, DOUBLE_TOL):
        one, other = (each.find(z, snr, tol) for each in (engine, doubles))
        assert bool(((one.mean - other.mean).norm(dim=1) <= one.error_bound + other.error_bound).all())
        assert float(one.error_bound.max()) <= tol * points.scale
    assert torch.equal(engine._screened, doubles._screened) and torch.equal(engine._numbers, doubles._numbers)
    held = [engine.points.stored, engine._numbers, *engine._columns]
    assert sum(one.untyped_storage().nbytes() for one in held) <= 3.2 * points.count * points.dim
    assert engine.levels.numbers.untyped_storage().data_ptr() == engine._numbers.untyped_storage().data_ptr()
    assert engine.points._centred is None


def test_other_errors_are_not_taken_for_want_of_memory(monkeypatch):
    engine = FusedEngine(pixels())
    monkeypatch.setattr(engine, "_first", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("wrong")))
    with pytest.raises(RuntimeError, match="wrong"):
        engine.start(*noised(engine.points, [1.0]), SINGLE_TOL)


def test_padding_may_be_the_best_that_the_screen_finds():
    """Log weights so low that float32 cannot tell them apart and has no weight."""
    points = pixels(1000, 4)
    engine, z, snr = prepared(points), torch.zeros(1, 4).double(), torch.tensor([1e33]).double()
    assert float(near(engine, z, snr, DOUBLE_TOL).error_bound) == math.inf
    assert bool(engine.find(z, snr, DOUBLE_TOL).mean.isfinite().all())


def test_atoms_that_are_all_one_and_one_query_and_none_are_answered():
    points = Points(torch.full((300, 4), 0.25).double(), torch.full((300,), 1 / 300, dtype=torch.float64))
    engine = FusedEngine(points)
    actual = engine.find(torch.randn(1, 4).double(), torch.ones(1).double(), DOUBLE_TOL)
    assert float((actual.mean - 0.25).norm()) <= float(actual.error_bound) <= 1e-12
    assert engine.find(torch.empty(0, 4).double(), torch.empty(0).double(), DOUBLE_TOL).mean.shape == (0, 4)

"""The Triton kernels against their twins in plain torch: on a GPU, or anywhere with TRITON_INTERPRET=1 and Triton."""

import os
from dataclasses import fields, replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from singtheory.engine import reference
from singtheory.engine.gpu import FusedEngine
from singtheory.engine.host import Engine
from singtheory.engine.points import Points
from singtheory.engine.rounding import Asking, Nearness, Weighing
from singtheory.engine.rows import Look

pytest.importorskip("triton", reason="comes with builds of torch for GPUs")
from singtheory.engine import launch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE == "cpu" and not os.environ.get("TRITON_INTERPRET"), reason="needs a GPU, or TRITON_INTERPRET=1"
    ),
    # kernels compute with infinities, of which numpy warns
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
COUNT, BATCH = 1100, 9
"""Neither is a whole number of blocks."""


@pytest.fixture(
    scope="module",
    params=[("levels", 50), ("levels", 64), ("levels", 200), ("normal", 50), ("bytes", 50), ("bytes", 200)],
    ids=lambda answer: f"{answer[0]}-{answer[1]}",
)
def engine(request) -> FusedEngine:
    generator, (kind, dim) = torch.Generator().manual_seed(0), request.param
    points = torch.randint(0, 256, (COUNT, dim), generator=generator)
    points = points.to(torch.uint8) if kind == "bytes" else points.double() / 127.5 - 1
    if kind == "normal":
        points = torch.randn(COUNT, dim, generator=generator).double()
    weights = torch.rand(COUNT, generator=generator).double()
    weights[::7] = 0
    engine = FusedEngine(Points(points.to(DEVICE), (weights / weights.sum()).to(DEVICE)), launch)
    engine._prepare()
    return engine


def asked(engine: FusedEngine, gamma: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    snr = torch.full((BATCH,), gamma, dtype=torch.float64, device=DEVICE)
    noise = torch.randn(BATCH, engine.points.dim, generator=generator).double().to(DEVICE)
    return snr.sqrt()[:, None] * engine.points.whole[:BATCH] + noise, snr


def rounded(kernels: ModuleType, engine: FusedEngine, z: Tensor, snr: Tensor, goal: float) -> reference.Asked:
    """Queries as the screen takes them for these data."""
    whole = engine.levels is not None
    constants = Asking.whole if whole else Asking.of
    known = constants(engine._sizes, goal, engine.series.rounding, engine.series.constant)
    return kernels.asked(z, snr, engine.points.mean, engine._screened.shape[1], known, whole)


def screened(error: Tensor, others: int = 1) -> reference.Asked:
    """Queries of which no more is asked than how far off they are."""
    count = torch.full((1,), others, dtype=torch.int32, device=DEVICE)
    return reference.Asked(error, error, error, error, error, error, error / 2, error, error, count)


def same(actual: object, other: object, skipped: tuple[str, ...] = ()) -> None:
    """In every number, up to rounding."""
    for field in fields(other):
        if field.name not in skipped:
            values = (getattr(one, field.name) for one in (actual, other))
            torch.testing.assert_close(
                *values, rtol=1e-9, atol=1e-12, msg=lambda chosen, name=field.name: f"{name}: {chosen}"
            )


def test_queries_are_fetched_from_where_they_lie():
    """Rows one after another, numbers a step apart, and one number for all."""
    rows = torch.arange(5000, dtype=torch.float64, device=DEVICE)
    kinds = [rows.view(50, 100), rows[::3], rows[7].expand(20)]
    table = torch.tensor([[kind.data_ptr(), kind.stride(-1)] for kind in kinds], device=DEVICE)
    held = [torch.full(kind.shape, torch.nan, dtype=torch.float64, device=DEVICE) for kind in kinds]
    launch.fetched(table, held)
    assert all(torch.equal(one, kind) for one, kind in zip(held, kinds, strict=True))


@pytest.mark.parametrize("gamma", [0.0, 1e-12, 1e-3, 0.3, 20.0])
def test_queries_are_prepared_as_in_plain_torch(engine, gamma):
    z, snr = asked(engine, gamma)
    snr[::2] *= 0.1
    actual, other = rounded(launch, engine, z, snr, 1e-6), rounded(reference, engine, z, snr, 1e-6)
    same(actual, other, ("rows", "unit", "rest", "shift", "offset"))
    torch.testing.assert_close(actual.unit, other.unit, rtol=1e-6, atol=0)
    if engine.levels is None:
        torch.testing.assert_close(actual.rows, other.rows, rtol=1e-3, atol=1e-7)
        assert not bool(actual.rest.any()) and not bool(actual.shift.any())
        return
    # where a number is within its rounding of a half the whole number may differ by one
    alike = (actual.rows == other.rows).all(dim=1)
    assert int((actual.rows.int() - other.rows.int()).abs().max()) <= 1 and int(alike.sum()) >= BATCH - 1
    for name in ("rest", "shift"):
        one, another = (getattr(values, name)[alike] for values in (actual, other))
        torch.testing.assert_close(one, another, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [1e-3, 0.3, 20.0])
def test_the_screen_is_that_of_plain_torch(engine, gamma):
    z, snr = asked(engine, gamma)
    queries = rounded(reference, engine, z, snr, 1e-9)
    arguments = queries, engine._screened, *engine._single, snr, 8
    torch.testing.assert_close(launch.screen(*arguments), reference.screen(*arguments), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("gamma", [0.0, 1e-3, 0.3, 3.0, 100.0])
@pytest.mark.parametrize("goal", [1e-1, 1e-6, 1e-11])
def test_few_atoms_are_bounded_as_in_plain_torch(engine, gamma, goal):
    z, snr = asked(engine, gamma)
    snr[::2] *= 1e-9
    points, below = engine.points, 20.0
    queries = rounded(reference, engine, z, snr, goal)
    largest = reference.screen(queries, engine._screened, *engine._single, snr, 8)
    tiles = reference.tiles(largest, queries, engine._tile_norms, below, 30)
    near = reference.near(
        z, points.stored, points.log_weights, queries, largest, tiles, engine._tile_norms, snr, below, 8, 4, 30
    )
    arguments = near, tiles, queries, snr, Nearness.of(engine._sizes, goal, below, 240)
    same(launch.bounded(*arguments), reference.bounded(*arguments))


@pytest.mark.parametrize(("places", "digits"), [(1, 1), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8)])
@pytest.mark.parametrize("gamma", [1e-3, 0.3])
def test_all_atoms_are_weighed_as_in_plain_torch(engine, places, digits, gamma):
    if engine.levels is None:
        pytest.skip("these data lie on no levels")
    z, snr = asked(engine, gamma)
    known, mean = Weighing.of(engine._sizes, digits, 1), engine.points.mean
    arguments = z, snr, mean, engine._numbers.shape[1], places, known
    actual, queries = launch.digits(*arguments), reference.digits(*arguments)
    powers = 256.0 ** torch.arange(places - 1, -1, -1, dtype=torch.float64, device=DEVICE)
    whole, expected = (torch.einsum("kbn,k->bn", one.digits.double(), powers) for one in (actual, queries))
    # where a number is within its rounding of a half the whole number may differ by one
    assert float((whole - expected).abs().max()) <= 1 + 2.0**-51 * 128 * float(powers[0])
    same(actual, queries, ("digits", "rest"))
    # that of seven digits is below the rounding of float64
    torch.testing.assert_close(actual.rest, queries.rest, rtol=1e-3, atol=float(queries.size.max()) * 2.0**-51)
    top = 0.1 + (snr.sqrt()[:, None] * (z - snr.sqrt()[:, None] * mean) @ (engine.points.whole - mean).mT).amax(dim=1)
    arguments = queries, engine._numbers, engine._norms, engine._log_weights, snr, top, digits
    actual, weighed = launch.weigh(*arguments), reference.weigh(*arguments)
    powers = 256.0 ** torch.arange(digits - 1, -1, -1, dtype=torch.float64, device=DEVICE)
    whole, expected = (torch.einsum("kbn,k->bn", one.digits.double(), powers) for one in (actual, weighed))
    assert float((whole - expected).abs().max()) <= 1 + 1e-13 * float(powers[0])
    torch.testing.assert_close(actual.sums[:2], weighed.sums[:2], rtol=1e-12, atol=8)
    # the last of seven digits is below the rounding of float64
    torch.testing.assert_close(
        actual.sums[2], weighed.sums[2], rtol=1e-3, atol=2.0 ** (8 * digits - 53) * COUNT if digits >= 7 else 1
    )
    products = launch.product(weighed.digits, engine._columns[0])
    torch.testing.assert_close(products, reference.product(weighed.digits, engine._columns[0]), rtol=1e-15, atol=0)
    arguments = products, weighed.sums, queries, snr, top, mean, known
    for one, other in zip(launch.weighted(*arguments), reference.weighted(*arguments), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)  # no weight may be left


@pytest.mark.parametrize("parts", [1, 2, 3, 24])
def test_a_product_is_the_same_in_any_number_of_parts(monkeypatch, parts):
    """Some of which may be empty."""
    generator = torch.Generator().manual_seed(0)
    digits, columns = (
        torch.randint(-128, 128, shape, generator=generator, dtype=torch.int8).to(DEVICE)
        for shape in ((5, 70, 1280), (200, 2560))
    )
    monkeypatch.setattr(launch, "_parts", lambda *_: parts)
    for chosen in (slice(0, 1280), slice(256, 1536)):
        actual, expected = launch.product(digits, columns[:, chosen]), reference.product(digits, columns[:, chosen])
        assert torch.equal(actual, expected)


def test_a_product_is_cut_where_processors_would_be_idle(monkeypatch):
    """One block of work for two processors in two parts, two blocks in one each."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(multi_processor_count=2))
    card = torch.device("cuda")
    assert [launch._parts(blocks, 1000, card) for blocks in (1, 2, 3)] == [2, 1, 2]


@pytest.mark.parametrize(("shared_memory", "stages"), [(232448, 4), (166912, 3), (101376, 2), (1000, 1)])
def test_stages_fit_beside_the_processor(monkeypatch, shared_memory, stages):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(shared_memory_per_block_optin=shared_memory)
    )
    assert launch._staged(launch.SCREEN, torch.float16, torch.device("cuda")) == launch.SCREEN | {"num_stages": stages}
    assert launch._staged(launch.SCREEN, torch.float16, torch.device("cpu")) == launch.SCREEN


@pytest.mark.parametrize(("shared_memory", "stages"), [(232448, 3), (132096, 2), (101376, 1)])
def test_stages_fit_beside_a_block_of_sums(monkeypatch, shared_memory, stages):
    """128 × 128 of them in float32 take 64 KiB, a stage 32."""
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(shared_memory_per_block_optin=shared_memory)
    )
    sizes = launch._staged(launch.WHOLE_SCREEN, torch.int8, torch.device("cuda"), sums=torch.float32)
    assert sizes == launch.WHOLE_SCREEN | {"num_stages": stages}


@pytest.mark.parametrize("width", [0.0, 6.0, 30.0])
def test_the_tiles_that_matter_are_those_of_plain_torch(width):
    """Fewer than fit, all, and where float32 overflowed."""
    generator = torch.Generator().manual_seed(0)
    largest = (20 * torch.randn(BATCH, 9000, generator=generator)).to(DEVICE)
    largest[1, 5], largest[2, 7] = torch.inf, -torch.inf
    largest[3] = 1.0
    error = torch.linspace(0, width, BATCH).double().to(DEVICE)
    norms = torch.rand(largest.shape[1], generator=torch.Generator().manual_seed(4)).to(DEVICE)
    arguments = largest, screened(error), norms, 5.0, 30
    actual, other = launch.tiles(*arguments), reference.tiles(*arguments)
    for name in ("best", "count", "crowded"):
        assert torch.equal(getattr(actual, name), getattr(other, name)), name
    torch.testing.assert_close(actual.mass, other.mass, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert int(other.crowded) >= 1 and 1 <= int(other.count.min()) < 30
    for mine, theirs, count in zip(actual.index, other.index, other.count.int(), strict=True):
        if int(count) <= 30:
            assert torch.equal(mine[:count], theirs[:count])


@pytest.mark.parametrize("gamma", [0.0, 1e-12, 1e-6])
def test_moments_near_zero_are_those_of_plain_torch(engine, gamma):
    z, snr = asked(engine, gamma)
    snr[::2] *= 0.1
    actual, other = launch.moments(engine.series, z, snr), reference.moments(engine.series, z, snr)
    for one, another in zip(actual, other, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-11, atol=1e-13)


def test_where_no_tile_was_screened_none_is_weighed(engine):
    """Moments suffice for all, so that what lies in memory in the place of log weights is not read."""
    z, snr = asked(engine, 0.0)
    largest = torch.full((BATCH, -(-COUNT // 8)), torch.nan, dtype=torch.float32, device=DEVICE)
    queries = screened(torch.ones(BATCH, dtype=torch.float64, device=DEVICE), others=0)
    norms = engine._tile_norms[: largest.shape[1]]
    tiles = launch.tiles(largest, queries, norms, 5.0, 30)
    points = engine.points
    near = launch.near(z, points.whole, points.log_weights, queries, largest, tiles, norms, snr, 5.0, 8, 20, 20)
    assert int(tiles.crowded) == 0 and bool((tiles.count > 30).all()) and bool(near.distance.isinf().all())


def compared(actual: reference.Near, other: reference.Near) -> Tensor:
    """Which queries both tell of, alike in every number."""
    known = other.distance.isfinite()
    torch.testing.assert_close(actual.mean[known], other.mean[known], rtol=1e-11, atol=1e-12)
    for name in ("distance", "log_sum", "apart", "variance", "shift", "log_weight"):
        torch.testing.assert_close(getattr(actual, name), getattr(other, name), rtol=1e-9, atol=1e-10, msg=name)
    return known


@pytest.mark.parametrize("gamma", [0.3, 3.0, 100.0])
@pytest.mark.parametrize("crowded", [0, BATCH])
def test_few_atoms_tell_what_they_tell_plain_torch(engine, gamma, crowded):
    """Tiles as they come, none of which is known not to matter."""
    z, snr = asked(engine, gamma)
    points, tiles = engine.points, -(-COUNT // 8)
    largest = torch.linspace(-60, 0, tiles).expand(BATCH, -1).to(DEVICE).contiguous().roll(3, dims=1)
    error = torch.linspace(0, 6, BATCH).double().to(DEVICE)
    norms = torch.zeros(tiles, device=DEVICE)
    chosen = reference.tiles(largest, screened(error), norms, 5.0, 30)
    chosen.crowded.fill_(crowded)
    queries = replace(screened(error), error=torch.full_like(error, torch.inf))
    arguments = z, points.stored, points.log_weights, queries, largest, chosen, norms, snr, 5.0, 8, 20, 20
    known = compared(launch.near(*arguments), reference.near(*arguments))
    assert 0 < int(known.sum()) < BATCH


@pytest.mark.parametrize(("gamma", "below"), [(0.3, 2.0), (3.0, 20.0), (3.0, 200.0), (100.0, 20.0)])
def test_few_atoms_that_the_screen_chose_tell_what_they_tell_plain_torch(engine, gamma, below):
    """One atom alone, or tiles of which some turn out not to matter."""
    z, snr = asked(engine, gamma)
    points, queries = engine.points, rounded(reference, engine, z, snr, 1e-9)
    largest = reference.screen(queries, engine._screened, *engine._single, snr, 8)
    tiles = reference.tiles(largest, queries, engine._tile_norms, below, 150)
    arguments = (
        z,
        points.stored,
        points.log_weights,
        queries,
        largest,
        tiles,
        engine._tile_norms,
        snr,
        below,
        8,
        150,
        150,
    )
    assert bool(compared(launch.near(*arguments), reference.near(*arguments)).all())


def test_what_is_replayed_is_what_was_recorded(engine):
    """The third call of a shape replays the second, and no call disturbs what the ones before it gave."""
    answers = []
    for gamma in (0.3, 3.0, 0.3, 100.0, 1e-9, 0.3):
        z, snr = asked(engine, gamma)
        answers.append((gamma, engine.find(z, snr, 1e-9)))
    for gamma, actual in answers:
        z, snr = asked(engine, gamma)
        other = FusedEngine(engine.points).find(z, snr, 1e-9)
        error = (actual.mean - other.mean).norm(dim=1)
        assert bool((error <= actual.error_bound + other.error_bound).all())


@pytest.mark.parametrize("gamma", [1e-3, 0.3, 20.0])
@pytest.mark.parametrize("tol", [1e-6, 1e-12])
def test_queries_as_they_lie_in_memory_are_answered_from_the_first_call(engine, gamma, tol):
    """A transposed batch, and one snr that is no more than expanded."""
    z, snr = asked(engine, gamma)
    lying = z.mT.contiguous().mT, snr[:1].expand(BATCH)
    actual, other = FusedEngine(engine.points, launch).find(*lying, tol), Engine(engine.points).find(z, snr, 1e-12)
    assert bool(((actual.mean - other.mean).norm(dim=1) <= actual.error_bound + other.error_bound).all())


@pytest.mark.parametrize("batch", [1, 150])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 20.0])
def test_one_query_and_more_than_a_block_of_them_are_answered(engine, batch, gamma):
    z, snr = (one[:1].expand(batch, *one.shape[1:]).clone() for one in asked(engine, gamma))
    z += torch.randn(z.shape, generator=torch.Generator().manual_seed(2)).double().to(DEVICE)
    actual, other = FusedEngine(engine.points, launch).find(z, snr, 1e-9), Engine(engine.points).find(z, snr, 1e-12)
    assert bool(((actual.mean - other.mean).norm(dim=1) <= actual.error_bound + other.error_bound).all())
    assert float(actual.error_bound.max()) <= 1e-9 * engine.points.scale


def test_padding_may_be_the_best_that_the_screen_finds(engine):
    """As in `test_gpu`: nothing is read beyond the atoms, and nothing is bounded."""
    z, snr = torch.zeros(2, engine.points.dim).double().to(DEVICE), torch.full((2,), 1e33).double().to(DEVICE)
    _, numbers, _ = engine._look(z, snr, 1e-9)
    assert bool(Look(*numbers).bound.isinf().all())

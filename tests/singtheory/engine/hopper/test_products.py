"""The kernels for Hopper cards against plain torch, in shapes that are no whole number of blocks; and the order in which atoms lie beside a processor."""

import pytest
import torch
from torch import Tensor

from singtheory.engine import hopper, reference
from singtheory.engine.hopper import compiled, products
from singtheory.engine.rows import Asked, Digits

HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0) and compiled.compiles()
on_hopper = pytest.mark.skipif(not HOPPER, reason="needs a Hopper card and NVIDIA's compiler")
SHAPES = [
    (1, 256, 64),
    (9, 1280, 64),
    (70, 512, 128),
    (150, 1280, 256),
    (300, 2048, 832),
    (130, 768, 448),
    (65, 512, 1280),
]
"""Queries, atoms and coordinates."""


def numbers(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed)).to("cuda", torch.int8)


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).cuda()


def weighed(
    shape: tuple[int, int, int], places: int, top: float
) -> tuple[Digits, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Arguments of `weigh`; log weights are some units apart, and some atoms have no weight."""
    batch, count, width = shape
    unit = (1 + drawn((batch,), 0)) * 5 / (256.0 ** (places - 1) * 74**2 * width**0.5)
    log_weights = drawn((count,), 1).log()
    log_weights[::7] = -torch.inf
    queries = Digits(numbers((places, batch, width), 2), unit, unit, unit, unit, unit)
    full = torch.full((batch,), top, dtype=torch.float64, device="cuda")
    return queries, numbers((count, width), 3), drawn((count,), 4), log_weights, drawn((batch,), 5), full


def compared(arguments: tuple, digits: int, actual: reference.Weighed) -> None:
    """Up to the rounding of log weights, and one where a number is within that of a half."""
    other = reference.weigh(*arguments, digits)
    powers = 256.0 ** torch.arange(digits - 1, -1, -1, dtype=torch.float64, device="cuda")
    whole, expected = (torch.einsum("kbn,k->bn", one.digits.double(), powers) for one in (actual, other))
    assert float((whole - expected).abs().max()) <= 1 + 1e-12 * float(powers[0])
    torch.testing.assert_close(actual.sums[:2], other.sums[:2], rtol=1e-12, atol=8)
    if digits < 7:  # the last of seven digits is below the rounding of float64
        torch.testing.assert_close(actual.sums[2], other.sums[2], rtol=1e-3, atol=1)


@pytest.mark.gpu
@on_hopper
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("places", "digits"), [(1, 1), (2, 3), (4, 5), (6, 6), (7, 8)])
def test_weights_are_those_of_plain_torch(shape, places, digits):
    arguments = weighed(shape, places, 20.0)
    assert hopper.holds(arguments[1])
    compared(arguments, digits, hopper.weigh(*arguments, digits))


@pytest.mark.gpu
@on_hopper
@pytest.mark.parametrize("digits", [2, 5, 8])
def test_weights_above_the_largest_number_are_the_largest_and_what_is_lost_is_counted(digits):
    arguments = weighed((70, 512, 128), 3, 3.0)
    compared(arguments, digits, hopper.weigh(*arguments, digits))


@pytest.mark.gpu
@on_hopper
@pytest.mark.parametrize("top", [-1e3, -1e12, torch.nan, -torch.inf])
def test_where_weights_would_overflow_or_are_no_numbers_all_may_be_lost(top):
    arguments = weighed((70, 512, 128), 3, top)
    lost = hopper.weigh(*arguments, 5).sums[2]
    assert not bool(lost.isfinite().any())


@pytest.mark.gpu
@on_hopper
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_screen_is_that_of_plain_torch(shape):
    queries, atoms, half, log_weights, snr, _ = weighed(shape, 1, 0.0)
    others = torch.ones(1, dtype=torch.int32, device="cuda")
    asked = Asked(queries.digits[0], queries.unit.float(), snr, snr, snr, snr, snr, snr - 0.5, snr, others)
    arguments = asked, atoms, half.float(), log_weights.clamp(min=-1e30).float(), snr
    torch.testing.assert_close(
        hopper.screen(*arguments), reference.screen(*arguments, hopper.TILE), rtol=1e-5, atol=1e-5
    )


@pytest.mark.gpu
@on_hopper
@pytest.mark.parametrize(
    "shape", [(257, 16, 160), (300, 1280, 64), (350, 1296, 200), (600, 8208, 784), (1500, 2560, 48)]
)
def test_a_product_is_that_of_plain_torch_and_added(shape):
    """Of columns that lie among others."""
    height, count, width = shape
    rows, columns = numbers((height, count), 0), numbers((width, count + 512), 1)[:, 256 : 256 + count]
    sums = torch.ones(height, width, dtype=torch.int32, device="cuda")
    assert hopper.adds(rows, columns)
    hopper.add_product(rows, columns, sums)
    assert torch.equal(sums.double(), 1 + rows.double() @ columns.double().mT)


@pytest.mark.gpu
@on_hopper
def test_what_is_recorded_is_replayed():
    arguments = weighed((70, 512, 128), 3, 20.0)
    expected = hopper.weigh(*arguments, 5)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        actual = hopper.weigh(*arguments, 5)
    actual.digits.zero_()
    graph.replay()
    assert torch.equal(actual.digits, expected.digits) and torch.equal(actual.sums, expected.sums)


def test_a_thread_has_atoms_that_lie_next_to_each_other():
    """Rows of a block are read in the order of `products.order`, and a thread has the columns 8j + 2q + e of a product."""
    (_, *sizes, _), steps = products.order(1, 128)
    box = [*sizes, 2]
    lies = [0]
    for size, step in zip(box, steps, strict=True):
        lies = [before + one * step for one in range(size) for before in lies]
    assert sorted(lies) == list(range(128))
    for quarter in range(4):
        held = [lies[8 * block + 2 * quarter + one] for block in range(16) for one in range(2)]
        assert held == [64 * half + 16 * quarter + one for half in range(2) for one in range(16)]


@pytest.mark.parametrize(("width", "stages"), [(64, 6), (832, 6), (1024, 5), (1280, 3), (1344, 2), (4096, -19)])
def test_blocks_of_queries_go_beside_the_atoms(width, stages):
    assert products._stages(width) == stages


def test_parts_leave_no_processor_idle_for_long():
    assert [products._parts(tiles, 470, 66) for tiles in (66, 50, 33)] == [1, 5, 2]


def test_nothing_here_is_for_processors():
    rows = torch.zeros(512, 64, dtype=torch.int8)
    assert not hopper.holds(rows) and not hopper.adds(rows, rows)

"""The Triton kernels against their twins in plain torch: on a GPU, or anywhere with TRITON_INTERPRET=1 and Triton."""

import os

import pytest
import torch
from torch import Tensor

from singtheory import unfused
from singtheory.engine import Engine
from singtheory.fused_engine import FusedEngine
from singtheory.points import Points

pytest.importorskip("triton", reason="comes with builds of torch for GPUs")
from singtheory import fused

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE == "cpu" and not os.environ.get("TRITON_INTERPRET"), reason="needs a GPU, or TRITON_INTERPRET=1"
    ),
]
COUNT, BATCH = 1100, 9
"""Neither is a whole number of blocks."""


@pytest.fixture(
    scope="module", params=[("levels", 50), ("levels", 64), ("normal", 50)], ids=lambda told: f"{told[0]}-{told[1]}"
)
def engine(request) -> FusedEngine:
    generator, (kind, dim) = torch.Generator().manual_seed(0), request.param
    points = torch.randint(0, 256, (COUNT, dim), generator=generator).double() / 127.5 - 1
    if kind == "normal":
        points = torch.randn(COUNT, dim, generator=generator).double()
    weights = torch.rand(COUNT, generator=generator).double()
    weights[::7] = 0
    engine = FusedEngine(Points(points.to(DEVICE), (weights / weights.sum()).to(DEVICE)), fused)
    engine._prepare()
    return engine


def asked(engine: FusedEngine, gamma: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    snr = torch.full((BATCH,), gamma, dtype=torch.float64, device=DEVICE)
    noise = torch.randn(BATCH, engine.points.dim, generator=generator).double().to(DEVICE)
    return snr.sqrt()[:, None] * engine.points.whole[:BATCH] + noise, snr


@pytest.mark.parametrize("gamma", [1e-3, 0.3, 20.0])
def test_the_screen_is_that_of_plain_torch(engine, gamma):
    z, snr = asked(engine, gamma)
    size, unit = z.abs().amax(dim=1), z.abs().amax(dim=1).float() * engine._half_unit
    queries = torch.nn.functional.pad((z / size[:, None]).half(), (0, engine._halves.shape[1] - engine.points.dim))
    given = queries, engine._halves, *engine._single, unit, snr.float(), 8
    torch.testing.assert_close(fused.screen(*given), unfused.screen(*given), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("places", "digits"), [(1, 1), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8)])
def test_weights_and_their_products_are_those_of_plain_torch(places, digits):
    generator = torch.Generator().manual_seed(0)
    queries = torch.randint(-128, 128, (places, BATCH, 64), generator=generator, dtype=torch.int8).to(DEVICE)
    atoms = torch.randint(-128, 128, (512, 64), generator=generator, dtype=torch.int8).to(DEVICE)
    half, log_weights = (torch.rand(2, 512, generator=generator).double() - 1).to(DEVICE)
    unit = torch.full((BATCH,), 1e-5 * 256.0 ** (1 - places), dtype=torch.float64, device=DEVICE)
    given = queries, atoms, half, log_weights, unit, torch.ones_like(unit), 2 * torch.ones_like(unit), digits
    found, other = fused.weigh(*given), unfused.weigh(*given)
    powers = 256.0 ** torch.arange(digits - 1, -1, -1, dtype=torch.float64, device=DEVICE)
    whole, expected = (torch.einsum("kbn,k->bn", one.digits.double(), powers) for one in (found, other))
    # where an exponential is within its rounding of a half the whole number may differ by one
    assert float((whole - expected).abs().max()) <= 1 + 1e-13 * float(powers[0])
    torch.testing.assert_close(found.total, other.total, rtol=1e-12, atol=8)
    torch.testing.assert_close(found.square, other.square, rtol=1e-12, atol=8)
    # the last of seven digits is below the rounding of float64
    torch.testing.assert_close(
        found.lost, other.lost, rtol=1e-3, atol=2.0 ** (8 * digits - 53) * 512 if digits >= 7 else 1
    )
    columns = atoms.mT.contiguous()
    products = fused.product(found.digits, columns).double()
    assert torch.equal(products.cpu(), unfused.product(found.digits.cpu(), columns.cpu()))


@pytest.mark.parametrize("gamma", [0.3, 3.0, 100.0])
def test_few_atoms_tell_what_they_tell_plain_torch(engine, gamma):
    z, snr = asked(engine, gamma)
    points, tiles = engine.points, -(-COUNT // 8)
    largest = torch.linspace(-60, 0, tiles).expand(BATCH, -1).to(DEVICE).contiguous().roll(3, dims=1)
    error = torch.linspace(0, 6, BATCH).double().to(DEVICE)
    given = z, points.whole, points.log_weights, largest, error, 5.0, snr, 8, 30
    found, other = fused.near(*given), unfused.near(*given)
    known = other.distance.isfinite()
    assert 0 < int(known.sum()) < BATCH
    torch.testing.assert_close(found.mean[known], other.mean[known], rtol=1e-11, atol=1e-12)
    for name in ("best", "tiles", "distance", "log_sum", "apart", "variance", "shift", "log_weight"):
        torch.testing.assert_close(getattr(found, name), getattr(other, name), rtol=1e-9, atol=1e-10, msg=name)
    torch.testing.assert_close(found.mass, other.mass, rtol=1e-5, atol=1e-6)


def test_what_is_replayed_is_what_was_recorded(engine):
    """The third call of a shape replays the second, and no call disturbs what the ones before it gave."""
    answers = []
    for gamma in (0.3, 3.0, 0.3, 100.0, 1e-9, 0.3):
        z, snr = asked(engine, gamma)
        answers.append((gamma, engine.find(z, snr, 1e-9)))
    for gamma, found in answers:
        z, snr = asked(engine, gamma)
        other = FusedEngine(engine.points).find(z, snr, 1e-9)
        error = (found.mean - other.mean).norm(dim=1)
        assert bool((error <= found.error_bound + other.error_bound).all())


@pytest.mark.parametrize("gamma", [1e-3, 0.3, 20.0])
@pytest.mark.parametrize("tol", [1e-6, 1e-12])
def test_queries_as_they_lie_in_memory_are_answered_from_the_first_call(engine, gamma, tol):
    """A transposed batch, and one snr that is no more than expanded."""
    z, snr = asked(engine, gamma)
    lying = z.mT.contiguous().mT, snr[:1].expand(BATCH)
    found, other = FusedEngine(engine.points, fused).find(*lying, tol), Engine(engine.points).find(z, snr, 1e-12)
    assert bool(((found.mean - other.mean).norm(dim=1) <= found.error_bound + other.error_bound).all())

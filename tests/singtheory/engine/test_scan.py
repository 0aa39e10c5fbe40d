"""Products with some blocks of neighbouring atoms: the bound against products with all of them, and a block that is missing."""

import pytest
import torch

from singtheory.engine.host import DOUBLE_TOL, Engine
from singtheory.engine.points import Points
from singtheory.engine.scan import SMALL_BLOCK, most_parts, scan, scan_blocks
from singtheory.engine.screen import TILE, left_out_below

F64 = torch.float64


def clusters(seed: int, count: int = 3001) -> tuple[Points, torch.Tensor, torch.Tensor]:
    """Points in clusters of which a few have no weight, with queries at their atoms."""
    generator = torch.Generator().manual_seed(seed)
    centres = 10 * torch.randn(12, 6, dtype=F64, generator=generator)
    atoms = centres[torch.randint(12, (count,), generator=generator)]
    atoms = atoms + torch.randn(count, 6, dtype=F64, generator=generator)
    weights = torch.rand(count, dtype=F64, generator=generator) * (torch.rand(count, generator=generator) > 0.01)
    snr = torch.rand(9, dtype=F64, generator=generator) + 0.3
    z = snr.sqrt()[:, None] * atoms[:9] + torch.randn(9, 6, dtype=F64, generator=generator)
    return Points(atoms, weights / weights.sum()), z, snr


@pytest.mark.parametrize("count", [1, 15, 16, 17, 255, 256, 257, 3001])
def test_the_order_has_every_atom_once(count):
    assert clusters(0, max(count, 9))[0].order.sort().values.equal(torch.arange(max(count, 9)))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("seed", range(20))
def test_blocks_that_matter_are_enough_and_a_missing_one_is_seen(seed, parts):
    points, z, snr = clusters(seed)
    candidates = Engine(points)._candidates(z, snr, DOUBLE_TOL)
    needed, below = candidates.blocks(SMALL_BLOCK), left_out_below(points, DOUBLE_TOL * points.scale)
    assert not bool(needed.all()) and candidates.tile == TILE
    exact = scan(points, z, snr, most_parts(points))
    actual = scan_blocks(points, z, snr, parts, needed, below)
    allowed = actual.error_bound + exact.error_bound
    assert bool(((actual.mean - exact.mean).norm(dim=1) <= allowed).all())
    assert float(actual.error_bound.max()) <= DOUBLE_TOL * points.scale
    torch.testing.assert_close(actual.log_evidence, exact.log_evidence, rtol=1e-12, atol=1e-12)
    place = (points.order[:, None] == torch.arange(9)).long().argmax(dim=0) // SMALL_BLOCK
    planted = needed.clone()
    planted[torch.arange(9), place] = False
    enough = planted.any(dim=1)
    wrong = scan_blocks(points, z[enough], snr[enough], parts, planted[enough], below)
    assert bool(((wrong.mean - exact.mean[enough]).norm(dim=1) > allowed[enough]).any()) or not bool(enough.any())

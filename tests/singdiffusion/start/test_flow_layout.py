"""How latents of flows are laid out."""

import math

import pytest
import torch

from singdiffusion.start.flow_layout import Layout


@pytest.mark.parametrize("drawn", [(4, 6, 8), (6, 8, 4), (4, 3, 6, 8), (3, 4, 6, 8), (3, 6, 8, 4)])
def test_a_layout_packs_and_unpacks(drawn):
    order = torch.randperm(math.prod(drawn), generator=torch.Generator().manual_seed(0))
    layout = Layout(drawn, (2, math.prod(drawn) // 2), order).of_pictures(4)
    noise = torch.randn(5, *drawn)
    stepped = noise.flatten(1)[:, order].view(5, *layout.stepped)
    back = layout.unpacked(stepped)
    assert torch.equal(back, noise.movedim(1 + drawn.index(4), 1))
    assert torch.equal(layout.packed(back), stepped)
    if layout.frames:
        one = torch.randn(5, 4, 6, 8)
        assert torch.equal(layout.unpacked(layout.packed(one)), one[:, :, None].expand(-1, -1, 3, -1, -1))

"""The directions of the spread, and deviations that follow the size of the image."""

import pytest
import torch
from scipy.fft import idctn

from singdiffusion.average.spread import FLOOR, Spread, cosine_modes, low_frequencies
from singtheory import InputError


@pytest.mark.parametrize(("count", "height", "width"), [(1, 8, 8), (3, 8, 12), (5, 5, 7)])
def test_modes_are_those_of_the_dct(count, height, width):
    modes = cosine_modes(count, height, width).double()
    torch.testing.assert_close(
        modes.flatten(1) @ modes.flatten(1).mT, torch.eye(count**2, dtype=torch.float64), atol=1e-6, rtol=0
    )
    for index in range(count**2):
        unit = torch.zeros(height, width, dtype=torch.float64)
        unit[divmod(index, count)] = 1
        torch.testing.assert_close(modes[index], torch.as_tensor(idctn(unit.numpy(), norm="ortho")), atol=1e-6, rtol=0)


def test_more_modes_than_pixels_are_refused():
    for count in (0, 5):
        with pytest.raises(InputError, match=f"frequencies {count}"):
            Spread(8, 3, count, (4, 8))


def test_more_directions_than_can_be_held_are_refused():
    with pytest.raises(InputError, match="frequencies 40: 4800 directions; take fewer, for at most 4096"):
        Spread(8, 3, 40, (64, 64))


def test_low_frequencies_are_the_parts_along_the_directions_before_any_are_fitted():
    images = torch.randn(5, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    basis = Spread(8, 3, 2, (8, 6)).basis(8, 6)
    torch.testing.assert_close(low_frequencies(images, 2), torch.einsum("nchw,kchw->nk", images, basis))


@pytest.mark.parametrize("size", [(8, 8), (16, 12)])
def test_parts_along_directions_are_those_along_the_basis(size):
    spread, images = Spread(8, 3, 2, (8, 8)), backgrounds(200, *size)[0]
    spread.fit(low_frequencies(backgrounds(200, 8, 8)[0], 2))
    deviations = images - images.mean(dim=0)
    expected = torch.einsum("nchw,kchw->nk", deviations, spread.basis(*size).double())
    torch.testing.assert_close(spread.along(deviations), expected, rtol=1e-5, atol=1e-6)


def backgrounds(n, height, width):
    """Around a mean far from 0, images whose lower half brightens in all colours, with a little noise of low frequencies."""
    generator = torch.Generator().manual_seed(0)
    pattern = Spread(8, 3, 2, (height, width)).basis(height, width)
    pattern = pattern[0] + pattern[4] + pattern[8] - 0.5 * (pattern[2] + pattern[6] + pattern[10])
    pattern = pattern / pattern.norm()
    noise = torch.randn(n, 3, height, width, generator=generator).double()
    return 1000 + torch.randn(n, 1, 1, 1, generator=generator) * pattern + 0.02 * noise, pattern


@pytest.mark.parametrize(("dtype", "error"), [(torch.float16, 1e-4), (torch.bfloat16, 5e-4)])
def test_directions_rounded_to_half_precision_are_orthonormal_again(dtype, error):
    spread = Spread(8, 3, 4, (32, 32))
    spread.fit(torch.randn(200, 48, generator=torch.Generator().manual_seed(0)))
    basis = spread.to(dtype).basis(32, 32)
    assert basis.dtype == dtype
    flat = basis.double().flatten(1)
    assert float((flat @ flat.mT - torch.eye(48)).abs().max()) < error


@pytest.mark.parametrize("size", [(8, 8), (16, 12)])
def test_directions_are_orthonormal_at_any_size_and_begin_with_what_varies_most(size):
    spread, (images, _) = Spread(8, 3, 2, (8, 8)), backgrounds(200, 8, 8)
    spread.fit(low_frequencies(images, 2))
    basis = spread.basis(*size).flatten(1)
    assert len(basis) == spread.rank == 12
    torch.testing.assert_close(basis @ basis.mT, torch.eye(12), atol=1e-5, rtol=0)
    widest = backgrounds(1, *size)[1]
    assert abs(float(basis[0] @ widest.flatten())) > 0.999


def test_parts_along_fitted_directions_are_uncorrelated_and_in_falling_order():
    spread, (images, _) = Spread(8, 3, 2, (8, 8)), backgrounds(200, 8, 8)
    spread.fit(low_frequencies(images, 2))
    cov = torch.cov(torch.einsum("nchw,kchw->kn", images, spread.basis(8, 8).double()))
    assert float((cov - cov.diag().diag()).abs().max()) < 1e-6 * float(cov[0, 0])
    assert torch.equal(cov.diag().argsort(descending=True), torch.arange(12))


def test_deviations_read_the_tokens_and_grow_with_the_picture():
    spread, tokens = Spread(8, 1, 2, (8, 8)), torch.randn(3, 5, 8)
    small, large = spread(tokens, 8, 8), spread(tokens, 16, 16)
    assert small.shape == (3, 4) and not torch.allclose(small[0], small[1])
    torch.testing.assert_close(large, 2 * small)
    with torch.no_grad():
        spread.head[-1].bias.fill_(-1e4)
    torch.testing.assert_close(spread(tokens, 8, 8), torch.full((3, 4), FLOOR**0.5), rtol=1e-2, atol=0)


def test_layers_of_a_width_and_the_names_of_their_weights():
    """One of 128 is the default, with the names of the weights that stored modules have."""
    assert sorted(Spread(8, 1, 2, (8, 8)).state_dict()) == [
        "attention.bias", "attention.weight", "head.0.bias", "head.0.weight", "head.1.bias", "head.1.weight",
        "head.3.bias", "head.3.weight", "mixture",
    ]  # fmt: skip
    assert Spread(8, 1, 2, (8, 8)).head[1].out_features == 128
    deep = Spread(8, 1, 2, (8, 8), 16, 2)
    assert [tuple(part.weight.shape) for part in deep.head if isinstance(part, torch.nn.Linear)] == [
        (16, 8),
        (16, 16),
        (4, 16),
    ]
    assert deep(torch.randn(3, 5, 8), 8, 8).shape == (3, 4)

"""Average images at any size: means and directions are functions on the picture, whatever its pixels."""

import math

import pytest
import torch

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.spread import resampled
from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet

TRAINED = (8, 8)
SIZES = [(8, 8), (16, 16), (8, 24), (5, 9), (13, 4), (12, 7)]
PROMPTS = ("a", "b")


def functions(count=300, frequencies=3, channels=2, seed=0):
    """Coefficients of random functions `Σ a_kl cos(πku) cos(πlv)` on the unit square, low frequencies larger."""
    generator = torch.Generator().manual_seed(seed)
    fall = 1.0 / (1 + torch.arange(frequencies)[:, None] + 2 * torch.arange(frequencies))
    return torch.randn(count, channels, frequencies, frequencies, generator=generator).double() * fall


def sampled(coefficients, height, width):
    """Their values in the middle of pixels: what a camera of that many pixels would see of smooth scenes."""
    k = torch.arange(coefficients.shape[2]).double()
    rows = torch.cos(math.pi * k * (torch.arange(height).double()[:, None] + 0.5) / height)
    columns = torch.cos(math.pi * k * (torch.arange(width).double()[:, None] + 0.5) / width)
    return torch.einsum("nckl,hk,wl->nchw", coefficients, rows, columns) * 0.1


def orthonormal(basis):
    flat = basis.double().flatten(1)
    return float((flat @ flat.mT - torch.eye(len(flat), dtype=torch.float64)).abs().max())


def covariance(basis, std):
    flat = basis.double().flatten(1) * std.double()[:, None]
    return flat.mT @ flat


@pytest.mark.parametrize("size", SIZES)
def test_statistics_at_a_size_are_those_of_data_of_that_size(size):
    """The reference samples the same functions at the size wanted: their covariance, exactly."""
    actual = functions()
    module = AverageStatistics.from_images(sampled(actual, *TRAINED), frequencies=3, rank=18)
    average = module(["a"], torch.zeros(1, 2, *size))
    images = sampled(actual, *size).flatten(1)
    deviations = images - images.mean(dim=0)
    expected = deviations.mT @ deviations / len(images)
    assert orthonormal(average.basis) < 1e-5
    assert (covariance(average.basis, average.std[0]) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("size", SIZES)
def test_tables_at_a_size_are_those_of_data_of_that_size(size):
    """Each prompt's own variances too, along the directions that a table keeps."""
    actual = {prompt: functions(200, 2, 1, seed) * (1 + seed) for seed, prompt in enumerate(PROMPTS)}
    module = AverageTable.from_images({name: sampled(one, *TRAINED) for name, one in actual.items()}, rank=4)
    average = module([*PROMPTS], torch.zeros(2, 1, *size))
    assert orthonormal(average.basis) < 1e-5
    basis = average.basis.double().flatten(1)
    for row, prompt in enumerate(PROMPTS):
        images = sampled(actual[prompt], *size).flatten(1)
        along = (images - images.mean(dim=0)) @ basis.mT
        torch.testing.assert_close(
            average.std[row].double(), along.var(dim=0, correction=0).sqrt(), rtol=1e-4, atol=1e-7
        )
        mean = average.mean[row].double().flatten()
        assert (mean - images.mean(dim=0)).norm() < 0.1 * images.norm(dim=1).mean()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rank", [1, 5])
def test_what_is_left_of_directions_at_a_smaller_size_is_orthonormal_and_has_their_variance(size, rank):
    """Of directions of whatever frequencies."""
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(2 * 64, rank, generator=generator).double())[0].mT.unflatten(1, (2, *TRAINED))
    there, shares = resampled(basis, *size)
    assert orthonormal(there) < 1e-10 and bool((shares.sum(dim=1) <= 1 + 1e-10).all())
    if size[0] >= 8 and size[1] >= 8:
        torch.testing.assert_close(shares, torch.eye(rank, dtype=torch.float64), atol=1e-10, rtol=0)
        back, _ = resampled(there, *TRAINED)
        torch.testing.assert_close(back, basis, atol=1e-10, rtol=0)


def test_directions_that_a_size_does_not_have_are_left_out():
    """Nine cosine modes at 2×2 pixels, of which four are left."""
    modes = torch.zeros(9, 1, 8, 8, dtype=torch.float64)
    from scipy.fft import idctn

    for index in range(9):
        unit = torch.zeros(8, 8, dtype=torch.float64)
        unit[divmod(index, 3)] = 1
        modes[index, 0] = torch.as_tensor(idctn(unit.numpy(), norm="ortho"))
    there, shares = resampled(modes, 2, 2)
    assert len(there) == 4 and orthonormal(there) < 1e-12
    kept = [index for index in range(9) if max(divmod(index, 3)) < 2]
    torch.testing.assert_close(shares[kept].sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert float(shares.sum()) == pytest.approx(4)


def networks():
    shared = {"condition": {"kind": "classes", "names": [*PROMPTS], "width": 32}, "frequencies": 3, "spread_width": 32}
    yield AverageDecoder((4, *TRAINED), width=32, layers=1, **shared)
    unet = {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [32, 32],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 8,
        "cross_attention_dim": 32,
    }
    yield AverageUNet(unet, size=TRAINED, **shared)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_networks_answer_at_any_size(size):
    for network in networks():
        average = network.eval()(torch.tensor([0, 1]), torch.randn(2, 4, *size))
        assert average.mean.shape == (2, 4, *size) and orthonormal(average.basis) < 1e-5
        square = network(torch.tensor([0, 1]), torch.randn(2, 4, *TRAINED))
        growth = math.sqrt(math.prod(size) / math.prod(TRAINED))  # as of one function at several sizes
        torch.testing.assert_close(average.std, square.std * growth, rtol=1e-4, atol=1e-7)

"""Averages without prompts: the moments of the data."""

import pytest
import torch

from singdiffusion.average.registry import load_average
from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.start.pipeline import SingDiffusion
from singtheory import InputError
from tests.singdiffusion.support import tiny


def data(count=400, channels=3, side=8):
    """Brightness varies most, then a gradient from left to right in one channel."""
    generator = torch.Generator().manual_seed(0)
    images = 0.3 + 0.1 * torch.randn(count, channels, side, side, generator=generator)
    images += 2 * torch.randn(count, 1, 1, 1, generator=generator)
    images[:, :1] += torch.randn(count, 1, 1, 1, generator=generator) * torch.linspace(-1, 1, side)
    return images


def test_mean_and_covariance_along_low_frequencies_are_the_datas():
    images = data()
    module = AverageStatistics.from_images(images, frequencies=2, rank=12)
    actual = module(["anything"] * 2, torch.zeros(2, 3, 8, 8))
    torch.testing.assert_close(actual.mean, images.mean(dim=0, keepdim=True).expand(2, -1, -1, -1))
    basis = actual.basis.flatten(1)
    torch.testing.assert_close(basis @ basis.mT, torch.eye(12), atol=1e-5, rtol=0)
    along = (images - images.mean(dim=0)).flatten(1) @ basis.mT
    covariance = along.mT @ along / len(images)
    torch.testing.assert_close(covariance, torch.diag(actual.std[0] ** 2), atol=0.05, rtol=1e-3)
    assert actual.std[0, 0] == actual.std[0].max() > 20


def test_chunks_give_what_the_whole_gives():
    images = data()
    whole = AverageStatistics.from_images(images, frequencies=2, rank=5)
    parts = AverageStatistics.from_chunks(images.split(33), frequencies=2, rank=5)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value)
    with pytest.raises(InputError, match="images: none"):
        AverageStatistics.from_chunks([])


def test_the_mean_of_half_precision_is_summed_in_double():
    """In their own dtype three values of 0.1 make 0.30005, and 5000 of 0.9 stop growing."""
    for images in (torch.full((3, 1, 2, 2), 0.1), torch.full((5000, 1, 2, 2), -0.9)):
        for dtype in (torch.float16, torch.bfloat16):
            actual = AverageStatistics.from_images(images.to(dtype), rank=0).mean_image
            torch.testing.assert_close(actual, images[:1].to(dtype).float(), rtol=1e-7, atol=0)


def test_twice_the_size_is_the_same_law():
    images = data()
    module = AverageStatistics.from_images(images, frequencies=2, rank=3)
    large = module(["a"], torch.zeros(1, 3, 16, 16))
    small = module(["a"], torch.zeros(1, 3, 8, 8))
    swing = (large.std[0, 0] * large.basis[0]).mean().abs(), (small.std[0, 0] * small.basis[0]).mean().abs()
    torch.testing.assert_close(*swing)


def test_stored_and_attached(tmp_path):
    module = AverageStatistics.from_images(data(50, 4), rank=2, scaling_factor=0.18215)
    module.save_pretrained(tmp_path / "statistics")
    loaded = load_average(tmp_path / "statistics")
    assert torch.equal(loaded.mean_image, module.mean_image) and loaded.rank == 2
    pipe = tiny.stable_diffusion()
    with SingDiffusion(loaded).attached(pipe):
        pipe("anything at all", height=16, width=16, num_inference_steps=2, output_type="np")


def test_bad_images():
    with pytest.raises(InputError, match="need \\(n, channels"):
        AverageStatistics.from_images(torch.zeros(3, 8, 8))
    with pytest.raises(InputError, match="rank 100"):
        AverageStatistics.from_images(data(10), rank=100)
    with pytest.raises(InputError, match="NaN"):
        AverageStatistics.from_images(torch.full((4, 1, 8, 8), torch.nan), rank=0)

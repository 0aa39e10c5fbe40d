"""The brightness experiment: exact in reduced coordinates, and the order of the four starts (C7)."""

import base64
import io
import json
import math

import pytest
import torch
from PIL import Image

from proofs_checks.measurements.brightness import BINS, SIZES, STARTS, Brightness, Experiment, measure, sweep
from singtheory import Atoms, InputError
from singtheory.data.images import digit_pictures, png_strip, to_bytes
from singtheory.data.sources import digits_images
from singtheory.estimate import mean_interval
from singtheory.sampler import DDIM, exact_denoiser
from singtheory.start import starts


@pytest.fixture(scope="module")
def rgb() -> Brightness:
    return measure(digit_pictures(digits_images(), 32, 3), samples=128)


@pytest.fixture(scope="module")
def few():
    """A law small enough for the full coordinates: 20 digits, d = 768."""
    return digit_pictures(digits_images()[:20], 16, 3)


def test_pictures_are_digits_on_three_papers():
    digits = digits_images()[:2]
    pictures = digit_pictures(digits, 32, 3)
    images = pictures.images(pictures.law.points).reshape(3, 2, 3, 32, 32)
    assert pictures.dim == 3072
    assert torch.allclose(images[:, :, 0], images[:, :, 2], rtol=0, atol=1e-12)
    for paper, value, ink in zip(images, (-1.0, 0.0, 1.0), (1.0, 1.0, -1.0), strict=True):
        border = paper.clone()
        border[..., 8:24, 8:24] = value
        assert torch.allclose(border, torch.full_like(border, value), rtol=0, atol=1e-12)
        mean_strength = (digits.mean(dim=(1, 2)) + 1) / 2
        centre = paper[:, 0, 8:24, 8:24].mean(dim=(1, 2))
        assert torch.allclose(centre, value + (ink - value) * mean_strength, rtol=0, atol=1e-12)
    assert float(images.abs().max()) <= 1 + 1e-12


def test_brightness_is_the_mean_over_pixels(few):
    images = few.images(few.law.points)
    expected = (images.mean(dim=(1, 2, 3)) + 1) * 127.5
    assert torch.allclose(few.brightness(few.law.points), expected, rtol=0, atol=1e-10)
    assert float(few.constant_mode.norm()) == pytest.approx(1, rel=1e-12)


def test_the_denoiser_of_the_coordinates_is_the_denoiser(few):
    """`x̂(x) = Bᵀ ŷ(Bx)` for every x, in or off the span of the images."""
    full = Atoms(few.law.points @ few.basis)
    experiment = Experiment(few)
    x = 3 * torch.randn(4, few.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in (0.982, 0.5, 0.05):
        whole = exact_denoiser(full, experiment.schedule)(x, t)
        reduced = exact_denoiser(few.law, experiment.schedule)(x @ few.basis.mT, t)
        assert torch.allclose(reduced @ few.basis, whole, rtol=0, atol=1e-9)


def test_sampling_coordinates_is_sampling_images(few):
    """A whole run: x off the span only shrinks by `σ_s/σ_t` a step, and nothing of it is left at t = 0."""
    full = Atoms(few.law.points @ few.basis)
    experiment = Experiment(few, steps=10)
    x = torch.randn(4, few.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    half = experiment.times[:6]
    denoiser = exact_denoiser(full, experiment.schedule)
    middle = DDIM(experiment.schedule).sample(denoiser, x, half)
    off = x - x @ few.basis.mT @ few.basis
    shrunk = experiment.schedule.sigma(half[-1]) / experiment.schedule.sigma(half[0]) * off
    assert torch.allclose(middle - middle @ few.basis.mT @ few.basis, shrunk, rtol=0, atol=1e-10)
    end = DDIM(experiment.schedule).sample(denoiser, x, experiment.times)
    reduced = experiment.sample(few.law, x @ few.basis.mT)
    assert torch.allclose(end, reduced @ few.basis, rtol=0, atol=1e-7)
    pixels = (end.mean(dim=1) + 1) * 127.5
    assert torch.allclose(few.brightness(reduced), pixels, rtol=0, atol=1e-6)


def test_principal_components_of_the_coordinates_are_those_of_the_images(few):
    reduced = starts.principal_components(few.law, 2)
    full = starts.principal_components(Atoms(few.law.points @ few.basis), 2)
    assert torch.allclose(reduced.std, full.std, rtol=1e-10)
    assert torch.allclose((reduced.basis @ few.basis @ full.basis.mT).abs(), torch.eye(2).double(), rtol=0, atol=1e-9)


def test_the_order_of_the_starts_is_that_of_the_facts(rgb):
    """Measured with the exact denoiser at 32×32 RGB: ratios 0.28 (noise), 0.23 (mean), 0.92 to 0.97 (matched), 0.98 (exact), law 0.32."""
    ratios = {name: float(rgb.arrival(name).spread_ratio) for name in STARTS}
    assert rgb.law == pytest.approx(0.32, abs=0.01)
    assert ratios["noise"] < 0.5
    assert ratios["mean"] < 0.5
    assert 0.85 < ratios["matched"] < 1.15
    assert 0.9 < ratios["exact"] < 1.1
    assert rgb.arrival("matched").distance < rgb.arrival("mean").distance / 3


def test_samples_are_within_the_range_of_the_data_and_the_intervals_hold_the_values(rgb):
    for arrival in rgb.arrivals:
        assert bool(
            (arrival.brightness >= rgb.data.min() - 1e-9).all() and (arrival.brightness <= rgb.data.max() + 1e-9).all()
        )
        for estimate in (arrival.mean, arrival.spread_ratio):
            assert float(estimate.low) < float(estimate) < float(estimate.high)
    exact = rgb.arrival("exact")
    assert float(exact.mean.low) < float(rgb.data.mean()) < float(exact.mean.high)
    assert float(exact.spread_ratio.low) < 1 < float(exact.spread_ratio.high)


def test_the_interval_of_a_spread_holds_for_samples_of_another_mean(few):
    """Brightness of black and grey images alone: their own spread, not that about the data's mean, lies inside."""
    experiment, generator = Experiment(few), torch.Generator().manual_seed(0)
    darker = experiment.data[:40]
    draws = darker[torch.randint(40, (2000,), generator=generator)]
    estimate = experiment.ratio_estimate(draws, 0.99)
    truth = experiment.ratio(darker)
    about_data_mean = float(
        (darker - experiment.data.mean()).square().mean().sqrt() / experiment.data.std(correction=0)
    )
    assert float(estimate.low) < truth < float(estimate.high) < about_data_mean
    assert float(estimate.high - estimate.low) < 0.3


def test_the_interval_of_a_spread_splits_its_error_between_both_moments(few):
    experiment, generator = Experiment(few), torch.Generator().manual_seed(0)
    draws = experiment.data[torch.randint(60, (500,), generator=generator)]
    deviations = (draws - experiment.data.mean()).square()
    farthest = float((experiment.data - experiment.data.mean()).square().max())
    _, high = mean_interval(deviations, 0.0, farthest, 0.95)
    expected = math.sqrt(high / float(experiment.data.var(correction=0)))
    assert float(experiment.ratio_estimate(draws, 0.9).high) == pytest.approx(expected, rel=1e-12)


def test_the_gaussian_law_predicts_the_sampler_on_gaussian_data(rgb):
    """C7 against 50 DDIM steps on Gaussian data of the same mean and covariance."""
    for arrival in rgb.arrivals:
        assert arrival.control_ratio == pytest.approx(arrival.gaussian_ratio, rel=0.02)
    assert rgb.arrival("exact").gaussian_ratio == pytest.approx(1, rel=1e-12)
    assert rgb.arrival("exact").gaussian_mean == pytest.approx(float(rgb.data.mean()), rel=1e-12)
    assert rgb.arrival("matched").gaussian_ratio == pytest.approx(1, abs=2e-3)
    assert rgb.arrival("mean").gaussian_ratio == pytest.approx(rgb.law, abs=0.03)


def test_the_gaussian_ends_are_the_moments_of_gaussian_flows(few):
    """The sums over eigenvectors against the covariance of many starts sent through C7's linear map in pixels."""
    experiment = Experiment(few, rank=2)
    alpha, sigma, cov = experiment.alpha, experiment.sigma, few.law.cov
    eigenvalues, columns = torch.linalg.eigh(cov)
    slopes = (eigenvalues.clamp(min=0) / (alpha**2 * eigenvalues + sigma**2)).sqrt()
    flow = (columns * slopes) @ columns.mT
    probe = torch.cat([torch.zeros(1, few.law.dim), torch.eye(few.law.dim)]).double()
    starts = experiment.starts(probe, few.law.mean.expand(len(probe), -1))
    for name in ("noise", "mean", "matched"):
        arrivals = few.law.mean + (starts[name] - alpha * few.law.mean) @ flow
        brightness = few.brightness(arrivals)
        std = float((brightness[1:] - brightness[0]).norm())
        mean, ratio, _ = experiment.gaussian_ends()[name]
        assert mean == pytest.approx(float(brightness[0]), rel=1e-9)
        assert ratio == pytest.approx(std / float(experiment.data.std(correction=0)), rel=1e-9)


def test_quantiles_predict_the_clusters_better_than_the_gaussian_law():
    """At 64×64 RGB the law says 0.16 from noise, and all samples are grey, as the quantiles say."""
    result = measure(digit_pictures(digits_images(), 64, 3), samples=128)
    noise, matched = result.arrival("noise"), result.arrival("matched")
    assert float(noise.spread_ratio) < 0.5 * noise.gaussian_ratio
    assert abs(float(noise.spread_ratio) - noise.quantile_ratio) < 0.05
    assert abs(float(matched.spread_ratio) - matched.quantile_ratio) < 0.05
    assert float(noise.spread_ratio.high) < float(matched.spread_ratio.low)


def test_a_run_repeats_itself_and_tells_its_progress():
    digits, lines = digits_images()[:10], []
    sizes = ((16, 1), (20, 3))
    first = sweep(digits, sizes, samples=8, seed=3, progress=lambda done, total: lines.append((done, total)))
    second = sweep(digits, sizes, samples=8, seed=3)
    assert [r.to_json() for r in first] == [r.to_json() for r in second]
    assert lines == [(k, 400) for k in range(1, 401)]
    assert [r.dim for r in first] == [256, 1200]
    other = measure(digit_pictures(digits, 16, 1), samples=8, seed=4)
    assert not torch.equal(other.arrivals[0].brightness, first[0].arrivals[0].brightness)


def test_json_is_plain_and_holds_the_histograms(rgb):
    record = json.loads(json.dumps(rgb.to_json(), allow_nan=False))
    assert [entry["start"] for entry in record["starts"]] == list(STARTS)
    assert sum(record["data"]["counts"]) == len(rgb.data)
    for entry, arrival in zip(record["starts"], rgb.arrivals, strict=True):
        assert len(entry["counts"]) == BINS
        assert sum(entry["counts"]) == 128
        assert entry["std"] == pytest.approx(float(arrival.spread_ratio) * record["data"]["std"], rel=1e-12)
    assert record["dim"] == 3072
    assert f"{record['starts'][0]['gaussian_ratio']:.2f}" in record["reading"]


def test_a_strip_holds_the_images(rgb):
    images = rgb.arrival("matched").images
    strip = png_strip(images).removeprefix("data:image/png;base64,")
    pixels = torch.tensor(list(Image.open(io.BytesIO(base64.b64decode(strip))).tobytes()), dtype=torch.uint8)
    assert torch.equal(pixels.reshape(32, 8, 32).transpose(0, 1), images)
    assert to_bytes(torch.tensor([-1.0, 0.0, 1.0, 1.1])).tolist() == [0, 128, 255, 255]


def test_the_sweep_covers_the_sizes_of_the_facts():
    assert [side**2 * channels for side, channels in SIZES] == [1024, 3072, 4096, 12288]


def test_bad_input(few):
    with pytest.raises(InputError, match="need \\(n, 8, 8\\)"):
        digit_pictures(torch.zeros(3, 64))
    with pytest.raises(InputError, match="multiple of 4"):
        digit_pictures(torch.zeros(3, 8, 8), side=18)
    with pytest.raises(InputError, match="a channel or more"):
        digit_pictures(torch.zeros(3, 8, 8), channels=0)
    with pytest.raises(InputError, match="at least two"):
        measure(few, samples=1)
    with pytest.raises(InputError, match="confidence"):
        measure(few, samples=2, confidence=1.0)
    with pytest.raises(InputError, match="directions only"):
        measure(few, samples=2, rank=66)
    with pytest.raises(InputError, match="unknown start 'men': did you mean mean"):
        measure(few, samples=2, steps=2).arrival("men")

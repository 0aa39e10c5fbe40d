r"""The brightness law C7, measured without any network: the exact denoiser in a DDIM sampler, from four starts.

The data are handwritten digits at half size in the centre of images on black, grey and white backgrounds. Stable
Diffusion's schedule keeps `α = 0.076` of the image at the first of 50 steps; samplers start there from noise, and most
of the brightness is lost. `picture` says why 65 dimensions hold the whole experiment.

**Where the Gaussian law is off, and why.** C7 is exact for Gaussian data: the flow shrinks deviations smoothly, by
`s/√(α²λ + σ²)` with `λ = d·Var(brightness)`. These data are three clusters, one a background, and their flow decides
instead: each sample snaps to one background, and the spread counts how many leave the grey one. Along the brightness
alone the flow would keep quantiles, for data of any law (`start.quantile_end`), so a noise start ends on white where it
lies beyond the boundary between grey and white in `q_t`, about `½ α √d Δ` from the middle for backgrounds Δ apart. At
small d noise often crosses it, and the law predicts too little spread; the chance falls like `exp(−α² d Δ²/8)`, so at
large d the law, which falls like `1/√d`, predicts too much, and everything is grey. The matched start has the mean and
the variance of `q_t` but one hump instead of three: as d grows it sends `2(1 − Φ(√(3/8))) = 0.54` of its samples away from
the middle one of three equal clusters at equal distances, not ⅔, which is a spread ratio of 0.90. More than the variance of `q_t`
must be matched to cure that.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from singtheory import formula, start
from singtheory.data import HALF_RANGE, Pictures, digit_pictures, png_strip, to_bytes
from singtheory.errors import InputError, unknown_name
from singtheory.estimate import Estimate, check_confidence, mean_interval
from singtheory.grid import leading
from singtheory.law import Gaussian, Law
from singtheory.sampler import DDIM, exact_denoiser
from singtheory.schedule import STABLE_DIFFUSION, Discrete

STARTS = ("noise", "mean", "matched", "exact")
SIZES = ((32, 1), (32, 3), (64, 1), (64, 3))
"""Side and channels of the sweep's images: d = 1024 to 12,288."""
BINS = 51
"""Bins of the histograms of brightness in JSON, each five steps of 0..255."""
_SHOWN = 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Arrival:
    """What arrives at t = 0 from one start.

    Attributes:
        start: its name, one of `STARTS`.
        brightness: of each sample, in 0..255, shape (samples,).
        mean: of the brightness, with its interval.
        spread_ratio: standard deviation of brightness over the data's, with its interval.
        gaussian_mean: C7's mean for Gaussian data of the data's mean and covariance.
        gaussian_ratio: C7's spread ratio for those.
        control_ratio: the sampler's spread ratio for those, which differs by its steps alone.
        quantile_ratio: the spread ratio from these very starts if the flow kept quantiles of brightness.
        distance: W₁ between the brightness of the samples and of the data, in 0..255.
        images: the first samples, shape (shown, side, side), uint8.
    """

    start: str
    brightness: Tensor
    mean: Estimate
    spread_ratio: Estimate
    gaussian_mean: float
    gaussian_ratio: float
    control_ratio: float
    quantile_ratio: float
    distance: float
    images: Tensor

    def to_json(self) -> dict[str, Any]:
        """Plain values; the samples as counts in `BINS` equal bins of 0..255."""
        plain = ("start", "gaussian_mean", "gaussian_ratio", "control_ratio", "quantile_ratio", "distance")
        return {name: getattr(self, name) for name in plain} | {
            "mean": float(self.mean),
            "mean_interval": [float(self.mean.low), float(self.mean.high)],
            "std": float(self.brightness.std(correction=0)),
            "spread_ratio": float(self.spread_ratio),
            "spread_ratio_interval": [float(self.spread_ratio.low), float(self.spread_ratio.high)],
            "counts": _counts(self.brightness),
            "images": png_strip(self.images),
        }


@dataclass(frozen=True)
class Brightness:
    """The experiment at one size.

    Attributes:
        side: height and width of the images.
        channels: of the images.
        alpha: `α_t` at the first time.
        sigma: `σ_t` at the first time.
        steps: of the sampler.
        rank: of the matched start.
        samples: a start.
        confidence: of each interval.
        data: brightness of every image of the data, in 0..255, shape (n,).
        images: some of the data, shape (shown, side, side), uint8.
        arrivals: one a start, in the order of `STARTS`.
    """

    side: int
    channels: int
    alpha: float
    sigma: float
    steps: int
    rank: int
    samples: int
    confidence: float
    data: Tensor
    images: Tensor
    arrivals: tuple[Arrival, ...]

    @property
    def dim(self) -> int:
        """d, the number of values in an image."""
        return self.side**2 * self.channels

    @property
    def law(self) -> float:
        """`1/√(α²λ + σ²)`, `λ = d·Var(brightness)`: C7's spread ratio from noise, brightness taken for an eigenvector."""
        eigenvalue = self.dim * (self.data / HALF_RANGE).var(correction=0)
        return float(start.spread_ratio(self.alpha, self.sigma, eigenvalue))

    def arrival(self, name: str) -> Arrival:
        """What arrives from one start. Raises `InputError` for an unknown name."""
        if name not in STARTS:
            raise unknown_name("start", name, STARTS)
        return self.arrivals[STARTS.index(name)]

    def reading(self) -> str:
        """What was seen at this size, beside each prediction, in words."""
        three = self.arrivals[:3]
        seen = _in_words(float(a.spread_ratio) for a in three)
        law = _in_words(a.gaussian_ratio for a in three)
        control = _in_words(a.control_ratio for a in three)
        quantile = _in_words(a.quantile_ratio for a in three)
        return (
            f"At d = {self.dim:,}, starts from noise, from the mean and matched at rank {self.rank} keep {seen} of the "
            f"data's spread of brightness. The law C7 for Gaussian data of this mean and covariance says {law}, and the "
            f"same {self.steps} steps on such data give {control}. The rest is the data's, which are not one Gaussian but "
            "three clusters, one a background: every sample snaps to one of them, and the spread counts how many leave "
            f"the grey one. A flow that keeps the quantiles of brightness, from the same starts, says {quantile}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; brightness as counts in `BINS` equal bins of 0..255, images as PNG data addresses."""
        plain = ("side", "channels", "dim", "alpha", "sigma", "steps", "rank", "samples", "confidence", "law")
        return {name: getattr(self, name) for name in plain} | {
            "data": {
                "mean": float(self.data.mean()),
                "std": float(self.data.std(correction=0)),
                "counts": _counts(self.data),
                "images": png_strip(self.images),
            },
            "starts": [arrival.to_json() for arrival in self.arrivals],
            "reading": self.reading(),
        }


def _in_words(ratios: Iterable[float]) -> str:
    first, second, third = (f"{ratio:.2f}" for ratio in ratios)
    return f"{first}, {second} and {third}"


def _counts(brightness: Tensor) -> list[int]:
    """How many lie in each of `BINS` equal parts of 0..255."""
    return torch.histc(brightness.clamp(0, 255), bins=BINS, min=0, max=255).long().tolist()


@final
class Experiment:
    """Stable Diffusion's schedule, its leading grid closed at t = 0, and DDIM(0) with the exact denoiser.

    The last step lands on t = 0 and returns `x̂` (D3), so brightness stays within the data's range, and its intervals
    hold at every sample size.

    Args:
        pictures: the data.
        rank: how many principal components the matched start knows.
        steps: of the sampler.
    """

    def __init__(self, pictures: Pictures, rank: int = 1, steps: int = 50) -> None:
        self.pictures, self.steps = pictures, steps
        self.schedule = Discrete.from_config({**STABLE_DIFFUSION, "set_alpha_to_one": True})
        self.times = leading(self.schedule, steps)
        self.alpha = float(self.schedule.alpha(self.times[0]))
        self.sigma = float(self.schedule.sigma(self.times[0]))
        self.components = start.principal_components(pictures.law, rank)
        self.data = pictures.brightness(pictures.law.points)

    def starts(self, noise: Tensor, data: Tensor) -> dict[str, Tensor]:
        """The four starts from the same noise, each (batch, k); `data` (batch, k) is for the exact one."""
        mean, pair = self.pictures.law.mean, (self.alpha, self.sigma)
        return {
            "noise": start.noise_start(noise),
            "mean": start.mean_start(noise, mean, *pair),
            "matched": start.matched_start(noise, mean, self.components, *pair),
            "exact": start.exact_start(noise, data, *pair),
        }

    def sample(self, law: Law, x: Tensor, progress: Progress | None = None) -> Tensor:
        """The sampler's result (batch, k) from starts x (batch, k), for data of `law`."""
        return DDIM(self.schedule).sample(exact_denoiser(law, self.schedule), x, self.times, progress=progress)

    def gaussian_ends(self) -> dict[str, tuple[float, float, float]]:
        """For Gaussian data of mean μ and covariance Σ: mean and spread ratio of brightness by C7, and the sampler's ratio.

        The flow and the sampler are linear on such data, so each variance is a sum over the eigenvectors of Σ.
        """
        law, rank = self.pictures.law, len(self.components.std)
        eigenvalues, columns = torch.linalg.eigh(law.cov)
        eigenvalues, mean = eigenvalues.clamp(min=0), law.mean @ columns
        mode = self.pictures.constant_mode @ columns
        response = self._sampler_response(columns)
        marginal = formula.marginal_var(self.alpha, self.sigma, eigenvalues)
        narrow = torch.full_like(marginal, self.sigma**2)
        start_laws = {
            "noise": (torch.zeros_like(mean), torch.ones_like(marginal)),
            "mean": (self.alpha * mean, narrow),
            "matched": (self.alpha * mean, torch.cat([narrow[:-rank], marginal[-rank:]])),
            "exact": (self.alpha * mean, marginal),
        }
        moments = {}
        for name, (start_mean, start_var) in start_laws.items():
            end_mean, end_var = start.flow_end(start_mean, start_var, self.alpha, self.sigma, mean, eigenvalues)
            end_vars = torch.stack([mode**2 @ end_var, response**2 @ start_var]) / (mode**2 @ eigenvalues)
            moments[name] = (float(self.pictures.brightness_of_mode(mode @ end_mean)), *end_vars.sqrt().tolist())
        return moments

    def _sampler_response(self, columns: Tensor) -> Tensor:
        """How far the sampler moves the constant mode for a unit step along each column (k, k), on Gaussian data; (k,)."""
        law = Gaussian(self.pictures.law.mean, self.pictures.law.cov)
        samples = self.sample(law, torch.cat([torch.zeros_like(columns[:1]), columns.mT]))
        return (samples[1:] - samples[0]) @ self.pictures.constant_mode

    def quantile_ends(self, x: Tensor) -> Tensor:
        """Brightness at t = 0 of starts (batch, k) if the flow kept its quantiles, in 0..255; shape (batch,)."""
        law, mode = self.pictures.law, self.pictures.constant_mode
        quantiles = start.quantile_end(x @ mode, law.points @ mode, law.weights, self.alpha, self.sigma)
        return self.pictures.brightness_of_mode(quantiles)

    def ratio(self, brightness: Tensor) -> float:
        """Standard deviation of brightness (batch,) over the data's."""
        return float(brightness.std(correction=0) / self.data.std(correction=0))

    def mean_estimate(self, brightness: Tensor, confidence: float) -> Estimate:
        """The mean of brightness, with an interval that knows its range alone."""
        low, high = mean_interval(brightness, float(self.data.min()), float(self.data.max()), confidence)
        return _estimate(float(brightness.mean()), low, high, confidence, len(brightness))

    def ratio_estimate(self, brightness: Tensor, confidence: float) -> Estimate:
        """The spread ratio, from intervals for `E(b − m)²` and `E b`, m the data's mean, with half of the error each.

        `Var b = E(b − m)² − (E b − m)²`.
        """
        centre, half = float(self.data.mean()), (1 + confidence) / 2
        mean = self.mean_estimate(brightness, half)
        bias = max(abs(float(mean.low) - centre), abs(float(mean.high) - centre))
        least_bias = max(float(mean.low) - centre, centre - float(mean.high), 0.0)
        farthest = float((self.data - centre).square().max())
        low, high = mean_interval((brightness - centre).square(), 0.0, farthest, half)
        var = float(self.data.var(correction=0))
        least, most = (math.sqrt(max(v, 0) / var) for v in (low - bias**2, high - least_bias**2))
        return _estimate(self.ratio(brightness), least, most, confidence, len(brightness))


def _estimate(value: float, low: float, high: float, confidence: float, n: int) -> Estimate:
    centre, least, most = (torch.tensor([v], dtype=torch.float64) for v in (value, low, high))
    return Estimate(centre, least, most, confidence, n, "monte-carlo")


def measure(
    pictures: Pictures,
    samples: int = 1024,
    seed: int = 0,
    rank: int = 1,
    steps: int = 50,
    confidence: float = 0.99,
    progress: Progress | None = None,
) -> Brightness:
    """Sample from the four starts with shared noise, and compare with C7 and with the quantile law.

    Args:
        pictures: the data.
        samples: how many a start.
        seed: of the noise and of the exact start's data.
        rank: how many principal components the matched start knows.
        steps: of the sampler.
        confidence: of each interval.
        progress: called with the sampler steps done and their total.

    Raises:
        InputError: for fewer than two samples, a confidence outside (0, 1), and as `leading`, `principal_components`.
    """
    check_confidence(confidence)
    if samples < 2:
        raise InputError(f"samples {samples}: a spread needs at least two")
    experiment, generator = Experiment(pictures, rank, steps), torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, pictures.law.dim, dtype=torch.float64, generator=generator)
    data = pictures.law.sample(samples, generator)
    predicted = experiment.gaussian_ends()
    arrivals = tuple(
        _arrival(experiment, name, x, predicted[name], confidence, _part(progress, index, len(STARTS)))
        for index, (name, x) in enumerate(experiment.starts(noise, data).items())
    )
    return Brightness(
        side=pictures.side,
        channels=pictures.channels,
        alpha=experiment.alpha,
        sigma=experiment.sigma,
        steps=steps,
        rank=rank,
        samples=samples,
        confidence=confidence,
        data=experiment.data,
        images=_pixels(pictures, data),
        arrivals=arrivals,
    )


def _arrival(
    experiment: Experiment,
    name: str,
    x: Tensor,
    predicted: tuple[float, float, float],
    confidence: float,
    progress: Progress | None,
) -> Arrival:
    """Run one start x (batch, k) to t = 0."""
    pictures = experiment.pictures
    coordinates = experiment.sample(pictures.law, x, progress)
    brightness = pictures.brightness(coordinates)
    return Arrival(
        start=name,
        brightness=brightness,
        mean=experiment.mean_estimate(brightness, confidence),
        spread_ratio=experiment.ratio_estimate(brightness, confidence),
        gaussian_mean=predicted[0],
        gaussian_ratio=predicted[1],
        control_ratio=predicted[2],
        quantile_ratio=experiment.ratio(experiment.quantile_ends(x)),
        distance=float(wasserstein_distance(brightness.numpy(), experiment.data.numpy())),
        images=_pixels(pictures, coordinates),
    )


def _pixels(pictures: Pictures, coordinates: Tensor) -> Tensor:
    """The first images' first channel, shape (shown, side, side), uint8."""
    return to_bytes(pictures.images(coordinates[:_SHOWN])[:, 0])


def _part(progress: Progress | None, index: int, parts: int) -> Progress | None:
    """Progress of part `index` of `parts` equal ones, as progress of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(index * total + done, parts * total)


def sweep(
    digits: Tensor,
    sizes: Sequence[tuple[int, int]] = SIZES,
    samples: int = 1024,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Brightness]:
    """The experiment at each size, side and channels; size number i takes the seed `seed + i`."""
    return [
        measure(digit_pictures(digits, *size), samples, seed + i, progress=_part(progress, i, len(sizes)))
        for i, size in enumerate(sizes)
    ]

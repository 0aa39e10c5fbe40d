"""Average images without prompts and without training: the mean of the data, and its covariance along low frequencies."""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional

from singdiffusion.average.configs import LATENTS
from singdiffusion.average.model import Average, ClosedForm, Condition
from singdiffusion.average.spread import directions, low_frequencies
from singdiffusion.base import Levels, warn_of_half_range
from singdiffusion.system import at_most, size, whole
from singtheory.errors import InputError
from singtheory.law import Atoms
from singtheory.start import principal_components


class AverageStatistics(ClosedForm):
    """One mean for every prompt, with the widest directions among low frequencies: the fallback where nothing has been trained.

    At sizes other than that of the data the mean is resized, the cosine modes are those of the size at hand, and deviations grow with
    the root of the number of pixels.

    Args:
        size: channels, height and width of the data.
        frequencies: along each side, within which the directions lie.
        rank: how many directions.
        scaling_factor: of the latents; 1 in pixel space.
        shift_factor: of the latents.

    Raises:
        InputError: for more directions than frequencies give.
    """

    config_fields: ClassVar = LATENTS | {"size": size(), "frequencies": whole(0, 1024), "rank": at_most(2**20)}
    conditional = False
    """Whether the answer depends on the condition."""

    mean_image: Tensor
    mixture: Tensor
    std: Tensor

    @register_to_config
    def __init__(
        self,
        size: Sequence[int],
        frequencies: int = 4,
        rank: int = 8,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        most = size[0] * frequencies**2
        if not 0 <= rank <= most:
            raise InputError(
                f"rank {rank}: {frequencies} frequencies of {size[0]} channels give 0 to {most} directions"
            )
        self.register_buffer("mean_image", torch.zeros(1, *size))
        self.register_buffer("mixture", torch.zeros(rank, most))
        self.register_buffer("std", torch.zeros(rank))

    @classmethod
    def from_images(
        cls,
        images: Tensor,
        *,
        frequencies: int = 4,
        rank: int = 8,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> Self:
        """From images in [−1, 1] or latents, shape (n, channels, height, width); pixels that all lie in [0, 1] are warned of.

        Raises:
            InputError: for another shape, values that are not finite, and more directions than the data vary in.
        """
        return cls.from_chunks(
            [images], frequencies=frequencies, rank=rank, scaling_factor=scaling_factor, shift_factor=shift_factor
        )

    @classmethod
    def from_chunks(
        cls,
        chunks: Iterable[Tensor],
        *,
        frequencies: int = 4,
        rank: int = 8,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> Self:
        """From images a few at a time, each chunk as for `from_images`; of each only its low frequencies are kept.

        Raises:
            InputError: as `from_images`.
        """
        total, points, levels = 0.0, [], Levels()
        for images in chunks:
            _check_images(images)
            levels.see(images)
            points.append(low_frequencies(images.double(), frequencies if rank else 1))
            total = total + images.double().sum(dim=0)
        if not isinstance(total, Tensor):
            raise InputError("images: none; give at least one")
        warn_of_half_range(levels, "images", total.shape[0], scaling_factor, shift_factor)
        law = Atoms(torch.cat(points))
        statistics = cls(tuple(total.shape), frequencies, rank, scaling_factor, shift_factor)
        statistics.mean_image.copy_(total / len(law.points))
        if rank:
            components = principal_components(law, rank)
            statistics.mixture.copy_(components.basis)
            statistics.std.copy_(components.std)
        return statistics.eval()

    def forward(self, condition: Condition, x_1: Tensor) -> Average:
        """The average image, which is the same for every condition, in the size of `x_1`.

        Args:
            condition: prompts or token states, one an image; only their number is read.
            x_1: noise, of which only the shape is read.

        Raises:
            InputError: for noise that does not fit.
        """
        self.check_noise(x_1, len(condition))
        (height, width), (_, *size) = x_1.shape[2:], self.config["size"]
        mean = self.mean_image
        if [height, width] != [*size]:
            mean = functional.interpolate(mean, (height, width), mode="bicubic", antialias=True)
        mean = mean.expand(len(condition), -1, -1, -1)
        if not self.rank:
            return Average(mean)
        basis = directions(self.mixture, x_1.shape[1], height, width)
        std = self.std * math.sqrt(height * width / math.prod(size))
        return Average(mean, basis, std.expand(len(condition), -1))


def _check_images(images: Tensor) -> None:
    """Raise `InputError` for another shape than (n, channels, height, width), and for values that are not finite."""
    if images.ndim != 4 or not len(images):
        raise InputError(f"images of shape {tuple(images.shape)}: need (n, channels, height, width)")
    if not bool(torch.isfinite(images).all()):
        raise InputError("images: hold NaN or infinity; leave those out")

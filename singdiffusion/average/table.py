"""The average image in closed form: a table of the data's means, prompt by prompt."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional

from singdiffusion.average.configs import LATENTS, MANY
from singdiffusion.average.model import Average, ClosedForm, Condition
from singdiffusion.average.spread import resampled
from singdiffusion.base import Levels, warn_of_half_range
from singdiffusion.system import at_most, listed, size, word
from singtheory.errors import InputError, unknown_name
from singtheory.law import Atoms
from singtheory.start import principal_components

_POOL = 2**27
"""Values of deviations that are pooled at most, about."""


class AverageTable(ClosedForm):
    """`ȳ(c)`, and if wanted `s_k(c)`, for each of finitely many prompts or classes; `x_1` is not looked at (C9).

    The prompt "" stands for no prompt: its row is the mean of all data. At sizes other than that of the data means are resized, directions
    are resampled as functions, orthonormal again, and deviations grow with the root of the number of pixels.

    Args:
        prompts: the names of the rows.
        size: (channels, height, width) of an image.
        rank: how many directions the spread has.
        scaling_factor: of the latents; 1 in pixel space.
        shift_factor: of the latents.

    Raises:
        InputError: for a negative rank.
    """

    config_fields: ClassVar = LATENTS | {"prompts": listed(word(), 0, MANY), "size": size(), "rank": at_most(2**20)}

    @register_to_config
    def __init__(
        self,
        prompts: Sequence[str],
        size: Sequence[int],
        rank: int = 0,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        if rank < 0:
            raise InputError(f"rank {rank}: need 0, for no spread, or more")
        self._rows = {prompt: i for i, prompt in enumerate(prompts)}
        self.register_buffer("means", torch.zeros(len(prompts), *size))
        self.register_buffer("basis", torch.zeros(rank, *size))
        self.register_buffer("stds", torch.zeros(len(prompts), rank))

    @classmethod
    def from_images(
        cls,
        images: Mapping[str, Tensor],
        *,
        rank: int = 0,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> Self:
        """The closed form from data.

        The directions of the spread are the principal components of the deviations from each prompt's own mean, pooled over the
        prompts; the deviations along them are each prompt's own. The images of one prompt are held at a time, and of the pooled
        deviations every k-th where they are more than memory should hold.

        Args:
            images: for every prompt or class its images in [−1, 1] or latents, shape (n, channels, height, width); those under "" are
                images without a prompt. Pixels that all lie in [0, 1] are warned of.
            rank: how many directions the spread has; 0 for none.
            scaling_factor: by which the latents were multiplied after encoding.
            shift_factor: what was subtracted before.

        Raises:
            InputError: for no images, sizes that differ, values that are not finite, and a rank above the directions in which
                the data vary.
        """
        points = _Points(images)
        warn_of_half_range(points.levels, "images", points.size[0], scaling_factor, shift_factor)
        prompts = list(dict.fromkeys([*images, ""]))
        table = cls(prompts, points.size, rank, scaling_factor, shift_factor)
        means = points.means | {"": points.mean}
        table.means.copy_(torch.stack([means[prompt] for prompt in prompts]).reshape(table.means.shape))
        if rank:
            basis = principal_components(Atoms(points.deviations()), rank).basis
            variances = points.variances(basis)
            table.basis.copy_(basis.reshape(table.basis.shape))
            table.stds.copy_(torch.stack([variances[prompt] for prompt in prompts]).sqrt())
        return table.eval()

    def forward(self, condition: Condition, x_1: Tensor) -> Average:
        """The rows of the prompts.

        Args:
            condition: prompts, one an image.
            x_1: noise, of which only the shape matters: (batch, channels, height, width).

        Raises:
            InputError: for embeddings, a prompt without a row, and noise that does not fit.
        """
        if isinstance(condition, Tensor):
            raise InputError("condition: a table has rows for prompts and understands no embeddings; give the prompts")
        self.check_noise(x_1, len(condition))
        rows = [self._row(prompt) for prompt in condition]
        mean, (height, width) = self.means[rows], x_1.shape[2:]
        if x_1.shape[1:] == self.means.shape[1:]:
            return Average(mean, self.basis, self.stds[rows]) if self.rank else Average(mean)
        mean = functional.interpolate(mean, (height, width), mode="bicubic", antialias=True)
        if not self.rank:
            return Average(mean)
        basis, shares = resampled(self.basis, height, width)
        growth = height * width / math.prod(self.means.shape[2:])
        return Average(mean, basis, (self.stds[rows].square() @ shares * growth).sqrt())

    def knows(self, prompt: str) -> bool:
        """Whether it has a row for a prompt."""
        return prompt in self._rows

    def _row(self, prompt: str) -> int:
        if prompt not in self._rows:
            raise unknown_name("prompt", prompt, self._rows)
        return self._rows[prompt]


class _Points:
    """Images as points, prompt by prompt: their moments, of which each pass reads one prompt after another.

    Raises:
        InputError: if no table can be made of them.
    """

    def __init__(self, images: Mapping[str, Tensor]) -> None:
        if not images:
            raise InputError("images: none; give at least one prompt with its images")
        self._images = images
        self.size: tuple[int, ...] = ()
        self.means: dict[str, Tensor] = {}
        self.levels = Levels()
        counts = []
        for prompt, batch in images.items():
            self.size = self.size or tuple(batch.shape[1:])
            _check_images(prompt, batch, self.size)
            self.levels.see(batch)
            counts.append(len(batch))
            self.means[prompt] = batch.double().mean(dim=0).flatten()
        self._count = sum(counts)
        self._shares = dict(zip(images, torch.tensor(counts).double() / self._count, strict=True))
        self.mean = torch.stack([self._shares[prompt] * mean for prompt, mean in self.means.items()]).sum(dim=0)

    def deviations(self) -> Tensor:
        """From each prompt's own mean, shape (n, d)."""
        every = -(-self._count * math.prod(self.size) // _POOL)
        own = (batch[::every].double().flatten(1) - self.means[prompt] for prompt, batch in self._images.items())
        return torch.cat(list(own))

    def variances(self, basis: Tensor) -> dict[str, Tensor]:
        """Along orthonormal directions (k, d): each prompt's own, and under "" that of all images around the mean of all."""
        within = {
            prompt: ((batch.double().flatten(1) - self.means[prompt]) @ basis.mT).square().mean(dim=0)
            for prompt, batch in self._images.items()
        }
        between = {prompt: ((mean - self.mean) @ basis.mT).square() for prompt, mean in self.means.items()}
        whole = [self._shares[prompt] * (within[prompt] + between[prompt]) for prompt in within]
        return within | {"": torch.stack(whole).sum(dim=0)}


def _check_images(prompt: str, batch: Tensor, size: tuple[int, ...]) -> None:
    """Raise `InputError` for images of another shape than (n, *size), and for values that are not finite."""
    if batch.ndim != 4 or not len(batch) or tuple(batch.shape[1:]) != size:
        raise InputError(
            f"images of prompt {prompt!r} have shape {tuple(batch.shape)}: need (n, channels, height, width) of one size"
        )
    if not bool(torch.isfinite(batch).all()):
        raise InputError(f"images of prompt {prompt!r}: hold NaN or infinity; leave those images out")

"""What the networks that give average images share: a condition, a mean that each computes in its own way, and a spread."""

from pathlib import Path
from typing import Any, Self

from torch import Tensor

from singdiffusion.average.condition import condition_of
from singdiffusion.average.model import STORED, Average, AverageModel, Condition
from singdiffusion.average.spread import Spread
from singdiffusion.base import Space, TextEncoder
from singdiffusion.system import find_folder
from singtheory.errors import InputError


class AverageNetwork(AverageModel):
    """`ȳ_θ(x_1, c)` and, if wanted, `s_k(c)` along principal components of low frequencies.

    Their configurations hold `condition`, `frequencies`, `spread_width`, `spread_layers`, `size`, `scaling_factor`, `shift_factor` and
    `text_encoder`.
    """

    trained_by_steps = True
    conditioning: Any
    spread: Spread | None

    def build_parts(self, width: int | None = None) -> None:
        """Make the condition and the spread from the configuration.

        Args:
            width: of the token states, where the network has one of its own.

        Raises:
            InputError: for settings that do not fit.
        """
        kind: dict[str, Any] = {"kind": "text"} | dict(self.config["condition"] or {})
        self.conditioning = condition_of(kind if width is None else kind | {"width": width})
        frequencies, size = self.config["frequencies"], self.config["size"]
        hidden, layers = self.config["spread_width"], self.config["spread_layers"]
        self.spread = None
        if frequencies:
            if size is None or len(size) < 2:
                raise InputError(f"size {size}: a spread needs the height and width of training")
            if min(hidden, layers) < 1:
                raise InputError(f"spread_width {hidden}, spread_layers {layers}: each must be at least 1")
            side = (int(size[-2]), int(size[-1]))
            self.spread = Spread(self.conditioning.width, self.channels, frequencies, side, hidden, layers)

    def mean(self, tokens: Tensor, x_1: Tensor) -> Tensor:
        """`ȳ_θ`, shape of `x_1`, from token states (batch, tokens, width)."""
        raise NotImplementedError

    def forward(self, condition: Condition, x_1: Tensor) -> Average:
        """The average images for a batch of conditions.

        Args:
            condition: what the network's kind of condition takes, one an image: token states, prompts, class numbers, small images.
            x_1: noise, shape (batch, channels, height, width), in the dtype and on the device of the weights.

        Raises:
            InputError: for a condition or noise that does not fit, and where the weights give NaN.
        """
        self.check_noise(x_1, len(condition))
        tokens = self.conditioning(condition, x_1)
        mean = self.mean(tokens, x_1)
        if self.spread is None:
            return Average(mean)
        height, width = x_1.shape[2:]
        return Average(mean, self.spread.basis(height, width), self.spread(tokens, height, width))

    @property
    def channels(self) -> int:
        """How many channels the images have."""
        raise NotImplementedError

    @property
    def space(self) -> Space:
        """The latents of the images, and the token states that are understood."""
        config, width = self.config, self.conditioning.state_width
        encoder = None if width is None else config["text_encoder"]
        return Space(self.channels, config["scaling_factor"], config["shift_factor"], width, encoder)

    @property
    def takes_prompts(self) -> bool:
        """Whether prompts are understood as they are: names of classes, or text where there is an encoder."""
        return self.conditioning.takes_prompts

    @property
    def conditional(self) -> bool:
        """Whether the answer depends on the condition."""
        return self.conditioning.conditional

    @property
    def clip_skip(self) -> int:
        """How many of the last layers of the text encoder are left out of the token states that it reads."""
        return self.conditioning.clip_skip

    def knows(self, prompt: str) -> bool:
        """Whether a prompt can be asked for: of classes, whether there is one of that name."""
        return self.conditioning.knows(prompt)

    @property
    def rank(self) -> int:
        """How many directions the spread has; 0 for none."""
        return 0 if self.spread is None else self.spread.rank

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load from a local folder or a hub id, as `AverageModel.from_pretrained`; its own text encoder waits until it is needed."""
        folder = find_folder(pretrained_model_name_or_path, STORED)
        module = super().from_pretrained(folder, **kwargs)
        if (folder / "text_encoder").is_dir():
            module.conditioning.encoder = TextEncoder.stored(folder)
        return module

    def _write(self, folder: Path, **kwargs: Any) -> None:
        super()._write(folder, **kwargs)
        encoder = self.conditioning.encoder
        if encoder is not None:
            encoder.save(folder)

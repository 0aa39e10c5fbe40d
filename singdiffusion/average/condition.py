"""Conditions of an average image, each as token states: text, the name of a class, a small image, or nothing at all.

What stands for no condition, as guidance needs it, is text of no words, the class of no name, or the absent image.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from singdiffusion.average.configs import CONDITION
from singdiffusion.base import TextEncoder
from singdiffusion.system import check_fields, shown
from singtheory.errors import InputError, unknown_name


class Kind(nn.Module):
    """What every kind of condition answers of itself.

    Attributes:
        conditional: whether the answer depends on the condition.
        state_width: of the token states of a text encoder that it reads; None where it reads none.
        clip_skip: how many of the last layers of the text encoder are left out of these.
        encoder: its own text encoder; None without one.
    """

    conditional: bool = True
    state_width: int | None = None
    clip_skip: int = 0
    encoder: TextEncoder | None = None

    def knows(self, prompt: str) -> bool:
        """Whether it can be asked for this prompt."""
        return True


class Text(Kind):
    """Token states of a text encoder, as they are.

    Args:
        width: of the token states.
        clip_skip: how many of the encoder's last layers are left out, beside those that a pipeline leaves out anyway.
    """

    def __init__(self, width: int, clip_skip: int = 0) -> None:
        super().__init__()
        self.width, self.state_width, self.clip_skip = width, width, clip_skip
        self.encoder: TextEncoder | None = None
        """Set to understand prompts too; token states need none."""

    @property
    def takes_prompts(self) -> bool:
        """Whether it has a text encoder of its own."""
        return self.encoder is not None

    def forward(self, condition: Sequence[str] | Tensor, like: Tensor) -> Tensor:
        """From token states (batch, tokens, width), or prompts where there is an encoder; beside `like`."""
        if not isinstance(condition, Tensor):
            if self.encoder is None:
                raise InputError("condition: this average image has no text encoder of its own; give token states")
            return self.encoder(condition, like.device, like.dtype)
        if condition.ndim != 3 or condition.shape[2] != self.width:
            raise InputError(
                f"condition of shape {tuple(condition.shape)}: need token states (batch, tokens, {self.width})"
            )
        return condition.to(like)


class Classes(Kind):
    """One learned token a class, and one for no class, which is called "".

    Args:
        width: of the token.
        names: of the classes; the condition is a name or a number.
    """

    takes_prompts = True

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__()
        self.width = width
        self.rows = {name: row for row, name in enumerate([*names, ""])}
        if len(self.rows) != len(names) + 1:
            raise InputError("classes: two have one name, or one has none")
        self.embedding = nn.Embedding(len(self.rows), width)

    def forward(self, condition: Sequence[str] | Tensor, like: Tensor) -> Tensor:
        """From names, or numbers (batch,) of which the last stands for no class; shape (batch, 1, width)."""
        if not isinstance(condition, Tensor):
            condition = torch.tensor([self._row(name) for name in condition])
        if condition.ndim != 1 or condition.is_floating_point():
            raise InputError(
                f"condition of shape {tuple(condition.shape)} in {condition.dtype}: need one class number an image"
            )
        return self.embedding(condition.to(like.device))[:, None].to(like)

    def knows(self, prompt: str) -> bool:
        """Whether there is a class of that name."""
        return prompt in self.rows

    def _row(self, name: str) -> int:
        if name not in self.rows:
            raise unknown_name("class", name, self.rows)
        return self.rows[name]


class SmallImage(Kind):
    """A low-resolution image, one token a pixel; an image of NaN stands for none.

    Args:
        width: of the tokens.
        size: channels, height and width.
    """

    takes_prompts = False

    def __init__(self, width: int, size: Sequence[int]) -> None:
        super().__init__()
        self.width, self.size = width, tuple(size)
        channels, height, columns = self.size
        self.colour = nn.Linear(channels, width)
        self.place = nn.Parameter(torch.randn(height * columns, width) / math.sqrt(width))
        self.absent = nn.Parameter(torch.zeros(width))

    def forward(self, condition: Sequence[str] | Tensor, like: Tensor) -> Tensor:
        """From images (batch, channels, height, width) in [−1, 1]; shape (batch, pixels, width)."""
        if not isinstance(condition, Tensor) or tuple(condition.shape[1:]) != self.size:
            raise InputError(f"condition: need images of shape (batch, {', '.join(map(str, self.size))})")
        pixels = condition.flatten(2).mT.to(like)
        absent = pixels.isnan().any(dim=2, keepdim=True)
        return torch.where(absent, self.absent, self.colour(pixels.nan_to_num())) + self.place


class Nothing(Kind):
    """One learned token, whatever the prompt.

    Args:
        width: of the token.
    """

    takes_prompts = True
    conditional = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.token = nn.Parameter(torch.zeros(width))

    def forward(self, condition: Sequence[str] | Tensor, like: Tensor) -> Tensor:
        """Shape (batch, 1, width)."""
        return self.token.to(like).expand(len(condition), 1, -1)


CONDITIONS = {"text": Text, "classes": Classes, "image": SmallImage, "none": Nothing}
"""The kinds of condition by name."""


def condition_of(settings: Mapping[str, Any]) -> Any:
    """The module that `{"kind": name, "width": …, …}` describes.

    Raises:
        InputError: for an unknown kind or settings that it does not take.
    """
    rest = dict(settings)
    kind = shown(rest.pop("kind", None)).strip("'")
    if kind not in CONDITIONS:
        raise unknown_name("kind of condition", kind, CONDITIONS)
    try:
        check_fields(rest, CONDITION, f"setting of condition {kind}", partial=True)
        return CONDITIONS[kind](**rest)
    except TypeError as error:
        raise InputError(f"condition {kind}: {error}") from None

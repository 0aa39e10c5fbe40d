"""The ladder's prompts: brightness fixed by the prompt, and brightness left open."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompts:
    """The prompts of one data set.

    Attributes:
        fixed: name a background.
        open: name none.
    """

    fixed: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Both kinds, the fixed ones first."""
        return self.fixed + self.open

    def kind(self, prompt: str) -> str:
        """`fixed` or `open`."""
        return "fixed" if prompt in self.fixed else "open"


OPENMOJI = Prompts(
    fixed=(
        "solid black background",
        "solid white background",
        "monochrome line-art logo on a black background",
        "monochrome line-art logo on a white background",
    ),
    open=("logo", "red apple", "cat", "house"),
)
"""Among these, "logo" has 1,468 pictures; the others one on black, on white, on grey and on a colour each."""

DIGITS = Prompts(
    fixed=("0 on a black background", "3 on a black background", "0 on a white background", "3 on a white background"),
    open=("0", "3", "5", "8"),
)

FASHION = Prompts(fixed=(), open=("t-shirt", "trouser", "bag", "sneaker"))
"""Nothing but the class decides the brightness, so all leave it open."""

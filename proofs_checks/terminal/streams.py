"""What is printed: no name in it can steer the terminal, no encoding, full disk or closed pipe ends a run with a traceback."""

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

import typer

from singtheory.system import CONTROLS, ignore_odd_sizes, is_closed, mute

_PLAIN = {
    "≤": "<=", "≥": ">=", "−": "-", "–": "-", "—": "-", "…": "...", "∞": "inf", "×": "x", "±": "+-", "→": "->", "·": "*",
    "½": "1/2", "¼": "1/4", "²": "2", "³": "3", "₀": "0", "₁": "1", "₂": "2", "‖": "|", "√": "sqrt", "∫": "int", "ˆ": "^",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "λ": "lambda", "μ": "mu", "ξ": "xi", "π": "pi",
    "ρ": "rho", "σ": "sigma", "Σ": "Sigma", "φ": "phi", "Φ": "Phi", "χ": "chi", "x̂": "x^", "“": '"', "”": '"', "’": "'",
}  # fmt: skip
"""What stands for a character that the encoding of a terminal does not have."""


def prepare() -> None:
    """What cannot be encoded is replaced from now on, also where another library prints; odd sizes of the terminal are ignored."""
    ignore_odd_sizes()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def visible(text: str, encoding: str | None = None) -> str:
    """`text` on one line, with control characters written out and, for an encoding, other words for what that does not have.

    >>> visible("a\\x1b[31m\\nb"), visible("γ ≤ ∞ in ☃", "ascii")
    ('a\\\\x1b[31m\\\\nb', 'gamma <= inf in ?')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character, encoding) for character in text)


def visible_lines(text: str) -> str:
    """The text made `visible`, line by line."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _visible(character: str, encoding: str | None) -> str:
    if unicodedata.category(character) in CONTROLS:
        return character.encode("unicode_escape").decode("ascii")
    if encoding is None or _encodes(character, encoding):
        return character
    return _PLAIN.get(character, "?")


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def say(line: str, *, err: bool = False) -> None:
    """Print one line at once."""
    stream = sys.stderr if err else sys.stdout
    with printing(stream):
        typer.echo(visible(line, getattr(stream, "encoding", None)), err=err)


@contextlib.contextmanager
def printing(stream: TextIO | None) -> Iterator[None]:
    """Print inside: a closed pipe is no error, for whoever read it has enough.

    Raises:
        InputError: if standard output cannot be written for another reason, such as a full disk.
    """
    try:
        yield
        if stream is not None:
            stream.flush()
    except OSError as error:
        mute(stream)
        if not is_closed(error) and stream is not sys.stderr:
            from singtheory.errors import InputError

            raise InputError(f"standard output: cannot be written ({error.strerror}); send it elsewhere") from None

"""What the fields of a stored file may be, checked before anything is made of them: kinds of values with their ranges.

A file is somebody else's. A wrong type, a number out of range, a name that is not known and a value that would take more memory than
there is are one line each; nothing is built, allocated or looped over on the way to it.
"""

import math
import numbers
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from singtheory.errors import InputError, unknown_name

_SHOWN = 60
_NODES = 10_000
_DEPTH = 8


@dataclass(frozen=True)
class Kind:
    """Values of a kind.

    Attributes:
        words: what they are, as of `need …`.
        holds: whether a value is one.
        optional: whether None is one too.
    """

    words: str
    holds: Callable[[Any], bool]
    optional: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise `InputError` for a value that is none."""
        if not ((value is None and self.optional) or self.holds(value)):
            raise InputError(f"{name} {shown(value)}: need {self.words}{', or null' if self.optional else ''}")


def whole(low: int, high: int, optional: bool = False) -> Kind:
    """A whole number from `low` to `high`, no truth value."""
    return Kind(f"a whole number from {low} to {high}", lambda x: _is_whole(x) and low <= x <= high, optional)


def at_most(most: int) -> Kind:
    """A whole number whose lower end its owner names, with what that would mean."""
    return Kind(f"a whole number up to {most}", lambda x: _is_whole(x) and abs(x) <= most)


def number(low: float, high: float, optional: bool = False) -> Kind:
    """A finite number from `low` to `high`."""

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, float | numbers.Real):
            return False
        exact: Any = value  # a whole number may be too large for a float
        return bool(low <= exact <= high)  # which NaN is not

    return Kind(f"a number from {low:g} to {high:g}", holds, optional)


def scale() -> Kind:
    """A factor by which values are multiplied and divided."""
    return number(1e-9, 1e9)


def word(optional: bool = False, most: int = 2**16) -> Kind:
    """Text that can be written, shown and given to the system: without NUL and halves of characters."""
    return Kind(
        f"text of at most {most} characters without NUL and broken characters", lambda x: is_text(x, most), optional
    )


def line(most: int = 1000) -> Kind:
    """One line of text without controls."""
    return Kind("one line of text", lambda x: is_text(x, most) and x.isprintable() and bool(x.strip()))


def one_of(known: Collection[str], optional: bool = False) -> Kind:
    """A name from a list."""
    return Kind(f"one of {', '.join(known)}", lambda x: isinstance(x, str) and x in known, optional)


def truth() -> Kind:
    """True or false."""
    return Kind("true or false", lambda x: isinstance(x, bool))


def matching(pattern: str, words: str) -> Kind:
    """Text of which the whole matches a regular expression."""
    return Kind(words, lambda x: isinstance(x, str) and re.fullmatch(pattern, x) is not None)


def listed(each: Kind, least: int, most: int, optional: bool = False) -> Kind:
    """A list of values of a kind."""

    def holds(value: Any) -> bool:
        return isinstance(value, list | tuple) and least <= len(value) <= most and all(map(each.holds, value))

    count = f"{least}" if least == most else f"{least} to {most}"
    return Kind(f"a list of {count}, each {each.words}", holds, optional)


def size() -> Kind:
    """Channels, height and width."""
    return Kind(
        "channels, height and width, whole numbers from 1 to 65536",
        lambda x: (
            isinstance(x, list | tuple) and len(x) == 3 and all(_is_whole(one) and 1 <= one <= 2**16 for one in x)
        ),
    )


def mapping(optional: bool = False) -> Kind:
    """Values by name, small enough to be looked at: numbers, words and lists of them, not deeply nested."""
    return Kind("a small mapping of plain values", lambda x: isinstance(x, Mapping) and is_small(x), optional)


def check_fields(
    values: Mapping[str, Any], fields: Mapping[str, Kind], what: str = "field", partial: bool = False
) -> None:
    """Raise `InputError` for the first field that is unknown, missing or of another kind.

    Args:
        values: values by name.
        fields: the kind of each.
        what: a field is called in the error.
        partial: whether some may be missing.
    """
    for name, value in values.items():
        if name not in fields:
            raise unknown_name(what, shown(name).strip("'"), fields)
        fields[name].check(name, value)
    missing = [name for name in fields if name not in values]
    if missing and not partial:
        raise InputError(f"{missing[0]}: is missing")


def is_text(value: Any, most: int) -> bool:
    """Whether it is text that every file and system takes."""
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        return False
    try:
        return bool(value.encode("utf-8")) or not value
    except UnicodeError:
        return False


def is_small(value: Any) -> bool:
    """Whether a value of JSON or YAML has few parts, not deeply nested, and no large numbers: a thing that is in itself has not."""
    left, waiting = _NODES, [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > _DEPTH:
            return False
        if isinstance(one, Mapping):
            waiting += [(part, depth + 1) for pair in list(one.items())[:left] for part in pair]
            left -= len(one)
        elif isinstance(one, list | tuple):
            waiting += [(part, depth + 1) for part in one[:left]]
            left -= len(one)
        elif not _is_plain(one):
            return False
    return True


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return abs(value) <= 2**53 or not math.isfinite(value)
    return is_text(value, 10_000)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value in few words, whatever its size."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return f"of {value.bit_length()} bits"
    form = reprlib.Repr()
    form.maxlevel, form.maxlist, form.maxtuple, form.maxdict = 2, 4, 4, 4
    form.maxstring = form.maxother = form.maxlong = _SHOWN
    try:
        return form.repr(value)
    except ValueError:  # whole numbers of thousands of digits within
        return f"a {type(value).__name__}"

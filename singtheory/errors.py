"""The one error the library raises for bad input."""

import difflib
from collections.abc import Iterable

_SHOWN, _LONGEST = 30, 200
"""How many known names a message holds, and how many characters of the unknown one."""


class InputError(ValueError):
    """Bad input, told in one line that names the input and the remedy.

    The commands print the line and exit with status 2; the library only raises.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An `InputError` for an unknown `name` of some `kind`, with the nearest known names, or else the first of all."""
    known = sorted(known)
    name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    shown = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {shown}"
    return InputError(f"unknown {kind} {name!r}: {hint}")

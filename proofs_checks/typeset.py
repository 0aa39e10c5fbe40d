"""Prose with LaTeX between dollar signs, as HTML with MathML."""

import re

from latex2mathml.converter import convert
from markupsafe import Markup, escape

_FORMULA = re.compile(r"\$([^$]+)\$")


def typeset(prose: str) -> Markup:
    """`prose` with each `$…$` as MathML and everything else escaped. Raises `ValueError` for an odd dollar sign."""
    if prose.count("$") % 2:
        raise ValueError(f"odd number of dollar signs in {prose!r}")
    parts, end = [], 0
    for match in _FORMULA.finditer(prose):
        parts.append(escape(prose[end : match.start()]))
        parts.append(Markup(_mathml(match.group(1))))
        end = match.end()
    parts.append(escape(prose[end:]))
    return Markup("").join(parts)


def _mathml(formula: str) -> str:
    """Fences keep their natural size: stretched by neighbours they jump in running text."""
    return convert(formula)

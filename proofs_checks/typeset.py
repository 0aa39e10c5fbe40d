"""Prose with LaTeX between dollar signs, as HTML with MathML that reads well without a mathematical font.

latex2mathml gives the structure. The passes below give what TeX does by itself and browsers leave to the author, or to tables that
only mathematical fonts have: upright names with a thin space around them, tight bars and slashes, primes, and subscripts and roots
that keep their distance.
"""

import itertools
import re
import xml.etree.ElementTree as ET

from latex2mathml.converter import convert
from markupsafe import Markup, escape

_FORMULA = re.compile(r"\$([^$]+)\$")
_NAMES = re.compile(r"\\text\{[^}]*\}|\\[A-Za-z]+|(?<![A-Za-z])(?:KL|TV|tr|mmse|dist|Cov|Var)(?![A-Za-z])")
_TIGHT = {"|": "0.1em", "/": "0.08em"}
_PRIMES = {"′", "″", "‴"}
_BARS = {"‖", "|"}
_DESCENDING = set("gjpqyβγζημξρφχψϕ")
_CAPITALS = set("ΓΔΘΛΞΠΣΦΨΩ")


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
    """One formula. Plain names, such as KL and tr, are names and not products of letters."""
    named = _NAMES.sub(lambda m: m[0] if m[0].startswith("\\") else rf"\operatorname{{{m[0]}}}", formula)
    root = ET.fromstring(re.sub(r'\sxmlns="[^"]*"', "", convert(named)))
    return ET.tostring(_tidied(root), encoding="unicode")


def _tidied(element: ET.Element) -> ET.Element:
    """The element after all passes, its children first."""
    element[:] = [_tidied(child) for child in element]
    if element.tag in ("mi", "mo"):
        _dress_token(element)
    elif element.tag == "mrow":
        _join_assignment(element)
        _space_names(element)
    elif element.tag == "msqrt":  # a strut, so that the bar clears the letters
        element.insert(0, ET.Element("mspace", {"width": "0", "height": "0.95em"}))
    elif element.tag in ("msub", "msup", "msubsup"):
        return _scripted(element)
    return element


def _dress_token(token: ET.Element) -> None:
    """Names, signs and capital Greek letters upright; bars and slashes tight; a colon is an operator."""
    text = token.text or ""
    if len(text) > 1 and text.isalpha():
        token.tag, token.attrib = "mi", {"mathvariant": "normal"}
    elif text == ":":
        token.tag = "mo"
    elif text == "∞" or text in _CAPITALS:
        token.tag, token.attrib = "mi", {"mathvariant": "normal"}
    elif text in _TIGHT:
        token.attrib |= {"lspace": _TIGHT[text], "rspace": _TIGHT[text]}


def _join_assignment(row: ET.Element) -> None:
    """`:` and `=` make one sign."""
    for first, second in itertools.pairwise(list(row)):
        if first.text == ":" and second.text == "=":
            row.remove(first)
            second.text = ":="


def _scripted(element: ET.Element) -> ET.Element:
    """A base with its scripts, set right."""
    if element.tag != "msup" and element[0].text in _DESCENDING:  # its tail would push the subscript down
        lifted = ET.Element("mpadded", {"depth": "0"})
        lifted.append(element[0])
        element[0] = lifted
    return _with_prime_beside(element) if element[-1].text in _PRIMES else element


def _with_prime_beside(element: ET.Element) -> ET.Element:
    """A prime is drawn raised already: as a superscript it would be raised and shrunk twice."""
    prime = element[-1]
    element.remove(prime)
    prime.tag, prime.attrib = "mo", {"lspace": "0", "rspace": "0"}
    element.tag = "msub"
    row = ET.Element("mrow")
    row.extend([element if len(element) == 2 else element[0], prime])
    return row


def _space_names(row: ET.Element) -> None:
    """A thin space on each side of a name, where nothing else keeps its neighbour away."""
    spaced = list(row[:1])
    for before, after in itertools.pairwise(list(row)):
        opens = _is_name(before) and _touches(after, _BARS | {"⟨"})
        closes = _is_name(after) and _touches(before, _BARS | set(")]}⟩"))
        if opens or closes:
            spaced.append(ET.Element("mspace", {"width": "0.167em"}))
        spaced.append(after)
    row[:] = spaced


def _core(element: ET.Element) -> ET.Element:
    """The base of a scripted element, or the element."""
    return element[0] if element.tag in ("msub", "msup", "msubsup", "munder") else element


def _is_name(element: ET.Element) -> bool:
    core = _core(element)
    return core.tag == "mi" and len(core.text or "") > 1


def _touches(element: ET.Element, fences: set[str]) -> bool:
    """Whether it brings no space of its own: neither a space nor an operator other than these fences."""
    core = _core(element)
    return core.tag != "mspace" and (core.tag != "mo" or core.text in fences)

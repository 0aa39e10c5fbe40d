"""Prose with LaTeX between dollar signs, as HTML with MathML that reads well without a mathematical font.

latex2mathml gives the structure. The passes below give what TeX does by itself and browsers leave to the author, or to tables that
only mathematical fonts have: upright names with a thin space around them, tight bars and slashes, signs, primes and hats, subscripts
and roots that keep their distance, and places where a long formula may be broken.
"""

import itertools
import re
import xml.etree.ElementTree as ET

from latex2mathml.converter import convert
from markupsafe import Markup, escape

_FORMULA = re.compile(r"\$([^$]+)\$")
_NAMES = re.compile(r"\\text\{[^}]*\}|\\[A-Za-z]+|(?<![A-Za-z])(?:KL|TV|tr|mmse|dist|Cov|Var|max|min)(?![A-Za-z])")
_TIGHT = {"|": "0.1em", "/": "0.08em"}
_PRIMES = {"′", "″", "‴"}
_BARS = {"‖", "|"}
_OPENING, _CLOSING = set("([⟨"), set(")]⟩")
_RELATIONS = set("=≤≥<>≠→∼≈∝≻≺⇒") | {":="}
_SIGNS = set("+−±")
_UNBROKEN = 12
"""Tokens of a formula that is not worth breaking."""
_DESCENDING = set("gjpqyβγζημξρφχψϕ")
_CAPITALS = set("ΓΔΘΛΞΠΣΦΨΩ")


def typeset(prose: str) -> Markup:
    """`prose` with each `$…$` as MathML and everything else escaped. Raises `ValueError` for an odd dollar sign."""
    if prose.count("$") % 2:
        raise ValueError(f"odd number of dollar signs in {prose!r}")
    parts, end = [], 0
    for match in _FORMULA.finditer(prose):
        parts.append(escape(prose[end : match.start()]))
        parts.append(Markup(mathml(match.group(1))))
        end = match.end()
    parts.append(escape(prose[end:]))
    return Markup("").join(parts)


def mathml(formula: str, display: bool = False) -> str:
    """One LaTeX formula; within a line, in pieces between which it may break. Plain names, such as KL and tr, are no products of letters."""
    named = _NAMES.sub(lambda m: m[0] if m[0].startswith("\\") else rf"\operatorname{{{m[0]}}}", formula)
    root = ET.fromstring(re.sub(r'\sxmlns="[^"]*"', "", convert(named, display="block" if display else "inline")))
    if display:
        return ET.tostring(_tidied(root), encoding="unicode")
    return "<wbr>".join(ET.tostring(piece, encoding="unicode") for piece in _pieces(_tidied(root)))


def _pieces(math: ET.Element) -> list[ET.Element]:
    """A long formula cut after each relation and before each sign outside of fences; the operators keep their spaces."""
    tokens, depth = list(math[0]), 0
    if len(tokens) <= _UNBROKEN:
        return [math]
    rows = [ET.Element("mrow")]
    for before, token in itertools.pairwise([ET.Element("mrow"), *tokens]):
        depth += (token.text in _OPENING) - (_core(token).text in _CLOSING)
        sign = token.text in _SIGNS and token.get("form") != "prefix"
        if depth == 0 and (sign or before.text in _RELATIONS):
            rows.append(ET.Element("mrow"))
        if sign or token.text in _RELATIONS:
            token.set("form", "infix")
        rows[-1].append(token)
    pieces = [ET.Element("math", math.attrib) for _ in rows]
    for piece, row in zip(pieces, rows, strict=True):
        piece.append(row)
    return pieces


def _tidied(element: ET.Element) -> ET.Element:
    """The element after all passes, its children first."""
    element[:] = [_tidied(child) for child in element]
    if element.tag in ("mi", "mo"):
        _dress_token(element)
    elif element.tag == "mrow":
        _join_assignment(element)
        _mark_signs(element)
        _space_names(element)
    elif element.tag == "msqrt":  # a strut, so that the bar clears the letters
        element.insert(0, ET.Element("mspace", {"width": "0", "height": "0.95em"}))
    elif element.tag == "mover" and element[1].text == "^":  # as an accent it would touch the letter or float above it
        element.attrib, element[1].text = {}, "ˆ"
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


def _mark_signs(row: ET.Element) -> None:
    """A sign at the start or after an operator belongs to what follows."""
    for before, sign in itertools.pairwise([ET.Element("mo"), *row]):
        if sign.text in _SIGNS and before.tag == "mo" and before.text not in _CLOSING | _BARS:
            sign.set("form", "prefix")


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
        closes = _is_name(after) and _touches(before, _BARS | _CLOSING | {"}"})
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

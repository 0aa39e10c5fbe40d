"""Definitions that show where a word or a symbol of the glossary is first used on a page: Sphinx's hook that marks it, and its definition as a title.

Nothing is typed twice: words, symbols and definitions are those of docs/glossary.md. Single Latin letters are not marked, for pages define them where they use them.
"""

import re
from functools import lru_cache
from typing import Any

from docutils import nodes
from markupsafe import Markup
from sphinx.application import Sphinx

from docs.book.source import ROOT

PAGE = "glossary"
_ENTRY = re.compile(r"^(\S[^\n]*)\n    ([^\n]+)$", flags=re.MULTILINE)
_SKIPPED = (nodes.title, nodes.literal, nodes.literal_block, nodes.reference, nodes.math, nodes.raw, nodes.caption)
_IN_CONTEXT = {
    "level": r"(?<=\d )$",
    "flow": r"(?<=\ba )$|(?<=\bA )$",
    "law": r"(?<=\b[Aa]ny )$|(?<=\b[Ee]very )$|(?<=\ba )$|(?<=\bfinite )$|(?<=\ball )$",
    "directions": r"(?<=\bwidest )$|(?<=\bprincipal )$|(?<=\d )$",
    "score": r"(?<=\b[Tt]he )$|(?<=\bexact )$|(?<=\bcut-off )$",
    "shift": r"(?<=\ba )$|(?<=\bwith )$",
    "spread": r"(?<=\b[Tt]he )$|(?<=\bits )$|(?<=\ba )$|(?<=’s )$|(?<='s )$|(?<=\bof )$",
}
"""Words that also mean what everyone means by them, and what stands before them where they mean what the glossary says."""
_TEX = {
    r"\\mid": "|",
    r"\\cdot": "·",
    r"_t\b": "ₜ",
    r"_s\b": "ₛ",
    r"_0\b": "₀",
    r"\^2": "²",
    r"\^\*": "*",
    r"\\alpha": "α",
    r"\\sigma": "σ",
    r"\\gamma": "γ",
    r"\\lambda": "λ",
    r"\\Sigma": "Σ",
    r"\\mu": "μ",
    r"\\eta": "η",
    r"\\epsilon": "ε",
    r"\\hat\{?\s*([a-z])\}?": "\\1\u0302",
}
"""LaTeX of the glossary's symbols and what it is in a title, which has no formulas."""


@lru_cache
def definitions() -> dict[str, str]:
    """Word to definition, in the order of the glossary."""
    text = (ROOT / "docs" / f"{PAGE}.md").read_text(encoding="utf-8")
    return dict(_ENTRY.findall(text.partition("```{glossary}\n")[2].partition("```")[0]))


@lru_cache
def _pattern() -> re.Pattern[str]:
    words = sorted(definitions(), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})(s?)(?![\w-])", flags=re.IGNORECASE)


@lru_cache
def symbols() -> dict[str, tuple[re.Pattern[str], str]]:
    """Symbol of the glossary to how formulas write it, and to what is said of it: the symbols with their definition, without LaTeX."""
    text = (ROOT / "docs" / f"{PAGE}.md").read_text(encoding="utf-8").partition("```{glossary}\n")[0]
    known: dict[str, tuple[re.Pattern[str], str]] = {}
    for names, words in re.findall(r"^\| (\$.*?) \| (.*?) \|$", text, flags=re.MULTILINE):
        for name in re.sub(r"[$]", "", names).split(", "):
            if not re.fullmatch(r"[A-Za-z]|E\[.*", name):
                known[name] = (_written(name), plain(f"{name}: {words}"))
    return known


def _written(name: str) -> re.Pattern[str]:
    """A symbol in a formula: Greek letters with any index, others as they stand."""
    if name.startswith(r"\hat"):
        return re.compile(r"\\hat\{?\s*x")
    greek = re.fullmatch(r"(\\[a-zA-Z]+)(_[a-z])?", name)
    return re.compile(rf"(?<![\\\w]){re.escape(greek[1] if greek else name)}(?![A-Za-z])")


def plain(text: str) -> str:
    """Words with short formulas, as text alone."""
    for latex, shown in _TEX.items():
        text = re.sub(latex, shown, text)
    return text.replace("$", "")


def defined(latex: str, seen: set[str]) -> str:
    """What is said of the symbols of a formula that are not in `seen`, to which they are added; empty if there are none."""
    new = [name for name, (written, _) in symbols().items() if name not in seen and written.search(latex)]
    seen.update(new)
    return "; ".join(symbols()[name][1] for name in new)


def underlined(text: str, seen: set[str]) -> list[nodes.Node]:
    """A piece of prose with the words that are not in `seen` marked, which are then added to it."""
    known = {word.lower(): word for word in definitions()}
    spans: list[nodes.Node] = []
    end = 0
    for match in _pattern().finditer(text):
        word = known[match[1].lower()]
        before = _IN_CONTEXT.get(word)
        if word in seen or (before and not re.search(before, text[: match.start()])):
            continue
        seen.add(word)
        spans.append(nodes.Text(text[end : match.start()]))
        shown = Markup('<abbr class="word" tabindex="0" title="{}">{}</abbr>').format(definitions()[word], match[0])
        spans.append(_html(shown))
        end = match.end()
    return [*spans, nodes.Text(text[end:])] if spans else []


def mark(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Sphinx's hook on a page whose links are resolved: the first use of each word, outside of titles, code and links."""
    if app.builder.format != "html" or name == PAGE or name.startswith("api/"):
        return
    seen: set[str] = set()
    seen_symbols: set[str] = set()
    for node in list(doctree.findall(lambda node: isinstance(node, nodes.Text | nodes.math))):
        if not _is_prose(node):
            continue
        if isinstance(node, nodes.math):
            if words := defined(node.astext(), seen_symbols):
                begin = Markup('<abbr class="word" tabindex="0" title="{}">').format(words)
                node.parent.replace(node, [_html(begin), node.deepcopy(), _html("</abbr>")])
        elif pieces := underlined(node.astext(), seen):
            node.parent.replace(node, pieces)


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _is_prose(node: nodes.Node) -> bool:
    """Whether a node is part of a paragraph, and of no title, code, link or formula."""
    parents, parent = [], node.parent
    while parent is not None:
        parents.append(parent)
        parent = parent.parent
    return any(isinstance(one, nodes.paragraph) for one in parents) and not any(
        isinstance(one, _SKIPPED) for one in parents
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("doctree-resolved", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Definitions that show where a word of the glossary is first used on a page: Sphinx's hook that marks it, and its definition as a title.

Nothing is typed twice: words and definitions are those of docs/glossary.md.
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
_TOO_COMMON = {"level", "flow", "law", "directions", "shift", "spread"}
"""Words that also mean what everyone means by them; they are marked where they are emphasised alone."""


@lru_cache
def definitions() -> dict[str, str]:
    """Word to definition, in the order of the glossary."""
    text = (ROOT / "docs" / f"{PAGE}.md").read_text(encoding="utf-8")
    return dict(_ENTRY.findall(text.partition("```{glossary}\n")[2].partition("```")[0]))


@lru_cache
def _pattern() -> re.Pattern[str]:
    words = sorted(definitions(), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})(s?)(?![\w-])", flags=re.IGNORECASE)


def underlined(text: str, seen: set[str]) -> list[nodes.Node]:
    """A piece of prose with the words that are not in `seen` marked, which are then added to it."""
    known = {word.lower(): word for word in definitions()}
    spans: list[nodes.Node] = []
    end = 0
    for match in _pattern().finditer(text):
        word = known[match[1].lower()]
        if word in seen or word in _TOO_COMMON:
            continue
        seen.add(word)
        spans.append(nodes.Text(text[end : match.start()]))
        shown = Markup('<abbr class="word" tabindex="0" title="{}">{}</abbr>').format(definitions()[word], match[0])
        spans.append(nodes.raw("", str(shown), format="html"))
        end = match.end()
    return [*spans, nodes.Text(text[end:])] if spans else []


def mark(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Sphinx's hook on a page whose links are resolved: the first use of each word, outside of titles, code and links."""
    if app.builder.format != "html" or name == PAGE or name.startswith("api/"):
        return
    seen: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        parents, node = [], text.parent
        while node is not None:
            parents.append(node)
            node = node.parent
        if any(isinstance(parent, _SKIPPED) for parent in parents) or not any(
            isinstance(parent, nodes.paragraph) for parent in parents
        ):
            continue
        if pieces := underlined(text.astext(), seen):
            text.parent.replace(text, pieces)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("doctree-resolved", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

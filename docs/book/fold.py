"""Long tables of results folded away behind a line that says what they hold: Sphinx's hook, so that pictures come first and numbers on demand."""

from typing import Any

from docutils import nodes
from markupsafe import Markup
from sphinx.application import Sphinx

PAGES = ("experiments/", "benchmarks", "budget")
LONG = 9
"""Rows from which on a table is folded."""


def summary(table: nodes.table) -> str:
    """Such as "Table: N, leading, trailing, … (8 rows)"."""
    head = next(iter(table.findall(nodes.thead)), None)
    names = [entry.astext() for entry in head.findall(nodes.entry)] if head else []
    shown = ", ".join(name for name in names[:4] if name) + (", …" if len(names) > 4 else "")
    return f"Table: {shown} ({rows(table)} rows)"


def rows(table: nodes.table) -> int:
    """How many rows the body has."""
    return sum(len(body) for body in table.findall(nodes.tbody))


def fold(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Wrap every long table of a page of results that nobody has folded."""
    if app.builder.format != "html" or not name.startswith(PAGES):
        return
    for table in list(doctree.findall(nodes.table)):
        siblings = table.parent.children
        before = siblings[: siblings.index(table)]
        opened = sum(
            node.astext().count("<details") - node.astext().count("</details")
            for node in before
            if isinstance(node, nodes.raw)
        )
        if rows(table) < LONG or opened > 0:
            continue
        begin = Markup('<details class="table"><summary>{}</summary>').format(summary(table))
        table.parent.replace(
            table, [nodes.raw("", str(begin), format="html"), table, nodes.raw("", "</details>", format="html")]
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("doctree-resolved", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

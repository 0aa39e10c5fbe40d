"""Formulas as MathML, set by the report's typesetter, so that pages need neither scripts nor fonts from elsewhere."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from proofs_checks.report.typeset import mathml


def inline(translator: HTML5Translator, node: nodes.Element) -> None:
    """A formula within a line."""
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def display(translator: HTML5Translator, node: nodes.Element) -> None:
    """A formula on a line of its own, with its number and anchor if it has a label."""
    anchors = "".join(f'<span id="{name}"></span>' for name in node["ids"])
    translator.body.append(f'<div class="formula">{anchors}{mathml(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""A page for every statement: Sphinx's hooks that write `docs/statements/` from the derivations, and leave a list of statements in their place.

A derivation holds a dozen statements, too long to be read on a screen or found by a search. What is written is no source: git ignores it.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from docs.book import run, single
from docs.book.statement import verdict
from proofs_checks.harness.harness import load_claims

FOLDER = "statements"


def write(app: Sphinx, config: Config | None = None) -> None:
    """Write the page and the notebook of every section, but for those that have not changed: Sphinx builds again what is new."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    wanted: dict[str, bytes] = {}
    for group in single.GROUPS:
        for label in single.parts((single.FOLDER / f"{group}.md").read_text(encoding="utf-8")).sections:
            wanted[f"{label}.md"] = single.single_page(label).encode()
            wanted[f"{label}.ipynb"] = run.notebook(label)
    for old in folder.iterdir():
        if old.name not in wanted and old.suffix in (".md", ".ipynb"):
            old.unlink()
    for name, content in wanted.items():
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            (folder / name).write_bytes(content)


def listed(text: str) -> str:
    """A derivation's introduction, and a list of its sections in the place of their text."""
    page = single.parts(text)
    claims = load_claims()
    lines = ["## The statements", "", "| | verdict |", "| --- | --- |"]
    for label in page.sections:
        claim = claims.get(label.upper())
        title = f"{claim.id} {claim.title}" if claim else page.sections[label].partition("\n")[0].removeprefix("## ")
        # the anchor is where the statement stood before it had a page
        lines.append(f'| <span id="{label}"></span>{{ref}}`{title} <{label}>` | {verdict(claim) if claim else ""} |')
    entries = [f"/{FOLDER}/{label}" for label in page.sections]
    toctree = ["", "```{toctree}", ":hidden:", "", *entries, "```", ""]
    return re.sub(r"\n{3,}", "\n\n", single.without_cells(page.head)) + "\n".join([*lines, *toctree])


def shorten(app: Sphinx, name: str, source: list[str]) -> None:
    """Sphinx's hook on the text of a page before it is read."""
    if re.fullmatch(r"derivations/[a-f]", name):
        source[0] = listed(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both."""
    app.connect("config-inited", write)
    app.connect("source-read", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

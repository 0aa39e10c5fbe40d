"""Sphinx: the editor of proofs on the pages of statements, and the parts that they and the laboratory load, in `_parts` of the site.

Where npm cannot be had the site is built without parts, which is said here and, to who presses a button, on the page.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from docs.laboratory import contents as laboratory
from docs.proof_editor import contents as proof_editor
from docs.proof_editor.piece import editor
from docs.vendored.npm import NpmError
from docs.vendored.part import write_parts

PARTS = "_parts"
EDITABLE = "statements/"
"""The pages whose steps can be edited."""
_LOG = logging.getLogger(__name__)


def offer(app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Put the editor above the first section of a statement's page, its proof; below the title where there is no section."""
    body = context.get("body", "")
    if not page.startswith(EDITABLE) or "cell_input" not in body:
        return
    title = body.find("</h1>") + len("</h1>")
    section = body.find("<section", title)
    at = title if section < 0 else section
    context["body"] = body[:at] + editor(f"{'../' * page.count('/')}{PARTS}/") + body[at:]


def supply(app: Sphinx, error: Exception | None) -> None:
    """Write the parts beside a site that was built."""
    if error is not None or app.builder.format != "html":
        return
    for which in (laboratory, proof_editor):
        try:
            write_parts(Path(app.outdir) / PARTS, which.parts())
        except NpmError as missing:
            _LOG.info("%s is left out of this site: %s", which.__name__, missing)


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen for pages and for the end of a build."""
    app.connect("html-page-context", offer)
    app.connect("build-finished", supply)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

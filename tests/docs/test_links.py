"""No link within the site leads nowhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.book.statement import claim_module
from proofs_checks.harness.harness import load_claims
from tests.docs.conftest import DOCS, ROOT, SITE

PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"_build", "statements"} & set(path.parts))
"""Of the sources: the pages of statements are written from the derivations."""
_LABEL = re.compile(r"^\(([a-z0-9-]+)\)=$", flags=re.MULTILINE)
_REF = re.compile(r"\{ref\}`(?:[^`<]*<)?([a-z0-9-]+)>?`")
_DOC = re.compile(r"\{doc\}`(?:[^`<]*<)?([\w/.-]+)>?`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


LABELS = {label for page in PAGES for label in _LABEL.findall(page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_between_pages(page):
    text = prose(page)
    assert set(_REF.findall(text)) <= LABELS
    for name in _DOC.findall(text):
        base = DOCS if name.startswith("/") else page.parent
        assert (base / f"{name.lstrip('/')}.md").exists(), name
    for address in _LINK.findall(text):
        parts = urlsplit(address)
        if parts.scheme or not parts.path:
            continue
        assert (page.parent / unquote(parts.path)).exists(), address


def test_labels_are_unique():
    actual = [label for page in PAGES for label in _LABEL.findall(page.read_text(encoding="utf-8"))]
    assert len(actual) == len(set(actual))


def test_readme_leads_to_the_site():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make docs" in text and "docs/_build/html/index.html" in text


class Page(HTMLParser):
    """The anchors of a built page and the addresses that it names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in ("href", "src") and value and not value.startswith("data:"):
                self.addresses.append(value)


@pytest.mark.slow
def test_built_site_has_no_broken_link():
    """Of the site that `make docs` built: every file and anchor is there, and nothing is loaded from elsewhere."""
    if not SITE.exists():
        pytest.skip("no site; build it with: make docs")
    pages = {path: Page(path) for path in SITE.rglob("*.html")}
    assert len(pages) > 100
    broken = []
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
            ):
                broken.append((path.relative_to(SITE).as_posix(), address))
    assert not broken


@pytest.mark.slow
def test_built_site_loads_nothing_from_elsewhere():
    if not SITE.exists():
        pytest.skip("no site; build it with: make docs")
    loaded = re.compile(
        r"<(?:script|img|iframe|source)[^>]+src=[\"']?https?:|<link[^>]+href=[\"']?https?:|url\([\"']?https?:|@import"
    )
    for path in (*SITE.rglob("*.html"), *SITE.rglob("*.css")):
        assert not loaded.search(path.read_text(encoding="utf-8")), path


@pytest.mark.slow
@pytest.mark.parametrize("statement", load_claims())
def test_built_derivation_links_to_claim_and_code(statement):
    """From the page to the claim's module and to the code; from the code's documentation back to the page."""
    page = SITE / "statements" / f"{statement.lower()}.html"
    if not page.exists():
        pytest.skip("no site; build it with: make docs")
    text = page.read_text(encoding="utf-8")
    box = text.partition("statement docutils container")[2].partition("<strong>Change a line")[0]
    assert box, statement
    claim, code = (
        re.findall(r'href="([^"#]*)#[^"]*"', box.partition("<strong>Code.")[0]),
        re.findall(r'href="([^"#]*)#', box.partition("<strong>Code.")[2].partition("<strong>Source.")[0]),
    )
    assert any(f"{claim_module(statement)}.html" in address for address in claim)
    assert code
    back = f"statements/{statement.lower()}.html"
    assert any(back in (page.parent / address).read_text(encoding="utf-8") for address in code)


@pytest.mark.slow
def test_built_site_names_no_folder_of_the_machine_that_built_it():
    if not SITE.exists():
        pytest.skip("no site; build it with: make docs")
    root = str(DOCS.resolve().parent)
    for path in SITE.rglob("*.html"):
        assert root not in path.read_text(encoding="utf-8"), path

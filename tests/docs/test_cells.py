"""The code that pages show has no name that is missing or not used, and an edit that is no Python is named in one line."""

import subprocess
import sys

import pytest

from docs.book import run, single
from docs.book.failure import _statement
from singtheory import InputError
from tests.docs.conftest import DOCS, cells

PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"_build", "statements"} & {*page.parts} and cells(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_cells_are_clean(page):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "--output-format", "concise", "-"]
    actual = subprocess.run(command, input="\n".join(cells(page)), capture_output=True, text=True)
    assert actual.returncode == 0, actual.stdout


EDITED = {
    "a bracket that is never closed": ("y = (2", r"a\.md:9: 'y = \(2' is no Python: '\(' was never closed"),
    "a text that is never closed": ('y = """2', r"a\.md:9: .* is no Python"),
    "a block that never comes": ("# of\nfor k in (1, 2):", r"a\.md:10: .* is no Python: expected an indented block"),
    "an indent": ("# of\n  y = 1\n y = 2", r"a\.md:1[01]: .* is no Python"),
    "a break outside of a loop": ("# of\n\nbreak", r"a\.md:11: 'break' is no Python: 'break' outside loop"),
    "a return outside of a function": ("# of\nreturn 1", r"a\.md:10: 'return 1' is no Python"),
    "a name that is not there": ("# of\nnonlocal y", r"a\.md:10: 'nonlocal y' is no Python"),
    "a magic": ("%time y", r"a\.md:9: '%time y' is no Python"),
    "a NUL": ("y = 1\0", r"a\.md:9: .*is no Python.*null bytes"),
    "no cell": (None, r"a\.md:6: A1 has no cell; a cell begins with ```\{code-cell\}"),
}


@pytest.mark.parametrize("kind", EDITED)
def test_an_edit_that_is_no_python_is_one_line(kind, monkeypatch):
    """Some were a traceback: those that only a compiler sees, and those behind a comment."""
    code, words = EDITED[kind]
    cell = "Words.\n" if code is None else f"```{{code-cell}}\n{code}\n```\n"
    text = f"# T\n\nWords.\n\n(a1)=\n## A1 First\n\n{cell}"
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(text, single.FOLDER / "a.md"))
    with pytest.raises(InputError, match=words) as error:
        run.run("a1")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "count"),
    [("# a comment alone", 0), ("", 0), ("# first\nraise ValueError('no')", 1), ("y = 1 # of\n1 / 0\n# last", 1)],
)
def test_comments_and_empty_cells_are_no_hindrance(code, count, monkeypatch):
    text = f"# T\n\n(a1)=\n## A1 First\n\n```{{code-cell}}\n{code}\n```\n"
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(text, single.FOLDER / "a.md"))
    ran, failures = run.run("a1")
    assert (ran, len(failures)) == (1, count)
    assert all(failure.place == "docs/derivations/a.md:8" for failure in failures)


def test_an_error_on_a_comment_is_that_of_the_statement_after_it():
    code = "# of what follows\ny = 1\nz = 2\n# last"
    assert [_statement(code, line).lineno for line in (1, 2, 3, 4)] == [2, 2, 3, 3]


def test_a_page_that_is_no_text_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_bytes(b"\xff\xfe")
    monkeypatch.setattr(single, "ROOT", tmp_path)
    with pytest.raises(InputError, match=r"^a\.md:1: is no text in UTF-8; save it so$"):
        single.derivation(tmp_path / "a.md")

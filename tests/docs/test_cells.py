"""The code that pages show has no name that is missing or not used."""

import subprocess
import sys

import pytest

from tests.docs.conftest import DOCS, cells

PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"_build", "statements"} & {*page.parts} and cells(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_cells_are_clean(page):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "--output-format", "concise", "-"]
    actual = subprocess.run(command, input="\n".join(cells(page)), capture_output=True, text=True)
    assert actual.returncode == 0, actual.stdout

"""The pages of the site as text: their cells, and what a cell shows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.browser import chromium

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = DOCS / "_build" / "html"
CELL = re.compile(r"```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)```", flags=re.DOTALL)


def cells(path: Path) -> list[str]:
    """The code cells of a page, without their options."""
    return CELL.findall(path.read_text(encoding="utf-8"))


def shown(path: Path, skip: str) -> Iterator[Any]:
    """Run a page's cells in one namespace, as a kernel does, and yield what each leaves on its last line; cells with `skip` in them are left out."""
    namespace: dict[str, Any] = {}
    for number, cell in enumerate(cells(path)):
        if skip in cell:
            continue
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{path.name}, cell {number}", "exec"), namespace)
        if last is not None:
            yield eval(compile(ast.Expression(last.value), f"{path.name}, cell {number}", "eval"), namespace)


@pytest.fixture(scope="module")
def browser():
    """For the tests of a module; those that need it carry `needs_browser`."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A working directory that is not the repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

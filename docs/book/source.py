"""Which functions and classes of the packages name a statement of the theory, read from the source without importing it; and where a function stands."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("singtheory", "proofs_checks", "singdiffusion")
STATEMENT = re.compile(r"(?<![\w./\\‘'-])([A-F][1-9][0-9]?)(?![\w/\\]|-[a-z])")
"""An id, A1 to F11, in prose; whether there is such a statement is for the registry to say."""


@dataclass(frozen=True)
class Definition:
    """A public function or class.

    Attributes:
        name: the full dotted name.
        path: of its file, relative to the repository.
        statements: the ids that its docstring names, in order.
    """

    name: str
    path: str
    statements: tuple[str, ...]


@lru_cache
def definitions() -> tuple[Definition, ...]:
    """Every public function, class and method of the packages whose docstring names a statement."""
    return tuple(definition for package in PACKAGES for path in _modules(package) for definition in _read(path))


def naming(statement: str) -> list[Definition]:
    """The definitions of singtheory and singdiffusion that name the statement: where it is computed, not checked."""
    return [d for d in definitions() if statement in d.statements and not d.path.startswith("proofs_checks")]


def where(function: Callable[..., Any]) -> str | None:
    """File and line of a function of ours, such as `singtheory/formula/gaussian_error.py:135`; None for others."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or not (path := Path(code.co_filename)).is_relative_to(ROOT) or ".venv" in path.parts:
        return None
    return f"{path.relative_to(ROOT).as_posix()}:{code.co_firstlineno}"


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _read(path: Path) -> Iterator[Definition]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    yield from _public(ast.parse(path.read_text(encoding="utf-8")), module, path.relative_to(ROOT).as_posix())


def _public(parent: ast.AST, name: str, path: str) -> Iterator[Definition]:
    for node in ast.iter_child_nodes(parent):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        statements = dict.fromkeys(STATEMENT.findall(ast.get_docstring(node) or ""))
        if statements:
            yield Definition(f"{name}.{node.name}", path, tuple(statements))
        if isinstance(node, ast.ClassDef):
            yield from _public(node, f"{name}.{node.name}", path)

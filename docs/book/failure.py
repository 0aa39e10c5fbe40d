"""What breaks when a line of a proof, or a formula behind it, is changed: the line, what it says, and where the functions that it calls stand."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.book.check import ClaimError
from docs.book.single import Cell, place
from docs.book.source import where

_WIDTH = 110
"""Characters of code that are quoted."""


@dataclass(frozen=True)
class Failure:
    """A cell that raised.

    Attributes:
        place: file and line of the page, such as `docs/derivations/b.md:999`.
        code: the statement that begins there or goes on there, in one line.
        message: what it raised.
        functions: the functions of the packages that it calls, with their places.
    """

    place: str
    code: str
    message: tuple[str, ...]
    functions: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.code}", *(f"    {line}" for line in self.message)]
        return "\n".join([*lines, *(f"    calls {function}" for function in self.functions)])


def failure(cell: Cell, path: Path | None, error: BaseException, line: int, names: Mapping[str, Any]) -> Failure:
    """Describe what a cell raised.

    Args:
        cell: the cell.
        path: of its page.
        error: what it raised.
        line: the line of the cell that raised, from 1.
        names: the values of the names in the cell.
    """
    statement = _statement(cell.code, line)
    code = " ".join((ast.get_source_segment(cell.code, statement) or "").split())
    message = error.lines if isinstance(error, ClaimError) else (_named(error),)
    return Failure(
        place(path, cell.line + statement.lineno - 1),
        code if len(code) <= _WIDTH else f"{code[:_WIDTH]} …",
        message,
        tuple(dict.fromkeys(_called(statement, names))),
    )


def _named(error: BaseException) -> str:
    """The kind of an error and what it says."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _statement(code: str, line: int) -> ast.stmt:
    """The innermost statement of a cell that covers a line; a function's whole body counts as its lines. Of a comment the next statement, or the last."""
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
    covering = [node for node in statements if node.lineno <= line <= (node.end_lineno or node.lineno)]
    if covering:
        return max(covering, key=lambda node: node.lineno)
    after = [node for node in statements if node.lineno > line]
    return min(after, key=lambda node: node.lineno) if after else statements[-1]


def _called(statement: ast.stmt, names: Mapping[str, Any]) -> Iterator[str]:
    """Functions of singtheory whose values the statement takes, such as `formula.family_gauss_part (singtheory/…:135)`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and (function := _value(node.func, names)) is not None:
            at = where(function) if callable(function) else None
            if at is not None and at.startswith("singtheory/"):
                yield f"{ast.unparse(node.func)} ({at})"


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What a name, or an attribute of one, stands for; None for other expressions."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, names), node.attr, None)
    return None

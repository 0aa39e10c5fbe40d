"""A table for a terminal of any width: cut into several with the same first columns where it is too wide, so that no number is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table
from rich.text import Text

from proofs_checks.terminal.streams import visible

Justify = Literal["left", "right"]
_LEAST_PROSE = 24
"""Prose is wrapped, but not to fewer characters than this, or than its longest word."""


@dataclass(frozen=True)
class _Column:
    title: Text
    justify: Justify
    cells: list[Text]

    @property
    def widest(self) -> int:
        return max(cell.cell_len for cell in (self.title, *self.cells))

    @property
    def least(self) -> int:
        """How narrow it may get: numbers stay whole, prose may be wrapped between words."""
        if self.justify == "right":
            return self.widest
        words = [Text(word).cell_len for cell in (self.title, *self.cells) for word in cell.plain.split()]
        return min(self.widest, max(_LEAST_PROSE, *words, 1))


class Sheet:
    """Columns under a title. Nothing in a cell is markup.

    Args:
        title: above the table.
        keys: how many of the first columns are repeated in each piece.
    """

    def __init__(self, title: str, keys: int = 1) -> None:
        self.title, self._keys = title, keys
        self._columns: list[_Column] = []

    def add_column(self, title: str, justify: Justify = "left") -> None:
        """A column of prose (left) or of numbers (right)."""
        self._columns.append(_Column(Text(visible(title)), justify, []))

    def add_row(self, *cells: str | Text) -> None:
        """One cell a column."""
        for column, cell in zip(self._columns, cells, strict=True):
            # before rich sees it, for it would drop some control characters
            column.cells.append(Text(visible(cell)) if isinstance(cell, str) else cell)

    def tables(self, width: int, encoding: str | None = None) -> Iterator[Table]:
        """The pieces, each as wide as `width` allows, or as its first columns and one more need.

        Args:
            width: in characters.
            encoding: of the terminal; what it does not have is written in other words.
        """
        columns = [_shown(column, encoding) for column in self._columns]
        for piece in _pieces(columns, self._keys, width):
            table = Table()
            for column in piece:
                whole = column.justify == "right"
                table.add_column(column.title, justify=column.justify, no_wrap=whole, min_width=column.least)
            for row in zip(*(column.cells for column in piece), strict=True):
                table.add_row(*row)
            yield table


def least_width(table: Table) -> int:
    """How many characters it takes with nothing cut."""
    return sum((column.min_width or 0) + 3 for column in table.columns) + 1


def _shown(column: _Column, encoding: str | None) -> _Column:
    title, *cells = (Text(visible(t.plain, encoding), style=t.style) for t in (column.title, *column.cells))
    return _Column(title, column.justify, cells)


def _pieces(columns: Sequence[_Column], keys: int, width: int) -> Iterator[list[_Column]]:
    """The columns in as few pieces as fit, the first `keys` in each."""
    first, piece = list(columns[:keys]), list(columns[:keys])
    for column in columns[keys:]:
        if len(piece) > keys and _needed([*piece, column]) > width:
            yield piece
            piece = list(first)
        piece.append(column)
    yield piece


def _needed(columns: Sequence[_Column]) -> int:
    """The width with a border and two spaces a column."""
    return sum(column.least + 3 for column in columns) + 1

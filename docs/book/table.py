"""A table that a page shows."""

from collections.abc import Sequence

from IPython.display import Markdown


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Markdown:
    """Numbers at the right, with three digits; the first column at the left.

    Args:
        head: a title a column.
        rows: cells, text or numbers.
    """
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([_cell(value) for value in row] for row in rows)]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if value == float("inf"):
        return "∞"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"

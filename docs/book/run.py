"""`python -m docs.book.run B10`: run the proof, the checks and the counterexample of one statement in a clone, in under a minute for most.

It runs the cells of its page, with those above that they need, as they stand in docs/derivations: change a line there, or a formula in singtheory, and run
it again to see which step breaks. `--out b10.py` or `--out b10.ipynb` writes the same cells as a script or a notebook.
"""

import re
import time
import traceback
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import nbformat
import typer
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import HTML, Markdown, Math
from traitlets.config import Config

from docs.book import single
from docs.book.drawing import Drawing
from singtheory import InputError
from singtheory.errors import unknown_name
from singtheory.system import write_bytes

SETUP = "For the environment of a clone: `pip install -c constraints.txt -e '.[dev]' notebook`, and open this file in the clone's folder."


def notebook(label: str) -> bytes:
    """The cells as a Jupyter notebook, with the words of the page between them."""
    page = single.page_of(label)
    cells = [nbformat.v4.new_markdown_cell(SETUP)]
    cells += [nbformat.v4.new_code_cell(code.strip()) for code in single.needed(label)]
    for k, piece in enumerate(single.pieces(page.sections[label])):
        text = re.sub(r"^:::.*\n", "", piece, flags=re.MULTILINE).strip()
        make = nbformat.v4.new_code_cell if k % 2 else nbformat.v4.new_markdown_cell
        if text:
            cells.append(make(text))
    for k, cell in enumerate(cells):
        cell["id"] = f"cell-{k}"
    made = nbformat.v4.new_notebook(cells=cells)
    made["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return (nbformat.writes(made) + "\n").encode()


def script(label: str) -> bytes:
    """The cells as a program that shows what they show."""
    codes = "\n\n".join(code.strip() for code in single.code(label))
    return f'"""The cells of {label.upper()}, to change and to run in a clone."""\n\n{codes}\n'.encode()


def run(label: str) -> int:
    """Run the cells here and print what each shows; the number of cells. Raises `InputError` naming file and line of the first that fails."""
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}), colors="nocolor")
    display: Any = shell.display_formatter
    plain = display.formatters["text/plain"]
    for kind, shown in _PLAIN.items():
        plain.for_type(kind, lambda value, printer, cycle, shown=shown: printer.text(shown(value)))
    cells = single.runnable(label)
    try:
        for number, cell in enumerate(cells, 1):
            result = shell.run_cell(cell.code)
            error = result.error_before_exec or result.error_in_exec
            if error is not None:
                raise InputError(f"{_place(label, cell, error)}: {label.upper()}, cell {number} of {len(cells)} fails")
    finally:
        InteractiveShell.clear_instance()
    return len(cells)


def _place(label: str, cell: single.Cell, error: BaseException) -> str:
    """File and line of the page, and the code that fails there; the first line of the cell where the error has none."""
    within = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _is_cell(frame.filename)]
    at = (within[0] if within and within[0] else 1) - 1
    return f"{single.place(single.page_of(label).path, cell.line + at)}: {cell.code.splitlines()[at].strip()!r}"


def _is_cell(file: str) -> bool:
    """Whether IPython gave code this name of a file."""
    return file.startswith("<ipython-input-")


def _table(value: HTML) -> str:
    rows = re.split(r"</tr>|</p>", str(value.data))
    words = (unescape(re.sub(r"<[^>]+>", " ", row)) for row in rows)
    return "\n".join(line for row in words if (line := " ".join(row.split())))


def _words(value: Markdown) -> str:
    """Markdown as it is read: links by their words alone."""
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", str(value.data))


_PLAIN = {
    HTML: _table,
    Math: lambda value: str(value.data),
    Markdown: _words,
    Drawing: lambda value: f"[figure: {value.caption}]",
}


def main(
    statement: Annotated[str, typer.Argument(metavar="ID", help="Such as B10.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a script (.py) or a notebook (.ipynb) and run nothing.")
    ] = None,
) -> None:
    """Run one statement's proof, checks and counterexample. Exit 1 if a step fails, 2 on bad input."""
    label = statement.lower()
    try:
        known = [name for group in single.GROUPS for name in single.derivation(single.FOLDER / f"{group}.md").sections]
        if label not in known:
            raise unknown_name("statement", statement, [name.upper() for name in known])
        if out is not None:
            write_bytes(out, _written(label, out))
            print(f"written to {out}; change a line and run it in the clone's folder")
            return
    except (InputError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    began = time.perf_counter()
    try:
        count = run(label)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    print(f"{label.upper()}: all {count} cells ran, {time.perf_counter() - began:.0f} s")


def _written(label: str, out: Path) -> bytes:
    if out.suffix not in (".py", ".ipynb"):
        raise InputError(f"{out}: give a name that ends with .py or .ipynb")
    return script(label) if out.suffix == ".py" else notebook(label)


if __name__ == "__main__":
    typer.run(main)

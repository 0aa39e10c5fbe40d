"""`python -m docs.book.run B10`: run the proof, the checks and the counterexample of one statement in a clone, in under a minute for most.

It runs the cells of its page, with those above that they need, as they stand in docs/derivations: change a line there, or a formula in singtheory, and run
it again to see which lines break. All that fail are listed at the end, each with its file and line, what it says, and where the functions that it calls stand. `--out b10.py` or `--out b10.ipynb` writes the same cells as a script or a notebook.
"""

import re
import time
import traceback
from contextlib import nullcontext
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import nbformat
import typer
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import HTML, Markdown, Math
from IPython.utils.capture import capture_output
from traitlets.config import Config

from docs.book import single
from docs.book.drawing import Drawing
from docs.book.failure import Failure, failure
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


def run(label: str) -> tuple[int, list[Failure]]:
    """Run the cells here and print what those of the statement show; how many there are, and those that fail, the statement's own first.

    Raises `InputError` for a line that is no Python, and where there is no cell. What cells of the page above it show is left out. A cell that reads a name that a failed cell would have bound is left out too.
    """
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}), colors="nocolor")
    display: Any = shell.display_formatter
    plain = display.formatters["text/plain"]
    for kind, shown in _PLAIN.items():
        plain.for_type(kind, lambda value, printer, cycle, shown=shown: printer.text(shown(value)))
    page = single.page_of(label)
    above = single.needed_cells(label)
    own = single.own_cells(page, label)
    if not own:
        raise InputError(
            f"{single.place(page.path, page.begins[label])}: {label.upper()} has no cell; a cell begins with ```{{code-cell}} and ends with ```"
        )
    failures: dict[int, Failure] = {}
    unbound: set[str] = set()
    try:
        for cell in [*above, *own]:
            if cell.reads & unbound:
                unbound |= cell.binds
                continue
            if cell in own:
                print(f"\n{single.place(page.path, cell.line)}")
            error = _error(shell, cell.code, silent=cell in above)
            if error is not None:
                failures[cell.line] = failure(cell, page.path, error, _line(error), shell.user_ns)
                unbound |= cell.binds - set(shell.user_ns)
            else:
                unbound -= cell.binds
    finally:
        InteractiveShell.clear_instance()
    first = min(cell.line for cell in own)
    return len(above) + len(own), [failures[line] for line in sorted(failures, key=lambda line: (line < first, line))]


def _error(shell: InteractiveShell, code: str, silent: bool) -> BaseException | None:
    """What a cell raises, which is not printed here."""
    shell.showtraceback = lambda *_, **__: None
    with capture_output() if silent else nullcontext():
        result = shell.run_cell(code)
    return result.error_before_exec or result.error_in_exec


def _line(error: BaseException) -> int:
    """The line of the cell that an error passed through, from 1; 1 where it passed through none."""
    if isinstance(error, SyntaxError) and _is_cell(error.filename or ""):
        return error.lineno or 1
    within = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _is_cell(frame.filename)]
    return (within[0] if within else None) or 1


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
    print(_heading(label))
    try:
        count, failures = run(label)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if failures:
        broken = "\n".join(map(str, failures))
        typer.echo(f"\nerror: {label.upper()}: {len(failures)} of {count} cells fail\n{broken}", err=True)
        raise typer.Exit(1)
    print(f"\n{label.upper()}: all {count} cells ran, {time.perf_counter() - began:.0f} s")


def _heading(label: str) -> str:
    """The title of a section, and where it stands."""
    page = single.page_of(label)
    title = page.sections[label].partition("\n")[0].removeprefix("## ")
    return f"{title} ({single.place(page.path, page.begins[label])})"


def _written(label: str, out: Path) -> bytes:
    if out.suffix not in (".py", ".ipynb"):
        raise InputError(f"{out}: give a name that ends with .py or .ipynb")
    return script(label) if out.suffix == ".py" else notebook(label)


if __name__ == "__main__":
    typer.run(main)

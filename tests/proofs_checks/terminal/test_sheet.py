"""Tables in a terminal of any width: every number whole, nothing in a cell is markup, words for what an encoding does not have."""

import io
import sys

import pytest

from proofs_checks.terminal import console
from proofs_checks.terminal.sheet import Sheet, least_width
from proofs_checks.terminal.streams import say, visible

ROW = {name: 1.2345e-5 * (k + 1) for k, name in enumerate(console._STEP_COLUMNS)}


def shown(capsys, monkeypatch, width: int | None, *sheets: Sheet) -> list[str]:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
    console.show(*sheets)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 177])
def test_every_number_of_the_steps_is_whole_at_any_width(capsys, monkeypatch, width):
    lines = shown(capsys, monkeypatch, width, console.steps_table([ROW, ROW]))
    assert max(map(len, lines)) <= width
    cells = [cell.strip() for line in lines for cell in line.replace("┃", "│").split("│")]
    for name, title in console._STEP_COLUMNS.items():
        assert cells.count(f"{ROW[name]:.3g}") >= 2 and title in cells
    assert "…" not in "".join(lines)


def test_a_narrow_terminal_gets_one_column_beside_the_keys(capsys, monkeypatch):
    lines = shown(capsys, monkeypatch, 10, console.steps_table([ROW]))
    heads = [line for line in lines if line.startswith("┃")]
    assert len(heads) == len(console._STEP_COLUMNS) - 2
    assert all([cell.strip() for cell in head.split("┃")[1:3]] == ["t", "s"] for head in heads)


def test_a_pipe_is_as_wide_as_it_takes_and_columns_is_honoured(capsys, monkeypatch):
    wide = shown(capsys, monkeypatch, None, console.steps_table([ROW]))
    assert sum(line.startswith("┃") for line in wide) == 1
    narrow = shown(capsys, monkeypatch, 80, console.steps_table([ROW]))
    assert sum(line.startswith("┃") for line in narrow) > 1


def test_prose_is_wrapped_and_numbers_are_not(capsys, monkeypatch):
    sheet = Sheet("a title that is far longer than the terminal is wide")
    sheet.add_column("id")
    sheet.add_column("words")
    sheet.add_column("number", justify="right")
    sheet.add_row("A1", "a statement of many words that needs more than one line", "1.2345e-05")
    lines = shown(capsys, monkeypatch, 48, sheet)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 48 and "1.2345e-05" in text
    assert all(word in text for word in ("statement", "many", "needs", "line", "wide"))


@pytest.mark.parametrize("text", ["[", "[/x]", "[bold]b[/bold]", "x]", ":smile:", "\\[red]"])
def test_nothing_in_a_cell_is_markup(capsys, monkeypatch, text):
    sheet = Sheet(text)
    sheet.add_column(text)
    sheet.add_row(text)
    title, *_, row, _ = shown(capsys, monkeypatch, 80, sheet)
    assert title == text and row.strip("│ ") == text


def test_control_characters_are_written_out(capsys, monkeypatch):
    sheet = Sheet("\x1b]0;title\x07")
    sheet.add_column("\u202eright to left")
    sheet.add_row("\x1b[31mred\r\n\x00\udcff")
    text = "\n".join(shown(capsys, monkeypatch, 80, sheet))
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert r"\x1b[31mred\r\n\x00\udcff" in text


def test_words_for_what_an_encoding_does_not_have():
    assert visible("KL ≤ B10, γ → ∞", "latin-1") == "KL <= B10, gamma -> inf"
    assert visible("KL ≤ B10, γ → ∞", "utf-8") == "KL ≤ B10, γ → ∞"
    assert visible("é ☃", "latin-1") == "é ?"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_tables_keep_their_shape_in_every_encoding(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    console.show(console.steps_table([ROW]))
    lines = stream.buffer.getvalue().decode(encoding).splitlines()[1:]
    assert len({len(line) for line in lines}) == 1
    assert ("KL <= B2" if encoding != "utf-8" else "KL ≤ B2") in lines[1]


def test_a_closed_pipe_ends_nothing(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            if text:
                raise BrokenPipeError(32, "Broken pipe")
            return 0

    monkeypatch.setattr(sys, "stdout", Closed())
    say("a line")
    console.show(console.steps_table([ROW]))


def test_least_width_counts_borders():
    sheet = Sheet("")
    sheet.add_column("abc", justify="right")
    sheet.add_row("12345")
    (table,) = sheet.tables(1)
    assert least_width(table) == 5 + 4


@pytest.mark.parametrize("width", [1, 2, 7, 9])
def test_no_column_is_left_out_however_narrow_the_terminal(capsys, monkeypatch, width):
    sheet = Sheet("a title")
    sheet.add_column("id")
    sheet.add_column("number", justify="right")
    sheet.add_row("B1", "1.234e-05")
    lines = shown(capsys, monkeypatch, width, sheet)
    assert "│ B1 │ 1.234e-05 │" in lines and "┃ id ┃    number ┃" in lines

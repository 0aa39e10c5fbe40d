"""Kernels find every number by its name; read from the programs' text, for Triton need not be there."""

import ast
import re
from pathlib import Path

import singtheory
from singtheory.engine import rounding, rows

FOLDER = Path(singtheory.__file__).parent / "engine"
TABLES = {
    "ASKING": rounding.Asking, "NEARNESS": rounding.Nearness, "EXPANSION": rounding.Expansion, "WEIGHING": rounding.Weighing, "ASKED": rows.AskedRows,
    "TILES": rows.TileRows, "NEAR": rows.NearRows, "LOOK": rows.Look, "PLAN": rows.Plan, "DIGITS": rows.DigitRows, "SUMS": rows.SumRows,
    "MOMENTS": rows.MomentRows,
}  # fmt: skip


def calls(file: str, function: str) -> list[tuple[str, list[str]]]:
    """Of every assignment of a call of that function: the name, and the arguments as they are written."""
    return [
        (ast.unparse(node.targets[0]), [ast.unparse(argument) for argument in node.value.args])
        for node in ast.parse((FOLDER / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == function
    ]


def test_every_field_has_its_place_under_its_own_name():
    expected = [
        (f"{table}_{field.upper()}", [kind.__name__, repr(field)])
        for table, kind in TABLES.items()
        for field in kind._fields
    ]
    assert calls("places.py", "_place") == expected


def test_kernels_read_and_write_no_place_by_number():
    text = "".join((FOLDER / file).read_text(encoding="utf-8") for file in ("matrix.py", "kernels.py"))
    assert re.findall(r"(?:known|plan)(?: \+ \d+)?[,)]", re.sub(r"def .*?\):", "", text, flags=re.DOTALL)) == []
    assert (
        re.findall(
            r"(?:numbers|sums) \+ (?!unknown)(?:\d|batch\b|step\b|query\b|place\b).*",
            text.split("def together_kernel")[0],
        )
        == []
    )
    assert len(re.findall(r"numbers \+ at\.[A-Z]+_[A-Z0-9_]+ \* batch \+ query", text)) == 7 + 6 + 3 + 5 + 3 + 2 * 3 + 8

"""Commands of experiments name bad input in one line and overwrite nothing unasked."""

import re
from pathlib import Path

import pytest

from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from singtheory import InputError

EXPERIMENTS = Path(__file__).parents[3] / "docs" / "experiments"
SCRIPTS = [path for path in EXPERIMENTS.rglob("*.py") if "__name__ ==" in path.read_text(encoding="utf-8")]


def test_results_have_no_place_by_default(capsys):
    parser = command("What it does.\n\nAnd how.")
    add_out(parser)
    add_seed(parser)
    assert parser.description == "What it does."
    assert parser.parse_args(["--out", "a"]).seed == 0
    with pytest.raises(SystemExit) as end:
        parser.parse_args([])
    assert end.value.code == 2 and "--out" in capsys.readouterr().err


def test_bad_input_is_one_line(capsys):
    with pytest.raises(SystemExit) as end, one_line_errors(command("What it does.")):
        raise InputError("x.json: missing; make it first")
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("error: x.json: missing; make it first")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(EXPERIMENTS).as_posix())
def test_no_script_writes_into_committed_results_by_default(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"--(out|target)"[^\n]*default=(?!Path\(\))', text)
    assert "argparse.ArgumentParser" not in text

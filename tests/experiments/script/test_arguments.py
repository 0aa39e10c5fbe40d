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


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end, one_line_errors(command("What it does.")):
        (tmp_path / "none.json").read_text()
    assert end.value.code == 2 and "none.json" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(EXPERIMENTS).as_posix())
def test_no_script_writes_into_committed_results_by_default(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"--(out|target)"[^\n]*default=', text)
    assert "argparse.ArgumentParser" not in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(EXPERIMENTS).as_posix())
def test_every_script_says_bad_input_in_one_line(path):
    text = path.read_text(encoding="utf-8")
    assert "with one_line_errors(parser)" in text or "typer.run(main)" in text
    # the device of a script is that of `add_device`, so that no two scripts set it up in another way
    assert '"--device"' not in text and "allow_tf32 =" not in text and "cudnn.benchmark" not in text

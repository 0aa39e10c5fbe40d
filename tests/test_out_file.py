"""No measuring script starts, or overwrites a committed result, without being told where to write."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.out_file import asked

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("tests", "docs", "proofs_checks")
    for path in (ROOT / folder).rglob("*.py")
    if "__main__" in (text := path.read_text(encoding="utf-8")) and not path.name.startswith(("test_", "__main__"))
    if re.search(r'^if __name__ == "__main__":', text, re.MULTILINE)
)


def test_a_file_is_needed(tmp_path, capsys):
    assert asked("What.", tmp_path / "a.json", ["--out", str(tmp_path / "b.json")]) == tmp_path / "b.json"
    with pytest.raises(SystemExit) as end:
        asked("What.", ROOT / "tests" / "benchmarks" / "a.json", [])
    assert end.value.code == 2 and "--out" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        asked("What.", ROOT / "tests" / "benchmarks" / "a.json", ["--help"])
    assert end.value.code == 0 and "tests/benchmarks/a.json" in capsys.readouterr().out


def test_the_place_is_looked_at_before_the_work(tmp_path, capsys):
    """The folder of a result is made, and what cannot be written is refused in one line: hours of measuring were lost to a folder that was missing."""
    file = tmp_path / "new" / "folder" / "a.json"
    assert asked("What.", file, ["--out", str(file)]) == file
    assert file.parent.is_dir() and not file.exists()
    (tmp_path / "text").touch()
    for bad in (tmp_path, tmp_path / "text" / "a.json"):
        with pytest.raises(SystemExit) as end:
            asked("What.", file, ["--out", str(bad)])
        assert end.value.code == 2 and str(bad.name) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_no_script_has_a_place_of_its_own(script):
    """`--out` is that of `out_file` or of the experiments' arguments, so that it has no default and is looked at before the work; nothing is written over a committed result."""
    text = (ROOT / script).read_text(encoding="utf-8")
    assert not re.search(r'add_argument\(\s*"--out"', text), script
    assert not re.search(r"write_(json|bytes)\(RESULT\b|RESULT\.write_", text), script
    assert not re.search(r"\bout: Annotated\[[^\n]*\] = (?!None)", text), script


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_every_script_reads_its_arguments(script):
    """So that `--help` is help and a misspelt option is no run: by argparse or typer, or by what it is built on."""
    text = (ROOT / script).read_text(encoding="utf-8")
    main = text.partition('if __name__ == "__main__":')[2]
    assert re.search(r"argparse|typer|asked\(|parser\(|app\(|command\(", text), script
    assert "write_text" not in main


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_help_is_help(script):
    module = ".".join(script.with_suffix("").parts)
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "usage" in done.stdout.lower(), done.stderr[-500:]

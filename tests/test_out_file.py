"""No measuring script starts, or overwrites a committed result, without being told where to write."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.out_file import asked

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("tests", "docs", "proofs_checks")
    for path in (ROOT / folder).rglob("*.py")
    if "__main__" in (text := path.read_text(encoding="utf-8")) and not path.name.startswith(("test_", "__main__"))
    if re.search(r'^if __name__ == "__main__":', text, re.MULTILINE)
)


def test_a_file_is_needed(tmp_path, capsys):
    assert asked("What.", tmp_path / "a.json", ["--out", "b.json"]) == Path("b.json")
    with pytest.raises(SystemExit) as end:
        asked("What.", ROOT / "tests" / "benchmarks" / "a.json", [])
    assert end.value.code == 2 and "--out" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        asked("What.", ROOT / "tests" / "benchmarks" / "a.json", ["--help"])
    assert end.value.code == 0 and "tests/benchmarks/a.json" in capsys.readouterr().out


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

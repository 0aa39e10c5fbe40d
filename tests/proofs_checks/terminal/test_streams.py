"""Results are not lost on the way out: files before tables, any encoding, a closed pipe, a full disk, an interruption."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from proofs_checks.cli import app
from proofs_checks.measurements import grid_costs
from proofs_checks.report import run
from proofs_checks.terminal import console

SMALL = ("--steps", "2", "--queries", "2")
linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grid_costs, "SWEEP", (5,))
    monkeypatch.setattr("proofs_checks.commands.budget.SWEEP", (5,))
    np.save("p.npy", np.random.default_rng(0).normal(size=(12, 2)))


COMMANDS = {
    "bounds": ("bounds", *SMALL, "--data", "p.npy", "--json", "out.json"),
    "budget": ("budget", "--steps", "2", "--queries", "32", "--data", "p.npy", "--json", "out.json"),
    "verify": ("verify", "--claims", "A1,C2", "--data", "p.npy", "--json", "out.json"),
}


def process(*arguments: str, **options) -> subprocess.Popen:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), **options.pop("env", {})}
    return subprocess.Popen([sys.executable, "-m", "proofs_checks", *arguments], env=environment, text=True, **options)


@pytest.mark.parametrize(
    ("command", "charset"),
    [("bounds", "ascii"), ("bounds", "cp1252"), ("verify", "latin-1"), ("budget", "ascii"), ("list", "ascii")],
)
def test_any_encoding_of_the_terminal_will_do(command, charset, tmp_path):
    result = CliRunner(charset=charset).invoke(app, [*COMMANDS.get(command, ("list",))])
    assert result.exit_code == 0, result.exception
    assert result.stdout_bytes.decode(charset)
    assert command == "list" or json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_written_before_anything_is_shown(command, tmp_path, monkeypatch):
    def fail(*_):
        assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        raise SystemExit(77)

    monkeypatch.setattr(console, "show", fail)
    assert CliRunner().invoke(app, list(COMMANDS[command])).exit_code == 77


@pytest.mark.parametrize("command", ["bounds", "verify"])
def test_what_cannot_be_written_is_still_shown(command, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = CliRunner().invoke(app, list(COMMANDS[command]))
    assert result.exit_code == 2 and "No space left" in result.stderr
    assert "│ A1" in result.stdout or "B5 ≤ KL" in result.stdout
    assert sorted(path.name for path in Path().iterdir()) == ["p.npy"]


@linux
def test_devices_are_written_to_and_not_replaced():
    arguments = list(COMMANDS["verify"][:-1])
    assert CliRunner().invoke(app, [*arguments, "/dev/null"]).exit_code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    result = CliRunner().invoke(app, [*arguments, "/dev/full"])
    assert result.exit_code == 2 and "error: /dev/full: cannot be written (No space left" in result.stderr


def test_progress_does_not_go_into_logs():
    result = CliRunner().invoke(app, list(COMMANDS["bounds"]))
    assert result.stderr == ""


def test_a_closed_pipe_leaves_the_results(tmp_path):
    reader, writer = os.pipe()
    with process(*COMMANDS["bounds"], stdout=writer, stderr=subprocess.PIPE) as running:
        os.close(writer)
        os.close(reader)  # nobody reads even the first line
        assert running.communicate()[1] == ""
    assert running.returncode == 0
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["steps"]


@linux
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full, process("list", stdout=full, stderr=subprocess.PIPE) as running:
        error = running.communicate()[1]
    assert running.returncode == 2
    assert error == "error: standard output: cannot be written (No space left on device); send it elsewhere\n"


def interrupted(*arguments: str, after: float) -> None:
    with process(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.readline()
        time.sleep(after)
        running.send_signal(signal.SIGINT)
        assert running.communicate()[1] == "interrupted\n"
    assert running.returncode == 130


def test_an_interruption_while_libraries_load_is_one_line():
    interrupted("verify", "--report", "report", after=0.3)
    assert sorted(path.name for path in Path().iterdir()) == ["p.npy"]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.1, 0.2, 0.7, 1.5, 3.0, 6.0])
def test_an_interruption_at_any_time_leaves_nothing(after):
    interrupted("verify", "--report", "report", "--json", "new/v.json", after=after)
    assert sorted(path.name for path in Path().iterdir()) == ["p.npy"]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "encoding"), [("bounds", "ascii"), ("verify", "latin-1"), ("verify", "utf-16")])
def test_any_encoding_of_a_process_will_do(command, encoding, tmp_path):
    environment = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    with process(*COMMANDS[command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as running:
        running.communicate()
    assert running.returncode == 0
    assert (tmp_path / "out.json").exists()


def test_the_report_has_all_its_files_or_none(tmp_path, monkeypatch):
    def drawn(*_):
        assert not (tmp_path / "report").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_report", drawn)
    result = CliRunner().invoke(app, ["verify", "--claims", "A1", "--report", "report"])
    assert result.exit_code == 130
    assert "│ A1" in result.stdout  # what was found can still be read
    assert sorted(path.name for path in Path().iterdir()) == ["p.npy"]


def test_names_that_are_no_text_are_kept_in_the_results(tmp_path):
    name = os.fsdecode(b"\xff\x1b.npy")
    Path(name).write_bytes(Path("p.npy").read_bytes())
    result = CliRunner().invoke(app, ["verify", "--claims", "A1", "--data", name, "--json", "out.json"])
    assert result.exit_code == 0, result.exception
    assert "\x1b" not in result.stdout
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["data"]["name"] == name


def test_numbers_that_are_none_of_an_option_are_one_line():
    result = CliRunner().invoke(app, ["bounds", "--steps", "many"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1


def test_without_arguments_there_is_help():
    result = CliRunner().invoke(app, [])
    assert "Usage" in result.output and "verify" in result.output


@pytest.mark.parametrize("columns", ["0", "²", "-5", "", "9" * 5000])
def test_odd_widths_are_ignored(columns):
    """A table of no columns was empty, and what looks like a digit ended with a traceback."""
    result = CliRunner().invoke(app, ["list", "--claims", "A1"], env={"COLUMNS": columns, "LINES": columns})
    assert result.exit_code == 0, result.exception
    assert "│ A1 │" in result.stdout

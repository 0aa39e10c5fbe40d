"""Hostile and careless invocations of the command: one line and exit status 2, or the right result; never a traceback, never a file."""

import json
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proofs_checks.cli import app
from proofs_checks.measurements import grid_costs
from tests.proofs_checks.hostile import BOUNDS, BUDGET, CASES, VERIFY, Case
from tests.proofs_checks.hostile_files import FINE, build

SECONDS = 60
"""After which an invocation counts as one that hangs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile")
    build(path)
    return path


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(grid_costs, "SWEEP", (5,))
    monkeypatch.setattr("proofs_checks.commands.budget.SWEEP", (5,))


@pytest.fixture(autouse=True)
def alarm():
    """A hang ends in an error instead of a suite that never does."""

    def ring(*_):
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def invoke(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def left_behind(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def check(case: Case, folder: Path) -> None:
    before = left_behind(folder)
    result = invoke(*case.arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ") and lines[0].isprintable(), result.stderr
    for word in case.words:
        assert word in lines[0]
    assert len(lines[0]) < 6000
    assert left_behind(folder) == before


def named(case: Case) -> str:
    return " ".join(case.arguments).encode("unicode_escape").decode()[:80]


@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=named)
def test_refused_in_one_line(case, folder):
    check(case, folder)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if not case.quick], ids=named)
def test_all_are_refused_in_one_line(case, folder):
    check(case, folder)


def test_there_are_enough_of_them():
    assert len(CASES) >= 150 and 20 <= sum(case.quick for case in CASES) <= 40


def right(arguments: tuple[str, ...], out: Path) -> dict:
    """The results of an invocation that must work."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    actual = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return actual


@pytest.mark.parametrize(
    ("name", "points", "dim"), [("[.npy", 12, 2), ("\x1b[31mred\x07.npy", 12, 2), ("more.npz", 12, 2), ("[", 2, 12)]
)
def test_odd_files_are_read(name, points, dim, folder):
    out = folder / "right.json"
    actual = right((*BOUNDS[:-1], str(out), "--data", f"./{name}"), out)
    said = actual["data"]
    assert (said["name"], said["points"], said["dim"]) == (name, points, dim)


@pytest.mark.slow
@pytest.mark.parametrize("command", [BOUNDS, BUDGET, (*VERIFY, "--json", "out.json")], ids=lambda c: c[0])
@pytest.mark.parametrize("name", FINE, ids=ascii)
def test_all_odd_files_are_read(name, command, folder):
    out = folder / "right.json"
    actual = right((*command[:-1], str(out), "--data", f"./{name}"), out)
    assert actual["data"] == {"name": name, "points": 12, "dim": 2}


@pytest.mark.parametrize(
    ("name", "note"),
    [("more.npz", "not used: ['labels', 'weight']"), ("odd", "not used: ['loop.png', 'metadata.jsonl', 'pipe.png']")],
)
def test_what_is_not_used_is_said(name, note, folder):
    result = invoke(*VERIFY, "--data", name)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [f"note: {name}: {note}"]

"""The command: exit statuses, one-line errors, JSON fields, and a first line before anything heavy is loaded."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from proofs_checks.cli import app
from proofs_checks.harness import harness
from proofs_checks.harness.claim import REGISTRY, Outcome

ROW_FIELDS = [
    "t",
    "s",
    "snr_t",
    "snr_s",
    "gap",
    "kl",
    "kl_low",
    "kl_high",
    "tv",
    "tv_low",
    "tv_high",
    "chi2",
    "kl_chi2_bound",
    "kl_trace_bound",
    "kl_pair_bound",
    "kl_pair_lower",
    "kl_gauss_lower",
    "kl_family_bound",
    "tv_chi2_bound",
    "tv_trace_bound",
    "kl_small_gap",
    "kl_moment_matched",
]


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def assert_one_line_error(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0]


def test_verify_writes_its_contract(tmp_path):
    result = run("verify", "--claims", "A1,A4", "--seed", "3", "--json", str(tmp_path / "v.json"))
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "v.json").read_text())
    assert written["seed"] == 3 and written["version"] and written["device"] and written["command"]
    assert written["data"] == {"name": "digits", "points": 1797, "dim": 64}
    a1, a4 = written["claims"]
    assert (a1["id"], a1["verdict"], a1["proof"]) == ("A1", "proved", "formal")
    assert (a4["verdict"], a4["proof"], a4["formal"]["whole"]) == ("proved", "formal", True)
    assert {"method", "scope", "verdict", "measured", "relation", "bound", "margin", "where", "remedy"} == set(
        a1["methods"][0]
    )
    assert a1["methods"][1]["relation"] == "="
    assert [twin["verdict"] for twin in a4["false_twins"]] == ["refuted", "refuted"]


def test_a_refuted_claim_is_named_and_exits_with_one(monkeypatch):
    a1 = harness.load_claims()["A1"]
    refuting = type(a1.checks[0])("exact", "planted", lambda *_: Outcome("refuted", 2.0, 1.0, -1.0, "planted"))
    monkeypatch.setitem(REGISTRY, "A1", type(a1)(**{**vars(a1), "checks": (refuting,)}))
    result = run("verify", "--claims", "A1")
    assert result.exit_code == 1
    assert "A1 refuted: planted; measured 2, bound 1" in result.stderr


def test_list_shows_the_chosen_claims_and_runs_none():
    b3 = harness.load_claims()["B3"]
    result = run("list", "--claims", "b3, A*")
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert [row[0] for row in rows] == ["A1", "A2", "A3", "A4", "A5", "B3"]
    methods = ", ".join(dict.fromkeys(check.method for check in b3.checks))
    assert rows[-1] == ["B3", b3.title, methods, str(len(b3.false_twins)), b3.source]


def test_the_package_runs_as_the_command():
    command = [sys.executable, "-m", "proofs_checks", "list", "--claims", "A1"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("singtheory list: claims A1") and "arXiv 2107.00630" in result.stdout


def test_without_a_command_the_help_is_shown_in_lines():
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2 and "\\n" not in result.stderr
    assert any(line.split()[:1] == ["verify"] for line in result.stderr.splitlines())


def test_every_schedule_is_named_in_the_help():
    for command in ("bounds", "budget", "response"):
        shown = " ".join(CliRunner().invoke(app, [command, "--help"]).stdout.split())
        assert "variance-exploding" in shown.replace("- ", "-")


def test_brackets_in_prose_are_no_markup(monkeypatch):
    a1 = harness.load_claims()["A1"]
    monkeypatch.setitem(REGISTRY, "A1", type(a1)(**{**vars(a1), "source": "on [a, b] [bold]"}))
    assert "on [a, b] [bold]" in run("list", "--claims", "A1").stdout


def test_bounds_writes_a_row_a_step(tmp_path):
    points = tmp_path / "points.npz"
    np.savez(points, points=np.array([[-1.3], [0.2], [1.1]]), weights=np.array([0.2, 0.5, 0.3]))
    out = tmp_path / "bounds.json"
    result = run("bounds", "--schedule", "cosine", "--steps", "3", "--data", str(points), "--json", str(out))
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert len(written["steps"]) == 3
    assert all(set(ROW_FIELDS) <= set(row) for row in written["steps"])
    assert written["steps"][-1]["s"] == 0 and written["steps"][-1]["kl"] is None
    for row in written["steps"][:-1]:
        assert row["kl_low"] <= row["kl"] <= row["kl_high"]
        assert row["kl_gauss_lower"] <= row["kl_family_bound"] <= row["kl_trace_bound"]


def test_bounds_reads_a_diffusers_config(tmp_path):
    config = tmp_path / "scheduler_config.json"
    config.write_text(
        json.dumps({"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "num_train_timesteps": 1000})
    )
    data = tmp_path / "points.npy"
    np.save(data, np.array([[-1.0], [1.0]]))
    arguments = ("--schedule", str(config), "--steps", "2", "--data", str(data), "--json", str(tmp_path / "b.json"))
    result = run("bounds", *arguments, "--spacing", "trailing")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "--claims", "B99"), ("unknown claim", "B9")),
        (("list", "--claims", "B99"), ("unknown claim", "B9")),
        (("verify", "--data", "digit"), ("digits",)),
        (("verify", "--confidence", "1.5"), ("confidence",)),
        (("verify", "--device", "tpu"), ("unknown device", "cpu")),
        (("bounds", "--schedule", "cosin"), ("unknown schedule", "cosine")),
        (("bounds", "--schedule", "power:x"), ("power",)),
        (("bounds", "--schedule", "missing.json"), ("missing.json",)),
        (("bounds", "--spacing", "tailing"), ("unknown spacing", "trailing")),
        (("bounds", "--steps", "0"), ("steps 0",)),
        (("bounds", "--queries", "0"), ("queries 0",)),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(run(*arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_config_without_betas(tmp_path):
    config = tmp_path / "scheduler_config.json"
    config.write_text('{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}')
    assert_one_line_error(run("bounds", "--schedule", str(config)), "FlowMatchEulerDiscreteScheduler", "rectified-flow")


def test_nan_in_the_data(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[0.0], [np.nan]]))
    assert_one_line_error(run("verify", "--data", str(tmp_path / "x.npy")), "x.npy", "NaN")


def test_unwritable_report_is_found_before_the_run(tmp_path):
    (tmp_path / "report").write_text("a file")
    result = run("verify", "--claims", "A1", "--report", str(tmp_path / "report"))
    assert_one_line_error(result, "report", "cannot be written")
    assert "A1" not in result.stdout.replace("claims A1", "")


def test_the_first_line_comes_before_heavy_imports():
    """In a fresh process, when the first line is printed nothing heavy is loaded."""
    program = (
        "import sys, typer\n"
        "heavy = ('torch', 'scipy', 'sympy', 'matplotlib', 'sklearn')\n"
        "typer.echo = lambda line, **_: sys.exit(f'{line}|{[name for name in heavy if name in sys.modules]}')\n"
        "from proofs_checks.cli import app\n"
        "app(['verify', '--claims', 'A1'])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    line, loaded = result.stderr.strip().split("|")
    assert line.startswith("singtheory verify: claims A1 on digits")
    assert loaded == "[]"


def test_data_without_measure(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0], [1.0, 2.0]]))
    assert_one_line_error(run("verify", "--data", str(tmp_path / "x.npy")), "x.npy", "all points are equal")


@pytest.mark.parametrize(("scale", "unit"), [(1e-12, "2^-40"), (3e6, "2^21"), (1e29, "2^96")])
def test_data_of_any_scale_are_checked_in_their_own_unit(scale, unit, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[0.0, 1.0], [1.0, 0.3], [0.2, 0.2]]) * scale)
    result = run("verify", "--claims", "A4,B3", "--data", str(tmp_path / "x.npy"))
    assert result.exit_code == 0, result.stderr
    assert f"checked in units of {unit}" in result.stdout


@pytest.mark.parametrize(
    "points",
    [
        [[-1.0], [1.0]],
        [[0.0, 0.0], [0.0, 0.0], [1e-6, 0.0]],
        np.random.default_rng(0).normal(size=(60, 2)),
        np.random.default_rng(0).normal(size=(80, 5)),
    ],
    ids=["two points", "tiny and repeated", "plane", "five dimensions"],
)
def test_bounds_are_decided_on_other_data(points, tmp_path):
    np.save(tmp_path / "x.npy", np.asarray(points))
    result = run("verify", "--claims", "B2,B3,B5,B9,B10,B11", "--data", str(tmp_path / "x.npy"))
    assert result.exit_code == 0, result.stderr

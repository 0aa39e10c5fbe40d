"""`singtheory budget`: its JSON, table and picture, and bad input in one line."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from proofs_checks.commands import budget
from proofs_checks.instances.laws import GOLDEN
from proofs_checks.measurements import grid_costs
from proofs_checks.report.picture_budget import budget_picture
from singtheory import schedule_named
from singtheory.mmse.exact import exact_curve
from singtheory.response import spread_kept
from tests.proofs_checks.test_cli import assert_one_line_error, run

TERMS = ("start", "discretisation", "network", "total")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(grid_costs, "SWEEP", (5, 20))
    monkeypatch.setattr("proofs_checks.commands.budget.SWEEP", (5, 20))


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).normal(size=(30, 3)))
    return path


def loss_file(path, snr, mse) -> str:
    np.savez(path, snr=np.asarray(snr, dtype=float), mse=np.asarray(mse, dtype=float))
    return str(path)


def ten_steps(data, out):
    """The budget of ten steps on data, from few draws, as JSON in a file."""
    return ["budget", "--data", str(data), "--steps", "10", "--queries", "64", "--json", str(out)]


@pytest.mark.parametrize(
    ("data", "method"), [("bumps", "quadrature"), ("golden", "quadrature"), ("points", "monte-carlo")]
)
def test_the_json_adds_up(data, method, points, tmp_path):
    out = tmp_path / "b.json"
    result = run(*ten_steps(points if data == "points" else data, out))
    assert result.exit_code == 0, result.output
    actual = json.loads(out.read_text())
    assert {"version", "seed", "command", "device"} <= set(actual) and actual["method"] == method
    chosen = actual["budget"]
    for term in TERMS:
        assert 0 <= chosen[f"{term}_low"] <= chosen[f"{term}_high"]
    for side in ("low", "high"):
        assert chosen[f"total_{side}"] == pytest.approx(sum(chosen[f"{term}_{side}"] for term in TERMS[:3]))
    assert sum(step["discretisation"] for step in actual["steps"]) == pytest.approx(chosen["discretisation"])
    assert len(actual["steps"]) == 10 and actual["steps"][0]["snr_t"] == chosen["snr_start"]
    assert {row["spacing"] for row in actual["grids"]} == set(grid_costs.SPACINGS)
    (best,) = (row["discretisation"] for row in actual["grids"] if (row["spacing"], row["steps"]) == ("optimal", 20))
    assert 1 < 20 * best / actual["limit"] < 1.25  # from above, by log ρ/6N (E2)
    for row in actual["grids"]:
        assert row["gain"] >= 1 - 1e-6 and row["optimal"] <= row["discretisation"] * (1 + 1e-6)
        assert row["discretisation_low"] <= row["discretisation"] <= row["discretisation_high"]
    low, value, high = (np.array(actual["mmse"][name]) for name in ("low", "value", "high"))
    assert (low <= high).all() and (np.diff(value) < 0).all()


def test_a_loss_curve_gives_the_network_term(tmp_path):
    snr = np.geomspace(1e-3, 2000, 40)
    mse = exact_curve(GOLDEN)(torch.tensor(snr))[0].numpy() + 0.01
    loss = loss_file(tmp_path / "loss.npz", snr, mse)
    result = run(
        "budget", "--data", "golden", "--steps", "10", "--loss-curve", loss, "--json", str(tmp_path / "b.json")
    )
    assert result.exit_code == 0, result.output
    actual = json.loads((tmp_path / "b.json").read_text())
    reach = actual["snr_end"] - actual["budget"]["snr_start"]
    assert actual["budget"]["network"] == pytest.approx(0.01 * reach / 2, rel=1e-6)


def test_starts_differ_by_what_they_know(tmp_path):
    results = {}
    for start in grid_costs.STARTS:
        out = tmp_path / f"{start}.json"
        assert run("budget", "--data", "golden", "--steps", "5", "--start", start, "--json", str(out)).exit_code == 0
        results[start] = json.loads(out.read_text())["budget"]["start_high"]
    assert results["matched"] < results["mean"] and results["matched"] < results["noise"]


def test_an_end_serves_schedules_that_go_to_zero(tmp_path):
    arguments = ("budget", "--data", "golden", "--schedule", "cosine", "--spacing", "trailing", "--steps", "8")
    out = tmp_path / "b.json"
    assert_one_line_error(run(*arguments, "--json", str(out)), "σ = 0", "--snr-end")
    result = run(*arguments, "--snr-end", "100", "--json", str(out))
    assert result.exit_code == 0, result.output
    actual = json.loads(out.read_text())
    assert actual["steps"][-1]["snr_s"] == pytest.approx(100) and actual["steps"][0]["snr_t"] == 0
    assert {row["spacing"] for row in actual["grids"]} == set(grid_costs.SPACINGS) - {"karras", "uniform-log-snr"}


def test_the_picture_shows_curve_steps_and_costs(tmp_path, points):
    out, png = tmp_path / "b.json", tmp_path / "b.png"
    result = run(
        "budget", "--data", str(points), "--steps", "5", "--queries", "32", "--json", str(out), "--picture", str(png)
    )
    assert result.exit_code == 0, result.output
    with Image.open(png) as image:
        assert image.size[0] == 1100
    actual = json.loads(out.read_text())
    drawn = budget_picture(actual)
    curve, costs, steps, kept = drawn.figure.axes
    assert [line.get_label() for line in kept.get_lines()] == [row["grid"] for row in actual["kept"]["grids"]]
    assert curve.get_legend() and costs.get_legend() and drawn.caption and drawn.alt
    assert [label.get_text() for label in steps.get_yticklabels()] == list(grid_costs.SPACINGS)
    lines = {line.get_label(): line for line in costs.get_lines()}
    assert set(grid_costs.SPACINGS) < set(lines)
    assert lines["optimal"].get_ydata()[0] == min(row["discretisation"] for row in actual["grids"] if row["steps"] == 5)
    assert lines["R²/4N (E2)"].get_ydata()[0] == pytest.approx(actual["limit"] / 5)


def test_the_kept_curve_is_the_law_and_the_best_grids_keep_more(tmp_path, points):
    out = tmp_path / "b.json"
    result = run(
        "budget", "--data", str(points), "--steps", "12", "--queries", "32", "--json", str(out), "--start", "mean"
    )
    assert result.exit_code == 0, result.output
    assert "standard deviation kept" in result.output
    actual = json.loads(out.read_text())
    kept, schedule = actual["kept"], schedule_named("sd")
    chosen, nats, w2 = kept["grids"]
    assert [row["grid"] for row in kept["grids"]] == ["leading", "best in nats", "best in W₂"]
    law = torch.as_tensor(np.cov(np.load(points).T, ddof=0))
    lam = torch.linalg.eigvalsh(law).flip(0)
    assert kept["eigenvalues"] == pytest.approx(lam.tolist())
    times = torch.tensor([step["t"] for step in actual["steps"]] + [actual["steps"][-1]["s"]], dtype=torch.float64)
    assert chosen["kept"] == pytest.approx(spread_kept(schedule, times, lam).tolist(), rel=1e-9)
    for row in kept["grids"]:
        assert row["nats"] == pytest.approx(-sum(math.log(value) for value in row["kept"]))
        assert row["snr"][0] == pytest.approx(chosen["snr"][0]) and row["snr"][-1] == pytest.approx(chosen["snr"][-1])
        assert nats["nats"] <= row["nats"] * 1.01 and w2["w2"] <= row["w2"] * 1.01


@pytest.mark.parametrize("spacing", ["karras", "uniform-log-snr", "cosine", "optimal"])
def test_grids_that_are_not_spaced_in_time_may_have_more_steps_than_the_schedule(spacing):
    schedule = schedule_named("sd")
    request = budget.Request("sd", 5000, spacing, "golden", 64, "noise", None, None, None, 0.99, 0, "cpu")
    assert budget._snr_range(request, schedule) == (float(schedule.snr(1.0)), float(schedule.snr(0.001)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--steps", "0"), ("steps 0",)),
        (("--steps", "0", "--spacing", "cosine"), ("steps 0",)),
        (("--spacing", "tailing"), ("unknown spacing", "trailing")),
        (("--schedule", "cosin"), ("unknown schedule", "cosine")),
        (("--start", "nois"), ("unknown start", "noise")),
        (("--data", "digit"), ("digits",)),
        (("--queries", "1"), ("queries 1",)),
        (("--confidence", "2"), ("confidence",)),
        (("--device", "tpu"), ("unknown device",)),
        (("--snr-end", "-1"), ("snr-end", "above")),
        (("--snr-end", "nan"), ("snr-end",)),
        (("--snr-end", "inf"), ("snr-end",)),
        (("--snr-start", "nan"), ("snr-start",)),
        (("--snr-start", "-2"), ("snr-start",)),
        (("--snr-start", "2000"), ("snr-start 2000", "--snr-end")),
        (("--json", "."), ("is a folder",)),
        (("--picture", "."), ("is a folder",)),
        (("--schedule", "cosine"), ("σ = 0", "--snr-end")),
        (("--schedule", "cosine", "--spacing", "karras", "--snr-end", "9"), ("0 < start",)),
        (("--loss-curve", "missing.npz"), ("missing.npz",)),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(run("budget", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("snr", "mse", "words"),
    [
        ([1e-3, 1.0], [1.0, 1.0], "measure the loss there too"),
        ([1.0, 2000.0], [1.0, 1.0], "measure the loss there too"),
        ([1e-3, 2000.0], [0.1, 1.0], "impossible"),
        ([1e-3, math.nan], [1.0, 1.0], "NaN"),
        ([1e-3, 2000.0], [1.0, -1.0], "negative"),
    ],
)
def test_a_bad_loss_curve_is_one_line(snr, mse, words, tmp_path):
    loss = loss_file(tmp_path / "loss.npz", snr, mse)
    result = run("budget", "--data", "golden", "--steps", "5", "--loss-curve", loss, "--json", str(tmp_path / "b.json"))
    assert_one_line_error(result, words)
    assert not (tmp_path / "b.json").exists()


def test_noise_starts_from_the_largest_sigma(tmp_path):
    """Variance exploding pipelines start from σ_max n."""
    schedule = schedule_named("variance-exploding")
    law = GOLDEN
    compared = grid_costs.Comparison(law, schedule, exact_curve(law), "noise", float(schedule.snr(1.0)), 100.0)
    assert compared.mismatch(1.0).high < 1e-3


@pytest.mark.parametrize("data", ["golden", "points"])
def test_the_matched_kernel_costs_less_and_says_how_much(data, points, tmp_path):
    """Its discretisation, the plug-in's beside it, and totals that add up (E3)."""
    out = tmp_path / "b.json"
    asked = ten_steps(points if data == "points" else data, out)
    result = run(*asked, "--kernel", "matched")
    assert result.exit_code == 0, result.output
    actual = json.loads(out.read_text())
    matched, chosen = actual["matched"], actual["budget"]
    assert actual["kernel"] == "matched" and "matched kernel" in result.output and "S³/12N²" in result.output
    assert 0 < matched["discretisation"] < matched["isotropic"] and matched["share"] < 1
    assert chosen["discretisation"] == pytest.approx(sum(step["discretisation"] for step in actual["steps"]))
    assert chosen["discretisation_low"] <= chosen["discretisation"] <= chosen["discretisation_high"]
    for side in ("low", "high"):
        assert chosen[f"total_{side}"] == pytest.approx(sum(chosen[f"{term}_{side}"] for term in TERMS[:3]))
    plain = run(*asked)
    assert plain.exit_code == 0 and "matched" not in json.loads(out.read_text())
    assert json.loads(out.read_text())["budget"]["discretisation"] == pytest.approx(matched["isotropic"])


def test_an_unknown_kernel_is_one_line():
    assert_one_line_error(run("budget", "--kernel", "best"), "kernel 'best': unknown; there are isotropic, matched")


def test_data_that_are_known_long_before_the_end(tmp_path):
    """Two points at γ = 10⁶: the mmse is 0 in float64, and what is said of it no traceback."""
    data, out = tmp_path / "two.npz", tmp_path / "b.json"
    np.savez(data, points=np.array([[0.0, 0.0], [1.0, 2.0], [5.0, 5.0]]), weights=np.array([1.0, 1.0, 0.0]))
    result = run(*ten_steps(data, out), "--schedule", "sd", "--snr-end", "1e6")
    assert_one_line_error(result, "take ends between which it does")


def test_points_without_weight_do_not_make_data_vary(tmp_path):
    data = tmp_path / "one.npz"
    np.savez(data, points=np.array([[0.0, 1.0], [1.0, 2.0], [5.0, 5.0]]), weights=np.array([0.0, 1.0, 0.0]))
    assert_one_line_error(run(*ten_steps(data, tmp_path / "b.json"), "--snr-end", "1000"), "all points are equal")


def test_data_far_below_the_noise_have_a_budget(tmp_path):
    """`1 + λγ` is 1 there, so that a grid geometric in it stood at γ = 0, which the schedule does not reach."""
    data, out = tmp_path / "small.npy", tmp_path / "b.json"
    points = np.random.default_rng(0).normal(size=(20, 2)) * 1e-12
    np.save(data, points)
    result = run(*ten_steps(data, out), "--snr-end", "1000")
    assert result.exit_code == 0, result.output
    actual = json.loads(out.read_text())
    trace = points.var(axis=0).sum()
    assert 0 <= actual["budget"]["discretisation"] <= trace * 1000  # ∫mmse, of which it is a part

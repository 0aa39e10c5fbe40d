"""The committed measurement of few Euler steps on real data."""

import pytest
import torch
import typer

from proofs_checks.measurements.few_steps import GRIDS, measure
from proofs_checks.report import few_steps
from singtheory import RectifiedFlow, formula, response
from singtheory.data.images import digit_pictures
from singtheory.data.sources import digits_images


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return few_steps.committed()["rows"]


def test_the_committed_measurement_says_how_it_was_made(rows):
    actual = few_steps.committed()
    assert actual["command"] == f"python -m proofs_checks.report.few_steps --samples {few_steps.SAMPLES} --seed 0"
    assert {"version", "seed", "device"} <= set(actual)
    assert actual["dim"] == 3072
    assert [(row["steps"], row["shift"]) for row in rows] == list(GRIDS)


def test_few_steps_lose_the_brightness_and_the_matched_first_step_keeps_it(rows):
    plain = [row["euler"] for row in rows if row["shift"] == 1]
    assert plain == sorted(plain)
    assert plain[0] < 0.05
    assert all(row["matched"] > max(row["euler"], 0.85) for row in rows)


def test_a_sampler_may_keep_less_of_real_data_than_of_gaussian_data(rows):
    four = rows[0]
    assert four["euler"] < four["euler_gaussian"] / 5


@pytest.fixture(scope="module")
def small():
    return digit_pictures(digits_images()[:40], 16, 1)


def test_the_prediction_is_the_law_summed_over_the_eigenvectors(small):
    row = measure(small, [(4, 3.0)], samples=64)[0]
    times = formula.shifted_time(torch.linspace(1, 0, 5, dtype=torch.float64), 3.0)
    values, columns = torch.linalg.eigh(small.law.cov)
    kept = torch.stack(
        [response.spread_kept(RectifiedFlow(), times, [float(v)])[0] if v > 1e-9 else v * 0 for v in values]
    )
    along = (small.constant_mode @ columns).square() * values
    expected = float((along @ kept.square() / along.sum()).sqrt())
    assert row.euler_gaussian == pytest.approx(expected, rel=1e-9)
    assert row.matched_gaussian > row.euler_gaussian
    assert float(row.euler.low) <= float(row.euler) <= float(row.euler.high)


def test_the_same_seed_gives_the_same_rows(small):
    first, again = (measure(small, [(3, 1.0)], samples=32, seed=5)[0].to_json() for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("grids", "samples", "words"),
    [([(4, 1.0)], 1, "at least two"), ([(1, 1.0)], 4, "at least two steps"), ([(4, 0.0)], 4, "positive shift")],
)
def test_bad_input_is_one_line(small, grids, samples, words):
    with pytest.raises(ValueError, match=words) as actual:
        measure(small, grids, samples=samples)
    assert "\n" not in str(actual.value)


def test_bad_input_exits_with_status_2(tmp_path, capsys):
    with pytest.raises(typer.Exit) as stop:
        few_steps.main(tmp_path / "out.json", samples=1, seed=0)
    assert stop.value.exit_code == 2
    assert "at least two" in capsys.readouterr().err

"""The committed sweep of the brightness law, and its picture."""

import json
import math
from itertools import combinations

import numpy as np
import pytest
import typer

from proofs_checks.measurements.brightness import SIZES, STARTS, Experiment
from proofs_checks.report import brightness
from proofs_checks.report.picture_brightness import draw
from singtheory.data.images import HALF_RANGE, digit_pictures
from singtheory.data.sources import digits_images


@pytest.fixture(scope="module")
def committed() -> dict:
    return json.loads(brightness.RESULT.read_text(encoding="utf-8"))


def test_the_committed_sweep_says_how_it_was_made(committed):
    assert committed["command"] == f"python -m proofs_checks.report.brightness --samples {brightness.SAMPLES} --seed 0"
    assert {"version", "seed", "device"} <= set(committed)
    assert [(size["side"], size["channels"]) for size in committed["sizes"]] == list(SIZES)


def test_noise_and_mean_starts_lose_the_spread_as_pixels_grow_and_the_matched_start_keeps_it(committed):
    ratios = {name: [size["starts"][i]["spread_ratio"] for size in committed["sizes"]] for i, name in enumerate(STARTS)}
    for name in ("noise", "mean"):
        assert ratios[name] == sorted(ratios[name], reverse=True)
        assert ratios[name][-1] < 0.05
    assert min(ratios["matched"]) > 0.85
    assert min(ratios["exact"]) > 0.95


def test_every_measured_ratio_is_beside_its_quantile_prediction(committed):
    for size in committed["sizes"]:
        for entry in size["starts"]:
            assert entry["quantile_ratio"] == pytest.approx(entry["spread_ratio"], abs=0.05)


def test_the_curves_pass_through_the_predictions_of_the_sizes(committed):
    dims = np.log(committed["curves"]["dim"])
    for size in committed["sizes"]:
        at = np.interp(np.log(size["dim"]), dims, committed["curves"]["gaussian"])
        assert at == pytest.approx(size["law"], abs=2e-3)
        at = np.interp(np.log(size["dim"]), dims, committed["curves"]["quantile_noise"])
        assert at == pytest.approx(size["starts"][0]["quantile_ratio"], abs=0.05)


def test_the_committed_curves_are_those_of_the_code(committed):
    experiment = Experiment(digit_pictures(digits_images(), 32, 1))
    for k in (0, 28):
        mode = (experiment.data / HALF_RANGE - 1) * math.sqrt(committed["curves"]["dim"][k])
        point = brightness.curve_point(mode, experiment.alpha, experiment.sigma)
        assert set(point) | {"dim"} == set(committed["curves"])
        for name, value in point.items():
            assert committed["curves"][name][k] == pytest.approx(value, rel=1e-9)


def test_the_picture_is_1100_pixels_wide_and_no_words_overlap(committed):
    figure = draw(committed)
    figure.canvas.draw()
    assert figure.bbox.width == 1100
    for axes in filter(lambda one: one.axison, figure.axes):
        words = [
            *axes.texts,
            *axes.get_xticklabels(which="both"),
            *axes.get_yticklabels(),
            axes.title,
            axes.xaxis.label,
        ]
        boxes = [word.get_window_extent() for word in words if word.get_visible() and word.get_text()]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_bad_input_exits_with_status_2(tmp_path, capsys):
    with pytest.raises(typer.Exit) as stop:
        brightness.main(tmp_path / "out.json", samples=1, seed=0)
    assert stop.value.exit_code == 2
    assert "at least two" in capsys.readouterr().err

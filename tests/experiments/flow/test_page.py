"""The flow page is that of the committed results, and its verdicts follow what is planted in them."""

import dataclasses
import json
from copy import deepcopy

import numpy as np
import pytest
import torch

from docs.book.result import ResultError
from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.keep import COMPONENTS, brightness_errors, joined, keep, pair_errors
from docs.experiments.flow.page.guide import zero_init_table
from docs.experiments.flow.page.results import (
    DEFAULT,
    EULERS,
    MAIN,
    METRICS,
    SAME_GRID,
    Results,
    changes,
    plain_of,
    wins,
)
from docs.experiments.flow.page.targets import (
    again,
    apart,
    beats_all,
    bias,
    explained,
    in_common,
    never_worse,
    off_slopes,
    prediction,
    processor,
    reversals,
    spread,
    targets,
    zero_init,
)
from docs.experiments.flow.ways import WAYS
from docs.experiments.metric.distances import wasserstein
from docs.experiments.script.result import runs_of
from singtheory import InputError


@pytest.fixture(scope="module")
def results():
    return Results.read()


@pytest.fixture(scope="module")
def second():
    return Results.read(FOLDER / "second")


def replaced(results, **changed):
    """With values of the default's cells replaced; the committed results stay as they are."""
    cells = deepcopy(results.cells)
    for (way, _, _), cell in cells.items():
        if way == DEFAULT:
            cell |= changed
    return dataclasses.replace(results, cells=cells)


def test_a_missing_result_is_named_with_its_command(tmp_path):
    with pytest.raises(
        ResultError, match=r"measured\.json: missing or damaged; make it with: python -m docs\.experiments\.flow\.keep"
    ):
        Results.read(tmp_path)


def test_the_guides_table_has_the_committed_results(results):
    written = zero_init_table(results)
    row = next(line for line in written.splitlines() if line.startswith("| zero-init |"))
    assert row.split("|")[2].strip().startswith(f"{results.value('zero-init', 1.0, 4, '64 components'):.1f} / ")


def test_the_guide_counts_the_cells(results):
    content = (FOLDER.parents[2] / "guides" / "mend-my-checkpoint.md").read_text(encoding="utf-8")
    assert f"[{len(results.cells)} cells](../experiments/flow.md)" in content


def test_the_flow_guide_has_the_committed_spread(results):
    content = (FOLDER.parents[2] / "guides" / "mend-my-flow-model.md").read_text(encoding="utf-8")
    ours = results.of_prompts(SAME_GRID, 1.0, 4, "open", "ratio")
    rivals = [results.of_prompts(way, 1.0, 4, "open", "ratio") for way in (*EULERS, "UniPC")]
    assert f"keeps {min(ours):.2f} to {max(ours):.2f} of the spread of brightness" in content
    assert f"keep at most {max(map(min, rivals)):.2f} in their worst prompt" in content


def test_every_target_has_a_verdict(results, second):
    small = {"processor seconds": 61.0, "device": "slow"}
    assert processor(small).met is False
    assert {one.verdict for one in targets(results, second, small)} <= {"met", "not met", "not decided"}


def test_a_default_that_is_worse_is_found(results):
    planted = replaced(results, **dict.fromkeys(METRICS, 500.0))
    assert never_worse(planted, MAIN, "anywhere").met is False
    assert all(one.verdict == "worse" for one in changes(planted, [DEFAULT]))
    ahead = wins(planted, DEFAULT)
    assert {(one.guidance, one.budget, one.metric) for one in ahead} == {
        (w, n, m) for w, n in results.pairs for m in METRICS
    }
    assert sum(one.sure for one in ahead) > len(ahead) / 2


def test_a_default_that_is_far_ahead_is_found(results):
    planted = replaced(results, **dict.fromkeys(METRICS, 0.01))
    assert never_worse(planted, MAIN, "anywhere").met
    assert beats_all(planted).met
    assert not wins(planted, DEFAULT)


def test_brightness_verdicts_follow_the_cells(results):
    def with_prompts(**numbers):
        cells = deepcopy(results.cells)
        for (way, _, _), cell in cells.items():
            if way == DEFAULT:
                cell["prompts"] = {prompt: one | numbers for prompt, one in cell["prompts"].items()}
        return dataclasses.replace(results, cells=cells)

    assert spread(with_prompts(ratio=1.0)).met and not spread(with_prompts(ratio=1.2)).met
    assert bias(with_prompts(bias=0.0)).met and not bias(with_prompts(bias=-20.0)).met


def test_prediction_and_zero_init_verdicts_follow_what_was_measured(results):
    content = deepcopy(results.content)
    for row in content["prediction"]["network"]:
        row["network"] = row["law"]
    for cells in content["zero"].values():
        for one in cells:
            one["measured"] = one["predicted"]
    planted = dataclasses.replace(results, content=content)
    assert prediction(planted).met and zero_init(planted).met
    content["zero"]["end"][0] |= {"measured": -9.0, "measured error": 0.1}
    assert not zero_init(planted).met


def test_the_default_asks_the_network_as_often_as_its_rivals(results):
    """And the same on its rivals' grid once less; beside their solver it is worse in no cell, which the other is."""
    for (way, _, budget), cell in results.cells.items():
        if way in (DEFAULT, SAME_GRID):
            assert cell["evaluations"] == budget - (way == SAME_GRID)
    assert WAYS[DEFAULT].spare and dataclasses.replace(WAYS[DEFAULT], spare=False, name=SAME_GRID) == WAYS[SAME_GRID]
    words = {way: {one.verdict for one in changes(results, [way], METRICS)} for way in (DEFAULT, SAME_GRID)}
    assert "worse" in words[SAME_GRID] - words[DEFAULT]


def test_what_the_slopes_and_the_data_leave_of_the_departure(results):
    """The network's own slopes and the exact denoiser explain the law's departure within the target's bound, each alone does not."""
    for steps in (6, 8, 10):
        parts = [apart(results, steps, 3.0, *pair) for pair in (("network", "law"), ("exact", "law"))]
        left = [(1 + network) / (1 + exact) for network, exact in zip(*parts, strict=True)]
        rows = results.content["slopes"], results.content["prediction"]["network"]
        slope, law = (next(one for one in row if one["steps"] == steps and one["shift"] == 3.0) for row in rows)
        expected = [a * b / c - 1 for a, b, c in zip(left, law["law"], slope["kept"], strict=False)]
        assert explained(results, steps) == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert max(map(abs, explained(results, steps))) < min(
            max(map(abs, part)) for part in (parts[0], off_slopes(results, steps))
        )


def test_plain_twins_have_the_same_solver_and_grid():
    for name, way in WAYS.items():
        plain = plain_of(name)
        if plain is not None:
            assert WAYS[plain].grid == way.grid and way.solver.startswith(WAYS[plain].solver)
    assert plain_of(DEFAULT) == "UniPC"


def test_standard_errors_of_differences_from_the_same_noise():
    chance = np.random.default_rng(0)
    noise = chance.standard_normal((3, 4000))
    rows = {"UniPC": noise[0], DEFAULT: 0.6 * noise[0] + 0.8 * noise[1]}
    cells = [{"way": way, "guidance": 1.0, "budget": 4, "d": 1.0, "d std": 2.0} for way in rows]
    arrays = {f"{way}|1|4": {"d": row} for way, row in rows.items()}
    [pair] = pair_errors(cells, arrays)
    expected = (2 * (rows[DEFAULT] - rows["UniPC"])).std() / 4000**0.5
    assert pair["errors"]["d"] == [[pytest.approx(expected, rel=1e-6)]]
    assert (pair["ours"], pair["rivals"]) == ([DEFAULT], ["UniPC"])


def test_differences_are_known_where_both_cells_were_judged():
    """A run without a network of features beside one with it: its distances count where both have them."""
    chance = np.random.default_rng(0)
    rows = dict(zip(("UniPC", "Euler, shift 3", DEFAULT), chance.standard_normal((3, 200)), strict=True))
    cells = [{"way": way, "guidance": 1.0, "budget": 4, "d": 1.0, "d std": 2.0} for way in rows]
    arrays = {f"{way}|1|4": {"d": row} for way, row in rows.items()}
    for way in list(rows)[1:]:
        arrays[f"{way}|1|4"]["e"] = rows[way]
        cells[list(rows).index(way)] |= {"e": 1.0, "e std": 3.0}
    [pair] = pair_errors(cells, arrays)
    expected = (rows[DEFAULT] - rows["Euler, shift 3"]).std() * 3 / 200**0.5
    assert pair["rivals"] == ["UniPC", "Euler, shift 3"]
    assert pair["errors"]["e"] == [[None, pytest.approx(expected, rel=1e-6)]]
    assert pair["errors"]["d"][0][0] > 0
    arrays[f"{DEFAULT}|1|4"].pop("e")
    [pair] = pair_errors(cells, arrays)
    assert list(pair["errors"]) == ["d"]


def test_standard_errors_of_brightness_are_those_of_repeated_draws():
    chance = np.random.default_rng(1)
    truth = chance.normal(120, 40, 900)
    draws = [chance.normal(130, 30, 200) for _ in range(400)]
    errors = [brightness_errors(one, truth) for one in draws]
    seen = {
        "bias error": np.std([one.mean() for one in draws]),
        "ratio error": np.std([one.std() / truth.std() for one in draws]),
        "w1 error": np.std([wasserstein(torch.tensor(one), torch.tensor(truth)) for one in draws]),
    }
    for name, expected in seen.items():
        assert np.mean([one[name] for one in errors]) == pytest.approx(expected, rel=0.15)


def test_no_cell_appears_twice(results):
    keys = [(cell["way"], cell["guidance"], cell["budget"]) for cell in results.content["cells"]]
    assert len(set(keys)) == len(keys)


def test_runs_are_kept_and_read_again(tmp_path):
    """Two cells of a run, their differences and their brightness; the later of two runs counts."""
    data = Captioned.of(torch.arange(48, dtype=torch.uint8).repeat(4, 1)[:, None, None, :12].contiguous(), ["a"] * 4)
    chance, cells, arrays = np.random.default_rng(2), [], {}
    for way in ("UniPC", DEFAULT):
        prompts = {"a": {"bias": 1 / 3, "ratio": None, "w1": 2.0}}
        cell = {"way": way, "guidance": 1.0, "budget": 4, "d": 1 / 3, "d std": 1.0, "prompts": prompts}
        cells.append(cell)
        arrays |= {f"{way}|1|4/d": chance.standard_normal(50), f"{way}|1|4/brightness of a": chance.uniform(0, 255, 50)}
    network = {"steps": 4, "shift": 3.0, "network": [1 / 3] * 2000, "law": [1.0] * 2000}
    shown = {
        "eigenvalues": [1.0] * 2000,
        "network": [network],
        "exact": [{"steps": 4, "shift": 3.0, "exact": [1.0] * 2000}],
    }
    for name, kept in (("old", cells[:1]), ("new", cells)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flow.json").write_text(
            json.dumps({"cells": kept, "prediction": shown, "kinds": {"a": "open"}})
        )
        np.savez(tmp_path / name / "flow-2.npz", **arrays)
    (tmp_path / "new" / "flow-train.json").write_text(json.dumps({"flow": {"steps": 1}}))
    keep([tmp_path / "old", tmp_path / "new"], data, tmp_path / "kept")
    results = Results.read(tmp_path / "kept")
    assert len(results.cells) == 2 and results.value("UniPC", 1.0, 4, "d") == 0.33333
    apart = arrays[f"{DEFAULT}|1|4/d"] - arrays["UniPC|1|4/d"]
    assert results.half(DEFAULT, "UniPC", 1.0, 4, "d") == pytest.approx(results.z * apart.std() / 50**0.5, rel=1e-4)
    assert results.cells[DEFAULT, 1.0, 4]["prompts"]["a"]["w1 error"] > 0
    assert len(results.content["prediction"]["network"][0]["law"]) == len(COMPONENTS)
    with pytest.raises(InputError, match=r"flow\.measure"):
        keep([tmp_path], data, tmp_path / "kept")


def test_a_training_that_goes_on_keeps_what_was_told_before():
    def head(seed):
        return {"version": "1", "command": f"run {seed}", "device": "a card", "versions": {}, "seed": seed}

    first = head(0) | {"expected": [0.5], "flow": {"steps": 7}}
    both = joined(first, head(1) | {"expected": [0.6], "epsilon": {"steps": 8}})
    assert (both["expected"], both["flow"], both["epsilon"]) == ([0.5], {"steps": 7}, {"steps": 8})
    assert {one["seed"]: one["parts"] for one in runs_of(both)} == {0: ["expected", "flow"], 1: ["epsilon"]}
    assert joined({}, first) == first == joined(first, head(2) | {"flow": {"steps": 9}})


def test_a_second_run_must_give_the_verdicts_again(results, second):
    target = again(results, second)
    assert target.met and "8 of 8 verdicts are the same" in target.outcome
    assert not again(results, replaced(second, **{"64 components": 1e3, "the classifier": 1e3})).met
    ours, other = in_common(results, second)
    assert set(ours.cells) == set(other.cells)


def test_a_difference_that_turns_is_counted(results, second):
    """The default made far worse in one run alone turns all that it wins beyond the interval."""
    first, other = in_common(results, second)
    either, both, opposite = reversals(first, other)
    assert opposite == 0 < both <= either
    worse = replaced(other, **{"64 components": 1e3})
    assert reversals(first, worse)[2] > 0

"""What the flow page says is missing is what the plans have and the committed results lack."""

import re
from dataclasses import replace

import pytest

from docs.experiments.flow.blocks import BLOCKS, plan
from docs.experiments.flow.page import missing, runs
from docs.experiments.flow.page.results import Results

PARTS = missing.parts()


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_committed_cells_are_planned_and_the_rest_is_counted(part):
    first, *others = part.runs
    assert all(set(run.cells) <= part.planned for run in part.runs)
    assert len({run.content["seed"] for run in part.runs}) == len(part.runs)
    content = missing.text(part)
    lacks = content.partition("by evaluations, ")[2]
    assert sum(map(int, re.findall(r"(\d+) at ", lacks))) == len(part.planned) - len(first.cells)
    assert f": {len(first.cells)}" in content and all(f"second seed, {len(run.cells)} of" in content for run in others)


def test_a_run_that_has_all_lacks_nothing():
    part = PARTS[0]
    whole = Results({}, {key: {} for key in part.planned}, {}, 2.0)
    n = len(part.planned)
    assert (
        missing.text(part._replace(runs=(whole,))) == f"{part.name}: {n} of {n} planned cells. The first run has all."
    )
    one = replace(whole, cells={key: {} for key in part.planned if key[1:] != (3.0, 10)})
    left = n - len(one.cells)
    assert missing.text(part._replace(runs=(one,))).endswith(f"lacks, by evaluations, {left} at 10 with guidance 3.")


def test_cells_without_finite_pictures_are_named():
    part = PARTS[0]
    run = Results({"failed": [["a way", 1.0, 4, "NaN"], ["a way", 3.0, 4, "NaN"]]}, {}, {}, 2.0)
    assert "Of these 2 were tried and gave no finite pictures: a way," in missing.text(part._replace(runs=(run,)))


def test_numbers_of_evaluations_with_a_part_of_the_ways_are_named():
    cells = {(way.name, guidance, budget): {} for way, guidance, budget in plan(True, BLOCKS)}
    assert runs.partly_text(Results({}, cells, {}, 2.0)) == ""
    less = {key: one for key, one in cells.items() if key[2] != 50 and key[:2] != ("UniPC", 3.0)}
    text = runs.partly_text(Results({}, less, {}, 2.0))
    assert text == "; with 4, 6, 8, 10, 20, 28 and 50 evaluations a part of the ways was drawn"
    one = {key: cell for key, cell in cells.items() if key != ("UniPC", 1.0, 28)}
    assert "; with 28 evaluations" in runs.partly_text(Results({}, one, {}, 2.0))

"""Better, worse or undecided, and where a rival wins: read from planted cells."""

from docs.experiments.flow.epsilon.ways import CORRECTED, MATCHED
from docs.experiments.flow.keep import ours
from docs.experiments.flow.page.epsilon import beside, twin
from docs.experiments.flow.page.results import Results
from docs.experiments.flow.page.verdicts import (
    agreement,
    best_again_text,
    best_verdicts,
    counted,
    inside,
    inside_table,
    lost_table,
    verdicts,
)

MINE, PLAIN, OTHER = CORRECTED[0].name, MATCHED[0].name, MATCHED[2].name
METRIC = "64 components"


def planted(values, error=1.0, ratios=(1.0, 0.5)):
    """A run of three ways; values by number of steps, in the order of ours, DDIM and another."""
    cells, pairs = {}, {}
    for budget, row in values.items():
        for way, value in zip((MINE, PLAIN, OTHER), row, strict=True):
            prompts = {f"p{k}": {"ratio": ratio} for k, ratio in enumerate(ratios)}
            cells[way, 1.0, budget] = {METRIC: value, "prompts": prompts}
        content = {"ours": [MINE], "rivals": [PLAIN, OTHER], "errors": {METRIC: [[error, error]]}}
        pairs[1.0, budget] = content | {"guidance": 1.0, "budget": budget}
    return Results({"kinds": {f"p{k}": "open" for k in range(len(ratios))}}, cells, pairs, 2.0)


def test_a_difference_within_the_interval_is_undecided():
    results = planted({5: (10.0, 13.0, 7.0), 10: (10.0, 11.5, 9.0)})
    rows = verdicts(results, [MINE], [PLAIN, OTHER], [METRIC])
    assert [(row.budget, row.rival, row.word) for row in rows] == [
        (5, PLAIN, "better"),
        (5, OTHER, "worse"),
        (10, PLAIN, "undecided"),
        (10, OTHER, "undecided"),
    ]
    assert counted(rows) == "1 better, 1 worse, 2 undecided of 4"
    content = lost_table(rows)
    assert content.count("\n") == 2 and f"{OTHER} 7.00" in content and "3.00 ± 2.00" in content
    assert lost_table(rows[:1]) == "None."


def test_the_best_of_ours_is_beside_the_best_rival_of_its_cell():
    results = planted({5: (10.0, 13.0, 12.5), 10: (9.0, 4.0, 5.0)})
    assert [(row.rival, row.word) for row in best_verdicts(results, [METRIC])] == [(OTHER, "better"), (PLAIN, "worse")]


def test_two_runs_agree_where_both_are_decided_alike():
    first = verdicts(planted({5: (10.0, 13.0, 7.0), 10: (10.0, 11.5, 20.0)}), [MINE], [PLAIN, OTHER], [METRIC])
    second = verdicts(planted({5: (10.0, 7.0, 7.0), 10: (10.0, 11.5, 11.0)}), [MINE], [PLAIN, OTHER], [METRIC])
    assert agreement(first, second) == (3, 1, 1)  # of the four one is undecided in both
    assert agreement(first, first) == (3, 3, 0)


def test_the_best_of_both_runs_is_taken_from_the_cells_of_both():
    first = planted({5: (10.0, 13.0, 12.5), 10: (9.0, 4.0, 5.0), 20: (1.0, 9.0, 9.0)})
    second = planted({5: (10.0, 13.0, 12.5), 10: (9.0, 9.5, 9.5)})
    assert best_again_text(first, second, [METRIC]).endswith(
        "from the 6 cells that both drew, has the same verdict in 1 of 2."
    )


def test_spread_ratios_are_counted_over_prompts_and_numbers_of_steps():
    results = planted({5: (1.0, 1.0, 1.0), 10: (1.0, 1.0, 1.0)}, ratios=(1.0, 0.84, 1.15))
    assert inside(results, MINE, 1.0) == (4, 6) and inside(results, MINE, 3.0) == (0, 0)
    content = inside_table(results, [MINE, "not drawn"], "pictures")
    assert "ratios of pictures are within 0.85 and 1.15" in content and content.endswith(f"\n| {MINE} | 4 of 6 |")


def test_corrected_ways_are_ours_and_matched_starts_are_every_ones():
    assert ours(MINE) and not ours(PLAIN)
    assert twin(CORRECTED[0], "UniPC") == "UniPC, matched start"
    assert twin(CORRECTED[-1], "DDIM") == "DDIM trailing, matched start"
    results = planted({5: (10.0, 13.0, 7.0)})
    (row,) = verdicts(results, [MINE], [twin(CORRECTED[0], "DDIM")], [METRIC])
    assert row.word == "better"
    assert beside(results, CORRECTED[0], "DDIM") == [row]  # the planted run has no classifier


def test_a_distance_that_was_not_judged_is_unknown():
    results = planted({5: (10.0, 13.0, 7.0)})
    assert results.half(MINE, PLAIN, 1.0, 5, "the classifier") is None
    assert results.value(MINE, 1.0, 5, "the classifier") is None
    assert results.half(MINE, PLAIN, 1.0, 5, METRIC) == 2.0 and results.compared == 2
    results.pairs[1.0, 5]["errors"]["the classifier"] = [[3.0, None]]  # the other way was not judged so
    halves = [results.half(MINE, rival, 1.0, 5, "the classifier") for rival in (PLAIN, OTHER)]
    assert halves == [6.0, None] and results.compared == 3

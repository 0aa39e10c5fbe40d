"""The sections on the ε demonstrator and on Fashion-MNIST say what their committed results hold."""

from itertools import pairwise

import pytest
import torch

from docs.experiments.flow.epsilon.ways import CORRECTED, MATCHED, TO_THE_END
from docs.experiments.flow.page import epsilon, fashion
from docs.experiments.flow.page.results import Results
from docs.experiments.flow.page.verdicts import verdicts
from docs.experiments.flow.solvers import shifted_grid
from singtheory import formula


@pytest.fixture(scope="module")
def emoji():
    return Results.read()


@pytest.fixture(scope="module", params=[epsilon, fashion], ids=["epsilon", "fashion"])
def both(request):
    return request.param.read(), request.param.read("second")


def test_each_cell_of_the_first_run_is_on_the_page(both, emoji):
    first, second = both
    part = epsilon if MATCHED[0].name in {way for way, _, _ in first.cells} else fashion
    content = part.section(first, second, emoji)
    for (way, _, budget), cell in first.cells.items():
        figures = " | ".join(f"{cell[metric]:.1f}" for metric in ("64 components", "256 components", "the classifier"))
        assert f"| {budget}, {way} | {figures} |" in content or f"| {budget}, **{way}** | {figures} |" in content
    assert first.content["seed"] != second.content["seed"] and f"({second.content['seed']})" in content


def test_no_run_failed_in_a_cell_that_has_a_value_and_each_has_an_origin(both):
    """Corrected to the end along every direction, the last step divides by what it keeps of λ = 0 at σ = 0, which is no number."""
    assert formula.step_kept(0.5, 0.8, 1.0, 0.0, torch.zeros(1), torch).isnan().all()
    for run in both:
        assert {way for way, *_ in run.content.get("failed", [])} <= {TO_THE_END[0].name}
        assert run.content["device"] and run.content["versions"]["torch"]
        assert len(run.cells) == len(run.content["cells"]) and run.z > 3


def test_verdicts_are_differences_over_their_intervals():
    results = epsilon.read()
    rows = verdicts(results, [CORRECTED[0].name], [MATCHED[0].name])
    assert rows
    for row in rows:
        pair = results.pairs[row.guidance, row.budget]
        error = pair["errors"][row.metric][pair["ours"].index(row.mine)][pair["rivals"].index(row.rival)]
        cells = [results.cells[way, row.guidance, row.budget][row.metric] for way in (row.mine, row.rival)]
        assert (row.word == "better") == (cells[0] - cells[1] < -results.z * error)
        assert (row.word == "worse") == (cells[0] - cells[1] > results.z * error)


def test_the_law_on_fashion_is_a_product_of_cosines():
    results = fashion.read()
    lam = results.content["prediction"]["eigenvalues"][0]
    for row in results.content["prediction"]["network"]:
        kept = 1.0
        for t, s in pairwise(shifted_grid(row["steps"], row["shift"])):
            v_t, v_s = ((1 - a) ** 2 * lam + a**2 for a in (t, s))
            kept *= ((1 - s) * (1 - t) * lam + s * t) / (v_t * v_s) ** 0.5
        assert row["law"][0] == pytest.approx(kept, rel=1e-4)


def test_the_border_is_the_last_number_of_steps_that_keep_no_more(emoji):
    results = fashion.read()
    for last in (4, 6, 10):
        most = fashion.predicted_border(results, emoji, last)
        there = fashion.kept_by_law(emoji, last)
        assert most == 0 or fashion.kept_by_law(results, most) <= there
        assert fashion.kept_by_law(results, most + 1) > there


def test_ddim_after_a_matched_start_keeps_what_its_cosines_keep():
    """The nodes of 5 leading steps of Stable Diffusion's betas are worked out by hand."""
    betas = [(0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * k / 999) ** 2 for k in range(1000)]
    bars, bar = [], 1.0
    for beta in betas:
        bar *= 1 - beta
        bars.append(bar)
    nodes = [*(bars[t] for t in (801, 601, 401, 201, 1)), 1.0]
    kept = 1.0
    for begin, end in pairwise(nodes):
        at, to = ((one**0.5, (1 - one) ** 0.5) for one in (begin, end))
        v_t, v_s = (a**2 * 100.0 + b**2 for a, b in (at, to))
        kept *= (to[0] * at[0] * 100.0 + to[1] * at[1]) / (v_t * v_s) ** 0.5
    assert float(epsilon.cosines("DDIM", 5, [100.0]).prod()) == pytest.approx(kept, rel=1e-5)

"""docs/budget.md says what its committed results say."""

import json
from pathlib import Path

import pytest

from proofs_checks.report import budget_page
from tests.docs.conftest import shown as shown_on

ROOT = Path(__file__).parents[3]
ROW = {"steps": 5, "start_low": 0.1, "start_high": 0.2, "discretisation": 2.0, "discretisation_error": 0.1}
FOUND = {
    "budget": ROW | {"spacing": "leading", "discretisation_low": 1.0, "discretisation_high": 3.0},
    "schedule": "sd",
    "start": "noise",
    "confidence": 0.99,
    "snr_start": 0.005,
    "snr_end": 1000.0,
    "limit": 5.0,
    "command": "singtheory budget",
    "device": "a CPU",
    "grids": [
        {"spacing": "leading", "steps": 5, "discretisation": 2.0, "gain": 1.6},
        {"spacing": "cosine", "steps": 5, "discretisation": 1.5, "gain": 1.2},
        {"spacing": "optimal", "steps": 5, "discretisation": 1.25, "gain": 1.0},
    ],
}


def test_a_row_has_costs_limit_and_gains():
    table = budget_page.costs_table(FOUND)
    assert "| 5 | 2 | – | – | – | – | 1.5 | 1.25 | 1 | 1.60 | 1.20 |" in table
    assert "initial mismatch 0.1 to 0.2, discretisation 2 ± 0.1 (one standard error), at 99% from 1 to 3." in table
    assert table.endswith("γ from 0.005 to 1000. a CPU: `singtheory budget`*")


def test_gains_are_those_of_the_nearest_named_grid_and_the_limit():
    def grids(steps: int, best: float) -> list[dict]:
        named = (("leading", 3.0), ("cosine", 1.5), ("karras", 2.0))
        rows = [{"spacing": name, "steps": steps, "discretisation": best * gain, "gain": gain} for name, gain in named]
        return [*rows, {"spacing": "optimal", "steps": steps, "discretisation": best, "gain": 1.0}]

    table = budget_page.gains_table({"toy": {"limit": 10.0, "grids": grids(50, 0.25) + grids(1000, 0.0101)}})
    assert table.splitlines()[-1] == "| toy | 3.00 | 1.50 | cosine | 1.250 | 1.010 |"


def test_exact_curves_have_no_interval():
    assert "±" not in budget_page.costs_table(FOUND | {"confidence": 1.0})


@pytest.mark.parametrize("name", budget_page.RESULTS)
def test_the_best_grid_is_never_worse_and_nears_its_limit(name):
    actual = json.loads((ROOT / "docs" / "budget" / f"{name}.json").read_text(encoding="utf-8"))
    assert all(row["gain"] >= 1 - 1e-9 for row in actual["grids"])
    best = {row["steps"]: row["discretisation"] for row in actual["grids"] if row["spacing"] == "optimal"}
    above = [best[steps] * steps / actual["limit"] for steps in sorted(best)]
    assert above == sorted(above, reverse=True) and 1 < above[-1] < 1.01
    assert "/tmp" not in actual["command"]


def test_the_page_shows_every_result_once():
    *shown, gains = shown_on(ROOT / "docs" / "budget.md", skip="check(")
    results = {
        name: json.loads((ROOT / "docs" / "budget" / f"{name}.json").read_text(encoding="utf-8"))
        for name in budget_page.RESULTS
    }
    assert [table.data for table in shown] == [budget_page.costs_table(seen) for seen in results.values()]
    assert gains.data == budget_page.gains_table(results)

"""The benchmarks of posteriors at a small size on the CPU: that they run, and that what they measure are posteriors."""

import numpy as np
import pytest
import torch

from proofs_checks.report.generated_tables import with_tables
from singtheory import Atoms
from singtheory.data import sources
from singtheory.engine.gpu import FusedEngine
from singtheory.engine.rows import Plan
from tests.benchmarks.engine import growth, posterior, posterior_table, roofline
from tests.benchmarks.engine.golden import Golden


@pytest.fixture(scope="module")
def law() -> Atoms:
    return sources.digits().law


def test_every_row_is_measured(law, monkeypatch):
    monkeypatch.setattr(posterior, "GAMMAS", (0.0, 5.0))
    actual = posterior.measure(law, "gpu", 8, 1)
    assert [row["gamma"] for row in actual["rows"]] == [0.0, 5.0]
    for row in actual["rows"]:
        assert row["error"]["float64"] < 1e-11 and row["error"]["float32"] < 1e-3
        assert row["error"]["ours, 1e-6"] <= row["bound"]["ours, 1e-6"] + 1e-12
        assert all(value > 0 for value in (*row["times"].values(), *row["milliseconds"].values()))


def test_random_queries_are_within_their_bounds(law):
    actual = posterior.held_against_float64(law, 60, 30, torch.Generator().manual_seed(0))
    assert actual["queries"] == 60 and actual["violations"] == 0
    assert 0 < max(actual["largest error / bound"].values()) <= 1


def test_what_products_take_at_least_worked_out_by_hand(law):
    """The digits are 1,797 rows of 64 numbers on levels, held as 2,048: a product with ten queries multiplies 1,310,720 times."""
    engine = FusedEngine(law._points)
    engine._prepare()
    plan = Plan(series=0, rest=10, digits=3, weight_digits=4, unusual=0)
    actual = roofline.at_least(engine, plan, 10)
    once = 2 * 1_310_720 / 1979e9
    assert [one["at peak, ms"] for one in actual.values()] == pytest.approx([once, 3 * once, 4 * once])
    atoms, weights = 2048 * 64, 10 * 2048
    assert [one["from memory, ms"] for one in actual.values()] == pytest.approx(
        [(atoms + weights / 2) / 4.8e9, (atoms + 4 * weights) / 4.8e9, (atoms + 4 * weights) / 4.8e9]
    )
    for name, kind in (("weigh", "rest"), ("products", "rest"), ("screen", "series")):
        none = roofline.at_least(engine, plan._replace(**{kind: 0 if kind == "rest" else 10}), 10)
        assert set(none[name].values()) == {0.0}


def test_the_screen_is_exact_where_few_atoms_matter(law):
    z, snr = posterior.queries(law, 200.0, 16, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        Golden(law.points, 8).mean(z, 200.0), law.posterior(z, snr).mean.float(), rtol=1e-4, atol=1e-4
    )


def test_growth_is_fitted(tmp_path):
    images = sources.digits_images().numpy()
    images = (images / images.max() * 255).astype(np.uint8)
    growth.grown(images, 500, tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy", mmap_mode="r").shape == (500, 8, 8)
    actual = growth.measure(images, (200, 400, 800), 4)
    assert [row["points"] for row in actual["rows"]] == [200, 400, 800]
    rows = [{"points": 10**k, "seconds": {"all atoms": 3.0 * 10 ** (2 * k)}} for k in range(2, 5)]
    assert growth.exponent(rows, "all atoms") == pytest.approx(2)


def test_the_table_is_that_of_the_results():
    readme = "a\n<!-- posteriors -->\nstale\n<!-- /posteriors -->\nb\n"
    actual = with_tables(readme, {"posteriors": posterior_table.table()})
    assert (
        actual.startswith("a\n<!-- posteriors -->\n\n| ")
        and actual.endswith("<!-- /posteriors -->\nb\n")
        and "stale" not in actual
    )

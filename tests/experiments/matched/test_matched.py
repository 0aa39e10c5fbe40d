"""Matched kernels measured: the whole run on some digits with the exact denoiser in the place of a network, and what is committed."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from docs.experiments.matched import page as matched_page
from docs.experiments.matched import paths as matched_paths
from docs.experiments.matched import small as matched_small
from docs.experiments.matched.keep import kept, nats_of
from docs.experiments.matched.profile import Empirical, interpolated
from docs.experiments.matched.ways import NAMES, PASSES, plan
from docs.experiments.script.result import HEAD, Result, origin
from proofs_checks.instances.laws import GOLDEN
from proofs_checks.measurements.path_costs import line_of, path_cost
from singtheory import Atoms, schedule_named

FOLDER = Path(__file__).parents[3] / "docs" / "experiments" / "results" / "matched"
COMMITTED = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run and its folder, in seconds."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("matched")
    result = Result(folder / "digits.json", origin("docs.experiments.matched.small", "cpu", 0))
    matched_small.run(result, 100, (48, 16), 9, 3, (16,), 0)
    return kept(folder, name="digits"), folder


def test_every_cell_is_drawn_and_recorded(run):
    content, _ = run
    assert set(HEAD) <= set(content) and "failed" not in content
    assert [(c["way"], c["grid"], c["steps"]) for c in content["cells"]] == plan((16,), 32)
    for cell in content["cells"]:
        passes = PASSES.get(cell["way"], 1)
        products = cell["steps"] * (passes // 2)
        assert cell["passes"] == cell["steps"] * passes + 1 and cell["products"] == products
        assert cell["evaluations"] == (1 if products else cell["steps"] + 1)
        assert 0 <= cell["not positive"] <= 1 and cell["frechet"] > 0


def test_the_exact_denoiser_has_no_error_and_its_jacobian_is_the_covariance(run):
    """What the network's columns say is what those of the data say: error 0, `‖C‖_F²` and `‖κ‖²` by products in forward mode and by sums over the data."""
    content, _ = run
    for row in content["profile"]:
        assert row["error2"] < 1e-8
        if row["mmse"] > 1e-2:
            assert row["norm2"] == pytest.approx(row["exact norm2"], rel=1e-3)
    early = content["profile"][1]  # κ by differences of products, at a quarter of the draws
    assert early["skewness2"] == pytest.approx(early["exact skewness2"], rel=0.5)
    for row in content["spectra"]:
        if row["exact trace"] > 1e-2:
            assert row["antisymmetric"] < 1e-4 and row["negative"] < 1e-4


def test_matched_kernels_cost_fewer_nats_the_more_they_know(run):
    """At 20 steps and more: plug-in above the isotropic variances, these above Lanczos with several products, all to be paid by discretisation alone."""
    content, _ = run
    for steps in (20, 50):
        nats = {row["way"]: row for row in content["nats"] if row["steps"] == steps and row["grid"] == "angle"}
        assert set(nats) == {*NAMES, "whole Jacobian"}
        assert nats["DDPM"]["above"] > nats["Analytic-DPM"]["above"] > nats["diagonal"]["above"]
        assert nats["diagonal"]["above"] > nats["Lanczos 3"]["above"]
        assert nats["Lanczos 8"]["above"] == pytest.approx(nats["whole Jacobian"]["above"], abs=1e-2)
        assert all(abs(row["network"]) < 1e-8 for row in nats.values())


def test_path_nats_of_the_plug_in_are_the_sum_of_b8(run):
    """By hand from the mmse at the nodes: `½ Σ g mmse − ½∫mmse`, for a chain between two levels."""
    content, folder = run
    nats = nats_of(folder, "digits")
    snr = [row["snr"] for row in content["profile"]][1:4]
    level = [row["mmse"] for row in content["profile"]][1:4]
    cost = nats.path("DDPM", snr)
    steps = sum((high - low) * m for low, high, m in zip(snr, snr[1:], level, strict=False)) / 2
    assert cost["discretisation"] + nats.area("mmse", snr[0], snr[-1]) / 2 == pytest.approx(steps, rel=1e-4)


def test_the_empirical_products_are_derivatives():
    """`C v` and `κ(v, w, ·)` beside derivatives of x̂ by autograd: `∂x̂/∂x = α/σ² C`, and once more."""
    points = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    empirical, alpha, sigma = Empirical(points), 0.8, 0.7
    x, v, w = torch.randn(3, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def mean(at):
        return empirical.moments(empirical.weights(at, alpha, sigma))[0]

    def product(at):
        return sigma**2 / alpha * torch.func.jvp(mean, (at,), (v,))[1]

    weights = empirical.weights(x, alpha, sigma)
    assert torch.allclose(empirical.product(weights, mean(x), v), product(x))
    bent = sigma**2 / alpha * torch.func.jvp(product, (x,), (w,))[1]
    assert torch.allclose(empirical.product(weights, mean(x), v, w), bent)
    law = Atoms(points).posterior(x / sigma, (alpha / sigma) ** 2)
    assert torch.allclose(mean(x), law.mean) and torch.allclose(empirical.moments(weights)[1], law.trace_cov)


def test_interpolation_is_exact_for_powers():
    snr = [0.1, 1.0, 7.0]
    values = np.array([[g**2, 3.0] for g in snr])
    assert interpolated(2.5, snr, values) == pytest.approx([6.25, 3.0])


def test_paths_by_draws_are_those_of_quadrature(monkeypatch):
    """A law on a line, told as one in the plane: the costs of both kernels beside `path_cost`, within five standard errors."""
    monkeypatch.setattr(matched_paths, "STEPS", (4, 8))
    flat = Atoms(torch.cat([3 * GOLDEN.points, torch.zeros(3, 1, dtype=torch.float64)], dim=1), GOLDEN.weights)
    line = line_of(Atoms(3 * GOLDEN.points, GOLDEN.weights))
    measured = matched_paths.paths(flat, 300, 4, 0)
    low, high = matched_paths.ENDS
    for cost in measured["costs"]:
        n = cost["steps"]
        chain = tuple(low * (high / low) ** (k / n) for k in range(n + 1))
        for kernel, scale in (("plug-in", n), ("matched", n**2)):
            value = cost[kernel] / scale
            error = abs(cost[f"{kernel} ratio error"] / cost[f"{kernel} ratio"]) * value
            assert abs(value - path_cost(line, kernel, chain)) < 5 * error, (kernel, n)


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_runs_are_told_with_their_origin(name):
    content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert set(HEAD) <= set(content) and "failed" not in content
    assert {row["way"] for row in content["cells"]} == set(NAMES)
    assert schedule_named("sd").snr(1.0) == pytest.approx(content["profile"][0]["snr"], rel=1e-4)


def test_the_committed_digits_have_the_orders_of_e3():
    """Along their widest direction, without draws: slopes within 0.05, constants within 2 %."""
    content = json.loads((FOLDER / "digits.json").read_text(encoding="utf-8"))["line"]
    for kernel, slope in (("plug-in", -1), ("averaged", -1), ("matched", -2)):
        assert content[kernel]["slope"] == pytest.approx(slope, abs=0.05)
        assert content[kernel]["ratios"][-1] == pytest.approx(1, abs=0.02)


def test_orders_and_groups_of_the_page(run):
    content, _ = run
    assert matched_page.order(content, "DDPM", 50, 200) == pytest.approx(1, abs=0.15)
    assert math.isnan(
        matched_page.order(
            {"nats": [{"grid": "angle", "way": "x", "steps": n, "above": -1.0} for n in (5, 10)]}, "x", 5, 10
        )
    )
    assert matched_page._grouped([24, 48, 50, 96]) == [[24], [48, 50], [96]]
    first = {"differences": [{"way": "x", "grid": "angle", "passes": 9, "difference": 1.0, "error": 0.1}]}
    assert matched_page.agreement(first, first) == (1, 1, [])

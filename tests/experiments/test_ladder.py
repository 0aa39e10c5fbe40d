"""The ladder's verdicts find what is planted, its predictions are the theory's, and its page is that of the committed results."""

import json

import pytest
import torch

from docs.experiments import ladder_page
from docs.experiments.captioned import Captioned
from docs.experiments.cells import Cell, Cells
from docs.experiments.predict import _discretisation, budget_of, exact_of, law_of
from docs.experiments.summary import summary
from singtheory import formula

N = 64


def planted(worse=False):
    """A fixed prompt and an open one: the mean start cures the first, the matched one the second, unless it is planted to be worse."""
    chance = torch.Generator().manual_seed(0)

    def grey(levels):
        return torch.as_tensor(levels).float()[:, None, None, None].expand(-1, 1, 4, 4) / 127.5 - 1

    truth = torch.tensor([0, 255]).repeat(N // 2)
    images = ((torch.cat([torch.full((N,), -1.0), truth / 127.5 - 1]) + 1) * 127.5).to(torch.uint8)
    data = Captioned.of(images[:, None, None, None].expand(-1, 1, 4, 4).contiguous(), ["black"] * N + ["any"] * N)
    cells = Cells()
    narrow = 128 + 30 * torch.randn(N, generator=chance)
    wide = truth.float().clamp(10, 240) + 5 * torch.rand(N, generator=chance)
    black = 5 * torch.rand(N, generator=chance)
    for guidance in (1.0, 1.5, 3.0):
        for start in ("noise", "mean", "mean closed", "matched", "matched closed", "exact"):
            fixed = 60 + black if start == "noise" else black
            cells.add(Cell("end", start, "black", guidance), grey(fixed))
            unknown = narrow if start in ("noise", "mean", "mean closed") else wide
            if worse and start == "matched":
                unknown = torch.full((N,), 128.0)
            cells.add(Cell("end", start, "any", guidance), grey(unknown))
    kinds = {"black": {"kind": "fixed"}, "any": {"kind": "open"}}
    return summary(data, cells, {"prompts": kinds})


def test_verdicts_of_a_cure():
    found = planted()
    assert all(row["holds"] for row in found["verdicts"]["fixed"])
    assert all(row["spread holds"] and row["distance holds"] for row in found["verdicts"]["open"])
    assert found["verdicts"]["never worse"]["worse"] == []
    assert found["verdicts"]["never worse"]["better"] == 12
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found["rows"])


def test_a_start_that_is_worse_is_found():
    found = planted(worse=True)["verdicts"]
    assert {row["start"] for row in found["never worse"]["worse"]} == {"matched"}
    assert not any(row["spread holds"] for row in found["open"] if row["start"] == "matched")


def test_the_law_of_brightness_is_c7s():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(400, 1, generator=generator, dtype=torch.float64).expand(-1, 12) * 0.5
    alpha, sigma = 0.6, 0.8
    found = law_of(points, alpha, sigma)
    eigenvalue = float(points[:, 0].var(correction=0)) * 12
    assert found["one mode"] == pytest.approx((alpha**2 * eigenvalue + sigma**2) ** -0.5)
    assert found["noise"]["ratio"] == pytest.approx(found["one mode"])
    assert found["mean"]["ratio"] == pytest.approx(sigma * found["one mode"])
    assert found["matched"]["ratio"] == pytest.approx(1) and found["matched"]["nats low"] == pytest.approx(0, abs=1e-9)


def test_one_picture_alone_has_a_law():
    found = law_of(torch.full((3, 12), -1.0, dtype=torch.float64), 0.6, 0.8)
    assert found["mean"]["mean"] == pytest.approx(0) and found["mean"]["ratio"] is None
    assert found["noise"]["nats low"] > found["mean"]["nats low"] == pytest.approx(0, abs=1e-9)


def test_the_exact_denoiser_shows_pictures_of_the_prompt():
    images = torch.tensor([20, 240]).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    found = exact_of(Captioned.of(images, ["any", "any"]), "any", 16, 0)
    assert set(found) == {"noise", "mean", "matched", "exact"}
    assert all(20 <= told["mean"] <= 240 and told["w1"] >= 0 for told in found.values())


def test_the_discretisation_of_a_curve_linear_in_log_snr():
    snr = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    fine = torch.linspace(0, 1, 20_001, dtype=torch.float64)

    def mmse(gamma):
        return 3 - torch.log(gamma)

    for k, (low, high) in enumerate([(0.5, 2.0), (2.0, 7.0)]):
        gamma = low + (high - low) * fine
        integral = torch.trapezoid(mmse(gamma), gamma)
        expected = formula.discretisation(high - low, float(mmse(torch.tensor(low))), float(integral))
        assert float(_discretisation(snr, mmse(snr))[k]) == pytest.approx(expected, rel=1e-6)


def test_the_budget_counts_the_networks_error():
    steps = list(range(1, 1000, 20))
    table = {"mse": [2.0] * 50, "error2": [1.5] * 50, "mmse": [0.5] * 50, "bias": [0.0] * 50}
    snr = [1000.0 / t for t in steps]
    found = budget_of({"timesteps": steps, "snr": {"end": snr}, "prompts": {"any": {"end": table}}}, "any")["end"]
    assert found["network"] == pytest.approx(0.5 * 1.5 * (snr[0] - snr[steps.index(981)]))
    assert found["discretisation"] == pytest.approx(0, abs=1e-6)  # a curve that does not fall


def test_the_page_is_that_of_the_committed_results():
    found = ladder_page.Results.read()
    assert ladder_page.PAGE.read_text(encoding="utf-8") == ladder_page.text(found)


def test_results_say_where_they_come_from():
    for path in ladder_page.FOLDER.glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        assert {"version", "command", "device", "versions", "seed"} <= set(told), path

"""The ladder's verdicts find what is planted, its predictions are the theory's, and its page is that of the committed results."""

import json

import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.ladder.cells import Cell, Cells
from docs.experiments.ladder.learned import learned, promised
from docs.experiments.ladder.page.results import Results
from docs.experiments.ladder.page.sections import firsts_text, small_budget_text
from docs.experiments.ladder.page.tables import directions_reading, gaussian_distance, missed
from docs.experiments.ladder.predict import _discretisation, budget_of, exact_of, law_of
from docs.experiments.ladder.summary import FOLDER, summary
from docs.experiments.model.draw import plain_sampler
from singdiffusion.average.model import Average
from singdiffusion.demonstrator import AVERAGE, PIPELINE
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
    content = planted()
    assert all(row["holds"] for row in content["verdicts"]["fixed"])
    assert all(row["spread holds"] and row["distance holds"] for row in content["verdicts"]["open"])
    assert content["verdicts"]["never worse"]["worse"] == []
    assert content["verdicts"]["never worse"]["better"] == 12
    assert all(row["low"] <= row["mean"] <= row["high"] for row in content["rows"])


def test_a_start_that_is_worse_is_found():
    verdicts = planted(worse=True)["verdicts"]
    assert {row["start"] for row in verdicts["never worse"]["worse"]} == {"matched"}
    assert not any(row["spread holds"] for row in verdicts["open"] if row["start"] == "matched")


def test_the_law_of_brightness_is_c7s():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(400, 1, generator=generator, dtype=torch.float64).expand(-1, 12) * 0.5
    alpha, sigma = 0.6, 0.8
    by_start = law_of(points, alpha, sigma)
    eigenvalue = float(points[:, 0].var(correction=0)) * 12
    assert by_start["one mode"] == pytest.approx((alpha**2 * eigenvalue + sigma**2) ** -0.5)
    assert by_start["noise"]["ratio"] == pytest.approx(by_start["one mode"])
    assert by_start["mean"]["ratio"] == pytest.approx(sigma * by_start["one mode"])
    assert by_start["matched"]["ratio"] == pytest.approx(1) and by_start["matched"]["nats low"] == pytest.approx(
        0, abs=1e-9
    )


def test_one_picture_alone_has_a_law():
    by_start = law_of(torch.full((3, 12), -1.0, dtype=torch.float64), 0.6, 0.8)
    assert by_start["mean"]["mean"] == pytest.approx(0) and by_start["mean"]["ratio"] is None
    assert by_start["noise"]["nats low"] > by_start["mean"]["nats low"] == pytest.approx(0, abs=1e-9)


def test_the_exact_denoiser_shows_pictures_of_the_prompt():
    images = torch.tensor([20, 240]).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    by_start = exact_of(Captioned.of(images, ["any", "any"]), "any", 16, 0)
    assert set(by_start) == {"noise", "mean", "matched", "exact"}
    assert all(20 <= numbers["mean"] <= 240 and numbers["w1"] >= 0 for numbers in by_start.values())


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
    budget = budget_of({"timesteps": steps, "snr": {"end": snr}, "prompts": {"any": {"end": table}}}, "any")["end"]
    assert budget["network"] == pytest.approx(0.5 * 1.5 * (snr[0] - snr[steps.index(981)]))
    assert budget["discretisation"] == pytest.approx(0, abs=1e-6)  # a curve that does not fall


def budget_of_a_small_model(nats, exact, noise):
    """Of a network that adds less than a nat in its first ten steps, with an initial mismatch and biases of its samples."""
    steps = list(range(1, 1000, 20))
    curve = {"mse": [2.0] * 50, "error2": [1.5] * 50, "mmse": [0.5] * 50, "bias": [0.0] * 50}
    curves = {"timesteps": steps, "snr": {"end": [1.0 / t for t in steps]}, "prompts": {"3": {"end": curve}}}
    law = {name: {"nats low": nats, "nats high": nats} for name in ("noise", "mean", "matched")}
    levels = {"noise": noise, "mean closed": exact, "exact": exact}
    cells = [{"start": start, "guidance": 1.0, "mean": 50 + off, "truth mean": 50} for start, off in levels.items()]
    return small_budget_text({"curves": curves, "predicted": {"3": {"law": law}}, "cells": cells})


def test_a_small_models_budget_says_whose_fault_it_is():
    assert "9.0: the start is the larger fault." in budget_of_a_small_model(9.0, 1.0, 30.0)
    assert "in levels as well the start is the larger fault" in budget_of_a_small_model(9.0, 1.0, 30.0)
    assert "0.0: the network is the larger fault." in budget_of_a_small_model(0.0, 30.0, 31.0)
    assert "in levels as well the network is the larger fault" in budget_of_a_small_model(0.0, 30.0, 31.0)
    assert "in levels the start is the larger fault, for" in budget_of_a_small_model(0.0, 1.0, 30.0)


def test_a_gaussians_distance_to_black_and_white():
    levels = {"mean": 127.5, "std": 127.5, "levels": [0.0] * 128 + [255.0] * 128}
    short = 2 * (0.841344746 - 0.5) - 2 * (
        0.398942280 - 0.241970725
    )  # E(1 − |Z|)₊: what is past black and white is cut off
    assert gaussian_distance(levels) == pytest.approx(127.5 * short, rel=1e-3)


def test_the_brightness_that_a_spread_promises():
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(12, 3, generator=generator, dtype=torch.float64)).Q.mT.reshape(3, 3, 2, 2)
    average = Average(torch.full((2, 3, 2, 2), 0.2), basis.float(), torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]))
    mean, std = promised(average)
    draws = torch.einsum("nk,kchw->nchw", torch.randn(100_000, 3, generator=generator) * average.std[0], average.basis)
    assert mean.tolist() == pytest.approx([127.5 * 1.2] * 2, rel=1e-6)
    assert float(std[0]) == pytest.approx(127.5 * float(draws.mean(dim=(1, 2, 3)).std()), rel=0.02)
    assert float(std[1]) == 0


def test_what_the_page_says_of_the_trained_average_image_is_that_of_its_weights():
    committed = json.loads((FOLDER / "learned.json").read_text(encoding="utf-8"))["prompts"]
    computed = learned(PIPELINE, AVERAGE, list(committed))
    for prompt, numbers in committed.items():
        assert computed[prompt] == pytest.approx(numbers, rel=1e-3, abs=0.01), prompt


def test_the_results_of_the_page_are_those_of_their_names():
    results = Results.read()
    assert results.core["core"]["prompts"] and results.second["curves"] and results.fashion["foreign"]
    assert results.digits_again["of"] >= results.digits_again["same"] and results.collapse["near"] > 0
    steps = results.stage_steps
    assert 0 < steps["early"] < steps["middle"] < steps["end"]


def test_results_say_where_they_come_from():
    for path in (*FOLDER.glob("*.json"), *FOLDER.glob("second/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert {"version", "command", "device", "versions", "seed"} <= set(content), path


def test_what_is_missed_of_the_distance_is_rounded_down():
    row = {"prompt": "cat", "guidance": 1.5, "start": "matched", "closed": 0.7997, "distance holds": False}
    assert missed([row, row | {"start": "mean"}], "matched") == "“cat” at guidance 1.5 (79%)"
    assert missed([row | {"distance holds": True}], "matched") == "none"


def test_what_directions_add_is_said_by_their_names():
    ratios = {"closed": 0.9, "trained": 0.8, "principal": 0.75, "one by one": 0.5}
    text = directions_reading({"samples": 2, "ratios": {"a": ratios, "b": ratios | {"principal": 0.6}}})
    assert "| a | 0.50 | 0.75 | 0.80 | 0.90 |" in text and "adds 0.10 to 0.25" in text


def test_where_samplers_begin_is_what_the_page_says():
    """Leading timesteps are multiples of 1000 // N, and 1; even ones of DPM++ end at 999 of N + 1, Euler's of N."""
    content = firsts_text()
    assert "10 at t = 901." in content
    assert "DDIM and PNDM at t = 981 and Euler and DPM++ at t = 999" in content
    for steps in (5, 10, 20):
        trailing = [1000 - 1000 * k // steps - 1 for k in range(steps)]
        even = [round(999 - 999 * k / steps) for k in range(steps)]
        for name in ("DPM++", "UniPC"):
            assert plain_sampler(name, steps).timesteps.tolist() == even
            assert plain_sampler(f"{name} trailing", steps).timesteps.tolist() == trailing
        assert (
            max(abs(a - b) for a, b in zip(even, trailing, strict=True)) == 1
        )  # next to each other, as the flow page says
        assert plain_sampler("DDIM", steps).timesteps.tolist() == [
            1000 // steps * k + 1 for k in reversed(range(steps))
        ]

"""A second run beside the first, other data's means, and the pull to the training pictures: each finds what is planted."""

import copy
import json
import sys

import pytest
import torch

from docs.experiments.data.captioned import Captioned, brightness_of
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.ladder.again import compared, main
from docs.experiments.ladder.cells import Cell, Cells
from docs.experiments.ladder.collapse import collapse, denoisers, path
from docs.experiments.ladder.directions import one_by_one, variants
from docs.experiments.ladder.foreign import foreign
from docs.experiments.ladder.merge import merge
from docs.experiments.ladder.page import sections as ladder_sections
from docs.experiments.ladder.small import STARTS, measured, verdicts
from docs.experiments.ladder.summary import FOLDER, joined, rerun
from docs.experiments.model.averages import table_of
from docs.experiments.model.denoiser import Denoiser, Sizes
from docs.experiments.model.draw import Drawer, sampler
from docs.experiments.script.result import HEAD, Result, origin, run_of, runs_of
from singdiffusion.average.model import Average
from singtheory import InputError

LITTLE = Sizes((8, 16), (1, 1), 4, 64)


@pytest.fixture(scope="module")
def data():
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return Captioned.of(images, [*OPENMOJI.open, *OPENMOJI.open])


@pytest.fixture(scope="module")
def drawer(data):
    return Drawer(Denoiser.new(data, LITTLE), "cpu", batch=8)


def cells_of(*levels):
    cells = Cells()
    for k, level in enumerate(levels):
        cells.add(Cell("end", "noise", f"prompt {k}", 1.0), torch.full((4, 1, 2, 2), level))
    return cells


def test_a_second_run_adds_cells_and_repeats_some():
    first, second = cells_of(-1.0, 0.0), cells_of(-1.0, 0.5, 1.0)
    every, again = joined(first, second)
    assert [cell["prompt"] for cell in every.rows] == ["prompt 0", "prompt 1", "prompt 2"]
    assert every.rows[1]["mean"] == first.rows[1]["mean"] and again.rows[1]["mean"] == second.rows[1]["mean"]
    rows = [{"start": "matched", "prompt": "a", "guidance": 1.0, "low": -2.0, "high": -1.0}]
    one = {
        "fixed": [{"holds": True, "holds beside exact": True}],
        "open": [{"spread holds": True, "distance holds": False}],
        "never worse": {"rows": rows},
    }
    other = copy.deepcopy(one)
    other["open"][0]["distance holds"] = True
    other["never worse"]["rows"][0]["high"] = 1.0
    comparison = rerun(first, again, one, other)
    assert comparison["cells"] == 2 and comparison["largest difference of a mean"] == pytest.approx(64, abs=1)
    assert comparison["same verdicts"] == {
        "fixed: holds": [1, 1],
        "fixed: holds beside exact": [1, 1],
        "open: spread holds": [1, 1],
        "open: distance holds": [0, 1],
        "never worse": [0, 1],
    }


def small(mean=10.0, spread=55.0):
    """Cells of a small model with one prompt of each kind."""
    starts = {
        "noise": (100.0, 30.0),
        "mean closed": (mean, 30.0),
        "matched closed": (mean, spread),
        "exact": (9.0, 60.0),
    }
    return {
        "seed": 0,
        "cells": [
            {"prompt": prompt, "guidance": 1.0, "start": start, "mean": level, "std": std, "truth mean": 5.0}
            for prompt in ("3", "3 on a black background")
            for start, (level, std) in starts.items()
        ],
    }


def test_verdicts_of_a_small_model_and_of_its_rerun(tmp_path, monkeypatch):
    assert all(verdicts(small()["cells"]).values())
    odd = compared(small(), small(mean=60.0, spread=20.0))
    assert odd["same"] == 0 and odd["of"] == 3 and len(odd["otherwise"]) == 3
    for name, content in {"one": small(), "two": small(spread=20.0)}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr(
        sys,
        "argv",
        ["again", *(str(tmp_path / f"{n}.json") for n in ("one", "two")), "--out", str(tmp_path / "out.json")],
    )
    with pytest.raises(SystemExit) as ended:
        main()
    comparison = json.loads((tmp_path / "out.json").read_text())
    assert ended.value.code == 1 and comparison["otherwise"] == ["'3' at guidance 1: spread"]
    assert str(tmp_path) not in comparison["command"]  # last names alone
    with pytest.raises(InputError, match="other prompts"):
        compared(small(), {"cells": small()["cells"][:4]})


def test_starts_drawn_at_once_are_those_drawn_alone(drawer, tmp_path):
    images = torch.randint(0, 256, (24, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    data = Captioned.of(images, ["cat", "logo"] * 12)
    result = Result(tmp_path / "found.json", origin("a.module", "cpu", 0))
    measured(drawer.model, data, ["cat", ""], result, 4, 3, (1.0, 2.0), 0, parts=("cells",))
    cells = {(cell["prompt"], cell["guidance"], cell["start"]): cell for cell in result.content["cells"]}
    assert len(cells) == 4 * len(STARTS)
    x_1 = torch.randn(4, *data.size, generator=torch.Generator().manual_seed(0))
    for prompt, guidance in (("cat", 2.0), ("", 1.0)):
        alone = brightness_of(drawer(x_1, [prompt] * 4, guidance, steps=3))
        numbers = cells[prompt, guidance, "noise"]
        assert numbers["mean"] == pytest.approx(float(alone.mean()), abs=0.01)
        assert numbers["std"] == pytest.approx(float(alone.std(correction=0)), abs=0.01)
    assert cells["cat", 2.0, "exact"]["mean"] != cells["cat", 2.0, "noise"]["mean"]


def test_the_digits_time_stands_as_it_was_measured():
    content = {
        "seconds": 100.0,
        "processor seconds": 150.0,
        "device": "any CPU, 2 threads",
        "processors": 2,
        "load": 1.5,
    }
    content["training"] = {"seconds": 40.0}
    assert ladder_sections._time_text(content).endswith("Target: 120 s; met.")
    late = ladder_sections._time_text(content | {"seconds": 121.0})
    assert "Target: 120 s on two idle cores; not met here." in late and "75 s on each of two" in late


def test_what_other_parts_have_written_stays(tmp_path):
    first = Result.continued(tmp_path / "found.json", origin("a.module", "cpu", 0) | {"command": "first"})
    first.add("cells", [1])
    second = Result.continued(tmp_path / "found.json", origin("a.module", "cpu", 0) | {"command": "second"})
    second.add("curves", [2])
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["cells"] == [1] and content["curves"] == [2] and content["command"] == "second"
    assert [(run["command"], run["parts"]) for run in runs_of(content)] == [
        ("first", ["cells"]),
        ("second", ["curves"]),
    ]
    assert run_of(content, "cells")["command"] == "first"
    third = Result.continued(tmp_path / "found.json", origin("a.module", "cpu", 0) | {"command": "third"})
    third.add("cells", [3])
    content = json.loads((tmp_path / "found.json").read_text())
    assert [(run["command"], run["parts"]) for run in runs_of(content)] == [
        ("second", ["curves"]),
        ("third", ["cells"]),
    ]


def result(path, command, start, levels, **parts):
    """A result of one cell a start, with its brightness beside it."""
    cells = Cells()
    cells.add(Cell("end", start, "cat", 1.0), torch.full((2, 3, 4, 4), levels / 127.5 - 1))
    cells.save(path.with_suffix(".npz"))
    written = Result(path, origin("a.module", "cpu", 0) | {"command": command})
    for name, value in ({"cells": cells.rows} | parts).items():
        written.add(name, value)


def test_a_merge_takes_what_is_new_and_keeps_the_rest(tmp_path):
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    result(new, "second", "mean", 90, core=2)
    result(old, "first", "mean", 30, core=1, curves=1)
    merge(new, old)
    content = json.loads(old.read_text())
    assert (content["core"], content["curves"]) == (2, 1)
    assert [(run["command"], run["parts"]) for run in runs_of(content)] == [
        ("first", ["curves"]),
        ("second", ["cells", "core"]),
    ]
    kept = Cells.load(tmp_path / "old.npz", content["cells"])
    assert [round(float(levels[0])) for levels in kept.brightness] == [90]
    result(new, "third", "noise", 60, twins=3, core=3)
    with pytest.raises(InputError, match=r"stages: .* has no such part, but twins, core"):
        merge(new, old, ["stages"])
    (tmp_path / "new.npz").rename(tmp_path / "kept.npz")
    before = old.read_bytes()
    with pytest.raises(OSError, match=r"new\.npz"):
        merge(new, old, ["twins"])
    assert old.read_bytes() == before
    (tmp_path / "kept.npz").rename(tmp_path / "new.npz")
    merge(new, old, ["twins"])
    content = json.loads(old.read_text())
    assert (content["core"], content["twins"]) == (2, 3)
    third = tmp_path / "third.json"
    result(third, "fourth", "mean", 10, stages=4)
    merge(old, third)  # of which the last run has made the twins alone
    content = json.loads(third.read_text())
    assert [(run["command"], run["parts"]) for run in runs_of(content)] == [
        ("fourth", ["stages"]),
        ("third", ["cells", "twins"]),
    ]
    assert "core" not in content
    kept = Cells.load(tmp_path / "old.npz", content["cells"])
    assert {
        cell["start"]: round(float(levels[0])) for cell, levels in zip(content["cells"], kept.brightness, strict=True)
    } == {"noise": 60, "mean": 90}


def test_committed_results_tell_of_each_part_which_run_made_it():
    for file in (*FOLDER.glob("*.json"), *FOLDER.glob("second/*.json")):
        content = json.loads(file.read_text())
        runs = runs_of(content)
        parts = [part for run in runs for part in run["parts"]]
        assert sorted(parts) == sorted(name for name in content if name not in (*HEAD, "earlier")), file
        assert all(run["parts"] and set(HEAD) <= set(run) for run in runs), file


def test_a_foreign_mean_moves_the_brightness_as_the_law_says(data, drawer):
    bright = torch.full(data.size, 0.9)
    rows = foreign(drawer, data, ["cat"], {"bright": bright}, samples=2, steps=2, seed=0)
    own, other = rows
    assert own["nats"] == pytest.approx(0, abs=1e-9) and other["nats"] > 0
    assert own["predicted mean"] == pytest.approx(own["truth"], abs=0.01)
    assert other["its brightness"] == pytest.approx(127.5 * 1.9, abs=0.01)
    assert own["mean"] != other["mean"]


def test_the_exact_denoiser_ends_on_a_training_picture(data, drawer):
    measured, pictures = collapse(drawer, data, samples=2, steps=10, seed=0)
    for prompt in OPENMOJI.open:
        exact = measured["prompts"][prompt]["exact denoiser"]
        assert exact["nearest"][-1] < 1e-3 and exact["near duplicates"][-1] == 1
        assert measured["prompts"][prompt]["trained model"]["nearest"][-1] > 0.1  # nothing was learned
    assert pictures.shape == (4, 2, 2, 7, 16, 16, 3)
    assert (pictures[:, 0, :, -2].astype(int) - pictures[:, 0, :, -1]).__abs__().max() <= 1


def test_a_path_is_the_samplers(data, drawer):
    x_1 = torch.randn(2, *data.size, generator=torch.Generator().manual_seed(0))
    trained = denoisers(drawer, data, "cat", 2)["trained model"]
    _, predictions = path(trained, drawer, x_1, 4)
    drawn = drawer(x_1, ["cat"] * 2, 1.0, steps=4)
    last = sampler(drawer.model, steps=4).timesteps[-1]
    alpha, sigma = (float(values[last]) for values in drawer.model.alphas_sigmas())
    assert len(predictions) == 4 and alpha > sigma
    torch.testing.assert_close(predictions[-1], drawn, rtol=1e-3, atol=1e-3)  # the last step of DDIM lands on x̂


def test_a_factor_changes_one_thing():
    row = {"model": "end", "sampler": "DDIM", "steps": 50, "guidance": 3.0, "rule": "normalised"}
    assert ladder_sections.variant(row) == ladder_sections.VARIANTS[0]
    assert ladder_sections.variant(row | {"sampler": "Euler"}) == "Euler"
    assert ladder_sections.variant(row | {"steps": 10}) == "10 steps"
    assert ladder_sections.variant(row | {"guidance": 10.0}) == "guidance 10"
    for other in ({"steps": 10, "guidance": 1.0}, {"rule": "plain"}, {"model": "early"}, {"sampler": "DDIM trailing"}):
        assert ladder_sections.variant(row | other) is None


def test_starts_along_other_directions_have_the_datas_mean_and_its_deviations_along_them(drawer):
    """Of two prompts of other colours: colours are those of all pictures, the rest is the prompt's own."""
    red, grey = OPENMOJI.open[:2]
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    images[:4, 1:] //= 8
    images[4:] = images[4:, :1]
    data = Captioned.of(images, [red] * 4 + [grey] * 4)
    noise = torch.randn(3 * 16 * 16, 5, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(noise).Q.mT.reshape(5, *data.size)
    learned = Average(torch.full((1, *data.size), 0.3), basis, torch.full((1, 5), 2.0))
    closed = table_of(data, [red, grey], 2)
    single = one_by_one(data.x_0())
    starts = variants(data, red, single, lambda *_: learned, closed, drawer)
    assert list(starts) == ["one by one", "principal", "trained", "closed"]
    mean, directions, std = starts["trained"]
    assert torch.equal(mean, learned.mean[0]) and directions is basis and std.tolist() == [2.0] * 5
    assert starts["principal"][1] is basis
    assert starts["one by one"][1] is single
    own = closed([red], torch.zeros(1, *data.size))
    for ours, theirs in zip(starts["closed"], (own.mean[0], own.basis, own.std[0]), strict=True):
        assert torch.equal(ours, theirs)
    x_0 = data.x_0(data.rows(red))
    for name in ("one by one", "principal"):
        mean, directions, std = starts[name]
        torch.testing.assert_close(mean, x_0.mean(dim=0), rtol=1e-4, atol=1e-5)
        along = torch.einsum("nchw,kchw->nk", x_0, directions).std(dim=0, correction=0)
        torch.testing.assert_close(std, along, rtol=1e-4, atol=1e-5)


def test_directions_one_by_one_are_low_frequencies_of_colours_that_vary_apart(data):
    x_0 = data.x_0()
    basis = one_by_one(x_0)
    assert basis.shape == (48, *data.size)
    flat = basis.flatten(1)
    torch.testing.assert_close(flat @ flat.mT, torch.eye(48), atol=1e-5, rtol=0)
    colours = torch.einsum("nchw,kchw->kn", x_0, basis[::16])  # of each colour the constant mode
    cov = torch.cov(colours.double())
    assert float((cov - cov.diag().diag()).abs().max()) < 1e-5 * float(cov.diag().max())

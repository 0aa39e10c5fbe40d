"""Fashion-MNIST as a flow at a tiny size: its network, its closed form of classes, and what the law says of their brightness."""

import json
import sys
from argparse import Namespace
from itertools import pairwise

import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow import fashion
from docs.experiments.flow.fashion import Classes, Coloured, class_kept, coloured
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.script.result import Result
from singdiffusion.average import AverageTable

NAMES = ["t-shirt", "trouser"]
SIDE = 32


@pytest.fixture(scope="module")
def data():
    """Grey pictures of two classes, of other brightness and another spread each."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([60.0, 160.0]).repeat_interleave(24)[:, None, None, None]
    own = 20 * torch.randn(48, 1, 1, 1, generator=generator)
    images = levels + own + 10 * torch.randn(48, 1, SIDE, SIDE, generator=generator)
    return Captioned.of(images.clamp(0, 255).to(torch.uint8), [name for name in NAMES for _ in range(24)])


def test_grey_pictures_are_seen_in_three_equal_channels():
    seen = []

    def network(images):
        seen.append(images)
        return images.sum()

    one = Coloured(torch.nn.Identity())
    one.network.forward = network
    x = torch.randn(2, 1, 4, 4)
    one(x)
    assert seen[0].shape == (2, 3, 4, 4) and all(torch.equal(seen[0][:, k], x[:, 0]) for k in range(3))
    assert coloured(x).shape == (2, 3, 4, 4)


def test_the_closed_form_answers_token_states_as_it_answers_names(data):
    images = {name: data.x_0(data.rows(name)) for name in NAMES}
    table = AverageTable.from_images(images, rank=3)
    states = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))
    one, x_1 = Classes(table, [*NAMES, ""], states), torch.zeros(3, 1, SIDE, SIDE)
    content, expected = one(states[[1, 0, 2]], x_1), table(["trouser", "t-shirt", ""], x_1)
    assert torch.equal(content.mean, expected.mean)
    assert content.std is not None and expected.std is not None and torch.equal(content.std, expected.std)
    torch.testing.assert_close(content.mean[1], images["t-shirt"].mean(dim=0))
    torch.testing.assert_close(content.mean[2], data.x_0().mean(dim=0))


def test_brightness_alone_keeps_the_product_of_its_cosines():
    """One direction is brightness and the other has none: the product is made by hand."""
    axes = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5]], dtype=torch.float64)
    lam, steps, shift = 50.0, 5, 3.0
    grid, cosines = shifted_grid(steps, shift), []
    for t, s in pairwise(grid):
        v_t, v_s = ((1 - a) ** 2 * lam + a**2 for a in (t, s))
        cosines.append(((1 - s) * (1 - t) * lam + s * t) / (v_t * v_s) ** 0.5)
    euler, matched = class_kept(torch.tensor([lam, 9.0], dtype=torch.float64), axes, steps, shift)
    product = torch.tensor(cosines, dtype=torch.float64)
    assert euler == pytest.approx(float(product.prod())) and matched == pytest.approx(float(product[1:].prod()))


def test_what_is_expected_is_of_each_class_alone(data):
    rows = fashion.expected(data, "cpu")
    assert {row["prompt"] for row in rows} == set(NAMES)
    assert len(rows) == len(NAMES) * len(fashion.SHIFTS) * len(fashion.BUDGETS)
    assert all(0 < row["Euler"] < row["matched"] <= 1 for row in rows)


def test_each_cell_is_drawn_once_a_run():
    cells = [(run, way.name, n) for run, ways, budgets in fashion.BLOCKS for way in ways for n in budgets]
    assert len(cells) == len(set(cells))
    first = {(way, n) for run, way, n in cells if run == 0}
    assert {n for _, n in first} == set(fashion.BUDGETS)
    assert {(way, n) for run, way, n in cells if run == 1} <= first


def test_a_tiny_run_writes_models_and_results_cell_by_cell(data, tmp_path, monkeypatch):
    packed = tmp_path / "data.npz.xz"
    data.save(packed)
    arguments = (
        f"--data {packed} --out {tmp_path} --steps 2 --batch 8 --tiny --classifier-seconds 0.01 --samples 4 --each 2"
    )
    arguments += " --without 4 --batch-drawn 8 --rank 3 --device cpu --second"
    monkeypatch.setattr(fashion, "BLOCKS", ((0, fashion.BLOCKS[0][1][:2], (2,)), (1, fashion.BLOCKS[0][1][6:7], (2,))))
    monkeypatch.setattr(fashion, "BUDGETS", (2,))
    monkeypatch.setattr(fashion, "PREDICTED_AFTER", 3)
    monkeypatch.setattr(sys, "argv", ["fashion", *arguments.split()])
    fashion.main()
    first, second = (json.loads((tmp_path / part / "flow-fashion.json").read_text()) for part in (".", "second"))
    assert [cell["way"] for cell in first["cells"][:2]] == ["Euler, shift 1", "Euler, shift 3"]
    assert {cell["guidance"] for cell in first["cells"]} == {1.0, 3.0}
    assert set(first["cells"][0]["prompts"]) == set(NAMES) and first["kinds"] == dict.fromkeys(NAMES, "open")
    assert second["cells"][0]["way"] == "Euler matched, trained mean" and second["seed"] == first["seed"] + 1
    assert first["train"]["steps"] == 2 and "expected" in first
    assert (tmp_path / "flow-fashion.tar").exists() and (tmp_path / "flow-fashion-4.npz").exists()


def test_results_of_one_run_are_not_in_a_folder_of_their_own(tmp_path):
    arguments = Namespace(out=tmp_path, second=False, device="cpu", seed=3)
    (one,) = fashion.results_of(arguments)
    assert isinstance(one, Result) and one.path.parent == tmp_path and one.content["seed"] == 3

"""The whole benchmark of real size on a small set on the CPU, with gloo; `real_size.py` measures the real one on GPUs."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from tests.benchmarks.engine import real_size
from tests.benchmarks.engine.golden import Golden
from tests.benchmarks.engine.real_images import Images
from tests.benchmarks.engine.real_rivals import GoldenBytes, Softmax

IMAGES = Images(2000, side=8, channels=3, of_class=130)
SIZES = real_size.Sizes(IMAGES, (0.0, 0.01, 1.0, 50.0), 6, 3, 2, 8, 2, 1, "cpu")


def test_the_same_command_at_a_small_size(tmp_path):
    parts = [name for name in real_size.parts_of(real_size.RealSize(SIZES)) if "FAISS" not in name]
    actual = real_size.measure(SIZES, tmp_path / "result.json", parts)
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(json.dumps(actual))
    assert not [name for name in parts if "failed" in actual[name]], actual
    for name in ("whole", "one class", "two processes"):
        for row in actual[name]["rows"]:
            assert row["beyond their bound"] == 0 and row["bound"] <= row.get("tol", real_size.TOL)
    assert actual["sampling"]["bound"] <= real_size.TOL
    assert max(row["distance from one process"] for row in actual["two processes"]["rows"]) < 2e-6
    coarse, fine = (actual[f"softmax in {name} over all points"]["rows"] for name in ("bfloat16", "float32"))
    assert all(one["error"] > 10 * other["error"] > 0 for one, other in zip(coarse, fine, strict=True))
    # only some of the points are looked at, too few where many matter
    assert actual["GoldDiff's method"]["rows"][0]["error"] > 1e-3


def test_a_part_that_fails_leaves_one_line_and_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(real_size.RealSize, "whole", lambda _: (_ for _ in ()).throw(RuntimeError("no\nmemory")))
    parts = ["whole", "one class"]
    actual = real_size.measure(replace(SIZES, gammas=(1.0,)), tmp_path / "result.json", parts)
    assert actual["whole"] == {"failed": "RuntimeError: no"} and len(actual["one class"]["rows"]) == 2


def test_images_are_the_same_whichever_blocks_are_made_and_look_like_images():
    whole = IMAGES.bytes("cpu")
    assert torch.equal(torch.cat([IMAGES.bytes("cpu", range(2)), IMAGES.bytes("cpu", range(2, IMAGES.blocks))]), whole)
    assert whole.dtype == torch.uint8 and whole.shape == (2000, 192)
    assert not torch.equal(replace(IMAGES, seed=1).bytes("cpu"), whole)
    assert 40 < float(whole.double().std()) < 75
    # the power of every frequency falls as 1/f²
    many = Images(600, side=32, channels=1, of_class=150).bytes("cpu").double().unflatten(1, (32, 32)).numpy()
    power = (np.abs(np.fft.fft2(many - many.mean())) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None]) * 32
    some = (frequency >= 1) & (frequency <= 8)
    assert np.polyfit(np.log(frequency[some]), np.log(power[some]), 1)[0] == pytest.approx(-2, abs=0.15)


def test_rivals_over_bytes_are_those_over_numbers():
    stored = IMAGES.bytes("cpu")
    points, z = stored.double() / 127.5 - 1, torch.randn(3, 192, generator=torch.Generator().manual_seed(0)).double()
    exact = torch.softmax(0.3**0.5 * z @ points.mT - 0.15 * points.square().sum(dim=1), dim=1) @ points
    torch.testing.assert_close(Softmax(stored, torch.float32)(z, 0.3).double(), exact, rtol=1e-4, atol=1e-5)
    golden = Golden(points, 8, 3).mean(z, 0.3)
    torch.testing.assert_close(GoldenBytes(stored, 8, 3)(z, 0.3), golden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.1, 1.0, 50.0])
def test_faiss_as_a_screen_finds_the_nearest_points_of_noisy_queries(gamma):
    """Most of whose numbers are no bytes."""
    pytest.importorskip("faiss", reason="a rival that is not installed with the package")
    stored = IMAGES.bytes("cpu")
    points = stored.double() / 127.5 - 1
    z = gamma**0.5 * points[:3] + torch.randn(3, 192, generator=torch.Generator().manual_seed(0)).double()
    nearest = torch.cdist(z / gamma**0.5, points).topk(1024, largest=False).indices
    weights = [
        torch.softmax(-(one - gamma**0.5 * points[rows]).square().sum(dim=1) / 2, dim=0)
        for one, rows in zip(z, nearest, strict=True)
    ]
    expected = torch.stack([w @ points[rows] for w, rows in zip(weights, nearest, strict=True)])
    torch.testing.assert_close(real_size.Faiss(stored)(z, gamma).double(), expected, rtol=0, atol=1e-4)


def test_what_was_measured_is_within_its_bounds_and_is_what_the_guide_tells():
    measured = json.loads(real_size.RESULT.read_text(encoding="utf-8"))
    assert set(real_size.parts_of(real_size.RealSize(real_size.IMAGENET_64))) <= set(measured)
    assert measured["sizes"] == json.loads(json.dumps(asdict(real_size.IMAGENET_64)))
    for name in ("whole", "one class", "two processes"):
        for row in measured[name]["rows"]:
            assert row["beyond their bound"] == 0 and row["error"] <= row["bound"] <= row.get("tol", real_size.TOL)
    guide = (real_size.RESULT.parents[3] / "docs" / "guides" / "exact-posteriors.md").read_text(encoding="utf-8")
    assert f"take {measured['sampling']['seconds']:.0f} s on one H200" in guide


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_small_set_on_a_gpu(tmp_path):
    parts = ["whole", "sampling", "one class"]
    actual = real_size.measure(replace(SIZES, device="cuda"), tmp_path / "result.json", parts)
    assert not [name for name in parts if "failed" in actual[name]], actual
    assert all(row["beyond their bound"] == 0 for name in ("whole", "one class") for row in actual[name]["rows"])

"""Bands of spatial frequency in what is expected to arrive: one band alone, sums, latents, and the tables."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from singdiffusion.base.checkpoint import Checkpoint
from singdiffusion.cli import app
from singdiffusion.evaluation.data_statistics import read
from singdiffusion.evaluation.directions import Directions
from singdiffusion.evaluation.remedies import expected
from singdiffusion.response import respond
from singtheory import Atoms
from singtheory.data.sources import Data
from singtheory.schedule.schedules import STABLE_DIFFUSION
from tests.singdiffusion.support import tiny

DDIM = {"_class_name": "DDIMScheduler", "clip_sample": False} | STABLE_DIFFUSION
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}


def waves(side: int, *sizes: tuple[int, int, float]) -> Data:
    """Pictures (side, side) about grey that vary by waves (i, j) alone, each with a standard deviation along its unit vector."""
    at = (torch.arange(side, dtype=torch.float64) + 0.5) * math.pi / side
    rows = []
    for i, j, size in sizes:
        wave = torch.outer(torch.cos(i * at), torch.cos(j * at)).flatten()
        rows.append(size * len(sizes) ** 0.5 * wave / wave.norm())
    points = torch.stack(rows)
    return Data(Atoms(torch.cat([points, -points])), "waves", (side, side))


def arrived(data, config=DDIM, steps=10):
    return expected(Checkpoint("config", config, None), steps, {}, read(data))


@pytest.mark.parametrize(
    ("wave", "name"), [((0, 0), "constant"), ((0, 2), "0 to 1"), ((3, 0), "1 to 2"), ((9, 9), "over 4")]
)
def test_of_data_in_one_band_that_band_has_the_response_of_its_eigenvalue(wave, name):
    actual = arrived(waves(16, (*wave, 3.0)))
    response = respond(Checkpoint("config", DDIM, None).scheduler(), [9.0], 10)
    (band,) = actual.bands
    assert band.name == name and band.share == pytest.approx(1) and band.brightness == (wave == (0, 0))
    for part in ("kept", "start", "solver", "end"):
        assert getattr(band, part) == pytest.approx(float(getattr(response, part)))
    assert all(remedy.bands == pytest.approx((remedy.kept[-1],)) for remedy in actual.remedies)


def test_bands_are_root_mean_squares_over_their_components_and_add_up():
    sizes = (0, 0, 5.0), (0, 1, 3.0), (2, 0, 1.0), (4, 0, 0.5), (0, 12, 0.3)
    actual, lam = arrived(waves(16, *sizes), FLOW), [size**2 for *_, size in sizes]
    kept = respond(Checkpoint("config", FLOW, None).scheduler(), lam, 10).kept.tolist()
    assert [band.name for band in actual.bands] == ["constant", "0 to 1", "1 to 2", "over 4"]
    assert actual.bands[0].kept == pytest.approx(kept[0]) and actual.bands[3].kept == pytest.approx(kept[4])
    both = math.sqrt((9 * kept[1] ** 2 + kept[2] ** 2) / 10)
    assert actual.bands[1].kept == pytest.approx(both)
    assert [band.share for band in actual.bands] == pytest.approx([value / 35.34 for value in (25, 10, 0.25, 0.09)])
    for parts in ([a.share * a.kept**2 for a in actual.arrivals[1:]], [b.share * b.kept**2 for b in actual.bands]):
        assert sum(parts) == pytest.approx(sum(v * k**2 for v, k in zip(lam, kept, strict=True)) / sum(lam))
    for band in actual.bands:
        assert band.start * band.solver * band.end == pytest.approx(band.kept)


def test_an_eigenvector_across_bands_gives_each_its_part():
    """One component that is half constant and half texture."""
    at = (torch.arange(16, dtype=torch.float64) + 0.5) * math.pi / 16
    fine = torch.outer(torch.ones(16).double(), torch.cos(12 * at)).flatten()
    both = 4.0 * (torch.full((256,), 1 / 16, dtype=torch.float64) + fine / fine.norm())
    actual = arrived(Data(Atoms(torch.stack([both, -both])), "both", (16, 16)))
    assert [(band.name, round(band.share, 9)) for band in actual.bands] == [("constant", 0.5), ("over 4", 0.5)]
    assert actual.bands[0].kept == pytest.approx(actual.bands[1].kept)


def test_points_have_no_bands():
    assert arrived(Data(waves(16, (0, 1, 2.0)).law, "points", None)).bands == ()


def test_many_components_are_read_off_between_nodes():
    generator = torch.Generator().manual_seed(0)
    law = Atoms(torch.randn(150, 144, dtype=torch.float64, generator=generator))
    reading = read(Data(law, "noise", (12, 12)))
    directions = Directions.of(reading)
    assert len(directions.nodes) < len(directions.eigenvalues)
    kept = respond(Checkpoint("config", FLOW, None).scheduler(), directions.eigenvalues, 10).kept
    exact = [float((b.spread @ kept.square() / b.spread.sum()).sqrt()) for b in directions.bands]
    assert [band.kept for band in arrived(Data(law, "noise", (12, 12)), FLOW).bands] == pytest.approx(exact, abs=1e-3)


def test_through_a_vae_the_bands_are_those_of_the_latents():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(12, 16, 16, 3, dtype=torch.float64, generator=generator) * 2 - 1
    reading = read(Data(Atoms(images.flatten(1)), "images", (16, 16, 3)), tiny.stable_diffusion().vae)
    assert reading.picture is not None
    channels, side, _ = reading.picture
    bands = reading.bands(len(reading.moments.eigenvalues))
    assert sum(float(band.spread.sum()) for band in bands) == pytest.approx(float(reading.moments.eigenvalues.sum()))
    basis = reading.moments.components.basis.double().unflatten(1, (channels, side * side))
    constant = (basis.sum(dim=2).square() / side**2).sum(dim=1) @ reading.moments.eigenvalues
    assert float(bands[0].spread.sum()) == pytest.approx(float(constant))


def test_both_commands_show_bands_and_write_them(tmp_path):
    (tmp_path / "scheduler_config.json").write_text(json.dumps(DDIM))
    (tmp_path / "pictures").mkdir()
    generator = np.random.default_rng(0)
    for index in range(8):
        level = generator.integers(30, 225)
        pixels = np.clip(level + generator.normal(0, 12, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{index}.png")
    options = ["--data", str(tmp_path / "pictures"), "--steps", "5", "--json", str(tmp_path / "out.json")]
    written = {}
    for command in ("response", "diagnose"):
        picture = ["--picture", str(tmp_path / "p.png")] if command == "response" else []
        result = CliRunner().invoke(app, [command, str(tmp_path / "scheduler_config.json"), *options, *picture])
        assert result.exit_code == 0, result.output
        output = " ".join(result.output.split())
        assert "cycles across the picture" in output and "whose average is the brightness" in output
        assert "with brightness" not in output
        written[command] = json.loads((tmp_path / "out.json").read_text())
    bands, expected_bands = written["response"]["bands"], written["diagnose"]["expected"]["bands"]
    assert bands == expected_bands and [band["brightness"] for band in bands] == [True, False, False, False]
    assert bands[-1]["high"] is None and sum(band["share"] for band in bands) == pytest.approx(1)
    names = {band["name"] for band in bands}
    assert all(set(remedy["bands"]) == names for remedy in written["diagnose"]["expected"]["remedies"])
    # what arrives of the brightness is the same number in both
    first = written["diagnose"]["expected"]["arrivals"][0]
    assert written["response"]["reading_row"]["kept"] == pytest.approx(first["kept"])
    assert f"Of the spread of brightness {first['kept']:.0%} arrives" in written["diagnose"]["findings"][0]["sentence"]


def test_between_nodes_the_logarithm_is_interpolated_from_the_first_to_the_last():
    """What is linear in log λ is read off exactly at every eigenvalue, those between the first two nodes and the last two among them."""
    lam = torch.logspace(-6, 2, 4001, dtype=torch.float64).flip(0)
    nodes = torch.logspace(-6, 2, 33, dtype=torch.float64)
    directions = Directions(lam, nodes, {}, ())
    for slope in (1.0, -0.3):
        torch.testing.assert_close(
            directions._everywhere(2 + slope * nodes.log()), 2 + slope * lam.log(), rtol=0, atol=1e-9
        )
    first, last = directions._everywhere(torch.arange(33, dtype=torch.float64))[[-1, 0]].tolist()
    assert (first, last) == pytest.approx((0.0, 32.0), abs=1e-9)

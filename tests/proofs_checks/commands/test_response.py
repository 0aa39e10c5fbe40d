"""`singtheory response`: rows, the curve, angles and bands of its JSON, its picture, and bad input in one line."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from proofs_checks.commands import response
from proofs_checks.commands.response import Request
from singtheory import InputError, RectifiedFlow, formula
from singtheory.response import respond, spread_kept
from tests.proofs_checks.test_cli import assert_one_line_error, run


def written(tmp_path, *options):
    """The JSON of a run that must succeed."""
    out = tmp_path / "r.json"
    result = run("response", *options, "--json", str(out))
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text()), result.output


@pytest.fixture
def pictures(tmp_path):
    """Grey pictures of 8×8 that vary by brightness and by one fine wave, each about its own mean."""
    fine = np.cos(np.pi * 5 * (np.arange(8) + 0.5) / 8)[None, :] * np.ones((8, 1))
    rows = [level + sign * 0.25 * fine for level in (-0.5, 0.5) for sign in (-1, 1)]
    path = tmp_path / "pictures.npy"
    np.save(path, np.stack(rows))
    return path


def test_rows_are_the_law_along_the_eigenvalues_asked_for(tmp_path):
    actual, output = written(tmp_path, "--steps", "10", "--shift", "3", "--eigenvalues", "900,1,0.01")
    times = formula.shifted_time(torch.linspace(1, 0, 11, dtype=torch.float64), 3.0)
    law = respond(RectifiedFlow(), times, [900.0, 1.0, 0.01])
    assert [row["eigenvalue"] for row in actual["rows"]] == [900.0, 1.0, 0.01]
    assert [row["kept"] for row in actual["rows"]] == pytest.approx(law.kept.tolist())
    assert [row["first"] for row in actual["rows"]] == pytest.approx(law.first.tolist())
    assert {"version", "seed", "command", "device"} <= set(actual)
    assert actual["bands"] == [] and actual["brightness"] is None and "0.6172" in output


def test_the_cosines_of_the_angles_multiply_to_what_is_kept(tmp_path):
    actual, _ = written(tmp_path, "--steps", "5", "--eigenvalues", "50")
    theta = actual["angles"]["theta"]
    assert theta[0] == 0 and theta[-1] == pytest.approx(math.pi / 2) and len(theta) == 6
    product = math.prod(math.cos(b - a) for a, b in pairwise(theta))
    assert actual["rows"][0]["kept"] == pytest.approx(product)


def test_bands_of_pictures_have_the_response_of_what_is_in_them(pictures, tmp_path):
    picture = tmp_path / "p.png"
    actual, output = written(tmp_path, "--data", str(pictures), "--steps", "4", "--picture", str(picture))
    low, fine = actual["bands"]
    assert (low["name"], low["brightness"], fine["name"], fine["high"]) == ("constant", True, "over 2", None)
    lam = [64 * 0.25, 0.25**2 * 32]  # ‖1‖² Var, and that of the wave, whose norm² is 32
    kept = spread_kept(RectifiedFlow(), torch.linspace(1, 0, 5, dtype=torch.float64), lam)
    assert [low["kept"], fine["kept"]] == pytest.approx(kept.tolist())
    assert [low["share"], fine["share"]] == pytest.approx([lam[0] / sum(lam), lam[1] / sum(lam)])
    assert actual["brightness"] == pytest.approx(lam[0]) == low["eigenvalue"]
    assert "constant: the means of the channels" in output
    with Image.open(picture) as drawn:
        assert drawn.width > 900


BAD = {
    "--eigenvalues 900,0": "positive and finite",
    "--eigenvalues 900,-1": "positive and finite",
    "--eigenvalues nan": "positive and finite",
    "--eigenvalues 1e400": "positive and finite",
    "--eigenvalues a,b": "numbers separated by commas",
    "--eigenvalues ,": "numbers separated by commas",
    "--shift 0": "must be positive",
    "--shift -2": "must be positive",
    "--shift nan": "must be positive",
    "--shift 3 --schedule cosine": "is of flow models",
    "--steps 0": "steps",
    "--eta 2": "eta",
    "--corrected --eta 1": "take eta 0",
    "--start men": "did you mean",
    "--spacing trail": "did you mean",
    "--schedule rectifiedflow": "did you mean",
    "--data digits --eigenvalues 1": "give one of them",
    "--data NONE.npy": "NONE.npy",
}


@pytest.mark.parametrize("options", BAD)
def test_bad_input_is_one_line(options, tmp_path):
    result = run("response", *options.replace("NONE", str(tmp_path / "NONE")).split())
    assert_one_line_error(result)
    assert BAD[options] in " ".join(result.stderr.split())


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_data_without_spread_are_one_line(shape, tmp_path):
    np.save(tmp_path / "one.npy", np.ones(shape))
    result = run("response", "--data", str(tmp_path / "one.npy"))
    assert_one_line_error(result)
    assert "points are equal" in result.stderr


PLAIN = Request("rectified-flow", 4, "trailing", 1.0, 0.0, "mean", False, None, None)


def asked(**changed):
    return response.run(Request(**{**PLAIN.__dict__, **changed}))


def test_angles_have_the_digits_of_float64():
    """`θ = arctan(√λ (1 − t)/t)` at t = 1, ¾, ½, ¼, 0, of the largest eigenvalue; it was rounded to float32."""
    lam = 0.123456789012345
    expected = [math.atan2((1 - t) * math.sqrt(lam), t) for t in (1, 0.75, 0.5, 0.25, 0)]
    shown = asked(eigenvalues=f"{lam!r},0.01")["angles"]
    assert shown["eigenvalue"] == lam and shown["theta"] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"eigenvalues": "1e-320"}, "or lie from 1e-60"),
        ({"schedule": "cosine", "spacing": "leading", "steps": 1}, "take two steps, or trailing"),
        ({"schedule": "power:1e6"}, "alpha is below"),
        ({"shift": 1e300}, "must decrease"),
    ],
)
def test_what_float64_does_not_hold_is_refused(changed, words):
    with pytest.raises(InputError, match=words):
        asked(**changed)


def test_the_widest_spectra_give_shares():
    rows = asked(eigenvalues="1e-60,1,1e60")
    assert all(0 <= row[name] <= 1 for row in rows["rows"] + rows["curve"] for name in ("kept", "first"))


def test_every_eigenvalue_that_was_asked_for_is_listed():
    """Data may have thousands, of which the largest are listed; these were chosen one by one."""
    rows = asked(eigenvalues=",".join(str(1 + k) for k in range(1500)))["rows"]
    assert [row["eigenvalue"] for row in rows] == [1.0 + k for k in range(1500)]

"""Data that enter a command: memory stays near the data's, what cannot fit is refused in one line, many points are thinned."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from proofs_checks.commands.entry import enter, thinned
from singtheory import Atoms, InputError
from singtheory.data.sources import Data


def normal(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


MEASURE = """
import resource, sys
from typer.testing import CliRunner
from proofs_checks.cli import app
from proofs_checks.harness.harness import load_claims
load_claims()  # whatever is imported counts before
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = CliRunner().invoke(app, sys.argv[1:])
assert found.exit_code in (0, 3), (found.exit_code, found.output)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
COMMANDS = {
    "bounds": ["--steps", "2", "--queries", "1"],
    "verify": ["--claims", "A5,C1,C6,C7,D3,D4"],
    "budget": ["--steps", "4", "--queries", "64", "--schedule", "linear-vp", "--snr-end", "1"],
}


@pytest.mark.parametrize("command", ["bounds", "verify", pytest.param("budget", marks=pytest.mark.slow)])
def test_memory_of_the_commands_is_near_that_of_the_data(tmp_path, command):
    """40 points in 20,000 dimensions are 6 MB; a covariance in all of them would be 3 GB."""
    np.save(tmp_path / "wide.npy", normal(40, 20_000).numpy())
    arguments = [
        command,
        "--data",
        str(tmp_path / "wide.npy"),
        "--json",
        str(tmp_path / "found.json"),
        *COMMANDS[command],
    ]
    run = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) < 4 * 40 * 20_000 * 8 + 2**28
    about = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["data"]
    assert (about["points"], about["dim"], about["span"]) == (40, 20_000, 39)


def test_covariances_that_do_not_fit_are_refused_in_one_line():
    """Data that fill their space: 8 matrices of 400² numbers are 10 MB, of which a tenth is there."""
    data = Data(Atoms(normal(450, 400)), "points.npy", None)
    with pytest.raises(
        InputError, match=r"^points.npy: covariances of 450 points in 400 dimensions need .* points fit.*$"
    ):
        enter(data, available=1e6)
    assert enter(data, available=1e9) is data


def test_many_points_in_many_dimensions_are_thinned_for_verify_only():
    data = Data(Atoms(torch.arange(3000.0, dtype=torch.float64)[:, None].expand(3000, 1100)), "big", None)
    actual = thinned(data)
    assert actual.law.points.shape == (2000, 1100)
    assert actual.name == "big, 2000 of 3000 points"
    assert enter(actual).law.dim == 1
    small = Data(Atoms(normal(3000, 3)), "small", None)
    assert thinned(small) is small

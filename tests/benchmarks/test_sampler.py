"""The sampler of `singdiffusion sample`: its committed errors, and that it is what the command draws with."""

import json

import pytest
from typer.testing import CliRunner

from singdiffusion import demonstrator
from singdiffusion.cli import app
from tests.benchmarks.sampler import RESULT, SAMPLERS

OURS = [demonstrator.SAMPLER, demonstrator.SAMPLER_SETTINGS, demonstrator.SAMPLER_STEPS]
ROWS = json.loads(RESULT.read_text())["rows"]


def sampler_of(row):
    return [row["scheduler"], row["settings"], row["steps"]]


def test_the_errors_are_those_of_the_samplers_measured():
    assert [sampler_of(row) for row in ROWS] == [list(one) for one in SAMPLERS for _ in range(2)]


@pytest.mark.parametrize("start", ["noise", "matched"])
def test_none_of_more_steps_is_nearer_to_the_exact_solution(start):
    errors = {json.dumps(sampler_of(row)): row["rms"] for row in ROWS if row["start"] == start}
    ours = errors.pop(json.dumps(OURS))
    assert ours < 1.5  # levels of 255
    assert all(ours < other for other in errors.values())


@pytest.mark.parametrize(
    ("options", "scheduler", "steps"),
    [
        ([], *OURS[::2]),
        (["--steps", "2"], "DDIMScheduler", 2),
        (["--own", "flow"], "UniPCMultistepScheduler", 4),
    ],
)
def test_sample_draws_with_it_where_no_other_is_named(tmp_path, options, scheduler, steps):
    result = CliRunner().invoke(
        app, ["sample", "red apple", "--device", "cpu", "--out", str(tmp_path / "out"), *options]
    )
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (written["scheduler"], written["steps"]) == (scheduler, steps)
    assert written.get("use_lu_lambdas", False) is (not options)

"""The benchmark of `verify` on many sets: it begins in an empty folder and goes on in one that holds rows."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import any_data


@pytest.fixture
def summary_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the benchmark's command with one claim in one folder; its summary."""

    def run(sets: int) -> dict:
        command = ["any_data", "--sets", str(sets), "--claims", "E1", "--out", str(tmp_path / "sets")]
        monkeypatch.setattr(sys, "argv", command)
        any_data.main()
        return json.loads((tmp_path / "sets" / "summary.json").read_text())

    return run


def test_the_benchmark_begins_in_an_empty_folder_and_goes_on_there(summary_of) -> None:
    first = summary_of(1)
    assert first["count"] == 1 and first["earlier"] == []
    assert first["sets"][0]["exit"] == 0 and first["with_refuted"] == []
    second = summary_of(2)
    assert second["count"] == 2 and len(second["earlier"]) == 1
    assert second["earlier"][0].startswith("1 sets: 1 processes side by side")


def test_a_process_that_ends_without_a_result_is_counted_as_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")  # it ends with status 1, as a refuted claim does
    row = any_data.verified(tmp_path, 0, ("two", np.array([[0.0], [1.0]]), None), [], 10.0)
    assert row["exit"] == -2
    assert any_data.summary([row])["crashed"] == ["two"]

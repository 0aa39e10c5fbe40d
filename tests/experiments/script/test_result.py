"""Commands of committed results are shown by today's names of their modules."""

import importlib.util
import json
import shlex
from pathlib import Path

import pytest

from docs.experiments.script.result import present, runs_of

RESULTS = Path(__file__).parents[3] / "docs" / "experiments" / "results"
COMMITTED = [
    path
    for path in sorted(RESULTS.rglob("*.json"))
    if "command" in json.loads(path.read_text(encoding="utf-8")) and "fashion" not in path.parent.name
]


def test_a_command_keeps_its_arguments():
    assert present("python -m docs.experiments.flow_measure --out 'a b' --seed 1") == (
        "python -m docs.experiments.flow.measure --out 'a b' --seed 1"
    )
    today = "python -m docs.experiments.flow.train --out DIR"
    assert present(today) == today


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_every_committed_result_names_a_module_that_is_there(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    for run in runs_of(content):
        module = shlex.split(present(run["command"]))[2]
        assert importlib.util.find_spec(module) is not None, module

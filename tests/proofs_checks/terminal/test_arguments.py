"""Options that several commands of singtheory share."""

import re
from pathlib import Path

import pytest

from proofs_checks.terminal import interruption
from proofs_checks.terminal.arguments import SCHEDULE_HELP, errors_in_one_line
from singtheory.schedule import SCHEDULES


def test_the_help_names_every_schedule():
    assert f"{', '.join(SCHEDULES)}, power:P or a scheduler_config.json." == SCHEDULE_HELP


def test_pages_name_every_schedule():
    """A page that says what `--schedule` takes says all of it."""
    listed = {}
    for page in sorted((Path(__file__).parents[3] / "docs").rglob("*.md")):
        for sentence in re.findall(r"`--schedule` takes [^.]*", page.read_text(encoding="utf-8")):
            listed[page.name] = set(re.findall(r"`([a-z][a-z:P-]*)`", sentence))
    assert {"commands.md", "check-my-data.md"} <= listed.keys()
    assert all({*SCHEDULES, "power:P"} <= names for names in listed.values()), listed


def test_a_library_that_cannot_load_after_an_interruption_is_not_called_missing(monkeypatch, capsys):
    """Where numpy was interrupted while it loaded, a second import of it fails."""
    monkeypatch.setattr(interruption, "count", 1)
    with pytest.raises(ImportError), errors_in_one_line():
        raise ImportError("cannot load module more than once per process")
    assert capsys.readouterr().err == ""

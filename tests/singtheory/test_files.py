"""Files are written whole or not at all."""

import json
import math
import os

import pytest

from singtheory import InputError, files


def test_json_has_no_infinities(tmp_path):
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"kl": math.inf, "rows": [{"x": math.nan, "y": 1.5}], "name": "∞"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"kl": None, "rows": [{"x": None, "y": 1.5}], "name": "∞"}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(InputError, match="No space left"):
        files.write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_the_file_is_one_line(tmp_path):
    (tmp_path / "a").write_text("a file where a folder is wanted")
    with pytest.raises(InputError) as error:
        files.write_bytes(tmp_path / "a" / "b.json", b"")
    assert "\n" not in str(error.value)

"""Files are written whole or not at all."""

import json
import math
import os

import pytest

from singtheory import InputError
from singtheory.system import files


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


def test_what_is_no_text_in_a_name_is_escaped(tmp_path):
    files.write_json(tmp_path / "a.json", {"name": "\udcff"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "\udcff"}


def test_permissions_and_links_stay_as_they_are(tmp_path):
    secret, link, new = tmp_path / "secret", tmp_path / "link", tmp_path / "new"
    secret.write_text("old")
    secret.chmod(0o600)
    link.symlink_to(secret)
    files.write_bytes(link, b"new")
    assert link.is_symlink() and secret.read_bytes() == b"new" and secret.stat().st_mode & 0o777 == 0o600
    before = os.umask(0o027)
    try:
        files.write_bytes(new, b"")
    finally:
        os.umask(before)
    assert new.stat().st_mode & 0o777 == 0o640


def test_names_as_long_as_the_system_takes(tmp_path):
    files.write_bytes(tmp_path / ("x" * 255), b"a")
    with pytest.raises(InputError, match="cannot be written"):
        files.check_file(tmp_path / ("x" * 256))


@pytest.mark.parametrize("check", [files.check_file, files.check_new_folder])
def test_a_check_makes_nothing(check, tmp_path):
    check(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [files.check_file, files.check_folder, files.check_new_folder])
@pytest.mark.parametrize("name", ["file/x", "nul\0", "y" * 300, "loop/x"])
def test_what_cannot_be_written_is_known_before(check, name, tmp_path):
    (tmp_path / "file").write_text("a file where a folder is wanted")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="cannot be written") as error:
        check(tmp_path / name)
    assert len(str(error.value).splitlines()) == 1


def test_one_file_is_not_written_twice_nor_over_what_is_read(tmp_path):
    one = tmp_path / "one"
    (tmp_path / "same").symlink_to(one)
    files.check_distinct([("--json", one), ("--picture", None)], [("--data", "digits")])
    with pytest.raises(InputError, match=r"--picture .*same: is the file of --json too"):
        files.check_distinct([("--json", one), ("--picture", tmp_path / "same")], [])
    with pytest.raises(InputError, match=r"--json .*one: is the file of --data too"):
        files.check_distinct([("--json", one)], [("--data", str(tmp_path / "same"))])


def test_a_folder_appears_with_all_its_files_or_not_at_all(tmp_path, monkeypatch):
    files.write_folder(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {"a": b"1", "b": b"2"}
    (tmp_path / "new" / "other").write_text("stays")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    for name in ("new", "never"):
        with pytest.raises(KeyboardInterrupt):
            files.write_folder(tmp_path / name, {"a": b"3"})
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        "a": b"1",
        "b": b"2",
        "other": b"stays",
    }


def test_two_runs_that_make_one_folder_both_write_into_it(tmp_path, monkeypatch):
    """It appears between the look at it and the renaming."""
    replace = os.replace

    def beaten(draft, target):
        if os.path.isdir(draft):
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "b").write_text("theirs")
        replace(draft, target)

    monkeypatch.setattr(os, "replace", beaten)
    files.write_folder(tmp_path / "new", {"a": b"mine"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {"a": b"mine", "b": b"theirs"}
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


@pytest.mark.parametrize("stream", [1, 2])
def test_the_file_that_is_printed_to_is_not_replaced(tmp_path, stream):
    """`bounds > bounds.json` lost its table, for that is the name of its results too."""
    usual = os.dup(stream)
    with open(tmp_path / "log", "w") as log:
        os.dup2(log.fileno(), stream)
        try:
            (tmp_path / "link").symlink_to(tmp_path / "log")
            for name in ("log", "link"):
                with pytest.raises(InputError, match="where this run prints to"):
                    files.check_file(tmp_path / name)
            files.check_file(tmp_path / "other")
        finally:
            os.dup2(usual, stream)
            os.close(usual)
    files.check_file(tmp_path / "log")

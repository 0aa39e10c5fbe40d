"""Folders appear whole or not at all."""

import os
import tempfile
from pathlib import Path

import pytest

from singdiffusion.system.model_folder import find_folder, new_folder
from singtheory import InputError


@pytest.mark.parametrize("existing", [False, True])
def test_a_new_folder_appears_at_the_end(tmp_path, existing):
    target = tmp_path / "deep" / "target"
    if existing:
        target.mkdir(parents=True)
    with new_folder(target) as draft:
        (draft / "a").write_text("1")
        assert not (target / "a").exists() and draft.name == "target"
    assert (target / "a").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "target") as draft:
        (draft / "a").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="No space left") as error, new_folder(tmp_path / "target"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == [] and "\n" not in str(error.value)


def test_a_stop_before_the_last_step_leaves_the_target_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    seen = []

    def stop(draft, _):
        seen.extend(draft.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "target") as draft:
        (draft / "a").write_text("1")
    assert [file.name for file in seen] == ["a"]
    assert list(tmp_path.iterdir()) == [tmp_path / "target"] and list((tmp_path / "target").iterdir()) == []


def test_what_is_there_is_kept(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("old")
    (tmp_path / "file").write_text("old")
    for name in ("full", "file"):
        with pytest.raises(InputError, match="not empty"), new_folder(tmp_path / name):
            raise AssertionError
    assert (tmp_path / "full" / "a").read_text() == (tmp_path / "file").read_text() == "old"


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), new_folder(tmp_path / "file" / "target"):
        raise AssertionError
    with pytest.raises(InputError, match="give the folder that holds it"):
        find_folder(tmp_path / "file", [])


def test_an_empty_folder_keeps_its_permissions_and_a_link_its_place(tmp_path):
    """It was replaced by a new one, which anybody might read."""
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    for name, file in (("own", "a"), ("link", "b")):
        for old in (tmp_path / "own").iterdir():
            old.unlink()
        with new_folder(tmp_path / name) as draft:
            (draft / file).write_text("1")
        assert [path.name for path in (tmp_path / "own").iterdir()] == [file]
        assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700 and (tmp_path / "link").is_symlink()


def test_a_protected_folder_is_refused_before_the_work(tmp_path, monkeypatch):
    """A rename does not ask the empty folder that it replaces: a protected one was written all the same."""
    (tmp_path / "out").mkdir(mode=0o555)
    real = tempfile.TemporaryFile

    def of_a_user(*arguments, dir=None, **named):
        if not Path(dir).stat().st_mode & 0o200:  # the user root may write everywhere
            raise PermissionError(13, "Permission denied")
        return real(*arguments, dir=dir, **named)

    monkeypatch.setattr(tempfile, "TemporaryFile", of_a_user)
    with pytest.raises(InputError, match=r"out: cannot be written \(Permission denied\)"), new_folder(tmp_path / "out"):
        raise AssertionError
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o555 and list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("inside", ["", "a/b"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_link_keeps_pointing_to_where_the_folder_appears(tmp_path, existing, inside):
    """What was drawn for hours was lost: a folder cannot be renamed to a link."""
    (tmp_path / "link").symlink_to(tmp_path / "real" / inside)
    if existing:
        (tmp_path / "real" / inside).mkdir(parents=True)
    with new_folder(tmp_path / "link") as draft:
        (draft / "a").write_text("1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / inside / "a").read_text() == "1"


def test_what_is_no_folder_is_refused_before_the_work(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("loop", "not empty"), ("pipe", "not empty"), ("nul\0", "cannot be written")):
        with pytest.raises(InputError, match=why), new_folder(tmp_path / name):
            raise AssertionError


@pytest.mark.parametrize("taken", ["folder", "file"])
def test_what_is_made_is_kept_where_another_process_was_faster(tmp_path, taken):
    target = tmp_path / "target"
    with pytest.raises(InputError, match=r"taken meanwhile.*target\.1") as error, new_folder(target) as draft:
        (draft / "a").write_text("mine")
        if taken == "folder":
            target.mkdir()
            (target / "a").write_text("theirs")
        else:
            target.write_text("theirs")
    assert (tmp_path / "target.1" / "a").read_text() == "mine" and "\n" not in str(error.value)
    assert (target / "a" if taken == "folder" else target).read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target", "target.1"]

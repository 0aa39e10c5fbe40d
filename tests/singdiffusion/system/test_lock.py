"""One writer a folder, on Windows too: its calls are stood for by those of this system."""

import errno
import fcntl
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from singdiffusion.system import lock
from singtheory import InputError

AS_WINDOWS = """
import errno, fcntl, os, pathlib, sys, types
from singdiffusion.system import lock

def locking(handle, mode, count):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None

lock.fcntl, lock.msvcrt = None, types.SimpleNamespace(locking=locking, LK_NBLCK=2)
"""
HOLDING = AS_WINDOWS + "\nwith lock.locked(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"


@pytest.fixture
def windows(monkeypatch, tmp_path):
    """msvcrt as far as it is used; `locking` refuses as it does."""

    def locking(handle, mode, count):
        assert (mode, count) == (2, 1)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(lock.tempfile, "gettempdir", lambda: str(tmp_path))


def test_a_second_writer_is_refused_and_the_folder_stays_empty(windows, tmp_path):
    folder = tmp_path / "run"
    with lock.locked(folder):
        with pytest.raises(InputError, match="run: another run is writing it; wait for its end"), lock.locked(folder):
            pass
        with lock.locked(tmp_path / "other"):
            pass
        assert not list(folder.iterdir())
    with lock.locked(folder):
        pass


def test_a_folder_is_one_by_whatever_name(windows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with lock.locked(tmp_path / "run"):
        for name in ("run", "./other/../run", "link"):
            with pytest.raises(InputError, match="another run"), lock.locked(type(tmp_path)(name)):
                pass


def test_what_cannot_be_locked_is_said(windows, tmp_path, monkeypatch, caplog):
    def unable(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(lock, "msvcrt", SimpleNamespace(locking=unable, LK_NBLCK=2))
    with lock.locked(tmp_path / "run"):
        assert "cannot be locked (Invalid argument); start no second run" in caplog.text
    monkeypatch.setattr(lock, "msvcrt", None)
    with lock.locked(tmp_path / "run"):
        assert "this system has no locks" in caplog.text


def test_a_killed_process_holds_nothing(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "run")]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None and first.stdout.readline() == b"\n"
        second = subprocess.run(command, env=environment, capture_output=True, text=True, input="", check=False)
        assert second.returncode == 1 and "another run is writing it" in second.stderr
        first.kill()
    third = subprocess.run(command, env=environment, capture_output=True, text=True, input="", check=False)
    assert third.returncode == 0, third.stderr

"""What the commands' streams share: closed pipes, muted streams, odd sizes of a terminal, and that it loads nothing heavy."""

import errno
import os
import subprocess
import sys

import pytest

from singtheory.system import ignore_odd_sizes, is_closed, mute


def test_only_a_closed_pipe_is_closed():
    assert is_closed(BrokenPipeError(errno.EPIPE, "Broken pipe")) and is_closed(OSError(errno.EINVAL, "on Windows"))
    assert not is_closed(OSError(errno.ENOSPC, "full")) and not is_closed(OSError(errno.EIO, "gone"))


def test_a_muted_stream_takes_everything_and_keeps_nothing(tmp_path):
    with open(tmp_path / "out", "w") as stream:
        mute(stream)
        stream.write("lost")
    assert (tmp_path / "out").read_text() == ""
    mute(None)
    mute(stream)  # closed


@pytest.mark.parametrize(
    ("size", "stays"),
    [("80", True), ("1", True), ("999999", True), ("0", False), ("080", False), ("1000000", False), ("-5", False)]
    + [(odd, False) for odd in ("", "²", "8 0", "80\n", "9" * 5000)],
)
def test_a_size_stays_where_it_is_one(monkeypatch, size, stays):
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, size)
    ignore_odd_sizes()
    assert {name: name in os.environ for name in ("COLUMNS", "LINES")} == {"COLUMNS": stays, "LINES": stays}


def test_they_load_nothing_heavy():
    program = "import sys; from singtheory.system import mute; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"

"""The benchmark of waits on commands that end at once."""

from pathlib import Path

import pytest

from tests.benchmarks.waits import OUT, ROOT, Tree, Wait, chosen, measured, waits

HERE = Tree(ROOT)


def test_a_wait_is_measured_in_both_trees(tmp_path):
    first, second = Tree(tmp_path), Tree(tmp_path / "other")
    writes = f"import os, sys; open({str(tmp_path / 'log')!r}, 'a').write(os.environ['PYTHONPATH'] + chr(10)); open(sys.argv[1], 'x')"
    row = measured("a", Wait(("-c", writes, OUT), 2), first, second)
    ran = (tmp_path / "log").read_text().split()
    assert sorted(ran) == sorted(2 * [str(first.folder), str(second.folder)])
    for kind in ("processor seconds", "seconds"):
        assert row[kind]["before"] > 0 and row[kind]["now"] > 0 and row[kind]["now / before"] > 0


def test_the_first_line_ends_the_wait(tmp_path):
    left = tmp_path / "left"
    code = f"import pathlib, time; print(1, flush=True); time.sleep(600); pathlib.Path({str(left)!r}).touch()"
    HERE.seconds(Wait(("-c", code), 1, first_line=True), tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("first_line", [False, True])
def test_a_command_that_fails_is_no_wait(tmp_path, first_line):
    with pytest.raises(RuntimeError, match="in "):
        HERE.seconds(Wait(("-c", "raise SystemExit(3)"), 1, first_line), tmp_path)


def test_every_module_of_the_commands_is_there():
    for wait in waits(["A1"], 1).values():
        if wait.words[0] == "-m":
            path = Path(ROOT, *wait.words[1].split("."))
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_a_tree_lists_its_own_claims(tmp_path):
    (tmp_path / "proofs_checks.py").write_text("print('│ A1  │ one │\\n│ B12 │ two │\\n C3\\n about A2')")
    assert Tree(tmp_path).claims == ["A1", "B12", "C3"]


def test_a_wait_is_chosen_by_its_name_or_a_part_of_it():
    every = waits(["A1"], 1)
    assert list(chosen(every, "`singtheory verify`")) == ["`singtheory verify`"]
    assert chosen(every, "") == every
    assert all("report" in name for name in chosen(every, "report")) and len(chosen(every, "report")) == 2

"""Nothing of the user's is deleted, replaced or mixed with what this program writes."""

import logging
import os
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from singdiffusion.average.registry import load_average
from singdiffusion.cli import app
from singdiffusion.source.records import Source
from singdiffusion.system.lock import locked
from singdiffusion.system.model_folder import replaced_folder
from singdiffusion.training import cache, snapshot
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singdiffusion.training.training_run import check_out, run
from singtheory import InputError
from singtheory.system import files as written
from tests.singdiffusion.source.test_records import captioned
from tests.singdiffusion.support.runs import settings, trainer


def content(folder):
    """Of every file in a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"somebody's {name}")
    return folder


THEIRS = [
    (".bashrc", ".env", ".gitignore"),
    (".git/HEAD",),
    (".part-notes.swp",),
    (".index.json.swp",),
    (".images-00000.safetensors.old",),
    (".making.json.abcdefghi",),
    ("part-of-something.txt",),
    (".part-000-0000000.safetensors.abcd1234/inside",),
]


@pytest.mark.parametrize("names", THEIRS)
def test_a_folder_with_anything_but_own_drafts_is_refused_and_stays(tmp_path, names):
    source, target = Source(str(captioned(tmp_path / "a", 2))), write(tmp_path / "c", *names)
    before = content(target)
    with pytest.raises(InputError, match="is no unfinished cache"):
        make_cache(source, target, Encoder(4))
    assert content(target) == before


def test_links_that_are_called_like_drafts_are_refused(tmp_path):
    source, target = Source(str(captioned(tmp_path / "a", 2))), write(tmp_path / "c", "theirs").parent / "d"
    target.mkdir()
    (target / ".making.json.abcd1234").symlink_to(tmp_path / "c" / "theirs")
    with pytest.raises(InputError, match="is no unfinished cache"):
        make_cache(source, target, Encoder(4))
    assert (target / ".making.json.abcd1234").is_symlink()


def test_the_command_refuses_a_home_folder(tmp_path):
    captioned(tmp_path / "a", 2)
    write(tmp_path / "home", ".bashrc", ".env")
    result = CliRunner().invoke(app, ["cache", str(tmp_path / "a"), str(tmp_path / "home"), "--resolution", "4"])
    assert result.exit_code == 2 and "holds .bashrc" in result.stderr
    assert sorted(content(tmp_path / "home")) == [".bashrc", ".env"]


def test_drafts_that_killed_writes_leave_are_removed(tmp_path, monkeypatch):
    """Left by the functions that write, so that their names are what they are."""
    folder = tmp_path / "c"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(os, "replace", killed)
        dying.setattr(os, "unlink", lambda *_: None)  # nothing is tidied up by who is killed
        for name in ("making.json", "part-000-0000000.safetensors", "texts-00000.safetensors", "index.json"):
            with pytest.raises(KeyboardInterrupt):
                written.write_bytes(folder / name, b"half")
    assert len(list(folder.iterdir())) == 4
    make_cache(Source(str(captioned(tmp_path / "a", 2))), folder, Encoder(4))
    assert len(list(folder.iterdir())) == 3


def test_what_somebody_put_beside_a_cache_stays(tmp_path, monkeypatch):
    """While it is unfinished and when it is tidied up: README, notes, what git needs."""
    source, folder = Source(str(captioned(tmp_path / "a", 2))), tmp_path / "c"
    whole = cache.write_bytes

    def dying(path, some):
        if path.name.startswith("images-"):
            raise KeyboardInterrupt
        whole(path, some)

    with monkeypatch.context() as broken:
        broken.setattr(cache, "write_bytes", dying)
        with pytest.raises(KeyboardInterrupt):
            make_cache(source, folder, Encoder(4))
    theirs = (".env", ".git/HEAD", "part-of-a-list.txt", "skipped-lines.json", "part-notes.safetensors", "README.md")
    write(folder, *theirs)
    make_cache(source, folder, Encoder(4))
    make_cache(source, folder, Encoder(4))
    actual = content(folder)
    assert all(actual[name] == f"somebody's {name}".encode() for name in theirs)
    assert len(actual) == 3 + len(theirs) and len(Cache.open(folder)) == 2


# --- one writer -------------------------------------------------------------------------------------------------------

HOLDING = "import sys, pathlib; from singdiffusion.system.lock import locked\nwith locked(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds."""
    folder = tmp_path / "held"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline()
    yield folder, process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path, digits_cache, held):
    folder, process = held
    source = Source(str(captioned(tmp_path / "a", 2)))
    with pytest.raises(InputError, match="another run is writing it"):
        make_cache(source, folder, Encoder(4))
    chosen = settings(digits_cache, folder, steps=1)
    with pytest.raises(InputError, match="another run is writing it"):
        run(chosen, Cache.open(digits_cache))
    assert not any(folder.iterdir())
    process.kill()
    process.wait()
    assert make_cache(source, folder, Encoder(4)).encoded == 2


def test_a_second_run_in_the_same_process_is_refused(tmp_path):
    with locked(tmp_path / "c"), pytest.raises(InputError, match="another run"), locked(tmp_path / "c"):
        raise AssertionError
    with locked(tmp_path / "c"):
        assert not any((tmp_path / "c").iterdir())


def test_where_nothing_can_be_locked_it_is_said(tmp_path, monkeypatch, caplog):
    def unable(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unable)
    with locked(tmp_path / "c"):
        assert "cannot be locked (Operation not supported)" in caplog.text


def test_another_run_that_finished_in_between_is_seen(tmp_path, monkeypatch):
    """Between the first look and the lock: the second takes what is there, and encodes nothing."""
    source, folder, look = Source(str(captioned(tmp_path / "a", 2))), tmp_path / "c", Source.check

    def slow(self):
        with monkeypatch.context() as once:
            once.setattr(Source, "check", look)
            make_cache(source, folder, Encoder(4))
        look(self)

    monkeypatch.setattr(Source, "check", slow)
    assert make_cache(source, folder, Encoder(4)).kept == 2


# --- runs -------------------------------------------------------------------------------------------------------------

MINE = ["model/weights.bin", "checkpoints/mine", "pictures/holiday.png", "log.jsonl", "log/mine", "run.json/mine"]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", MINE)
def test_a_folder_that_holds_no_run_is_neither_begun_nor_resumed(digits_cache, tmp_path, name, resume):
    chosen = settings(digits_cache, write(tmp_path / "o", name), steps=1)
    before = content(tmp_path / "o")
    with pytest.raises(InputError, match=rf"holds {name.split('/')[0]}.*take another folder"):
        run(chosen, Cache.open(digits_cache), resume)
    assert content(tmp_path / "o") == before


def test_a_model_without_its_checkpoints_is_not_trained_again(digits_cache, tmp_path):
    chosen = settings(digits_cache, tmp_path, steps=1)
    run(chosen, Cache.open(digits_cache))
    (tmp_path / "checkpoints").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no checkpoint to go on from"):
        check_out(chosen, resume=True)


def test_a_run_that_was_killed_before_its_first_checkpoint_is_resumed(digits_cache, tmp_path):
    chosen = settings(digits_cache, tmp_path, steps=1)
    run(chosen, Cache.open(digits_cache))
    for path in (tmp_path / "checkpoints", tmp_path / "model"):
        path.rename(tmp_path / f"{path.name}-before")
    with pytest.raises(InputError, match="add --resume"):
        check_out(chosen, resume=False)
    run(chosen, Cache.open(digits_cache), resume=True)
    assert len(content(tmp_path / "model")) == 4


def test_a_card_that_somebody_edited_is_kept_beside_the_new_one(digits_cache, tmp_path, caplog):
    chosen = settings(digits_cache, tmp_path, steps=1)
    run(chosen, Cache.open(digits_cache))
    run(chosen, Cache.open(digits_cache), resume=True)
    assert not (tmp_path / "model.1").exists()  # the same, byte for byte
    (tmp_path / "model" / "README.md").write_text("my own words")
    with caplog.at_level(logging.WARNING):
        run(chosen, Cache.open(digits_cache), resume=True)
    assert (tmp_path / "model.1" / "README.md").read_text() == "my own words" and "model.1" in caplog.text
    assert load_average(tmp_path / "model").rank == load_average(tmp_path / "model.1").rank


def test_copies_of_checkpoints_and_other_hidden_folders_stay(digits_cache, tmp_path):
    chosen = settings(digits_cache, tmp_path, steps=4, save_every=1, keep=1)
    trainer(chosen).fit()
    kept = ("checkpoints/step-best", "checkpoints/step-00000002-good", "checkpoints/.step-notes", ".model.backup")
    for name in kept:
        write(tmp_path / name, "theirs")
    assert snapshot.Snapshot.latest(tmp_path).step == 4
    one = trainer(chosen)
    assert one.resume()
    snapshot.Snapshot(5, {"a": torch.zeros(1)}, {}, {}, {}).save(tmp_path, 1)
    assert all((tmp_path / name / "theirs").is_file() for name in kept)
    assert snapshot._stored(tmp_path) == [tmp_path / "checkpoints" / "step-00000005"]


def test_a_link_in_the_place_of_a_model_is_kept_with_what_it_names(tmp_path):
    write(tmp_path / "elsewhere", "theirs")
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere")
    with replaced_folder(tmp_path / "model") as folder:
        (folder / "ours").write_text("new")
    assert content(tmp_path / "model") == {"ours": b"new"}
    assert (tmp_path / "model.1").is_symlink() and content(tmp_path / "elsewhere") == {"theirs": b"somebody's theirs"}


@pytest.mark.parametrize(
    "command", [("diagnose", "x"), ("evaluate", "brightness"), ("evaluate", "coco", "x", "--base", "y")]
)
def test_a_folder_in_the_place_of_a_json_file_is_told_before_the_work(tmp_path, command):
    (tmp_path / "found.json").mkdir()
    result = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "found.json")])
    assert result.exit_code == 2 and "is a folder; give the name of a file" in result.stderr


def test_what_is_read_is_not_written_over(tmp_path):
    """By its name, or by a link to it."""
    (tmp_path / "scheduler_config.json").write_text("{}")
    (tmp_path / "data.npy").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "data.npy")
    before = content(tmp_path)
    source, data = str(tmp_path / "scheduler_config.json"), str(tmp_path / "data.npy")
    for target in (source, data, str(tmp_path / "link")):
        result = CliRunner().invoke(app, ["diagnose", source, "--data", data, "--json", target])
        assert result.exit_code == 2 and "is what is read" in result.stderr
    assert content(tmp_path) == before

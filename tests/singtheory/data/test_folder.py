"""Folders of pictures as a law: every kind that decoding knows, in whatever depth, and what is left out is said."""

import os

import numpy as np
import pytest
from PIL import Image

from singtheory import InputError
from singtheory.data import decoding, folder, named_law, sources
from tests.support.odd_pictures import every, saved


def put(path, image, kind="png", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved(image, kind, **options))


def refused(place, *words):
    """In one line that begins with the folder and holds the words."""
    with pytest.raises(InputError) as caught:
        sources.load(str(place))
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and all(word in message for word in words), message


def test_it_is_read_in_the_order_of_paths_and_what_else_it_holds_is_noted(tmp_path, monkeypatch):
    for name, value in (("b", 255), ("a", 0), ("sub/deep/c", 51)):
        put(tmp_path / "digits" / f"{name}.png", Image.new("L", (2, 1), value))
    (tmp_path / "digits" / "notes.txt").write_text("not an image")
    (tmp_path / "digits" / "more.png").mkdir()
    (tmp_path / "digits" / "._a.png").write_bytes(b"of a Mac")
    monkeypatch.chdir(tmp_path)
    actual = sources.load("./digits")
    rows = actual.law.points.tolist()
    assert rows[:2] == [[-1, -1], [1, 1]] and rows[2] == pytest.approx([-0.6, -0.6])
    assert actual.image_shape == (1, 2) and actual.notes == ("digits: not used: ['notes.txt']",)


@pytest.mark.parametrize("picture", [one for one in every() if one.seen is not None], ids=lambda one: one.name)
def test_every_kind_has_the_colour_that_an_eye_sees(tmp_path, picture):
    """As training has it: before white, in sRGB, the first frame."""
    (tmp_path / picture.name).write_bytes(picture.content)
    actual = sources.load(str(tmp_path))
    height, width, *channels = actual.image_shape
    pixels = (actual.law.points.numpy().reshape(height, width, -1) + 1) * 127.5
    assert pixels.shape[2] == (3 if channels else 1) and (channels or len(set(picture.seen)) == 1)
    assert np.abs(pixels[height // 2, width // 2] - picture.seen[: pixels.shape[2]]).max() <= picture.near
    assert bool(actual.notes) == ("damaged-profile" in picture.name)


def test_grey_and_colour_together_are_in_colour(tmp_path):
    put(tmp_path / "a.png", Image.new("L", (2, 2), 100))
    put(tmp_path / "b.png", Image.new("RGB", (2, 2), (1, 2, 3)))
    actual = sources.load(str(tmp_path))
    levels = (actual.law.points.reshape(2, 4, 3)[:, 0] + 1) * 127.5
    assert actual.image_shape == (2, 2, 3)
    np.testing.assert_allclose(levels, [[100, 100, 100], [1, 2, 3]], atol=1e-9)


def test_a_turned_picture_has_the_size_that_is_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    put(tmp_path / "a.png", Image.new("L", (4, 3), 9), exif=exif)
    put(tmp_path / "b.png", Image.new("L", (3, 4), 9))
    assert sources.load(str(tmp_path)).image_shape == (4, 3)


@pytest.mark.parametrize("size", [(5, 3), (3, 4)])
def test_sizes_that_differ_are_refused(tmp_path, size):
    put(tmp_path / "a.png", Image.new("L", (4, 3)))
    put(tmp_path / "c.png", Image.new("L", size))
    refused(tmp_path, "one size", f"{size[0]}×{size[1]}", "4×3")


def test_a_few_that_cannot_be_used_are_counted_and_many_are_refused(tmp_path):
    for k in range(21):
        put(tmp_path / f"{k:02}.png", Image.new("L", (4, 3), k))
    (tmp_path / "07.png").write_bytes(b"broken")
    actual = sources.load(str(tmp_path))
    assert len(actual.law.points) == 20 and [round((row[0] + 1) * 127.5) for row in actual.law.points.tolist()][
        6:8
    ] == [
        6,
        8,
    ]
    (note,) = actual.notes
    assert note.startswith("1 images cannot be used; the first is 07.png: no image that can be decoded")
    (tmp_path / "08.png").write_bytes(b"broken")
    refused(tmp_path, ": 2 of 21 images", "the first is 07.png", "mend or remove them")


def test_bombs_are_known_by_their_header(tmp_path, monkeypatch):
    put(tmp_path / "a.png", Image.new("L", (12, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # above which pillow warns
    assert len(sources.load(str(tmp_path)).law.points) == 1
    monkeypatch.setattr(decoding, "LARGEST", 100)
    refused(tmp_path, "1 of 1 images", "12×10 pixels take")


def test_files_that_are_too_large_are_not_read(tmp_path, monkeypatch):
    put(tmp_path / "a.png", Image.new("L", (12, 10)))
    monkeypatch.setattr(folder, "MOST", 10)
    refused(tmp_path, "a.png: cannot be read, or has more than 10 bytes")


def test_more_pictures_than_fit_are_refused_before_they_are_scaled(tmp_path, monkeypatch):
    for k in range(5):
        put(tmp_path / f"{k}.png", Image.new("L", (4, 3)))
    monkeypatch.setattr(named_law, "available_memory", lambda: 3 * 12 * 8 * named_law.WORKING_COPIES)
    refused(tmp_path, "atoms fit")


def test_folders_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("not an image")
    refused(tmp_path, "no images", ".png")
    put(tmp_path / "inner" / "a.png", Image.new("L", (4, 3)))
    real = os.scandir

    def denied(place):
        if str(place).endswith("inner"):
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", denied)
    refused(tmp_path, "inner: cannot be read as a folder (Permission denied)", "permissions")

"""The picture at the top of README: both ways from the same noise, and white pictures that can be seen on white paper."""

import numpy as np
from PIL import Image

from docs.experiments.ladder import first_picture


def test_both_ways_are_drawn_from_the_same_noise():
    prompts = ["solid black background"]
    images = first_picture.drawn(prompts, each=2, steps=2)
    assert images.shape == (1, 2, 2, 32, 32, 3)
    plain, mended = images[0].mean(axis=(-3, -2, -1))
    assert (mended < plain).all()


def test_white_pictures_are_framed(tmp_path):
    path = tmp_path / "sheet.png"
    first_picture.sheet(np.full((1, 2, 3, 4, 4, 3), 255, dtype=np.uint8), [""], path)
    shades = np.asarray(Image.open(path).convert("L"))
    middle = shades[shades.shape[0] * 6 // 10]
    assert (middle < 200).sum() >= 12  # two sides of each of six pictures


def test_the_committed_picture_is_small():
    assert first_picture.PICTURE.stat().st_size < 300_000

"""Pictures of every kind in a source: each is a record with the right colour, or a counted skip that names the file; none in silence."""

import json

import numpy as np
import pytest
from PIL import Image

from singdiffusion.source.records import Record, Source
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singtheory import InputError
from singtheory.data import decoding
from tests.support.odd_pictures import every, saved

WHITE = (255, 255, 255)
EVERY = every()


def test_a_folder_of_all_kinds_loses_none_in_silence(tmp_path):
    for one in EVERY:
        (tmp_path / one.name).write_bytes(one.content)
    lines = (json.dumps({"file_name": one.name, "text": one.name}) for one in EVERY)
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    tally = make_cache(Source(str(tmp_path)), tmp_path / ".cache", Encoder(4), bad_share=0.5)
    bad = [one.name for one in EVERY if one.seen is None]
    assert sorted(key.split("#")[0] for key, _ in tally.skipped) == sorted(bad)
    assert tally.encoded == len(EVERY) - len(bad)
    stored = Cache.open(tmp_path / ".cache")
    by_caption = {
        stored.captions[row]: stored.x_0(at[None])[0]
        for at, row in zip(stored.sample(10**6), stored.caption, strict=True)
    }
    for one in (one for one in EVERY if one.seen is not None):
        level = ((by_caption[one.name].mean(dim=(1, 2)) + 1) * 127.5).numpy()
        assert np.abs(level - one.seen).max() <= one.near + 1, one.name
    assert any("colour profile" in line and line.startswith("3 ") for line in tally.notes)


@pytest.mark.parametrize("background", ["white", "black", "#204060"])
def test_what_is_transparent_has_the_colour_that_is_asked_for(tmp_path, background):
    for name, behind in (("a", (0, 0, 0, 0)), ("b", (255, 255, 255, 0)), ("c", (9, 99, 199, 0))):
        saved_png = saved(Image.new("RGBA", (4, 4), behind), "png")
        (tmp_path / f"{name}.png").write_bytes(saved_png)
        (tmp_path / f"{name}.txt").write_text("nothing")
    expected = {"white": WHITE, "black": (0, 0, 0), "#204060": (0x20, 0x40, 0x60)}[background]
    for record in Source(str(tmp_path), background=background):
        assert (np.asarray(record.image()) == expected).all()


def test_a_colour_that_there_is_not(tmp_path):
    with pytest.raises(InputError, match=r"background 'whiet': is no colour; give a name such as white, or #rrggbb"):
        Source(str(tmp_path), background="whiet").check()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "1"])
def test_a_transparent_bomb_is_known_by_its_header(mode, monkeypatch):
    image = Image.new(mode, (40, 40))
    options = {"transparency": 0} if mode in ("P", "1") else {}
    content = saved(image, "png", **options)
    record = Record("k", content, "a")
    taken = record.decoded_bytes()
    assert taken >= 1600 * 13  # RGB, RGBA, alpha and page beside what is stored
    monkeypatch.setattr(decoding, "LARGEST", taken - 1)
    monkeypatch.setattr(Image.Image, "load", None)  # no pixel is asked for
    with pytest.raises(InputError, match=r"40×40 pixels take .* to decode"):
        record.decoded_bytes()

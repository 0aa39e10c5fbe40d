"""Pictures of every mode, depth, alpha and format: the right colour, or a counted skip that names the file; none in silence."""

import json

import numpy as np
import pytest
from PIL import Image

from singdiffusion.source import pictures
from singdiffusion.source.notes import Notes
from singdiffusion.source.records import Record, Source
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import Encoder, make_cache
from singtheory import InputError
from tests.singdiffusion import odd_pictures
from tests.singdiffusion.odd_pictures import RED, every, saved

WHITE = (255, 255, 255)
EVERY = every()


def seen(content, background=WHITE, notes=None):
    return np.asarray(pictures.rgb(content, "k", background, notes or Notes()))


def test_there_are_many_kinds_and_each_has_a_name_of_its_own():
    assert len({one.name for one in EVERY}) == len(EVERY) >= 60


@pytest.mark.parametrize("picture", EVERY, ids=[one.name for one in EVERY])
def test_every_kind_is_seen_or_named(picture):
    if picture.seen is None:
        with pytest.raises(InputError, match=f"^k: .*{picture.reason}") as caught:
            seen(picture.content)
        assert "\n" not in str(caught.value)
    else:
        found = seen(picture.content)
        middle = found[found.shape[0] // 2, found.shape[1] // 2].astype(int)
        assert np.abs(middle - picture.seen).max() <= picture.near


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


TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("turn", TURNED)
@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_pictures_are_turned_as_their_exif_says(turn, kind):
    levels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"lossless": True} if kind == "webp" else {}
    assert np.array_equal(seen(saved(Image.fromarray(levels), kind, exif=exif, **options)), TURNED[turn](levels))


def test_every_level_of_a_deep_picture_is_the_nearest():
    levels = np.arange(65_536, dtype="<u2").reshape(256, 256)
    for content in (odd_pictures.tiff(levels, 16), odd_pictures.deep_png(levels[..., None], 0)):
        assert np.array_equal(seen(content)[..., 0], (levels / 257).round())
    floats = np.linspace(0, 1, 1001, dtype="<f4")[None]
    found = seen(odd_pictures.tiff(floats, 32, sample_format=3))[..., 0]
    assert np.abs(found - floats.astype(float) * 255).max() <= 0.5001


def test_alpha_between_is_a_mixture():
    alphas = np.arange(256, dtype=np.uint8)
    picture = np.concatenate([np.tile(np.uint8(RED), (256, 1)), alphas[:, None]], axis=1)[None]
    found = seen(saved(Image.fromarray(picture), "png"), (10, 20, 30))[0]
    share = alphas[:, None] / 255
    assert np.abs(found - (share * np.array(RED) + (1 - share) * np.array([10, 20, 30]))).max() <= 1


def test_damaged_profiles_are_counted():
    notes = Notes()
    for name in ("one", "two"):
        content = saved(Image.new("RGB", (4, 4), RED), "png", icc_profile=b"none")
        pictures.rgb(content, name, WHITE, notes)
    (line,) = notes.lines()
    assert line.startswith("2 pictures have a colour profile") and line.endswith("the first is one")


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "1"])
def test_a_transparent_bomb_is_known_by_its_header(mode, monkeypatch):
    image = Image.new(mode, (40, 40))
    options = {"transparency": 0} if mode in ("P", "1") else {}
    content = saved(image, "png", **options)
    record = Record("k", content, "a")
    taken = record.decoded_bytes()
    assert taken >= 1600 * 13  # RGB, RGBA, alpha and page beside what is stored
    monkeypatch.setattr(pictures, "LARGEST", taken - 1)
    monkeypatch.setattr(Image.Image, "load", None)  # no pixel is asked for
    with pytest.raises(InputError, match=r"40×40 pixels take .* to decode"):
        record.decoded_bytes()


def test_a_picture_of_a_camera_with_several_in_it_is_its_first():
    """MPO: a JPEG that others follow."""
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), (0, 0, 255))
    content = saved(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(seen(content).astype(int) - RED).max() <= 6


def test_no_format_starts_another_program():
    assert not {"EPS", "WMF", "MSP", "FPX"} & {*pictures._formats()}

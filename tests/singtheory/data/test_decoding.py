"""Pictures of every mode, depth, alpha and format: the right colour, or a line that says why not."""

import struct

import numpy as np
import pytest
from PIL import Image

from singtheory import InputError
from singtheory.data import decoding
from singtheory.data.notes import Notes
from tests.support import odd_pictures, rare_pictures
from tests.support.odd_pictures import RED, every, saved

WHITE = (255, 255, 255)
EVERY = [*every(), *rare_pictures.every()]
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


def seen(content, background=WHITE, notes=None):
    with decoding.without_warnings():
        return np.asarray(decoding.rgb(content, "k", background, notes or Notes()))


def test_there_are_many_kinds_and_each_has_a_name_of_its_own():
    assert len({one.name for one in EVERY}) == len(EVERY) >= 60


@pytest.mark.parametrize("picture", EVERY, ids=[one.name for one in EVERY])
def test_every_kind_is_seen_or_named(picture):
    if picture.seen is None:
        with pytest.raises(InputError, match=f"^k: .*{picture.reason}") as caught:
            seen(picture.content)
        assert "\n" not in str(caught.value)
    else:
        actual = seen(picture.content)
        middle = actual[actual.shape[0] // 2, actual.shape[1] // 2].astype(int)
        assert np.abs(middle - picture.seen).max() <= picture.near


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
    actual = seen(odd_pictures.tiff(floats, 32, sample_format=3))[..., 0]
    assert np.abs(actual - floats.astype(float) * 255).max() <= 0.5001


def test_alpha_between_is_a_mixture():
    alphas = np.arange(256, dtype=np.uint8)
    picture = np.concatenate([np.tile(np.uint8(RED), (256, 1)), alphas[:, None]], axis=1)[None]
    actual = seen(saved(Image.fromarray(picture), "png"), (10, 20, 30))[0]
    share = alphas[:, None] / 255
    assert np.abs(actual - (share * np.array(RED) + (1 - share) * np.array([10, 20, 30]))).max() <= 1


def test_damaged_profiles_are_counted():
    notes = Notes()
    for name in ("one", "two"):
        content = saved(Image.new("RGB", (4, 4), RED), "png", icc_profile=b"none")
        decoding.rgb(content, name, WHITE, notes)
    (line,) = notes.lines()
    assert line.startswith("2 pictures have a colour profile") and line.endswith("the first is one")


def test_a_picture_of_a_camera_with_several_in_it_is_its_first():
    """MPO: a JPEG that others follow."""
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), (0, 0, 255))
    content = saved(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(seen(content).astype(int) - RED).max() <= 6


def test_no_format_starts_another_program():
    assert not {"EPS", "WMF", "MSP", "FPX"} & {*decoding._formats()}


def _tga(alpha: list[int], bits: int = 8, attributes: int | None = None) -> bytes:
    """A TGA of one row by its specification: 18 bytes of header, BGRA, and the extension area's attributes type where it has one."""
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, len(alpha), 1, 32, 0x20 | bits)
    pixels = b"".join(bytes([*RED[::-1], one]) for one in alpha)
    if attributes is None:
        return header + pixels
    area = struct.pack("<H", 495) + bytes(492) + bytes([attributes])
    return header + pixels + area + struct.pack("<II", len(header + pixels), 0) + b"TRUEVISION-XFILE.\0"


@pytest.mark.parametrize(
    ("content", "visible"),
    [
        (_tga([0, 0, 0]), [1, 1, 1]),
        (_tga([0, 0, 255]), [0, 0, 1]),
        (_tga([0, 0, 255], bits=0), [1, 1, 1]),
        (_tga([0, 0, 0], attributes=3), [1, 1, 1]),
        (_tga([0, 255, 255], attributes=3), [0, 1, 1]),
        *((_tga([0, 255, 255], attributes=kind), [1, 1, 1]) for kind in (0, 1, 2)),
        (saved(Image.new("RGBA", (3, 1), (*RED, 0)), "tga"), [1, 1, 1]),
        (saved(Image.new("RGBA", (3, 1), (*RED, 0)), "tga", compression="tga_rle"), [1, 1, 1]),
        # in other formats alpha is what it says
        (saved(Image.new("RGBA", (3, 1), (*RED, 0)), "png"), [0, 0, 0]),
    ],
)
def test_the_fourth_byte_of_a_tga_is_alpha_where_it_is_used(content, visible):
    """Pictures whose alpha was never written were white all over."""
    image = np.asarray(decoding.rgb(content, "a.tga", (255, 255, 255), Notes()))
    assert image[0].tolist() == [list(RED) if one else [255, 255, 255] for one in visible]

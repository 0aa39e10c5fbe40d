"""What a PNG declares beside its pixels where pillow compares or shows it otherwise: a transparent colour in the stored levels, and a gamma."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageChops, ImageOps

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH, _COLOUR = 24, 25
"""Places of bits a level and kind of colours in the header."""
_GREY, _RGB = 0, 2
_OF_SRGB = 0.45455
"""The exponent that files for screens have, near enough to sRGB's curve."""


def _kind(content: bytes) -> tuple[int, int]:
    """Kind of colours and bits a level; no PNG has (-1, 0)."""
    is_png = content.startswith(_SIGNATURE) and len(content) > _COLOUR
    return (content[_COLOUR], content[_DEPTH]) if is_png else (-1, 0)


def scale_transparent_level(stored: Pillow.Image, content: bytes) -> None:
    """Widens the level that is transparent: of 2 and 4 bits pillow widens the levels to 8 and leaves that one as it is."""
    colours, depth = _kind(content)
    level = stored.info.get("transparency")
    if colours == _GREY and depth in (2, 4) and isinstance(level, int):
        stored.info["transparency"] = level * 255 // (2**depth - 1)


def has_deep_key(stored: Pillow.Image, content: bytes) -> bool:
    """Whether one colour of 16 bits a channel is transparent, which cannot be told from its upper 8 bits."""
    return _kind(content) == (_RGB, 16) and isinstance(stored.info.get("transparency"), tuple)


def alpha_of_deep_key(image: Pillow.Image, key: Sequence[int], content: bytes) -> Pillow.Image:
    """0 where a picture of 16 bits a channel has the colour that is transparent, 255 elsewhere.

    Args:
        image: its upper 8 bits, turned.
        key: red, green and blue in 16 bits.
        content: the file's bytes, of which the lower 8 bits are read here.
    """
    with Pillow.open(io.BytesIO(content), formats=["PNG"]) as stored:
        # the other order of a level's two bytes gives the lower one
        stored.tile = [tile._replace(args="RGB;16L") for tile in stored.tile]  # pyright: ignore[reportAttributeAccessIssue]
        lower = ImageOps.exif_transpose(stored)
    same = Pillow.new("L", image.size, 255)
    for channel, level in enumerate(key):
        for part, byte in ((image, level >> 8), (lower, level & 255)):
            equal = part.getchannel(channel).point([255 if value == byte else 0 for value in range(256)])
            same = ImageChops.darker(same, equal)
    return ImageChops.invert(same)


def shown(image: Pillow.Image, stored: Pillow.Image) -> Pillow.Image:
    """A picture in RGB, from the levels of the gamma that its file declares, to those of sRGB; a profile or the word sRGB goes before a gamma."""
    gamma = stored.info.get("gamma") if stored.format == "PNG" else None
    if not gamma or "icc_profile" in stored.info or "srgb" in stored.info or abs(gamma / _OF_SRGB - 1) < 0.05:
        return image
    light = (np.arange(256) / 255) ** (1 / gamma)
    levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return image.point([round(255 * level) for level in levels.tolist()] * 3)

"""Pictures of every kind that people have, as bytes, with the colour that an eye would see; made from numbers, not from photographs."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIZES = ((1, 1), (7, 5), (3, 40))
GREY, RED, CLEAR_RED = (100, 100, 100), (200, 30, 10), (200, 30, 10, 0)
HALF = tuple(round(0.5019607843 * level + 0.4980392157 * 255) for level in RED)
"""Red of alpha 128 before white."""


@dataclass(frozen=True)
class Picture:
    """One file.

    Attributes:
        name: of the file.
        content: its bytes.
        seen: the colour in the middle; None where it cannot be read.
        reason: part of why it cannot be read.
        near: levels by which a lossy format may miss it.
    """

    name: str
    content: bytes
    seen: tuple[int, int, int] | None
    reason: str = ""
    near: int = 1


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def _chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def deep_png(levels, colour_type, extra=()):
    """A PNG of 16 bits a channel, from (height, width, channels)."""
    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    middle = b"".join(_chunk(name, body) for name, body in extra)
    end = _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + middle + end


def tiff(levels, bits, photometric=1, sample_format=1):
    """A grey TIFF of one strip, little-endian, from (height, width) of the type that it is stored in."""
    data = levels.tobytes()
    height, width = levels.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(data)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory


def _tag(content):
    return content + bytes(-len(content) % 4)


def _fixed(values):
    return struct.pack(f">{len(values)}i", *(round(value * 65_536) for value in values))


def profile(space, curves, columns=()):
    """A minimal ICC profile of version 2: `curves` are exponents, `columns` the XYZ of the primaries."""
    white = (0.9642, 1.0, 0.8249)
    tags = {b"wtpt": b"XYZ " + bytes(4) + _fixed(white), b"cprt": _tag(b"text" + bytes(4) + b"none\0")}
    tags[b"desc"] = _tag(b"desc" + bytes(4) + struct.pack(">I", 5) + b"mine\0" + bytes(78))
    names = (b"kTRC",) if space == b"GRAY" else (b"rTRC", b"gTRC", b"bTRC")
    for name, exponent in zip(names, curves, strict=True):
        tags[name] = _tag(b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256)))
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=False):
        tags[name] = b"XYZ " + bytes(4) + _fixed(column)
    table, body, place = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    return (head + bytes(28) + _fixed(white)).ljust(128, b"\0") + table + body


_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
SWAPPED = profile(b"RGB ", (2.2, 2.2, 2.2), _PRIMARIES[::-1])
"""In which red is what sRGB calls blue."""
LINEAR_GREY = profile(b"GRAY", (1.0,))


def plain():
    """Modes, depths and formats without alpha, at every size."""
    for width, height in SIZES:
        size, end = (width, height), f"{width}x{height}"
        for kind in ("png", "tiff", "bmp", "gif", "webp", "jpg", "avif", "ppm", "tga", "jp2"):
            near = {"jpg": 6, "webp": 6, "avif": 6}.get(kind, 1)
            options = {"lossless": True} if kind == "webp" else {"quality": 95} if kind in ("jpg", "avif") else {}
            real = {"jpg": "JPEG", "jp2": "JPEG2000"}.get(kind, kind)
            yield Picture(f"rgb-{end}.{kind}", saved(Image.new("RGB", size, RED), real, **options), RED, near=near)
            if kind not in ("avif", "jp2"):
                yield Picture(f"grey-{end}.{kind}", saved(Image.new("L", size, 100), real, **options), GREY, near=near)
        for kind in ("png", "tiff", "bmp"):
            yield Picture(f"bit-{end}.{kind}", saved(Image.new("1", size, 1), kind), (255, 255, 255))
            palette = Image.new("P", size, 3)
            palette.putpalette([0, 0, 0] * 3 + list(RED))
            yield Picture(f"palette-{end}.{kind}", saved(palette, kind), RED)
        red = (0, 255, 255, 0)
        yield Picture(f"cmyk-{end}.tiff", saved(Image.new("CMYK", size, red), "tiff"), (255, 0, 0))
        yield Picture(f"cmyk-{end}.jpg", saved(Image.new("CMYK", size, red), "JPEG", quality=95), (255, 0, 0), near=8)
        deep = np.full((height, width), 25_700, "<u2")
        yield Picture(f"deep-{end}.png", deep_png(deep[..., None], 0), GREY)
        yield Picture(f"deep-{end}.tif", tiff(deep, 16), GREY)
        yield Picture(f"deep-white-is-0-{end}.tif", tiff(65_535 - deep, 16, photometric=0), GREY)
        yield Picture(f"deep-rgb-{end}.png", deep_png(np.tile(np.array(RED) * 257, (height, width, 1)), 2), RED)
        yield Picture(f"32-bits-{end}.tif", tiff(np.full((height, width), 100 * 0x1010101, "<u4"), 32), GREY)
        bright = np.full((height, width), 200 * 0x1010101, "<u4")  # beyond what has a sign
        yield Picture(f"32-bits-bright-{end}.tif", tiff(bright, 32), (200, 200, 200))
        floats = np.full((height, width), 100 / 255, "<f4")
        yield Picture(f"float-{end}.tif", tiff(floats, 32, sample_format=3), GREY)


def transparent():
    """Alpha 0, 128 and 255 over every mode that has it; white is behind, but for a TGA of alpha 0."""
    for alpha, seen in ((0, (255, 255, 255)), (128, HALF), (255, RED)):
        image = Image.new("RGBA", (5, 7), (*RED, alpha))
        for kind in ("png", "tiff", "webp", "avif", "tga", "jp2"):
            options = {"lossless": True, "exact": True} if kind == "webp" else {}
            near = 8 if kind == "avif" else 2
            real = "JPEG2000" if kind == "jp2" else kind
            # of a TGA an alpha of 0 everywhere is one that was never written
            shown = RED if (kind, alpha) == ("tga", 0) else seen
            yield Picture(f"alpha-{alpha}.{kind}", saved(image, real, **options), shown, near=near)
        level = round(alpha / 255 * 100 + (1 - alpha / 255) * 255)
        yield Picture(f"grey-alpha-{alpha}.png", saved(Image.new("LA", (5, 7), (100, alpha)), "png"), (level,) * 3)
        deep = np.tile(np.array([*RED, alpha]) * 257, (7, 5, 1))
        yield Picture(f"deep-alpha-{alpha}.png", deep_png(deep, 6), seen, near=2)
        palette = Image.new("P", (5, 7), 1)
        palette.putpalette([0, 0, 0, *RED])
        yield Picture(f"palette-alpha-{alpha}.png", saved(palette, "png", transparency=bytes([255, alpha])), seen)
    yield Picture("key.png", saved(Image.new("RGB", (5, 7), RED), "png", transparency=RED), (255, 255, 255))
    yield Picture("key-grey.png", saved(Image.new("L", (5, 7), 100), "png", transparency=100), (255, 255, 255))
    deep = np.full((7, 5, 1), 25_700)
    for level, seen in ((25_700, (255, 255, 255)), (3, GREY)):
        yield Picture(f"key-deep-{level}.png", deep_png(deep, 0, [(b"tRNS", struct.pack(">H", level))]), seen)
    palette = Image.new("P", (5, 7), 1)
    palette.putpalette([0, 0, 0, *RED])
    yield Picture("key.gif", saved(palette, "gif", transparency=1), (255, 255, 255))


def animated():
    """Of several frames the first."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 0, 255))]
    for kind in ("gif", "webp", "png", "tiff", "avif"):
        options = {"lossless": True} if kind == "webp" else {}
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        yield Picture(f"animated.{kind}", content, RED, near=6)


def profiled():
    """Colours that a profile names; one that is damaged is counted."""
    for kind in ("png", "jpg", "tiff"):
        real, options = ("JPEG", {"quality": 95}) if kind == "jpg" else (kind, {})
        image = Image.new("RGB", (8, 8), (255, 0, 0))
        content = saved(image, real, icc_profile=SWAPPED, **options)
        yield Picture(f"swapped.{kind}", content, (0, 0, 255), near=6)
        grey = saved(Image.new("L", (8, 8), 128), real, icc_profile=LINEAR_GREY, **options)
        yield Picture(f"linear.{kind}", grey, (188, 188, 188), near=2)
        yield Picture(
            f"damaged-profile.{kind}", saved(image, real, icc_profile=b"none", **options), (255, 0, 0), near=6
        )
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    yield Picture("swapped-alpha.png", saved(clear, "png", icc_profile=SWAPPED), (0, 0, 255), near=6)


def unreadable():
    """Each is named and counted."""
    whole = saved(Image.effect_noise((64, 64), 50), "png")
    floats = np.full((4, 4), 100, "<f4")
    yield Picture("float-255.tif", tiff(floats, 32, sample_format=3), None, "floating-point pixels")
    yield Picture("32-bits-dark.tif", tiff(np.full((4, 4), 999, "<u4"), 32), None, "of 32 bits up to 999")
    yield Picture("signed.tif", tiff(np.full((4, 4), 99, "<i2"), 16, sample_format=2), None, "signed pixels")
    yield Picture("cut.png", whole[: len(whole) // 2], None, "no image that can be decoded")
    yield Picture("empty.jpg", b"", None, "no image that can be decoded")
    yield Picture("page.png", b"<html><body>404</body></html>", None, "no image that can be decoded")
    yield Picture("drawing.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", None, "no image that can be")
    yield Picture("a.jxl", b"\xff\x0a" + bytes(40), None, "pip install pillow-jxl-plugin")
    yield Picture("a.HEIC", struct.pack(">I", 24) + b"ftypheic" + bytes(40), None, "pip install pillow-heif")


def every():
    """All of them, each with a name of its own."""
    return [*plain(), *transparent(), *animated(), *profiled(), *unreadable()]

"""Pictures of rarer kinds, byte by byte: PNG of few and of many bits with one transparent level, both orders of TIFF's bytes, names that lie.

The colour that is seen follows from the numbers that are written here, not from a decoder.
"""

import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from tests.support.odd_pictures import GREY, HALF, RED, Picture, saved

WHITE, SIDE = (255, 255, 255), 6
DEEP = tuple(257 * level for level in RED)
UNKNOWN = "pillow does not know what it is"
DAMAGED = "no image that can be decoded"
UNSIGNED, FLOATS = 1, 3


def png(depth, colours, row, extra=(), interlaced=0, size=(SIDE, SIDE)):
    """Of rows that are all the same."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", *size, depth, colours, 0, 0, interlaced)
    parts = [chunk(b"IHDR", header), *(chunk(*one) for one in extra)]
    parts += [chunk(b"IDAT", zlib.compress((b"\0" + row) * size[1])), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(planes, bits, photometric, samples, order="<", **tags):
    """Of 6×6: a strip for each of `planes`, and further tags by their numbers."""
    values = {
        256: [SIDE],
        257: [SIDE],
        258: [bits] * samples,
        259: [1],
        262: [photometric],
        277: [samples],
        278: [SIDE],
    }
    values |= {int(name[1:]): value for name, value in tags.items()}
    starts = np.cumsum([8, *(len(plane) for plane in planes)])
    values |= {273: starts[:-1].tolist(), 279: [len(plane) for plane in planes]}
    first = int(starts[-1]) + int(starts[-1]) % 2
    behind, entries, more = first + 2 + 12 * len(values) + 4, b"", b""
    for tag, numbers in sorted(values.items()):
        content = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(content) > 4:
            content, more = struct.pack(f"{order}I", behind + len(more)), more + content
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + content
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, first)
    directory = struct.pack(f"{order}H", len(values)) + entries + bytes(4)
    return (head + b"".join(planes)).ljust(first, b"\0") + directory + more


def before_white(colour, alpha):
    return tuple(round(alpha * level + (1 - alpha) * 255) for level in colour)


def few_bits():
    """PNG of 1, 2 and 4 bits, grey and with a palette; one level may be transparent."""
    for bits, value in ((1, 1), (2, 2), (4, 9)):
        row = bytes([sum(value << place for place in range(0, 8, bits))] * bits)
        level = (value * 255 // (2**bits - 1),) * 3
        palette = bytes(byte for k in range(2**bits) for byte in (RED if k == value else (40, 80, 120)))
        half = bytes([255] * value + [128])
        size = (8, SIDE)
        yield Picture(f"grey-{bits}.png", png(bits, 0, row, size=size), level)
        for key, seen in ((value, WHITE), (0, level)):
            content = png(bits, 0, row, [(b"tRNS", struct.pack(">H", key))], size=size)
            yield Picture(f"grey-{bits}-key-{key}.png", content, seen)
        colours = [(b"PLTE", palette)]
        yield Picture(f"palette-{bits}.png", png(bits, 3, row, colours, size=size), RED)
        yield Picture(f"palette-{bits}-half.png", png(bits, 3, row, [*colours, (b"tRNS", half)], size=size), HALF)


def many_bits():
    """PNG of 16 bits: alpha, and a transparent colour that differs from another one in its lower bits alone."""
    for alpha in (0, 0x8080, 0xFFFF):
        row = struct.pack(">HH", 25_700, alpha) * SIDE
        yield Picture(f"deep-grey-alpha-{alpha}.png", png(16, 4, row), before_white(GREY, alpha / 65_535), near=2)
    row = struct.pack(">HHH", *DEEP) * SIDE
    keys = {"own": DEEP, "near": (DEEP[0] + 1, *DEEP[1:]), "high": [256 * one for one in RED], "low": RED}
    for name, key in keys.items():
        for interlaced in (0, 1) if name == "own" else (0,):
            size = (1, 1) if interlaced else (SIDE, SIDE)
            content = png(
                16, 2, row[: 6 * size[0]], [(b"tRNS", struct.pack(">HHH", *key))], interlaced=interlaced, size=size
            )
            yield Picture(f"deep-key-{name}-{interlaced}.png", content, WHITE if name == "own" else RED)
    row = bytes(RED) * SIDE
    yield Picture("key-8.png", png(8, 2, row, [(b"tRNS", struct.pack(">HHH", *RED))]), WHITE)


def declared():
    """What a PNG says of its colours beside a profile."""
    row = bytes(GREY) * SIDE
    yield Picture("gamma-of-screens.png", png(8, 2, row, [(b"gAMA", struct.pack(">I", 45_455))]), GREY)
    yield Picture("gamma-1.png", png(8, 2, row, [(b"gAMA", struct.pack(">I", 100_000))]), (168, 168, 168))
    both = [(b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")]
    yield Picture("gamma-1-srgb.png", png(8, 2, row, both), GREY)


def both_orders():
    """TIFF of every depth, in both orders of bytes."""
    for order, name in (("<", "little"), (">", "big")):
        count = SIDE**2
        deep = struct.pack(f"{order}3H", *DEEP) * count
        yield Picture(f"rgb-16-{name}.tif", tiff([deep], 16, 2, 3, order), RED)
        grey = struct.pack(f"{order}H", 25_700) * count
        yield Picture(f"grey-16-{name}.tif", tiff([grey], 16, 1, 1, order), GREY)
        clear = struct.pack(f"{order}4H", *DEEP, 0x8080) * count
        yield Picture(f"rgba-16-{name}.tif", tiff([clear], 16, 2, 4, order, t338=[2]), HALF, near=2)
        single = struct.pack(f"{order}f", 100 / 255) * count
        yield Picture(f"float-32-{name}.tif", tiff([single], 32, 1, 1, order, t339=[FLOATS]), GREY)
        double = struct.pack(f"{order}d", 100 / 255) * count
        yield Picture(f"float-64-{name}.tif", tiff([double], 64, 1, 1, order, t339=[FLOATS]), None, UNKNOWN)
    half = np.full(SIDE**2, 100 / 255, "<f2").tobytes()
    yield Picture("float-16.tif", tiff([half], 16, 1, 1, t339=[FLOATS]), None, UNKNOWN)
    colours = struct.pack("<3f", *(level / 255 for level in RED)) * SIDE**2
    yield Picture("float-rgb.tif", tiff([colours], 32, 2, 3, t339=[FLOATS] * 3), None, UNKNOWN)
    nan = struct.pack("<f", float("nan")) * SIDE**2
    yield Picture("float-nan.tif", tiff([nan], 32, 1, 1, t339=[FLOATS]), None, "floating-point pixels")
    big = struct.pack(">I", 100 * 0x1010101) * SIDE**2
    yield Picture("grey-32-big.tif", tiff([big], 32, 1, 1, ">"), None, UNKNOWN)


def layouts_of_tiff():
    """Alpha of every meaning, planes, few bits, signs and ways to compress."""
    count = SIDE**2
    yield Picture("multiplied.tif", tiff([bytes([100, 15, 5, 128]) * count], 8, 2, 4, t338=[1]), HALF, near=3)
    yield Picture("fourth-of-no-meaning.tif", tiff([bytes([*RED, 0]) * count], 8, 2, 4, t338=[0]), RED)
    clear = tiff([bytes([100, 128]) * count], 8, 1, 2, t338=[2])
    yield Picture("grey-alpha.tif", clear, before_white(GREY, 128 / 255))
    yield Picture("planes.tif", tiff([bytes([level]) * count for level in RED], 8, 2, 3, t284=[2]), RED)
    yield Picture("white-is-0.tif", tiff([bytes([155]) * count], 8, 0, 1), GREY)
    yield Picture("white-is-0-bit.tif", tiff([b"\xfc" * SIDE], 1, 0, 1), (0, 0, 0))
    yield Picture("grey-12.tif", tiff([bytes([0x64, 0x06, 0x40]) * (count // 2)], 12, 1, 1), GREY)
    for level in (100, 251):
        yield Picture(f"signed-{level}.tif", tiff([bytes([level]) * count], 8, 1, 1, t339=[2]), None, "signed pixels")
    yield Picture("complex.tif", tiff([bytes(8) * count], 64, 1, 1, t339=[6]), None, UNKNOWN)
    spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    lab = ImageCms.profileToProfile(Image.new("RGB", (SIDE, SIDE), RED), *spaces, outputMode="LAB")
    yield Picture("lab.tif", saved(lab, "tiff"), RED, near=2)
    yield Picture("ycbcr.tif", saved(Image.new("RGB", (SIDE, SIDE), RED).convert("YCbCr"), "tiff"), RED, near=4)
    for way in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        content = saved(Image.new("RGB", (16, 16), RED), "tiff", compression=way)
        yield Picture(f"{way}.tif", content, RED, near=6)
    yield Picture("fax.tif", saved(Image.new("1", (16, 16), 1), "tiff", compression="group4"), WHITE)
    pages = [Image.new("L", (99, 3), 7)]
    yield Picture("pages.tif", saved(Image.new("RGB", (6, 6), RED), "tiff", save_all=True, append_images=pages), RED)


def names_that_lie():
    """Another kind than the ending says, and bytes behind the end or missing."""
    plain, row = Image.new("RGB", (16, 16), RED), bytes(RED) * SIDE
    yield Picture("jpeg.png", saved(plain, "JPEG", quality=95), RED, near=6)
    yield Picture("webp.jpg", saved(plain, "webp", lossless=True), RED)
    yield Picture("gif.JPEG", saved(plain, "gif"), RED)
    yield Picture("more-behind.png", png(8, 2, row) + b"more" * 99, RED)
    yield Picture("more-behind.jpg", saved(plain, "JPEG", quality=95) + bytes(999), RED, near=6)
    noise = saved(Image.effect_noise((99, 99), 60).convert("RGB"), "JPEG")
    yield Picture("cut.jpg", noise[:-900], None, DAMAGED)
    yield Picture("broken-end.png", png(8, 2, row)[:-20] + bytes(20), None, DAMAGED)
    yield Picture("no-width.png", png(8, 2, b"", size=(0, 1)), None, DAMAGED)
    yield Picture("vectors.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', None, UNKNOWN)
    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 6, 6, 8, 3) + bytes(99)
    yield Picture("layers.png", psd, None, UNKNOWN)
    yield Picture("icon.png", saved(Image.new("RGBA", (16, 16), (*RED, 255)), "ico"), None, UNKNOWN)
    for name, size in (("tall.png", (1, 3000)), ("wide.png", (3000, 1))):
        yield Picture(name, saved(Image.new("RGB", size, RED), "png"), RED)


def other_kinds():
    """Formats that few programs write."""
    clear = Image.new("RGBA", (SIDE, SIDE), (*RED, 128))
    plain = Image.new("RGB", (16, 16), RED)
    exif = Image.Exif()
    exif[274] = 99
    yield Picture("progressive.jpg", saved(plain, "JPEG", progressive=True, quality=95), RED, near=6)
    yield Picture("turned-by-99.jpg", saved(plain, "JPEG", quality=95, exif=exif), RED, near=6)
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 9
    yield Picture("broken-exif.jpg", saved(plain, "JPEG", quality=95, exif=broken), RED, near=6)
    second = [Image.new("RGB", (16, 16), (0, 0, 255))]
    yield Picture("of-two-lenses.jpg", saved(plain, "MPO", save_all=True, append_images=second), RED, near=8)
    header = b"qoif" + struct.pack(">IIBB", SIDE, SIDE, 4, 0)
    yield Picture("half.qoi", header + b"\xff" + bytes([*RED, 128, 0xC0 | 34]) + bytes(7) + b"\1", HALF)
    yield Picture("plain.pcx", saved(plain, "pcx"), RED)
    yield Picture("runs.tga", saved(clear, "tga", compression="tga_rle"), HALF)
    yield Picture("16.pgm", b"P5\n6 6\n65535\n" + struct.pack(">H", 25_700) * 36, GREY)
    yield Picture("10.pgm", b"P5\n6 6\n1023\n" + struct.pack(">H", 401) * 36, GREY)
    yield Picture("16.ppm", b"P6\n6 6\n65535\n" + struct.pack(">HHH", *DEEP) * 36, RED)
    yield Picture("words.ppm", b"P3\n# of words\n6 6\n255\n" + b"200 30 10\n" * 36, RED)
    yield Picture("words.pbm", b"P1\n6 6\n" + b"0 0 0 0 0 0\n" * 6, WHITE)
    yield Picture("float.pnm", b"Pf\n6 6\n-1.0\n" + struct.pack("<f", 100 / 255) * 36, GREY)
    pam = b"P7\nWIDTH 6\nHEIGHT 6\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    yield Picture("any.pnm", pam + bytes([*RED, 128]) * 36, None, UNKNOWN)
    flat = Image.new("P", (16, 16), 0)
    flat.putpalette([0, 0, 255, *RED])
    yield Picture("clear.gif", saved(flat, "gif", transparency=0, background=1), WHITE)
    later = [Image.new("RGBA", (16, 16), (0, 0, 255, 255))]
    moving = saved(Image.new("RGBA", (16, 16), (*RED, 128)), "webp", lossless=True, save_all=True, append_images=later)
    yield Picture("moving.webp", moving, HALF, near=2)
    yield Picture("half.avif", saved(Image.new("RGBA", (16, 16), (*RED, 128)), "avif", quality=95), HALF, near=8)
    yield Picture("grey.avif", saved(Image.new("L", (16, 16), 100), "avif", quality=95), GREY, near=6)
    yield Picture("grey-16.jp2", saved(Image.fromarray(np.full((16, 16), 25_700, np.uint16)), "JPEG2000"), GREY)
    half = saved(Image.new("LA", (16, 16), (100, 128)), "JPEG2000")
    yield Picture("grey-alpha.jp2", half, before_white(GREY, 128 / 255))


def every():
    """All of them, each with a name of its own."""
    kinds = (few_bits, many_bits, declared, both_orders, layouts_of_tiff, names_that_lie, other_kinds)
    return [picture for kind in kinds for picture in kind()]

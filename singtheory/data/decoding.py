"""Stored pictures as 8-bit RGB in sRGB, as an eye would see them on a page of some colour; what cannot be is an `InputError`."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms, ImageColor, ImageOps, features

from singtheory.data.notes import Notes
from singtheory.data.png import alpha_of_deep_key, has_deep_key, scale_transparent_level, shown
from singtheory.data.tga import alpha_is_used
from singtheory.errors import InputError, first_sentence

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".avif",
        ".avifs",
        ".heic",
        ".heif",
        ".hif",
        ".jxl",
        ".jp2",
        ".j2k",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".pcx",
        ".qoi",
    ]
)
"""Endings of files that are taken for pictures, in whatever case."""
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "PCX", "QOI")
"""Formats of pillow whose header tells the size and that start no other program."""
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "LA": 4, "PA": 4}
"""Bytes of a pixel in memory, by pillow's mode; four of others."""
LARGEST = 2**30
"""Bytes that decoding one image may take: 134 million pixels in RGB."""
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _WHITE_IS_0, _SIGNED = 258, 262, 339, 0, 2
"""Tags and values of TIFF."""
_RATHER_32 = 2**24
"""A picture in 32 bits that is not black has brighter pixels than this, or else its white is not known."""
_PLUGINS = {
    "pillow-heif": ("pillow_heif", "register_heif_opener"),
    "pillow-jxl-plugin": ("pillow_jxl", ""),
    "pillow-avif-plugin": ("pillow_avif", ""),
}
"""By the package the module, and the function that makes it known to pillow if importing does not."""
PROFILE = "{} pictures have a colour profile that cannot be read or fits another kind; taken as sRGB"
EXIF = "{} pictures have EXIF that cannot be read; not turned"
_RGB = ImageCms.createProfile("sRGB")


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour by its name or as #rrggbb. Raises `InputError` for anything else."""
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise InputError(f"background {name!r}: is no colour; give a name such as white, or #rrggbb") from None
    return red, green, blue


def decoded_bytes(content: bytes, key: str) -> int:
    """What `rgb` holds at its peak, from the header alone. Raises `InputError` for more than `LARGEST`, and as `rgb`."""
    with _opened(content, key) as stored:
        return _checked_size(stored, key)


def is_grey(content: bytes, key: str) -> bool:
    """Whether a picture is stored in levels of grey, by its header. Raises `InputError` as `rgb`."""
    with _opened(content, key) as stored:
        return stored.mode in ("1", "L") or stored.mode.startswith(("I", "F"))


def rgb(content: bytes, key: str, background: tuple[int, int, int], notes: Notes) -> Pillow.Image:
    """The first frame, turned as EXIF says, in sRGB, before a background where it is transparent.

    Args:
        content: the file's bytes.
        key: for errors.
        background: of what is transparent.
        notes: count colour profiles that cannot be used.

    Raises:
        InputError: for bytes that are no whole image, for pixels without a known range, and for what takes more than `LARGEST` to decode.
    """
    with _opened(content, key) as stored:
        _checked_size(stored, key)
        _refuse_signed(stored, key)
        scale_transparent_level(stored, content)
        profile, hidden = stored.info.get("icc_profile"), _transparent_level(stored)
        image = ImageOps.exif_transpose(stored)
        if stored.info.get("exif") and not stored.getexif():
            notes.count(EXIF, key)
        alpha = None
        if has_deep_key(stored, content):
            alpha = alpha_of_deep_key(image, stored.info["transparency"], content)
        elif image.mode.startswith(("I", "F")):
            if hidden is not None:
                alpha = Pillow.fromarray(np.where(np.asarray(image) == hidden, 0, 255).astype(np.uint8))
            image = Pillow.fromarray(_deep(np.asarray(image), stored, key))
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            alpha = image.getchannel("A")
            if stored.format == "TGA" and not alpha_is_used(content, alpha):
                alpha = None
        image = shown(_in_srgb(image, profile, key, notes), stored)
        if alpha is None:
            return image
        page = Pillow.new("RGB", image.size, background)
        page.paste(image, mask=alpha)
        return page


@contextmanager
def without_warnings() -> Iterator[None]:
    """Pillow warns of sizes, of which `LARGEST` is the limit, and of EXIF, which is counted. Around threads, not in them: filters are of a process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        warnings.filterwarnings("ignore", "Corrupt EXIF data")
        yield


@contextmanager
def _opened(content: bytes, key: str) -> Iterator[Pillow.Image]:
    """Opens an image: reads its header; the pixels are read when the block asks for them."""
    missing = _plugin_for(content)
    try:
        with Pillow.open(io.BytesIO(content), formats=None if missing else _formats()) as stored:
            yield stored
    except InputError:
        raise
    except Exception as error:  # damaged files raise whatever their decoder likes
        if missing and isinstance(error, Pillow.UnidentifiedImageError):
            raise InputError(f"{key}: pillow cannot read this kind; pip install {missing}") from None
        if isinstance(error, Pillow.UnidentifiedImageError):
            raise InputError(
                f"{key}: no image that can be decoded (pillow does not know what it is); save it as PNG"
            ) from None
        raise InputError(f"{key}: no image that can be decoded ({first_sentence(error)})") from None


@cache
def _formats() -> list[str]:
    """The formats among `_FORMATS` that this pillow has."""
    Pillow.init()
    return [name for name in _FORMATS if name in Pillow.OPEN]


def _plugin_for(content: bytes) -> str | None:
    """The package that reads HEIC, JPEG XL or AVIF where pillow does not, registered if it is installed; None for other kinds."""
    brand = content[8:12] if content[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        name = "pillow-heif"
    elif content.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        name = "pillow-jxl-plugin"
    elif brand in (b"avif", b"avis") and not features.check("avif"):
        name = "pillow-avif-plugin"
    else:
        return None
    module, register = _PLUGINS[name]
    try:
        plugin: Any = __import__(module)
    except ImportError:
        return name
    if register:
        getattr(plugin, register)()
    return name


def _checked_size(stored: Pillow.Image, key: str) -> int:
    count = stored.width * stored.height * _pixel_bytes(stored)
    if count > LARGEST:
        raise InputError(
            f"{key}: {stored.width}×{stored.height} pixels take {count / 2**30:.1f} GiB to decode, more than "
            f"{LARGEST / 2**30:.3g}; make it smaller"
        )
    return count


def _pixel_bytes(stored: Pillow.Image) -> int:
    """The bytes of an image as it is stored, turned, and in RGB; of a transparent one also in RGBA, its alpha and the page, and of one with a profile a copy."""
    mode = stored.mode
    plain = 2 * _STORED.get(mode, 4) + (0 if mode == "RGB" else 4) + (1 if mode.startswith("I") else 0)
    transparent = stored.has_transparency_data or "transparency" in stored.info
    keyed = 4 if transparent and mode == "RGB" else 0  # its lower 8 bits
    return plain + keyed + (9 if transparent else 0) + (4 if stored.info.get("icc_profile") else 0)


def _transparent_level(stored: Pillow.Image) -> int | None:
    """The level that a picture of more than 8 bits declares to be transparent."""
    level = stored.info.get("transparency")
    return level if stored.mode.startswith("I") and isinstance(level, int) else None


def _refuse_signed(stored: Pillow.Image, key: str) -> None:
    """Raise `InputError` for a TIFF of signed pixels: pillow reads those of 8 bits as if they had no sign."""
    tags: Any = getattr(stored, "tag_v2", {})
    if _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        raise InputError(f"{key}: signed pixels have no known range; save 8 or 16 bits without sign")


def _deep(levels: np.ndarray, stored: Pillow.Image, key: str) -> np.ndarray:
    """The nearest 8 bits, a few rows at a time: a whole image of floats would be eight times as large as its file.

    Raises `InputError` where it is not known which level is white.
    """
    tags: Any = getattr(stored, "tag_v2", {})
    if levels.dtype.kind == "f":
        white = _white_of_floats(levels, key)
    else:
        bits = tags.get(_BITS, (16,))[0]
        if bits == 32:
            levels = levels.view(np.uint32)  # pillow reads them with a sign
            if 0 < int(levels.max()) < _RATHER_32:
                raise InputError(f"{key}: pixels of 32 bits up to {levels.max()} have no known range; save 16 bits")
        white = 2**bits - 1
    scaled = of_range(levels, white)
    return 255 - scaled if tags.get(_PHOTOMETRIC) == _WHITE_IS_0 else scaled


def _white_of_floats(levels: np.ndarray, key: str) -> float:
    """1, by custom. Raises `InputError` for what lies outside of it."""
    low, high = float(levels.min()), float(levels.max())
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"{key}: floating-point pixels in [{low:.3g}, {high:.3g}] have no known range; scale them to [0, 1] or save 16 bits"
        )
    return 1.0


def of_range(levels: np.ndarray, white: float) -> np.ndarray:
    """The nearest of 8 bits for levels from 0 to `white`, any shape with rows."""
    scaled = np.empty(levels.shape, np.uint8)
    for some, row in zip(scaled, levels, strict=True):
        some[...] = np.floor(row.astype(np.float64) * (255 / white) + 0.5).clip(0, 255)
    return scaled


def _in_srgb(image: Pillow.Image, profile: bytes | None, key: str, notes: Notes) -> Pillow.Image:
    """The image in RGB, from the colours of a profile if there is one that can be used; alpha is left out."""
    if profile:
        try:
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if _is_srgb(source):
                return _converted(image)
            plain = _converted(image) if image.mode in ("P", "PA", "RGBA", "1", "RGBX") else image
            if source.profile.xcolor_space.strip() == "GRAY" and plain.mode == "RGB":
                plain = plain.convert("L")
            converted = ImageCms.profileToProfile(plain, source, _RGB, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.count(PROFILE, key)
    return _converted(image)


def _converted(image: Pillow.Image) -> Pillow.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_srgb(profile: Any) -> bool:
    return "srgb" in (profile.profile.profile_description or "").lower()

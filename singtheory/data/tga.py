"""Whether the fourth byte of a pixel in a TGA file is its alpha (Truevision TGA File Format Specification 2.0).

Many programs write 32 bits a pixel and leave the last byte at 0: taken at its word such a picture is nothing but its background.
"""

import struct

from PIL import Image as Pillow

_DESCRIPTOR, _ALPHA_BITS = 17, 0b1111
"""The byte of the header whose lower bits count those of alpha in a pixel."""
_FOOTER, _SIGNATURE = 26, b"TRUEVISION-XFILE.\0"
_ATTRIBUTES = 494
"""Where in the extension area a byte says what alpha is: 3 and 4 are useful, below it is none, or undefined."""
_USEFUL = 3


def alpha_is_used(content: bytes, alpha: Pillow.Image) -> bool:
    """False where the file declares no alpha, or undefined one, and where it is 0 everywhere.

    Args:
        content: the file's bytes.
        alpha: as pillow reads it, one channel of 8 bits.
    """
    declared = content[_DESCRIPTOR] & _ALPHA_BITS and _attributes(content) >= _USEFUL
    return bool(declared) and alpha.getextrema() != (0, 0)


def _attributes(content: bytes) -> int:
    """What the extension area says of alpha; useful where there is none."""
    footer = content[-_FOOTER:]
    if not footer.endswith(_SIGNATURE):
        return _USEFUL
    (extension,) = struct.unpack("<I", footer[:4])
    at = extension + _ATTRIBUTES
    return content[at] if extension > 0 and at < len(content) - _FOOTER else _USEFUL

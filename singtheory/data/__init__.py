"""Real data as laws."""

from singtheory.data.bands import Band, frequency_bands
from singtheory.data.decoding import LARGEST, SUFFIXES, colour, decoded_bytes, is_grey, rgb, without_warnings
from singtheory.data.folder import MOST, Size, as_law, entries, files, fitted, stored_bytes, usable
from singtheory.data.images import HALF_RANGE, Pictures, digit_pictures, png_strip, to_bytes
from singtheory.data.named_law import Data, check_memory
from singtheory.data.notes import Notes
from singtheory.data.sources import FASHION_FOLDER, digits_images, digits_labels, load

__all__ = [
    "FASHION_FOLDER",
    "HALF_RANGE",
    "LARGEST",
    "MOST",
    "SUFFIXES",
    "Band",
    "Data",
    "Notes",
    "Pictures",
    "Size",
    "as_law",
    "check_memory",
    "colour",
    "decoded_bytes",
    "digit_pictures",
    "digits_images",
    "digits_labels",
    "entries",
    "files",
    "fitted",
    "frequency_bands",
    "is_grey",
    "load",
    "png_strip",
    "rgb",
    "stored_bytes",
    "to_bytes",
    "usable",
    "without_warnings",
]

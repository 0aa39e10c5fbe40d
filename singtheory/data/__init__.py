"""Real data as laws."""

from singtheory.data.images import HALF_RANGE, Pictures, digit_pictures, png_strip, to_bytes
from singtheory.data.sources import FASHION_FOLDER, Data, check_memory, digits_images, digits_labels, load

__all__ = [
    "FASHION_FOLDER",
    "HALF_RANGE",
    "Data",
    "Pictures",
    "check_memory",
    "digit_pictures",
    "digits_images",
    "digits_labels",
    "load",
    "png_strip",
    "to_bytes",
]

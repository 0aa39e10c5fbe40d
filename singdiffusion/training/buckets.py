"""Sizes of pictures for training that keep their shape: sides are multiples of 64, and the area is nearly that of a square."""

import math

from singtheory.data import Size
from singtheory.errors import InputError

STEP = 64
"""What sides are multiples of: the factor of every VAE and U-Net divides it."""
_LONGEST = 4
"""The largest ratio of one side to the other."""
_NEAR = 0.1
"""The share by which an area may differ from that of the square."""


def bucket_sizes(resolution: int) -> list[Size]:
    """Width and height of all buckets: for each width the height whose area is nearest to `resolution²`, and the same turned.

    Raises:
        InputError: for a resolution that is no multiple of `STEP`.
    """
    if resolution % STEP or resolution < STEP:
        raise InputError(f"buckets: the resolution is {resolution}; take a multiple of {STEP}, for all sides are")
    area = resolution**2
    widths = range(STEP, _LONGEST * resolution + 1, STEP)
    sizes = [(width, max(1, round(area / (width * STEP))) * STEP) for width in widths]
    kept = [
        (width, height)
        for width, height in sizes
        if max(width, height) <= _LONGEST * min(width, height) and abs(width * height / area - 1) <= _NEAR
    ]
    return sorted({*kept, *((height, width) for width, height in kept)})


def nearest_bucket(size: Size, buckets: list[Size]) -> Size:
    """The bucket to which a picture is cut with the least loss: that of the nearest logarithm of width over height, of two as near the squarer."""
    shape = math.log(size[0] / size[1])

    def distance(bucket: Size) -> tuple[float, float]:
        own = math.log(bucket[0] / bucket[1])
        return round(abs(own - shape), 9), abs(own)

    return min(buckets, key=distance)

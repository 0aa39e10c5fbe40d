"""The fields that the `config.json` of several modules share, and those of the configurations within it, with what each may be."""

import math
from collections.abc import Mapping
from typing import Any

from singdiffusion.system import (
    Kind,
    at_most,
    is_small,
    listed,
    number,
    one_of,
    scale,
    shown,
    size,
    whole,
    word,
)
from singtheory.errors import InputError

MANY = 2**24
"""Rows of a table, classes: names at most."""
_SHIFT = number(-1e9, 1e9)
LATENTS: dict[str, Kind] = {"scaling_factor": scale(), "shift_factor": _SHIFT}
"""What the configuration of every module holds."""
NETWORK: dict[str, Kind] = LATENTS | {
    "text_encoder": word(optional=True),
    "frequencies": whole(0, 1024),
    "spread_width": at_most(2**16),
    "spread_layers": at_most(256),
}
"""What the configuration of every network holds besides."""
CONDITION: dict[str, Kind] = {
    "kind": one_of(("text", "classes", "image", "none")),
    "width": whole(1, 2**16),
    "names": listed(word(), 0, MANY),
    "size": size(),
    "clip_skip": whole(0, 256),
}
"""What the configuration of a network's condition holds."""

_WIDEST, _LAYERS, _BLOCKS, _PARTS = 2**20, 32, 8, 512


def check_unet(config: Mapping[str, Any]) -> None:
    """Raise `InputError` for the configuration of a U-Net that is no small mapping, or of more layers or wider than any is."""
    if not is_small(config):
        raise InputError("configuration of the U-Net: need a small mapping of plain values")
    for name, value in config.items():
        most = _LAYERS if "layers" in name else _WIDEST
        if any(not 0 <= abs(one) <= most for one in _numbers(value)):
            raise InputError(f"configuration of the U-Net: {name} {shown(value)}: need numbers up to {most}")
    blocks = [
        len(config.get(name) or ()) for name in ("down_block_types", "up_block_types") if _is_list(config.get(name))
    ]
    layers = math.prod(max([1, *_numbers(value)]) for name, value in config.items() if "layers" in name)
    if max([1, *blocks]) > _BLOCKS or max([1, *blocks]) * layers > _PARTS:
        raise InputError(
            f"configuration of the U-Net: more than {_BLOCKS} blocks, or {_PARTS} layers in them; it is damaged"
        )


def _numbers(value: Any) -> list[float]:
    """All in a value; an infinite one is too large, and so is NaN."""
    if _is_list(value):
        return [one for part in value for one in _numbers(part)]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    return [value if math.isfinite(value) else math.inf]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)

"""Images with captions from a folder, tar shards, tables or the hub, one after another; nothing is unpickled."""

from singdiffusion.source.captions import decoded
from singdiffusion.source.records import USUAL, Record, Source
from singtheory.data import LARGEST

__all__ = ["LARGEST", "USUAL", "Record", "Source", "decoded"]

"""Training of average images, from settings and a cache to a folder with weights and card.

Names are imported when they are first used, so that settings are checked before anything heavy is loaded.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singdiffusion.training.base_encoder import encoder_for
    from singdiffusion.training.cache import Cache, finish, save_part, save_texts
    from singdiffusion.training.cache_index import Encoding
    from singdiffusion.training.encode import is_finished, make_cache
    from singdiffusion.training.encoder import Encoder
    from singdiffusion.training.processes import choose, joined
    from singdiffusion.training.settings import TrainSettings
    from singdiffusion.training.train import Stopped
    from singdiffusion.training.training_run import check_out, decoder_of, plan, run

_FILES = {
    "Cache": "cache",
    "Encoder": "encoder",
    "Encoding": "cache_index",
    "Stopped": "train",
    "TrainSettings": "settings",
    "check_out": "training_run",
    "choose": "processes",
    "decoder_of": "training_run",
    "encoder_for": "base_encoder",
    "finish": "cache",
    "is_finished": "encode",
    "joined": "processes",
    "make_cache": "encode",
    "plan": "training_run",
    "run": "training_run",
    "save_part": "cache",
    "save_texts": "cache",
}
__all__ = [
    "Cache",
    "Encoder",
    "Encoding",
    "Stopped",
    "TrainSettings",
    "check_out",
    "choose",
    "decoder_of",
    "encoder_for",
    "finish",
    "is_finished",
    "joined",
    "make_cache",
    "plan",
    "run",
    "save_part",
    "save_texts",
]


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)

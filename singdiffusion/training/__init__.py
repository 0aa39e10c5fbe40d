"""Training of average images, from records to a folder with weights and card."""

from singdiffusion.training.cache import Cache, finish, save_part, save_texts
from singdiffusion.training.cache_index import Encoding
from singdiffusion.training.encode import Encoder, encoder_for, is_finished, make_cache
from singdiffusion.training.run import check_out, decoder_of, plan, run
from singdiffusion.training.settings import TrainSettings
from singdiffusion.training.train import Stopped

__all__ = [
    "Cache",
    "Encoder",
    "Encoding",
    "Stopped",
    "TrainSettings",
    "check_out",
    "decoder_of",
    "encoder_for",
    "finish",
    "is_finished",
    "make_cache",
    "plan",
    "run",
    "save_part",
    "save_texts",
]

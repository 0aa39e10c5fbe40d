"""Average images: the models that give them, their conditions and their spread."""

from singdiffusion.average.conversion import STABLE_DIFFUSION_1, convert
from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.model import Average, AverageImage, AverageModel, ClosedForm, Condition
from singdiffusion.average.network import AverageNetwork
from singdiffusion.average.pictures import Decode, first_channels, gallery
from singdiffusion.average.registry import MODELS, load_average
from singdiffusion.average.spread import directions, low_frequencies
from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet

__all__ = [
    "MODELS",
    "STABLE_DIFFUSION_1",
    "Average",
    "AverageDecoder",
    "AverageImage",
    "AverageModel",
    "AverageNetwork",
    "AverageStatistics",
    "AverageTable",
    "AverageUNet",
    "ClosedForm",
    "Condition",
    "Decode",
    "convert",
    "directions",
    "first_channels",
    "gallery",
    "load_average",
    "low_frequencies",
]

"""The models of average images by name: whoever looks for a model reads it here."""

from pathlib import Path
from typing import Any

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.model import STORED, AverageModel
from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.system import find_folder, read_config, shown
from singtheory.errors import InputError, unknown_name

MODELS: dict[str, type[AverageModel]] = {
    "decoder": AverageDecoder,
    "unet": AverageUNet,
    "statistics": AverageStatistics,
    "table": AverageTable,
}
"""By the name that `singdiffusion train --model` takes; a stored module names its class. What a new one needs beside its line here: docs/guides/add-a-schedule-or-model.md."""


def load_average(path: str | Path, **kwargs: Any) -> AverageModel:
    """Load the average-image module in a local folder or under a hub id.

    Args:
        path: folder or hub id; `HF_HUB_OFFLINE` is honoured.
        kwargs: those of diffusers' `ModelMixin.from_pretrained`, such as `dtype`.

    Raises:
        InputError: as `from_pretrained`, and for a model that gives no average image.
    """
    folder = find_folder(path, STORED)
    stored = shown(read_config(folder).get("_class_name")).strip("'")
    if stored == "UNet2DConditionModel":
        raise InputError(f"{folder}: holds an ordinary U-Net; try `singdiffusion convert {folder} NEW_FOLDER`")
    classes = {model.__name__: model for model in MODELS.values()}
    if stored not in classes:
        raise unknown_name("average image", stored, sorted(classes))
    return classes[stored].from_pretrained(folder, **kwargs)

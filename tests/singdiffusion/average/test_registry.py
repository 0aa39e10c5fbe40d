"""One registry of average images: what is stored, trained and checked reads it."""

import inspect
import json

import pytest

from singdiffusion import average
from singdiffusion.average import AverageModel, AverageNetwork, ClosedForm
from singdiffusion.average.registry import MODELS, load_average
from singdiffusion.training.build import _NETWORKS, needs_training
from singdiffusion.training.settings import TrainSettings
from singtheory import InputError


def test_every_exported_model_is_registered():
    exported = {value for name in average.__all__ if inspect.isclass(value := getattr(average, name))}
    models = {kind for kind in exported if issubclass(kind, AverageModel)} - {AverageModel, AverageNetwork, ClosedForm}
    assert models == set(MODELS.values())


@pytest.mark.parametrize("name", MODELS)
def test_a_configuration_holds_the_arguments_of_its_class(name):
    assert set(MODELS[name].config_fields) == set(inspect.signature(MODELS[name].__init__).parameters) - {"self"}


@pytest.mark.parametrize("name", MODELS)
def test_settings_take_every_registered_model(name, tmp_path):
    settings = TrainSettings(cache=str(tmp_path), out=str(tmp_path / "out"), model=name, unet={})
    assert needs_training(settings) == (name in ("decoder", "unet")) == (MODELS[name] in _NETWORKS)


def test_a_model_that_is_not_registered_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AverageTables"}))
    with pytest.raises(InputError, match=r"AverageTables.*did you mean AverageTable"):
        load_average(tmp_path)

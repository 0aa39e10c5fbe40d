"""One registry of average images: what is stored, trained and checked reads it."""

import inspect
import json
from types import SimpleNamespace
from typing import get_type_hints

import pytest
import torch

from singdiffusion import average
from singdiffusion.average import AverageModel, AverageNetwork, ClosedForm
from singdiffusion.average.registry import MODELS, load_average
from singdiffusion.commands import train
from singdiffusion.training import build
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


@pytest.mark.parametrize("by_steps", [False, True])
def test_a_registered_model_that_is_not_made_from_a_cache_is_refused(by_steps, tmp_path, monkeypatch):
    """It was made as a table, or ended in a traceback."""
    monkeypatch.setitem(MODELS, "colour", type("Colour", (ClosedForm,), {"trained_by_steps": by_steps}))
    settings = TrainSettings(cache=str(tmp_path), out=str(tmp_path / "out"), model="colour", condition="none")
    make = build.untrained if by_steps else build.closed_form
    with pytest.raises(InputError, match=r"^model colour: is not made.*decoder, unet, statistics, table$"):
        make(settings, SimpleNamespace(captions=[""], caption=torch.zeros(1, dtype=torch.long)))  # pyright: ignore[reportArgumentType]


def test_the_help_of_train_names_the_models_that_it_makes():
    made = [name for name, kind in MODELS.items() if kind in {*build._NETWORKS, *build._CLOSED_FORMS}]
    (option,) = get_type_hints(train.train, include_extras=True)["model"].__metadata__
    assert option.help == f"{', '.join(made[:-1])} or {made[-1]}."


def test_a_model_that_is_not_registered_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AverageTables"}))
    with pytest.raises(InputError, match=r"AverageTables.*did you mean AverageTable"):
        load_average(tmp_path)

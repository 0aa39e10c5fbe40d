"""Averages, and loading the models that give them from folders good and bad."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from singdiffusion.average.model import Average
from singdiffusion.average.registry import load_average
from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.base.space import Space
from singtheory import InputError
from tests.singdiffusion.support import tiny

MEAN = torch.zeros(2, 3, 4, 4)
BASIS = torch.eye(48)[:5].reshape(5, 3, 4, 4)
STD = torch.ones(2, 5)
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def table():
    return AverageTable.from_images({"black": torch.randn(3, *tiny.LATENTS)}, scaling_factor=0.18215)


@pytest.fixture
def stored(table, tmp_path):
    table.save_pretrained(tmp_path / "table")
    return tmp_path / "table"


def assert_refused(folder, *words):
    with pytest.raises(InputError) as error:
        load_average(folder)
    assert "\n" not in str(error.value)
    for word in (str(folder), *words):
        assert word in str(error.value)


def rewrite(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_spread_is_a_pair_or_none():
    assert Average(MEAN).spread is None
    assert Average(MEAN, BASIS, STD).spread == (BASIS, STD)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((MEAN[0],), "(3, 4, 4)"),
        ((MEAN / 0,), "average image: holds NaN"),
        ((MEAN + float("inf"),), "average image: holds NaN or infinity"),
        ((MEAN, BASIS), "or neither"),
        ((MEAN, None, STD), "or neither"),
        ((MEAN, BASIS[:, :2], STD), "(5, 2, 4, 4)"),
        ((MEAN, BASIS, STD[:1]), "(1, 5)"),
        ((MEAN, BASIS, STD[:, :4]), "(2, 4)"),
        ((MEAN, BASIS / 0, STD), "basis of the spread"),
        ((MEAN, BASIS, STD / 0), "std of the spread"),
        ((MEAN, BASIS, -STD), "negative"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, words):
    with pytest.raises(InputError) as error:
        Average(*parts)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_class_in_the_configuration_decides(stored, tmp_path):
    AverageUNet.from_unet(tiny.stable_diffusion().unet).save_pretrained(tmp_path / "unet")
    assert type(load_average(stored)) is AverageTable
    assert type(load_average(str(tmp_path / "unet"))) is AverageUNet
    with pytest.raises(InputError, match="holds a AverageTable, not a AverageUNet"):
        AverageUNet.from_pretrained(stored)


def test_a_hub_id_is_read_from_the_cache_when_offline(stored, tmp_path, monkeypatch):
    repository = tmp_path / "cache" / "models--somebody--average"
    shutil.copytree(stored, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert load_average("somebody/average").config["prompts"] == ["black", ""]
    assert_refused("somebody/another", "no such folder")
    assert_refused("not even / an id", "no such folder")


def test_a_folder_that_holds_something_is_never_overwritten(table, stored):
    before = (stored / WEIGHTS).read_bytes()
    table.means.zero_()
    with pytest.raises(InputError, match="not empty"):
        table.save_pretrained(stored)
    assert (stored / WEIGHTS).read_bytes() == before


def test_without_a_configuration(stored):
    (stored / "config.json").unlink()
    assert_refused(stored, "no config.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_a_configuration_that_is_none(stored, text):
    (stored / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    assert_refused(stored, "config.json")


def test_an_unknown_class(stored):
    rewrite(stored, _class_name="AverageTabel")
    with pytest.raises(InputError, match="unknown average image 'AverageTabel': did you mean AverageTable"):
        load_average(stored)


def test_an_ordinary_unet_points_to_the_conversion(tmp_path):
    tiny.stable_diffusion().unet.save_pretrained(tmp_path)
    assert_refused(tmp_path, "singdiffusion convert")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights(stored, kept):
    file = stored / WEIGHTS
    file.write_bytes(file.read_bytes()[:kept])
    assert_refused(stored, "truncated")


def test_weights_that_are_missing(stored):
    (stored / WEIGHTS).unlink()
    assert_refused(stored, f"no {WEIGHTS}")


def test_a_pickle_is_not_loaded(stored, planted):
    (stored / WEIGHTS).unlink()
    planted.write(stored / "diffusion_pytorch_model.bin")
    assert_refused(stored, "a pickle is not loaded")
    assert not planted.was_run()


def test_a_variant_in_a_pickle_is_not_loaded_either(table, stored):
    torch.save(table.state_dict(), stored / "diffusion_pytorch_model.fp16.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_average(stored, variant="fp16")


def test_weights_of_another_shape(stored):
    rewrite(stored, prompts=["black", "white", ""])
    assert_refused(stored, "means expected shape")


def test_weights_that_are_too_few_or_too_many(tmp_path):
    AverageUNet.from_unet(tiny.stable_diffusion().unet).save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    save_file(weights | {"planted": torch.zeros(1)}, tmp_path / WEIGHTS)
    assert_refused(tmp_path, "do not fit config.json in 1 tensors, first planted")
    del weights["network.conv_out.bias"]
    save_file(weights, tmp_path / WEIGHTS)
    assert_refused(tmp_path, "do not fit config.json in 1 tensors, first network.conv_out.bias")


@pytest.mark.parametrize("changes", [{"size": "large"}, {"prompts": None}, {"rank": -1}, {"rank": "many"}])
def test_a_configuration_of_nonsense(stored, changes):
    rewrite(stored, **changes)
    assert_refused(stored, "cannot be loaded")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"channels": 16}, "16 channels"), ({"scaling_factor": 0.13025}, "0.13025"), ({"shift_factor": 0.1}, "shift 0.1")],
)
def test_another_latent_space_is_refused(table, changes, words):
    pipeline = Space(**{"channels": 4, "scaling_factor": 0.18215} | changes)
    with pytest.raises(InputError) as error:
        table.condition_for(pipeline)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_push_to_hub_uploads_safetensors_and_config(tmp_path, monkeypatch):
    """What is uploaded, without a hub: diffusers' own method over our way of saving."""
    module = AverageTable.from_images({"a": torch.randn(3, 4, 8, 8)})
    uploaded = []
    monkeypatch.setattr("diffusers.utils.hub_utils.create_repo", lambda name, **_: SimpleNamespace(repo_id=name))
    monkeypatch.setattr(
        "diffusers.utils.hub_utils.load_or_create_model_card", lambda *_, **__: SimpleNamespace(save=lambda *_: None)
    )
    monkeypatch.setattr("diffusers.utils.hub_utils.populate_model_card", lambda card, **_: card)
    monkeypatch.setattr(
        AverageTable,
        "_upload_folder",
        lambda _, folder, *__, **___: uploaded.extend(sorted(p.name for p in Path(folder).iterdir())),
    )
    module.push_to_hub("someone/table")
    assert uploaded == ["config.json", "diffusion_pytorch_model.safetensors"]
    with pytest.raises(InputError, match="safetensors alone"):
        module.save_pretrained(tmp_path / "x", safe_serialization=False)
    assert not (tmp_path / "x").exists()

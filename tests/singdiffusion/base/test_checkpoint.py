"""What is found at a path, and what is refused."""

import importlib.util
import json
import pickle
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler
from safetensors.torch import load_file, save_file

from singdiffusion.base.checkpoint import Checkpoint, _check_length, scheduler_class, variant_of
from singdiffusion.demonstrator import PIPELINE
from singtheory import InputError
from singtheory.schedule.schedules import STABLE_DIFFUSION
from tests.singdiffusion.support import tiny

CONFIG = {"_class_name": "DDIMScheduler", **STABLE_DIFFUSION}


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "scheduler_config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipe")
    tiny.stable_diffusion().save_pretrained(folder)
    return folder


def test_file_folder_and_pipeline(pipeline, written):
    for source in (pipeline, pipeline / "scheduler", written(CONFIG)):
        actual = Checkpoint.find(str(source))
        assert isinstance(actual.scheduler(), DDIMScheduler)
        assert actual.scheduler(timestep_spacing="trailing").config.timestep_spacing == "trailing"
    assert Checkpoint.find(str(pipeline)).folder == pipeline
    for inside in ("scheduler", "scheduler/scheduler_config.json"):
        assert Checkpoint.find(str(pipeline / inside)).folder == pipeline


def test_networks_are_read_in_float32_and_none_where_they_are_not(pipeline, tmp_path, written):
    vae = Checkpoint.find(str(pipeline)).network("vae")
    assert type(vae).__name__ == "AutoencoderKL" and not vae.training
    assert Checkpoint.find(written(CONFIG)).network("vae") is None
    half = tmp_path / "half"
    tiny.stable_diffusion().to(torch.float16).save_pretrained(half, variant="fp16")
    actual = Checkpoint.find(str(half)).network("unet")
    assert {weight.dtype for weight in actual.parameters()} == {torch.float32}
    sharded = tmp_path / "sharded"
    tiny.stable_diffusion().unet.half().save_pretrained(sharded / "unet", variant="fp16", max_shard_size="20KB")
    assert len(list((sharded / "unet").glob("*.safetensors"))) > 1 and variant_of(sharded / "unet") == "fp16"
    assert Checkpoint("sharded", CONFIG, sharded).network("unet") is not None


def test_plain_weights_are_taken_where_a_variant_lies_beside_them(tmp_path):
    """As diffusers' own folders have them; shards of both too."""
    names = ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"]
    for name in names:
        (tmp_path / name).touch()
    assert variant_of(tmp_path) is None
    (tmp_path / names[1]).unlink()
    assert variant_of(tmp_path) == "fp16"
    (tmp_path / "diffusion_pytorch_model-00001-of-00002.safetensors").touch()
    assert variant_of(tmp_path) is None
    assert variant_of(tmp_path / "nowhere") is None


def test_pickled_networks_are_not_read(pipeline, tmp_path):
    folder = tmp_path / "pickled"
    tiny.stable_diffusion().save_pretrained(folder, safe_serialization=False)
    assert Checkpoint.find(str(folder)).network("vae") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "JSON"),
        ("not json", "JSON"),
        ("[1, 2]", "object"),
        ({"beta_start": 0.1}, "_class_name"),
        ({**CONFIG, "_class_name": "DDIMSchedular"}, "did you mean DDIMScheduler"),
        ({**CONFIG, "_class_name": "UNet2DConditionModel"}, "unknown scheduler"),
        ({**CONFIG, "_class_name": ["DDIMScheduler"]}, "_class_name"),
        ({**CONFIG, "beta_start": "small"}, "cannot be made"),
        ({**CONFIG, "beta_schedule": "quadratic"}, "cannot be made"),
        ({**CONFIG, "trained_betas": [0.1, 0.2]}, "num_train_timesteps is 1000, but there are 2 betas"),
    ],
)
def test_what_makes_no_scheduler_is_one_line(written, content, words):
    with pytest.raises(InputError, match=words) as caught:
        Checkpoint.find(written(content)).scheduler()
    assert "\n" not in str(caught.value)


def test_folder_without_scheduler(tmp_path):
    with pytest.raises(InputError, match=r"holds no scheduler/scheduler_config\.json"):
        Checkpoint.find(str(tmp_path))


def test_hub_id_without_a_hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"nobody/nothing: no such folder, and not to be had") as caught:
        Checkpoint.find("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_damaged_weights(pipeline, tmp_path):
    folder = tmp_path / "broken"
    tiny.stable_diffusion().save_pretrained(folder)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="vae: cannot be loaded"):
        Checkpoint.find(str(folder)).network("vae")
    file.write_bytes(whole)
    weights = load_file(file)
    name = next(iter(weights))
    weights[name] = torch.zeros(3, 3)
    save_file(weights, file)
    with pytest.raises(InputError, match="vae: cannot be loaded"):
        Checkpoint.find(str(folder)).network("vae")


def test_pndm_keeps_its_class(written):
    assert isinstance(Checkpoint.find(written({**CONFIG, "_class_name": "PNDMScheduler"})).scheduler(), PNDMScheduler)


@pytest.mark.skipif(importlib.util.find_spec("torchsde") is not None, reason="torchsde is there")
def test_a_scheduler_whose_package_is_missing_names_it():
    with pytest.raises(InputError, match="needs torch, torchsde"):
        scheduler_class("DPMSolverSDEScheduler")


def test_a_name_that_no_system_accepts():
    with pytest.raises(InputError, match="not to be had"):
        Checkpoint.find("a" * 5000)


def test_a_config_that_is_a_pickle_is_not_loaded(tmp_path, planted):
    path = tmp_path / "scheduler_config.json"
    path.write_bytes(pickle.dumps(planted))
    with pytest.raises(InputError, match="JSON"):
        Checkpoint.find(str(path))
    assert not planted.was_run()


def test_pixel_space_counts_as_no_vae():
    """Nothing is encoded in pixel space, so pictures are read as they are; the U-Net beside it is read."""
    actual = Checkpoint.find(str(PIPELINE))
    assert actual.network("vae") is None and actual.autoencoder() is None and not actual.has("vae")
    assert actual.network("unet").config["in_channels"] == 3 and actual.has("unet")


@pytest.mark.parametrize(("betas", "fits"), [(3, False), (4, True), (5, False)])
def test_fewer_and_more_betas_than_steps_are_refused(betas, fits):
    """More of them would be read from the wrong end: the last step that is told is not the last that there is."""
    scheduler = SimpleNamespace(alphas_cumprod=torch.linspace(0.9, 0.1, betas), config={"num_train_timesteps": 4})
    if fits:
        _check_length("config", scheduler)
    else:
        with pytest.raises(InputError, match=f"num_train_timesteps is 4, but there are {betas} betas"):
            _check_length("config", scheduler)

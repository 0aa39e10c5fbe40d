"""Checkpoints of one file: the same networks as in the pipeline's folder, the same answers, and errors that name the file that is missing."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from singdiffusion.average import AverageStatistics, load_average
from singdiffusion.base import Checkpoint, PipelineText, SingleFile, Space
from singdiffusion.evaluation.sampling import load_pipeline
from singdiffusion.training.base_encoder import encoder_for
from singdiffusion.training.encode import Encoder
from singtheory import InputError
from tests.singdiffusion.support import single_files, tiny
from tests.singdiffusion.test_cli import run


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    pipe, folder = tiny.stable_diffusion(), tmp_path_factory.mktemp("single")
    return pipe, *single_files.write(pipe, folder)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_file_draws_what_its_pipeline_draws(stored):
    pipe, file, config = stored
    actual = load_pipeline(str(file), None, "cpu", torch.float32, str(config))
    call = {"num_inference_steps": 2, "height": 16, "width": 16, "output_type": "np"}
    images = [
        one("a cat", generator=torch.Generator().manual_seed(0), **call).images
        for one in (pipe, actual)
        if one.set_progress_bar_config(disable=True) is None
    ]
    assert abs(images[0] - images[1]).max() < 1e-5
    assert Space.stored(str(file), str(config)) == Space.of(pipe)


def test_its_parts_are_those_of_the_pipeline(stored):
    pipe, file, config = stored
    checkpoint = Checkpoint.find(str(file), str(config))
    for part in ("unet", "vae"):
        mine, own = checkpoint.network(part).state_dict(), getattr(pipe, part).state_dict()
        assert mine.keys() == own.keys() and all(torch.equal(mine[name], own[name]) for name in own)
    assert checkpoint.sample_size == tiny.LATENTS[1] and checkpoint.has("vae") and not checkpoint.on_pixels
    text = PipelineText.stored(str(file), str(config))
    states = text(["a cat"], torch.device("cpu"), torch.float32)
    torch.testing.assert_close(states, pipe.encode_prompt("a cat", "cpu", 1, False)[0])


@pytest.mark.parametrize(
    "marks, setting",
    [(("v_pred",), {"prediction_type": "v_prediction"}), (("v_pred", "ztsnr"), {"rescale_betas_zero_snr": True})],
)
def test_marks_of_a_file_go_over_the_configuration(tmp_path, marks, setting):
    file, config = single_files.write(tiny.stable_diffusion(), tmp_path, marks)
    scheduler = Checkpoint.find(str(file), str(config)).scheduler()
    assert setting.items() <= dict(scheduler.config).items()
    drawn = load_pipeline(str(file), None, "cpu", torch.float32, str(config)).scheduler
    assert setting.items() <= dict(drawn.config).items()


def test_a_pickle_of_tensors_is_read_and_one_with_code_is_not(stored, tmp_path):
    config = stored[2]
    weights = {"state_dict": single_files.weights_of(stored[0]), "global_step": 1}
    torch.save(weights, tmp_path / "model.ckpt")
    unet = Checkpoint.find(str(tmp_path / "model.ckpt"), str(config)).network("unet")
    assert torch.equal(unet.conv_in.weight, stored[0].unet.conv_in.weight)

    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save(weights | {"callbacks": Code()}, tmp_path / "evil.ckpt", pickle_module=pickle)
    with pytest.raises(
        InputError, match=r"more than plain tensors, which could run code; it is not loaded.*\.safetensors"
    ):
        Checkpoint.find(str(tmp_path / "evil.ckpt"), str(config))
    assert not (tmp_path / "ran").exists()


def part(names):
    return {name: torch.zeros(2, 2) for name in names}


@pytest.mark.parametrize(
    "names, words",
    [
        (["lora_unet_down_blocks_0.lora_down.weight"], "a LoRA, which goes with --lora"),
        (["first_stage_model.encoder.conv_in.weight"], "another kind of weights"),
        (
            ["model.diffusion_model.input_blocks.0.0.weight"],
            r"needs model_index.json .* stable-diffusion-v1-5/.*--config or config=",
        ),
    ],
)
def test_what_is_no_checkpoint_or_has_no_configuration_is_told(tmp_path, names, words):
    file = tmp_path / "model.safetensors"
    save_file(part(names), file)
    with pytest.raises(InputError, match=words):
        Checkpoint.find(str(file))
    with pytest.raises(InputError, match=words):
        load_pipeline(str(file), None, "cpu", torch.float32)


def test_damaged_files_and_wrong_configurations(stored, tmp_path):
    _, file, config = stored
    short = tmp_path / "short.safetensors"
    short.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="truncated or damaged"):
        Checkpoint.find(str(short), str(config))
    with pytest.raises(InputError, match=r"holds no model_index\.json"):
        Checkpoint.find(str(file), str(config / "vae"))
    with pytest.raises(InputError, match="is a file; give the folder"):
        Checkpoint.find(str(file), str(config / "model_index.json"))
    with pytest.raises(InputError, match="goes with a checkpoint of one file"):
        Checkpoint.find(str(config), str(config))
    save_file(part(["model.diffusion_model.input_blocks.0.0.weight"]), tmp_path / "small.safetensors")
    with pytest.raises(InputError, match="does not fit the configuration"):
        SingleFile(str(tmp_path / "small.safetensors"), str(config)).pipeline(torch.float32)


def test_the_commands_take_a_file(stored, tmp_path):
    _, file, config = stored
    run_result = run("diagnose", file, "--config", config)
    assert run_result.exit_code == 0 and "the network expects" in run_result.output
    base = ["--base", file, "--config", config]
    actual = run(
        "sample", "a cat", *base, "--start", "noise", "--steps", 1, "--device", "cpu", "--out", tmp_path / "out"
    )
    assert actual.exit_code == 0, actual.output
    assert (tmp_path / "out" / "0000.png").is_file()


def test_training_encodes_with_a_file_as_with_its_pipeline(stored):
    pipe, file, config = stored
    encoder = encoder_for(str(file), None, 3, "cpu", config=str(config))
    images = torch.rand(2, 16, 16, 3).mul(255).byte().numpy()
    own = Encoder(16, 3, pipe.vae, PipelineText(pipe, "own"))
    assert encoder.encoding == own.encoding and encoder.resolution == 16
    torch.testing.assert_close(encoder.images(list(images)), own.images(list(images)))
    torch.testing.assert_close(encoder.texts(["a cat", ""]), own.texts(["a cat", ""]))


def test_an_average_is_found_by_the_file_of_its_weights(tmp_path):
    module = AverageStatistics.from_images(torch.randn(4, *tiny.LATENTS), rank=0)
    module.save_pretrained(tmp_path / "m")
    file = tmp_path / "m" / "diffusion_pytorch_model.safetensors"
    assert torch.equal(load_average(file).mean_image, module.mean_image)
    file.rename(tmp_path / file.name)
    with pytest.raises(InputError, match=r"needs the config\.json"):
        load_average(tmp_path / file.name)

"""Published checkpoints become modules, and nothing but plain tensors does."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from singdiffusion.average.conversion import STABLE_DIFFUSION_1, convert
from singdiffusion.average.registry import load_average
from singdiffusion.base.space import Space
from singtheory import InputError
from tests.singdiffusion.support import published, tiny

BIN = "diffusion_pytorch_model.bin"


@pytest.fixture
def pipe():
    return tiny.stable_diffusion()


@pytest.fixture
def source(pipe, tmp_path):
    published.write(tmp_path / "published", pipe.unet)
    return tmp_path / "published"


def assert_refused(source: Path, pipe, *words: str) -> None:
    """One line with those words, and no trace of a target."""
    target = source.parent / "target"
    with pytest.raises(InputError) as error:
        convert(source, target, Space.of(pipe))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
    assert not target.exists() and not list(source.parent.glob(".target*"))


@torch.no_grad()
def test_the_module_gives_what_the_published_network_gives(pipe, source, tmp_path):
    convert(source, tmp_path / "target", Space.of(pipe))
    module = load_average(tmp_path / "target")
    x_1, tokens = torch.randn(2, *tiny.LATENTS), torch.randn(2, 77, tiny.TEXT_WIDTH)
    assert torch.allclose(module(tokens, x_1).mean, pipe.unet(x_1, 999, tokens).sample, rtol=0, atol=1e-6)
    assert module.space == Space.of(pipe)


def test_what_is_written_is_ours_in_safetensors(pipe, source, tmp_path):
    convert(source, tmp_path / "target", Space.of(pipe))
    names = sorted(file.name for file in (tmp_path / "target").iterdir())
    assert names == ["config.json", "diffusion_pytorch_model.safetensors"]
    config = json.loads((tmp_path / "target" / "config.json").read_text())
    assert config["_class_name"] == "AverageUNet" and str(tmp_path) not in json.dumps(config)


def test_published_safetensors_and_half_precision_are_kept(pipe, source, tmp_path):
    (source / BIN).unlink()
    halves = {name: value.half() for name, value in published.state(pipe.unet).items()}
    save_file(halves, source / "diffusion_pytorch_model.safetensors")
    assert convert(source, tmp_path / "target", Space.of(pipe)).dtype == torch.float16


def test_without_a_pipeline_it_must_be_stable_diffusion_1(source, tmp_path):
    with pytest.raises(InputError, match="width 16, but the pipeline has 4 and 768"):
        convert(source, tmp_path / "target")
    assert (STABLE_DIFFUSION_1.channels, STABLE_DIFFUSION_1.scaling_factor) == (4, 0.18215)


def test_a_pickle_with_code_is_refused_and_not_run(pipe, source, planted):
    planted.write(source / BIN)
    assert_refused(source, pipe, "more than plain tensors")
    assert not planted.was_run()


def test_a_pickled_module_is_refused(pipe, source):
    torch.save(pipe.unet, source / BIN)
    assert_refused(source, pipe, "more than plain tensors")


@pytest.mark.parametrize("kept", [0, 10, 5000, -1])
def test_a_truncated_pickle_is_refused(pipe, source, kept):
    (source / BIN).write_bytes((source / BIN).read_bytes()[:kept])
    assert_refused(source, pipe, BIN)


def test_truncated_safetensors_are_refused(pipe, source):
    file = source / "diffusion_pytorch_model.safetensors"
    save_file(published.state(pipe.unet), file)
    file.write_bytes(file.read_bytes()[:-1])
    assert_refused(source, pipe, "truncated")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"state_dict": {"conv_in.weight": torch.zeros(1)}}, {"step": 3}])
def test_what_is_no_table_of_tensors_is_refused(pipe, source, content):
    torch.save(content, source / BIN)
    assert_refused(source, pipe, "not a table of tensors")


def test_an_ordinary_unet_is_refused(pipe, source):
    torch.save(pipe.unet.state_dict(), source / BIN)
    assert_refused(source, pipe, "with time", "from_unet")


def test_weights_that_do_not_fit_are_refused(pipe, source):
    weights = published.state(pipe.unet)
    torch.save({name: value for name, value in weights.items() if name != "conv_out.bias"}, source / BIN)
    assert_refused(source, pipe, "1 do not fit", "conv_out.bias")
    torch.save(weights | {"planted": torch.zeros(1)}, source / BIN)
    assert_refused(source, pipe, "1 do not fit", "planted")
    torch.save(weights | {"conv_out.bias": torch.zeros(7)}, source / BIN)
    assert_refused(source, pipe, "1 do not fit", "conv_out.bias")


def test_nan_is_refused(pipe, source):
    torch.save(published.state(pipe.unet) | {"conv_out.bias": torch.full((4,), float("nan"))}, source / BIN)
    assert_refused(source, pipe, "conv_out.bias holds NaN")


def test_a_folder_without_configuration_or_weights_is_refused(pipe, source):
    (source / BIN).rename(source / "elsewhere.bin")
    assert_refused(source, pipe, "holds neither")
    (source / "config.json").unlink()
    assert_refused(source, pipe, "no config.json")


def test_a_target_that_holds_something_stays(pipe, source):
    before = (source / BIN).read_bytes()
    with pytest.raises(InputError, match="not empty"):
        convert(source, source, Space.of(pipe))
    assert (source / BIN).read_bytes() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_stop_before_the_last_step_leaves_the_target_as_it_was(pipe, source, tmp_path, monkeypatch, error):
    (tmp_path / "target").mkdir()

    def stop(*_):
        raise error

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises((KeyboardInterrupt, InputError)):
        convert(source, tmp_path / "target", Space.of(pipe))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["published", "target"]
    assert list((tmp_path / "target").iterdir()) == []

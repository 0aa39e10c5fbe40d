"""One `.safetensors` and a folder of pictures as people have them, offline, through every command that takes a checkpoint."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from singdiffusion import load_average
from singdiffusion.base import Space
from singdiffusion.training import Cache
from tests.singdiffusion.support import single_files, tiny
from tests.singdiffusion.test_cli import assert_one_line_error, run

LONG = "word " * 300


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The pipeline, its file, its configuration, and a folder of pictures of all sizes with captions."""
    pipe, folder = tiny.stable_diffusion(), tmp_path_factory.mktemp("one-file")
    file, config = single_files.write(pipe, folder)
    (folder / "pictures").mkdir()
    levels = np.random.default_rng(0)
    for k in range(8):
        shape = (17 + k, 24, 3)
        Image.fromarray(levels.integers(0, 256, shape, np.uint8)).save(folder / "pictures" / f"{k}.png")
        caption = {0: "café".encode("cp1252"), 1: LONG.encode()}.get(k, f"a cat {k}".encode())
        (folder / "pictures" / f"{k}.txt").write_bytes(caption)
    return pipe, file, config, folder / "pictures"


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def once(words, text):
    assert text.count(words) == 1, text


def test_a_file_is_cached_trained_with_sampled_and_diagnosed(stored, tmp_path):
    pipe, file, config, pictures = stored
    said = done("cache", pictures, tmp_path / "cache", "--base", file, "--config", config, "--device", "cpu").output
    once("1 texts are not UTF-8 and were read as cp1252; the first is 0.txt", said)
    once("1 of 8 captions are longer than the text encoder reads, and are cut; the first is 'word word", said)
    own = tmp_path / "own"
    pipe.save_pretrained(tmp_path / "base")
    done("cache", pictures, own, "--base", tmp_path / "base", "--device", "cpu")
    caches = [Cache.open(folder) for folder in (tmp_path / "cache", own)]
    latents = [cache.x_0(torch.arange(8)) for cache in caches]
    torch.testing.assert_close(*latents)

    settings = ["--base", file, "--base-config", config, "--steps", 2, "--batch", 4, "--device", "cpu"]
    said = done("train", "--data", pictures, *settings, "--out", tmp_path / "run").output
    once("captions are longer than the text encoder reads", said)
    once("were read as cp1252", said)
    module = load_average(tmp_path / "run" / "model")
    assert module.space == Space.of(pipe)

    base = ["--base", file, "--config", config, "--steps", 1, "--device", "cpu"]
    options = ["--module", tmp_path / "run" / "model", "--negative-prompt", "blurry", "--width", 24, "--height", 16]
    done("sample", "a cat", *base, *options, "--images", 2, "--batch-size", 1, "--out", tmp_path / "drawn")
    with Image.open(tmp_path / "drawn" / "0001.png") as picture:
        assert picture.size == (24, 16)
    said = done("diagnose", file, "--config", config, "--data", pictures, "--json", tmp_path / "d.json").output
    once("8 images are cut in the middle and scaled to 16×16, as for training", said)
    assert json.loads((tmp_path / "d.json").read_text())["reading"]["points"] == 8


@pytest.mark.parametrize("command", ["sample", "calibrate", "evaluate"])
def test_prompts_that_are_cut_are_said_once(stored, tmp_path, command):
    """The libraries' own remarks are silenced, so a command says it itself."""
    _, file, config, _ = stored
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(f"a cat\n{LONG}\n", encoding="utf-8-sig")
    base = ["--base", file, "--config", config, "--steps", 1, "--device", "cpu"]
    out = ["--out", tmp_path / "out"]
    calls = {
        "sample": ["a cat", LONG, *base, "--start", "noise", "--height", 16, "--width", 16, *out],
        "calibrate": [*base, "--prompts", prompts, "--images", 3, "--rank", 1, "--size", 16, *out],
        "evaluate": ["brightness", "a cat", LONG, *base, "--images", 2],
    }
    said = done(command, *calls[command]).output
    once("1 of 2 prompts are longer than the 77 tokens that CLIPTokenizer gives its text encoder, and are cut", said)
    if command == "calibrate":
        assert json.loads((tmp_path / "out" / "calibration.json").read_text())["prompts"] == ["a cat", LONG.strip()]


def test_without_its_configuration_every_command_names_the_file_and_the_option(stored, tmp_path):
    _, file, _, pictures = stored
    (tmp_path / "prompts.txt").write_text("a\n")
    for command in (
        ["cache", pictures, tmp_path / "c", "--base", file],
        ["train", "--data", pictures, "--base", file, "--out", tmp_path / "r", "--steps", 1],
        ["sample", "a", "--base", file, "--start", "noise", "--out", tmp_path / "o"],
        ["calibrate", "--base", file, "--prompts", tmp_path / "prompts.txt", "--out", tmp_path / "s"],
        ["diagnose", file],
        ["response", file, "--steps", 2],
    ):
        result = run(*command)
        assert result.exit_code == 2
        assert_one_line_error(result.stderr, "needs model_index.json", "--config or config=")
    assert not {path.name for path in tmp_path.iterdir()} & {"o", "s"}


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("tpu", "unknown device 'tpu': did you mean cpu?"),
        ("CPU", "unknown device 'CPU'"),
        ("cuda:x", "unknown device 'cuda:x'"),
        ("", "unknown device ''"),
    ],
)
def test_names_of_devices_are_checked_before_anything_is_drawn(stored, tmp_path, device, words):
    _, file, config, _ = stored
    options = ["--base", file, "--config", config, "--start", "noise", "--device", device, "--out", tmp_path / "out"]
    result = run("sample", "a cat", *options)
    assert result.exit_code == 2
    assert_one_line_error(result.stderr, words)
    assert not (tmp_path / "out").exists()

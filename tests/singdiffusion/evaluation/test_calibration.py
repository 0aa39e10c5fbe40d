"""Statistics of a model's own pictures: what they are of, what is left of the pipeline, and what is refused."""

import inspect

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from singdiffusion import SingDiffusion, load_average
from singdiffusion.evaluation.calibration import _Recorded, _recording, calibrate, read_prompts
from singdiffusion.start import Layout
from singtheory import InputError
from singtheory.data import Notes
from tests.singdiffusion.support import tiny, tiny_flow
from tests.singdiffusion.test_cli import run

CALL = {"height": 16, "width": 16, "guidance_scale": 1.0}


def drawn(pipe, unpacked):
    """The latents of five pictures, one at a time."""
    actual = [
        pipe(["a", "b"][k % 2], num_inference_steps=3, generator=torch.Generator().manual_seed(7 + k), output_type="latent", **CALL).images
        for k in range(5)
    ]  # fmt: skip
    return unpacked(torch.cat(actual))


@pytest.mark.parametrize(
    ("make", "unpacked"),
    [
        (tiny_flow.sd3, lambda x: x),
        (tiny_flow.flux, lambda x: tiny_flow.FluxPipeline._unpack_latents(x, 16, 16, 2)),
        (tiny.stable_diffusion, lambda x: x),
        (lambda: tiny.stable_diffusion(EulerDiscreteScheduler.from_config(tiny.ddim().config)), lambda x: x),
    ],
)
def test_statistics_are_those_of_the_pictures(make, unpacked):
    pipe = make()
    actual = calibrate(pipe, ["a", "b"], 5, 3, frequencies=2, rank=2, seed=7, batch=2, **CALL)
    images = drawn(pipe, unpacked)
    torch.testing.assert_close(actual.mean_image[0], images.mean(dim=0), rtol=1e-3, atol=1e-3)
    average = actual([""], torch.zeros(1, *images.shape[1:]))
    along = torch.einsum("nchw,kchw->nk", images, average.basis)
    torch.testing.assert_close(average.std[0], along.std(dim=0, correction=0), rtol=1e-3, atol=1e-3)
    assert "prepare_latents" not in vars(pipe)
    assert "step" not in vars(pipe.scheduler)


@pytest.mark.parametrize("drawn", [(8, 6, 4), (5, 8, 6, 4), (5, 4, 8, 6), (4, 8, 6)])
def test_channels_are_found_wherever_they_lie(drawn):
    recorded = _Recorded(tiny_flow.sd3())
    recorded.layout, recorded.last = Layout(drawn, drawn, None), torch.zeros(2, *drawn)
    assert recorded.latents(4).shape == (2, 4, 8, 6)


def test_pipelines_see_that_the_sampler_takes_a_generator():
    pipe = tiny_flow.sd3()
    with _recording(pipe):
        assert "generator" in inspect.signature(pipe.scheduler.step).parameters


def test_the_command_writes_what_mends_the_pipeline(tmp_path):
    pipe = tiny_flow.sd3()
    pipe.save_pretrained(tmp_path / "base")
    (tmp_path / "prompts.txt").write_text("a cat\n\n  a dog\n", encoding="utf-8")
    options = [
        "--base",
        tmp_path / "base",
        "--prompts",
        tmp_path / "prompts.txt",
        "--out",
        tmp_path / "spread",
        "--size",
        16,
    ]
    result = run("calibrate", *options, "--images", 4, "--steps", 2, "--rank", 2, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert {file.name for file in (tmp_path / "spread").iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "calibration.json",
    }
    assert load_average(tmp_path / "spread").rank == 2
    with SingDiffusion.from_pretrained(tmp_path / "spread").attached(pipe):
        pipe("a", num_inference_steps=2, output_type="latent", **CALL)


def test_sample_draws_with_it(tmp_path):
    pipe = tiny_flow.sd3()
    pipe.save_pretrained(tmp_path / "base")
    calibrate(pipe, ["a"], 3, 2, frequencies=1, rank=1, **CALL).save_pretrained(tmp_path / "spread")
    result = run("sample", "a", "--base", tmp_path / "base", "--module", tmp_path / "spread", "--steps", 2, "--guidance", 1, "--device", "cpu", "--out", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "0000.png").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", 2, "--rank", 2], ["images 2", "more than 2"]),
        (["--steps", 0], ["steps 0"]),
        (["--prompts", "nowhere.txt"], ["nowhere.txt", "prompt"]),
        (["--frequencies", 9, "--rank", 2, "--images", 3], ["frequencies 9"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(options, words, tmp_path):
    tiny_flow.sd3().save_pretrained(tmp_path / "base")
    (tmp_path / "prompts.txt").write_text("a\n", encoding="utf-8")
    arguments = ["--base", tmp_path / "base", "--prompts", tmp_path / "prompts.txt", "--out", tmp_path / "spread"]
    result = run("calibrate", *arguments, "--size", 16, "--device", "cpu", "--rank", 2, "--steps", 1, *options)
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]  # after bars of libraries that were imported before the command
    assert last.startswith("error: ") and all(word in last for word in words)
    assert not (tmp_path / "spread").exists()


def test_prompts_of_an_empty_file(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(InputError, match="holds none"):
        read_prompts(tmp_path / "empty.txt", Notes())
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_prompts(tmp_path / "binary.txt", Notes())


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_prompts_are_read_in_every_encoding(tmp_path, code):
    """A mark of UTF-8 is no part of the first prompt, and what is converted is counted."""
    (tmp_path / "p.txt").write_bytes("a café\u0020\r\n\r\na dog\r\n".encode(code))
    notes = Notes()
    assert read_prompts(tmp_path / "p.txt", notes) == ["a café", "a dog"]
    assert len(notes.lines()) == (code == "cp1252")


def test_a_pipeline_with_a_singular_step_is_refused():
    pipe = tiny_flow.sd3()
    spread = torch.eye(256).view(256, 4, 8, 8)[:2], torch.ones(2)
    with SingDiffusion(spread=spread).attached(pipe), pytest.raises(InputError, match="detach it first"):
        calibrate(pipe, ["a"], 5, 1, frequencies=1, rank=1, **CALL)

"""Pictures with and without the singular step: those of the pipeline itself, and files that say what they are."""

import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image

from singdiffusion.average.table import AverageTable
from singdiffusion.evaluation import album
from singdiffusion.evaluation.sampling import Picture, generators, load_pipeline, load_start, place, sample
from singdiffusion.start.pipeline import SingDiffusion
from singtheory import InputError
from tests.docs.reader import blocks
from tests.singdiffusion.support import tiny
from tests.singdiffusion.test_cli import assert_one_line_error, run

PROMPTS = ["solid black", "solid white"]


def table(rank=0):
    generator = torch.Generator().manual_seed(5)
    images = {p: 3 * torch.randn(6, *tiny.LATENTS, generator=generator) + i for i, p in enumerate(PROMPTS)}
    return AverageTable.from_images(images, rank=rank, scaling_factor=0.18215)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A pipeline, and tables with and without a spread."""
    folder = tmp_path_factory.mktemp("stored")
    tiny.stable_diffusion().save_pretrained(folder / "base")
    table().save_pretrained(folder / "table")
    table(rank=1).save_pretrained(folder / "wide")
    return folder


def grey(level):
    return Image.new("RGB", (16, 16), (level, level, level))


def test_pictures_are_those_of_the_pipeline_by_seed():
    pipe, sing = tiny.stable_diffusion(), SingDiffusion(table())
    results = list(sample(pipe, sing, PROMPTS, images=2, steps=3, guidance=4.0, seed=7))
    assert [(p.prompt, p.seed) for p in results] == [
        (PROMPTS[0], 7),
        (PROMPTS[0], 8),
        (PROMPTS[1], 9),
        (PROMPTS[1], 10),
    ]

    def alone(seed):
        generator = torch.Generator().manual_seed(seed)
        return pipe(PROMPTS[1], num_inference_steps=3, guidance_scale=4.0, generator=generator).images[0]

    np.testing.assert_allclose(np.asarray(alone(10), float), np.asarray(results[3].plain, float), atol=1)
    with sing.attached(pipe):
        np.testing.assert_allclose(np.asarray(alone(10), float), np.asarray(results[3].image, float), atol=1)
    assert not np.array_equal(np.asarray(results[3].image), np.asarray(results[3].plain))
    assert not {"encode_prompt", "prepare_latents"} & set(vars(pipe))


def test_noise_alone_is_drawn_once():
    pipe, calls = tiny.stable_diffusion(), []
    pipe.unet.register_forward_hook(lambda *_: calls.append(1))
    [picture] = sample(pipe, None, ["a"], steps=3, guidance=1.0)
    assert len(calls) == 3 and picture.image is picture.plain


def test_brightness_is_the_mean_of_the_pixels():
    picture = Picture("a", 0, grey(255), grey(40))
    assert (picture.brightness, picture.plain_brightness) == (255, 40)


def test_album_holds_what_it_says(tmp_path):
    pictures = [Picture(f"prompt {k} {'long ' * 20}$x$", k, grey(10 * k), grey(200)) for k in range(5)]
    album.write_album(tmp_path, pictures, "mean", {"steps": 3})
    record = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert record["steps"] == 3 and record["start"] == "mean"
    for row in record["images"]:
        assert row["brightness"] == np.asarray(Image.open(tmp_path / row["file"])).mean()
        assert row["brightness_from_noise"] == 200
    pair = np.asarray(Image.open(tmp_path / "contact-sheet.png").convert("L"))
    album.write_album(tmp_path, pictures[:1], "noise", {})
    single = np.asarray(Image.open(tmp_path / "contact-sheet.png").convert("L"))
    assert pair.shape[1] > 5 * single.shape[1] and (pair == 200).sum() > 3 * (single == 200).sum() > 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps 0"),
        ({"steps": 1001}, "steps 1001"),
        ({"images": 0}, "images 0"),
        ({"guidance": float("nan")}, "guidance nan"),
        ({"guidance": -1.0}, "guidance -1"),
    ],
)
def test_numbers_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        list(sample(tiny.stable_diffusion(), None, ["a"], **options))


def test_flow_matching_is_refused_before_anything_is_drawn():
    pipe = tiny.stable_diffusion(FlowMatchEulerDiscreteScheduler())
    with pytest.raises(InputError, match="no init_noise_sigma"):
        next(sample(pipe, SingDiffusion(table()), PROMPTS, steps=2))


def test_what_a_scheduler_does_not_take_is_one_line(stored):
    pipe = load_pipeline(str(stored / "base"), "LCMScheduler", "cpu", torch.float32)
    with pytest.raises(InputError, match="with LCMScheduler, 60 steps"):
        list(sample(pipe, None, ["a"], steps=60))


@pytest.mark.parametrize("kind", ["FlowMatchEulerDiscreteScheduler", "ScoreSdeVeScheduler"])
def test_schedulers_that_do_not_draw_are_one_line(stored, kind):
    pipe = load_pipeline(str(stored / "base"), kind, "cpu", torch.float32)
    with pytest.raises(InputError, match=f"with {kind}, 2 steps: cannot draw") as caught:
        list(sample(pipe, None, ["a"], steps=2))
    assert "\n" not in str(caught.value)


def test_what_the_safety_checker_blacks_out_is_flagged():
    pipe = tiny.stable_diffusion()
    pipe.run_safety_checker = lambda image, *_: (image, [True])
    for sing in (None, SingDiffusion(table())):
        assert [picture.flagged for picture in sample(pipe, sing, PROMPTS[:1], steps=1)] == [True]


def test_a_pipeline_in_half_precision_files_is_loaded(tmp_path):
    tiny.stable_diffusion().to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    assert load_pipeline(str(tmp_path / "half"), None, "cpu", torch.float32).unet.dtype == torch.float32


def test_starts_by_name(stored):
    assert load_start(None, "noise", torch.float32) == (None, "noise")
    assert load_start(str(stored / "wide"), None, torch.float32)[1] == "matched"
    assert load_start(str(stored / "table"), None, torch.float32)[1] == "mean"
    sing, name = load_start(str(stored / "wide"), "mean", torch.float16)
    assert name == "mean" and sing is not None and sing.module.dtype == torch.float16
    for module, start, words in [
        ("table", "matched", "has no spread"),
        (None, "mean", "--module"),
        ("table", "meen", "did you mean mean"),
    ]:
        with pytest.raises(InputError, match=words):
            load_start(module and str(stored / module), start, torch.float32)


def test_scheduler_is_made_from_the_pipelines_own(stored):
    pipe = load_pipeline(str(stored / "base"), "EulerDiscreteScheduler", "cpu", torch.float32)
    assert isinstance(pipe.scheduler, EulerDiscreteScheduler) and pipe.scheduler.config.beta_end == 0.012
    with pytest.raises(InputError, match="did you mean EulerDiscreteScheduler"):
        load_pipeline(str(stored / "base"), "EulerDiscrete", "cpu", torch.float32)


def test_pickled_pipelines_are_not_loaded(tmp_path):
    tiny.stable_diffusion().save_pretrained(tmp_path / "pickled", safe_serialization=False)
    with pytest.raises(InputError, match="no text-to-image pipeline") as caught:
        load_pipeline(str(tmp_path / "pickled"), None, "cpu", torch.float32)
    assert "\n" not in str(caught.value)


def test_place():
    assert place("cpu") == ("cpu", torch.float32)
    with pytest.raises(InputError, match="unknown device"):
        place("tpu")
    if not torch.cuda.is_available():
        assert place(None)[0] == "cpu"
        with pytest.raises(InputError, match="no CUDA device"):
            place("cuda")


def test_half_precision_is_for_what_is_faster_than_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert place(None) == ("mps", torch.float16) and place("cpu") == ("cpu", torch.float32)
    [one] = generators("mps", [7])
    assert one.device.type == "cpu" and one.initial_seed() == 7


def test_what_is_asked_of_the_pipeline_reaches_it(stored, tmp_path, monkeypatch):
    """Negative prompt, size, LoRA, VAE and how many are drawn at once."""
    pipe, calls = tiny.stable_diffusion(), []
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
    lora = get_peft_model_state_dict(pipe.unet)
    pipe.save_lora_weights(tmp_path / "lora", unet_lora_layers=lora)
    torch.manual_seed(9)
    AutoencoderKL.from_config(pipe.vae.config).save_pretrained(tmp_path / "vae")
    own = StableDiffusionPipeline.__call__

    def seen(self, *args, **named):
        calls.append((self, named))
        return own(self, *args, **named)

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", seen)
    options = ["--negative-prompt", "blurry", "--width", 24, "--height", 16, "--batch-size", 2, "--images", 3]
    parts = ["--lora", tmp_path / "lora" / "pytorch_lora_weights.safetensors", "--vae", tmp_path / "vae"]
    base = ["--base", stored / "base", "--start", "noise", "--steps", 1, "--device", "cpu", "--out", tmp_path / "out"]
    result = run("sample", "a cat", *base, *options, *parts)
    assert result.exit_code == 0, result.output
    assert [len(named["generator"]) for _, named in calls] == [2, 1]
    drawn, named = calls[0]
    assert (named["negative_prompt"], named["width"], named["height"]) == ("blurry", 24, 16)
    assert drawn.unet.peft_config
    assert not torch.equal(drawn.vae.encoder.conv_in.weight, pipe.vae.encoder.conv_in.weight)
    with Image.open(tmp_path / "out" / "0000.png") as image:
        assert image.size == (24, 16)
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert record["negative_prompt"] == "blurry" and record["lora"].endswith(".safetensors")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lora", "/nowhere/l.safetensors"], "lora"),
        (["--vae", "/nowhere"], "vae /nowhere"),
        (["--config", "/nowhere"], "goes with a checkpoint of one file"),
        (["--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_odd_parts_are_one_line(stored, tmp_path, options, words):
    base = ["--base", stored / "base", "--start", "noise", "--device", "cpu", "--out", tmp_path / "out"]
    result = run("sample", "a cat", *base, *options)
    assert result.exit_code == 2 and result.stderr.splitlines()[-1].startswith("error: ") and words in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_writes_an_album_of_both(stored, tmp_path):
    out = tmp_path / "album"
    options = ["--base", stored / "base", "--module", stored / "wide", "--steps", 2, "--seed", 3, "--out", out]
    result = run("sample", *PROMPTS, *options)
    assert result.exit_code == 0, result.output
    assert "0/2" not in result.stderr  # a log is no terminal, and has no bars
    assert {file.name for file in out.iterdir()} == {"0000.png", "0001.png", "contact-sheet.png", "result.json"}
    record = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert {"version", "seed", "command", "device"} <= set(record)
    assert (record["start"], record["scheduler"], record["seed"]) == ("matched", "DDIMScheduler", 3)
    assert [row["prompt"] for row in record["images"]] == PROMPTS
    assert all(f"{row['brightness']:.1f}" in result.stdout for row in record["images"])
    again = run("sample", *PROMPTS, *options)
    assert again.exit_code == 2
    assert_one_line_error(again.stderr, "exists and is not empty")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--module", "nobody/nothing"], "nobody/nothing"),
        (["--start", "noise", "--steps", 0], "steps 0"),
        ([], "--module"),
    ],
)
def test_the_command_refuses_and_leaves_nothing(stored, tmp_path, monkeypatch, options, words):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = run("sample", "a cat", "--base", stored / "base", "--out", tmp_path / "album", *options)
    assert result.exit_code == 2
    assert words in result.stderr.strip().splitlines()[-1] and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_that_the_table_does_not_know(stored, tmp_path):
    options = ["--base", stored / "base", "--module", stored / "table", "--steps", 2, "--out", tmp_path / "album"]
    result = run("sample", "solid blak", *options)
    assert result.exit_code == 2 and "did you mean solid black" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("own", ["demonstrator", "flow_demonstrator"])
def test_the_lines_of_the_demonstrators_cards_load_them_and_they_draw(own):
    """As they are written there, with the package's own folder in the place of the reader's."""
    folder = files("singdiffusion") / own / "pipeline"
    lines = next(block.code for block in blocks((folder / "README.md").read_text(encoding="utf-8")))
    names = {"FOLDER": str(folder)}
    exec(lines, names)
    image = names["pipe"]("solid black background", num_inference_steps=2, output_type="np").images
    assert image.shape == (1, 32, 32, 3) and np.isfinite(image).all()


def test_the_packages_own_flow_keeps_its_spread_in_few_steps(tmp_path):
    options = [
        "--own",
        "flow",
        "--images",
        6,
        "--steps",
        3,
        "--guidance",
        1,
        "--device",
        "cpu",
        "--out",
        tmp_path / "album",
    ]
    actual = run("sample", "house", *options)
    assert actual.exit_code == 0, actual.output
    record = json.loads((tmp_path / "album" / "result.json").read_text())
    assert (record["start"], record["scheduler"]) == ("matched", "UniPCMultistepScheduler")
    levels = {name: np.std([row[name] for row in record["images"]]) for name in ("brightness", "brightness_from_noise")}
    assert levels["brightness"] > 1.4 * levels["brightness_from_noise"]


@pytest.mark.parametrize(
    ("options", "words"), [(["--own", "flwo"], "flow"), (["--own", "flow", "--base", "somewhere"], "leave out --own")]
)
def test_own_models_are_named_right_and_alone(tmp_path, options, words):
    result = run("sample", "house", *options, "--out", tmp_path / "album")
    assert result.exit_code == 2
    assert_one_line_error(result.stderr, words)
    assert list(tmp_path.iterdir()) == []

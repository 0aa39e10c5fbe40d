"""`singdiffusion cache` and `singdiffusion train`, from images to samples."""

import json
import subprocess
import sys

import pytest
import torch
from PIL import Image

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.registry import load_average
from singdiffusion.base.space import Space
from singdiffusion.demonstrator import PIPELINE
from singdiffusion.start.pipeline import SingDiffusion
from singdiffusion.training.cache import Cache
from singdiffusion.training.encoder import Encoder
from tests.singdiffusion.base.test_space import changed
from tests.singdiffusion.source.test_records import captioned
from tests.singdiffusion.support import tiny
from tests.singdiffusion.test_cli import assert_one_line_error, run


def test_twenty_captioned_images_to_samples(folders):
    """What the README tells a new user: one command trains, another samples with what it wrote."""
    captioned(folders / "images", 20)
    out = folders / "run"
    options = ["--data", folders / "images", "--base", folders / "base", "--resolution", 16, "--steps", 4]
    result = run("train", *options, "--out", out)
    assert result.exit_code == 0, result.output
    assert "20 encoded" in result.stdout and f"written to {out / 'model'}" in result.stdout
    assert {"picture.png", "README.md", "config.json"} <= {file.name for file in (out / "model").iterdir()}
    drawn = run(
        "sample", "picture 1", "--base", folders / "base", "--module", out / "model", "--steps", 2, "--out", folders / "s"
    )  # fmt: skip
    assert drawn.exit_code == 0, drawn.output
    assert json.loads((folders / "s" / "result.json").read_text())["start"] == "matched"
    again = run("train", *options, "--out", out)
    assert again.exit_code == 2
    assert_one_line_error(again.stderr, "holds a run", "--resume")
    other = run("train", *options, "--out", out, "--resume", "--lr", 0.5)
    assert other.exit_code == 2 and "lr was 0.001 and is 0.5" in other.stderr


def test_a_unet_starts_from_its_base_and_from_no_other(folders):
    """Warm: before training it is the base's U-Net at its last timestep; a base with another VAE is refused."""
    captioned(folders / "images", 8)
    assert (
        run("cache", folders / "images", folders / "c", "--base", folders / "base", "--resolution", 16).exit_code == 0
    )
    options = ["--cache", folders / "c", "--model", "unet", "--lr", 1e-12, "--steps", 1, "--frequencies", 0]
    assert run("train", *options, "--base", folders / "base", "--out", folders / "run").exit_code == 0
    pipe, noise = tiny.stable_diffusion(), torch.randn(1, *tiny.LATENTS)
    states = torch.randn(1, 77, tiny.TEXT_WIDTH)
    with torch.no_grad():
        actual = load_average(folders / "run" / "model")(states, noise).mean
        torch.testing.assert_close(actual, pipe.unet(noise, 999, states).sample, rtol=1e-4, atol=1e-5)
    torch.manual_seed(9)
    pipe.vae = type(pipe.vae).from_config(pipe.vae.config)
    pipe.save_pretrained(folders / "other")
    refused = run("train", *options, "--base", folders / "other", "--out", folders / "run2")
    assert refused.exit_code == 2 and "its VAE is not the one" in refused.stderr


def test_two_processes_make_one_cache(tmp_path):
    folder = captioned(tmp_path / "images", 9)
    (folder / "4.png").write_bytes(b"broken")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "localhost:0", "-m", "singdiffusion.cli"]
    command = [*launch, "cache", folder, tmp_path / "c", "--resolution", "8", "--bad-share", "0.5", "--batch", "2"]
    actual = subprocess.run(command, capture_output=True, text=True, check=False)
    assert actual.returncode == 0, actual.stderr[-2000:]
    assert actual.stdout.count("8 examples in all, 0 of them twice, 1 skipped") == 1
    assert len(Cache.open(tmp_path / "c")) == 8


def test_cache_and_dry_run(folders):
    captioned(folders / "images", 6)
    result = run("cache", folders / "images", folders / "cache", "--resolution", 8, "--grey")
    assert result.exit_code == 0 and "6 encoded, 0 kept from before, 0 skipped" in result.stdout
    options = ["--cache", folders / "cache", "--out", folders / "run", "--condition", "classes"]
    plan = run("train", *options, "--dry-run")
    assert plan.exit_code == 0 and "examples: 6" in plan.stdout and "epochs: 2000.0" in plan.stdout
    assert not (folders / "run").exists()
    refused = run("train", "--cache", folders / "cache", "--out", folders / "run", "--steps", 2)
    assert refused.exit_code == 2
    assert_one_line_error(refused.stderr, "without token states")


def test_train_refuses_before_anything_is_loaded(tmp_path):
    program = (
        "import sys; from typer.testing import CliRunner; from singdiffusion.cli import app\n"
        "result = CliRunner().invoke(app, ['train', '--cache', 'c', '--out', 'o', '--steps', '0'])\n"
        "print(result.exit_code, [n for n in ('diffusers', 'accelerate') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.strip() == "2 []"


def test_a_dry_run_of_data_encodes_and_writes_nothing(folders, monkeypatch):
    captioned(folders / "images", 6)
    monkeypatch.setattr(Encoder, "images", None)  # must not be called
    options = ["--data", folders / "images", "--base", folders / "base", "--resolution", 16, "--steps", 4]
    plan = run("train", *options, "--out", folders / "run", "--dry-run")
    assert plan.exit_code == 0, plan.output
    weights = sum(
        weight.numel()
        for weight in AverageDecoder(tiny.LATENTS, {"kind": "text", "width": 16}, frequencies=4).parameters()
    )
    for line in (
        f"to cache: {folders / 'images'}",
        f"in: {folders / 'run' / 'cache'}",
        "resolution: 16",
        f"base: {folders / 'base'}",
        "x_0: [4, 8, 8]",
        "examples: not known before the data are read",
        f"weights: {weights}",
        "batch: 32, or all where there are fewer",
        f"a checkpoint, in MiB: {16 * weights / 2**20:.1f}",
    ):
        assert line in plan.stdout.splitlines()
    assert not (folders / "run").exists()


def test_images_get_the_side_at_which_the_base_draws(folders):
    """Unless told otherwise; with a base that names none, one has to be."""
    captioned(folders / "images", 2)
    for base, side in ((folders / "base", tiny.IMAGE), (PIPELINE, 32)):
        plan = run("train", "--data", folders / "images", "--base", base, "--out", folders / "run", "--dry-run")
        assert f"resolution: {side}" in plan.stdout.splitlines(), plan.output
    config = folders / "base" / "unet" / "config.json"
    for size in (None, [16, 24]):
        config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": size}))
        refused = run("cache", folders / "images", folders / "c", "--base", folders / "base")
        assert refused.exit_code == 2
        assert_one_line_error(refused.stderr, "names one side", "give --resolution")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "none/such"], ["none/such", "no such folder or file"]),
        (["--data", "images", "--caption", "titel"], ["caption column", "titel"]),
        (["--data", "images", "--resolution", 15], ["15×15", "multiples of 2"]),
        (["--data", "images", "--base", "published"], ["published"]),
        (["--data", "images", "--frequencies", 9], ["frequencies 9", "8×8"]),
        (["--data", "images", "--model", "unet", "--base", "other"], ["reads token states of width 32"]),
        (["--data", "images", "--resume"], ["nothing to resume", "leave out --resume"]),
        (["--data", "images", "--cache", "c"], ["cache c", "leave one of the two out"]),
        (["--resolution", 16, "--cache", "c"], ["resolution 16", "goes with --data"]),
        (["--data", "images", "--config", "unknown.yaml"], ["unknown setting 'stepz'", "did you mean steps"]),
    ],
)
def test_what_would_stop_a_run_is_told_before_anything_is_encoded(folders, monkeypatch, options, words):
    monkeypatch.chdir(folders)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(Encoder, "images", None)  # must not be called
    captioned(folders / "images", 6)
    other = tiny.stable_diffusion()
    other.unet = tiny.stable_diffusion_xl().unet.from_config({**other.unet.config, "cross_attention_dim": 32})
    other.save_pretrained(folders / "other")
    (folders / "unknown.yaml").write_text("stepz: 3\n")
    plain = {"--base": "base", "--resolution": 16, "--out": "run", "--steps": 2}
    arguments = (
        dict(zip(options[::2], options[1::2], strict=False)) if "--resume" not in options else {"--data": "images"}
    )
    flat = [part for pair in (plain | arguments).items() for part in pair]
    refused = run("train", *flat, *(["--resume"] if "--resume" in options else []))
    assert refused.exit_code == 2, refused.output
    assert "error: " in refused.stderr.splitlines()[-1] and all(word in refused.stderr for word in words)
    assert not (folders / "run").exists()


def test_a_folder_as_people_have_it_and_what_is_said_of_it(folders):
    """Said once; options of the data go with data."""
    for k, name in enumerate(("10_cat", "5_dog")):
        (folders / "images" / name).mkdir(parents=True)
        Image.new("RGBA", (8, 8)).save(folders / "images" / name / f"{k}.png")
        (folders / "images" / name / f"{k}.txt").write_bytes(b"caf\xe9 %d" % k)
    result = run("cache", folders / "images", folders / "c", "--resolution", 8, "--background", "#ff0000")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines.count("2 texts are not UTF-8 and were read as cp1252; the first is 10_cat/0.txt") == 1
    assert "3 examples in all, 0 of them twice, 0 skipped" in lines
    red = torch.tensor([1.0, -1, -1])[:, None, None].expand(3, 8, 8)
    assert torch.equal(Cache.open(folders / "c").x_0(torch.arange(3)), red.expand(3, 3, 8, 8))
    for option, value, words in (
        ("--captions", "some", ("captions 'some'", "one, all")),
        ("--background", "reddish", ("background 'reddish': is no colour",)),
        ("--caption", "nothing", ("unknown caption column 'nothing'",)),
    ):
        refused = run("cache", folders / "images", folders / "d", "--resolution", 8, option, value)
        assert refused.exit_code == 2
        assert_one_line_error(refused.stderr, *words)
    refused = run("train", "--cache", folders / "c", "--out", folders / "run", "--background", "black")
    assert refused.exit_code == 2
    assert_one_line_error(refused.stderr, "background black: goes with --data")


def test_a_run_takes_no_cache_of_other_data(folders):
    """A finished OUT/cache is of this source, column, resolution and base, or it is refused."""
    captioned(folders / "images", 6)
    captioned(folders / "more", 7)
    pipe = tiny.stable_diffusion()
    pipe.text_encoder = changed(pipe.text_encoder, 10)
    pipe.save_pretrained(folders / "other")
    options = {"--data": folders / "images", "--base": folders / "base", "--resolution": 16, "--steps": 2}

    def train(*more, **other):
        arguments = options | {f"--{name}": value for name, value in other.items()}
        return run("train", *(part for pair in arguments.items() for part in pair), "--out", folders / "run", *more)

    assert train().exit_code == 0
    assert train("--resume", data=f"{folders / 'images'}/").exit_code == 0
    for other, words in (
        ({"data": folders / "more"}, "was made with source"),
        ({"caption": "text"}, "was made with caption None, not text"),
        ({"resolution": 32}, "was made with height = 8, not 16"),
        ({"base": folders / "other"}, "was made with text_encoder = "),
    ):
        refused = train("--resume", **other)
        assert refused.exit_code == 2 and words in refused.stderr.splitlines()[-1]


def test_a_decoder_for_two_text_encoders(folders):
    """Cached, trained and attached with SDXL: its token states are those of the pipeline, zeros for no prompt among them."""
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(folders / "xl")
    captioned(folders / "images", 8)
    options = ["--data", folders / "images", "--base", folders / "xl", "--resolution", 16, "--steps", 2]
    result = run("train", *options, "--out", folders / "run")
    assert result.exit_code == 0, result.output
    cache = Cache.open(folders / "run" / "cache")
    assert cache.token_width == 2 * tiny.TEXT_WIDTH and cache.encoding.text_encoder == Space.of(pipe).text_encoder
    for row, caption in enumerate(cache.captions):
        with torch.no_grad():
            states, without, *_ = pipe.encode_prompt(caption, device="cpu")
        expected = states if caption else without
        torch.testing.assert_close(cache.states(torch.tensor([row])), expected, rtol=1e-5, atol=1e-6)
    module = load_average(folders / "run" / "model")
    assert module.condition_for(Space.of(pipe)) == "embeddings"
    with SingDiffusion(module).attached(pipe):
        pipe("picture 1", height=16, width=16, num_inference_steps=2, output_type="np")
    refused = run("train", *options, "--out", folders / "other", "--model", "unet")
    assert refused.exit_code == 2 and "addition_embed_type" in refused.stderr


def test_a_unet_of_another_text_encoder_is_refused(folders):
    captioned(folders / "images", 8)
    assert (
        run("cache", folders / "images", folders / "c", "--base", folders / "base", "--resolution", 16).exit_code == 0
    )
    pipe = tiny.stable_diffusion()
    pipe.text_encoder = changed(pipe.text_encoder, 10)
    pipe.save_pretrained(folders / "other")
    options = ["--cache", folders / "c", "--out", folders / "run", "--model", "unet", "--base", folders / "other"]
    refused = run("train", *options)
    assert refused.exit_code == 2 and "its text encoder is not the one that made" in refused.stderr
    assert run("train", *options, "--condition", "none", "--steps", 1).exit_code == 0

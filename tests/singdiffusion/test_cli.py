"""The command: exit statuses, one-line errors, and a first line before anything heavy is loaded."""

import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.registry import load_average
from singdiffusion.base.space import Space
from singdiffusion.cli import app
from singdiffusion.demonstrator import PIPELINE
from singdiffusion.start.pipeline import SingDiffusion
from singdiffusion.training.cache import Cache
from singdiffusion.training.encoder import Encoder
from singtheory.schedule.schedules import STABLE_DIFFUSION
from singtheory.system.result_origin import command_line
from tests.singdiffusion import published, tiny
from tests.singdiffusion.base.test_space import changed
from tests.singdiffusion.source.test_records import captioned


@pytest.fixture
def folders(tmp_path):
    """A published checkpoint beside its pipeline."""
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "base")
    published.write(tmp_path / "published", pipe.unet)
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_one_line_error(stderr: str, *words: str) -> None:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), stderr
    for word in words:
        assert word in lines[0]


def test_convert_notes_the_pipeline_that_it_was_trained_beside(folders):
    result = run("convert", folders / "published", folders / "target", "--base", folders / "base")
    assert result.exit_code == 0, result.output
    module = load_average(folders / "target")
    assert module.space == Space.stored(folders / "base")
    weights = sum(weight.numel() for weight in module.parameters())
    assert result.stdout.splitlines()[1] == f"written to {folders / 'target'}: AverageUNet, {weights:,} weights"


def test_bad_input_is_one_line_and_exit_status_two(folders):
    result = run("convert", folders / "published", folders / "target")
    assert result.exit_code == 2
    assert_one_line_error(result.stderr, "width 16", "768")
    assert not (folders / "target").exists()
    result = run("convert", folders / "published", folders / "target", "--base", folders / "published")
    assert result.exit_code == 2
    assert_one_line_error(result.stderr, "no pipeline")


def test_commands_keep_their_names_while_there_is_one():
    result = run("--help")
    assert result.exit_code == 0 and "convert" in result.stdout


def test_as_a_process_a_pickle_with_code_is_one_line_without_traceback(folders, planted):
    planted.write(folders / "published" / "diffusion_pytorch_model.bin")
    command = [sys.executable, "-m", "singdiffusion.cli", "convert", folders / "published", folders / "target"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stdout.startswith("singdiffusion convert: ")
    assert_one_line_error(result.stderr, "more than plain tensors")
    assert not planted.was_run()


def test_as_a_process_captions_that_are_missing_are_one_line(folders):
    """Without the bars and remarks of the libraries that load the base before."""
    (captioned(folders / "images", 3) / "metadata.jsonl").write_text('{"file_name": "0.png"}')
    command = [sys.executable, "-m", "singdiffusion.cli", "train", "--data", "images", "--base", "base", "--out", "run"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folders)
    assert result.returncode == 2
    assert_one_line_error(result.stderr, "images: no captions", "metadata.jsonl")
    assert not (folders / "run").exists()


def test_the_version_is_that_of_the_package():
    result = run("--version")
    assert result.exit_code == 0 and result.output == f"singdiffusion {version('singdiffusion')}\n"


def test_help_loads_nothing_heavy():
    program = (
        "import sys, singdiffusion.cli; print([n for n in ('torch', 'diffusers', 'transformers') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# --- diagnose ---------------------------------------------------------------------------------------------------------


def test_diagnose_of_a_pipeline_writes_what_it_shows(folders):
    out = folders / "new" / "found.json"
    result = run("diagnose", folders / "base", "--data", "digits", "--steps", 20, "--json", out)
    assert result.exit_code == 0, result.output
    told = json.loads(out.read_text(encoding="utf-8"))
    assert {"version", "seed", "command", "device"} <= set(told)
    assert told["steps"] == 20 and told["options"][0]["first"]["timestep"] == 951
    assert told["reading"]["space"] == "latents" and set(told["vae"]) == {"black", "grey", "white"}
    assert any(finding["remedy"] for finding in told["findings"])
    for finding in told["findings"]:
        assert "\n".join([finding["sentence"], *(f"    {line}" for line in finding["remedy"])]) in result.stdout
    rows = [line for line in result.stdout.splitlines() if "│" in line]
    starts, arriving = rows[: len(told["options"])], rows[len(told["options"]) :]
    for option, row in zip(told["options"], starts, strict=True):
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells[0].startswith(f"{option['start']}, {option['spacing']}")
        assert cells[0].endswith("zero SNR") == option["zero_snr"]
        assert cells[1] == f"{option['first']['timestep']:.4g}"
        assert float(cells[-1]) == pytest.approx(option["std"] / told["reading"]["std"], abs=0.005)
    assert_remedies(told["expected"], arriving)


def assert_remedies(expected, rows):
    """The second table: what arrives as it is and by its parts, then a row a remedy; long code goes on in further rows."""
    table = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    table = [cells for cells in table if cells[0]]
    assert [cells[0] for cells in table[:4]] == ["as it is", "by the start", "by the steps", "by the end"]
    assert [float(cell) for cell in table[0][2:-1]] == pytest.approx(
        [a["kept"] for a in expected["arrivals"]], abs=0.005
    )
    assert [cells[0] for cells in table[4:]] == [remedy["name"] for remedy in expected["remedies"]]
    for cells, remedy in zip(table[4:], expected["remedies"], strict=True):
        assert int(cells[1]) == remedy["calls"]
        assert [float(cell) for cell in cells[2:-1]] == pytest.approx(list(remedy["kept"].values()), abs=0.005)


def test_diagnose_has_null_for_infinity(tmp_path):
    config = {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    (tmp_path / "scheduler_config.json").write_text(json.dumps(STABLE_DIFFUSION | config))
    result = run("diagnose", tmp_path / "scheduler_config.json", "--json", tmp_path / "found.json")
    assert result.exit_code == 0 and "gives Inf or NaN" in result.stdout
    first = json.loads((tmp_path / "found.json").read_text())["options"][0]["first"]
    assert first["epsilon_gain"] is None and first["finite"] is False


def test_diagnose_of_flow_matching_is_no_error(tmp_path):
    (tmp_path / "scheduler_config.json").write_text('{"_class_name": "FlowMatchEulerDiscreteScheduler"}')
    result = run("diagnose", tmp_path)
    assert result.exit_code == 0 and "no gap" in result.stdout


def test_diagnose_refuses_images_where_the_vae_cannot_be_read(folders):
    """In pixels the numbers would be those of another model."""
    tiny.stable_diffusion().save_pretrained(folders / "pickled", safe_serialization=False)
    for source in (folders / "pickled", folders / "pickled" / "scheduler" / "scheduler_config.json"):
        result = run("diagnose", source, "--data", "digits")
        assert result.exit_code == 2
        assert_one_line_error(result.stderr, "AutoencoderKL", "flattened latents")
    np.save(folders / "latents.npy", np.random.default_rng(0).normal(size=(30, 256)))
    assert run("diagnose", folders / "pickled", "--data", folders / "latents.npy").exit_code == 0


def test_command_line_is_the_one_to_type_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/cli.py", "sample", "a cat's hat", "--steps", "5"])
    assert command_line("singdiffusion") == "singdiffusion sample 'a cat'\"'\"'s hat' --steps 5"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", 0], "steps 0"),
        (["--spacing", "middle"], "unknown spacing"),
        (["--data", "digitz"], "did you mean digits"),
        (["--json", "/proc/none/found.json"], "cannot be written"),
    ],
)
def test_diagnose_refuses_in_one_line(folders, options, words):
    result = run("diagnose", folders / "base", *options)
    assert result.exit_code == 2
    assert_one_line_error(result.stderr, words)


# --- cache and train --------------------------------------------------------------------------------------------------


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
        found = load_average(folders / "run" / "model")(states, noise).mean
        torch.testing.assert_close(found, pipe.unet(noise, 999, states).sample, rtol=1e-4, atol=1e-5)
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
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.count("8 examples in all, 0 of them twice, 1 skipped") == 1
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
        assert_one_line_error(refused.stderr, "names no side", "give --resolution")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "none/such"], ["none/such", "cannot be read"]),
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
    given = dict(zip(options[::2], options[1::2], strict=False)) if "--resume" not in options else {"--data": "images"}
    flat = [part for pair in (plain | given).items() for part in pair]
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
        given = options | {f"--{name}": value for name, value in other.items()}
        return run("train", *(part for pair in given.items() for part in pair), "--out", folders / "run", *more)

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

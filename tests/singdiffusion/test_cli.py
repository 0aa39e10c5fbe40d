"""The command: exit statuses, one-line errors, and a first line before anything heavy is loaded."""

import itertools
import json
import re
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
from typer.testing import CliRunner

from singdiffusion.average.registry import load_average
from singdiffusion.base.space import Space
from singdiffusion.cli import app
from singtheory.schedule.schedules import STABLE_DIFFUSION
from singtheory.system.result_origin import command_line
from tests.singdiffusion.source.test_records import captioned
from tests.singdiffusion.support import tiny


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
    stored = json.loads(out.read_text(encoding="utf-8"))
    assert {"version", "seed", "command", "device"} <= set(stored)
    assert stored["steps"] == 20 and stored["options"][0]["first"]["timestep"] == 951
    assert stored["reading"]["space"] == "latents" and set(stored["vae"]) == {"black", "grey", "white"}
    assert any(finding["remedy"] for finding in stored["findings"])
    for finding in stored["findings"]:
        assert "\n".join([finding["sentence"], *(f"    {line}" for line in finding["remedy"])]) in result.stdout
    starts = rows_under(result.stdout, "DDIMScheduler, 20 steps", "data: ")
    for option, cells in zip(stored["options"], starts, strict=True):
        assert cells[0].startswith(f"{option['start']}, {option['spacing']}")
        assert cells[0].endswith("zero SNR") == option["zero_snr"]
        assert cells[1] == f"{option['first']['timestep']:.4g}"
        assert float(cells[-1]) == pytest.approx(option["std"] / stored["reading"]["std"], abs=0.005)
    assert_remedies(
        stored["expected"], rows_under(result.stdout, "Share of the data's standard deviation", "numbered ")
    )


def rows_under(text, title, caption):
    """The cells of the table of this title, down to its caption: two spaces part them, and a name may go on in the next line."""
    lines = iter(text[text.index(title) :].splitlines())
    next(line for line in lines if line.startswith("─"))
    rows = []
    for line in itertools.takewhile(lambda line: not line.startswith(caption), lines):
        cells = re.split(" {2,}", line.strip())
        if len(cells) > 1:
            rows.append(cells)
        elif line.strip():
            rows[-1][0] += f" {line.strip()}"
    return rows


def assert_remedies(expected, rows):
    """The second table: what arrives as it is and by its parts, then a row a remedy."""
    share, *table = rows
    assert share[0] == "share of the variance"
    assert [cells[0] for cells in table[:4]] == ["as it is", "by the start", "by the steps", "by the end"]
    assert [float(cell) for cell in table[0][2:]] == pytest.approx([a["kept"] for a in expected["arrivals"]], abs=0.005)
    assert [cells[0] for cells in table[4:]] == [remedy["name"] for remedy in expected["remedies"]]
    for cells, remedy in zip(table[4:], expected["remedies"], strict=True):
        assert int(cells[1]) == remedy["calls"]
        assert [float(cell) for cell in cells[2:]] == pytest.approx(list(remedy["kept"].values()), abs=0.005)


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

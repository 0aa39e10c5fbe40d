"""Brightness of what pipelines draw, on tiny models of the real classes and on the package's own model."""

import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import proofs_checks
import singdiffusion
import singtheory
from singdiffusion import SingDiffusion, demonstrator, flow_demonstrator, load_average
from singdiffusion.average.table import AverageTable
from singdiffusion.cli import app
from singdiffusion.evaluation import brightness_rows
from singdiffusion.evaluation.brightness_rows import Brightness, brightness, committed, control_of
from singdiffusion.evaluation.coco import Metrics, captioned, curve
from singtheory import InputError
from tests.singdiffusion.support import tiny
from tests.support.strategies import json_values, mutated, mutations


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def table(prompt="a"):
    images = torch.randn(4, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    return AverageTable.from_images({prompt: images}, rank=1, scaling_factor=0.18215)


def measuring(pipe):
    return {"image": Image.new("RGB", (16, 16))} if "ControlNet" in type(pipe).__name__ else {}


@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl, tiny.stable_diffusion_controlnet])
def test_every_prompt_and_start_of_the_classes(make):
    pipe = make()
    average = (
        table()
        if "XL" not in type(pipe).__name__
        else AverageTable.from_images(
            {"a": torch.randn(4, *tiny.LATENTS)}, rank=1, scaling_factor=pipe.vae.config.scaling_factor
        )
    )
    starts = {"noise": None, "matched": SingDiffusion(average, start="matched")}
    rows = list(brightness(pipe, starts, ["a"], images=3, steps=2, guidance=2.0, batch=2, **measuring(pipe)))
    assert [(row.prompt, row.start, len(row.levels)) for row in rows] == [("a", "noise", 3), ("a", "matched", 3)]
    assert rows[0].levels != rows[1].levels
    again = list(brightness(pipe, {"noise": None}, ["a"], images=3, steps=2, guidance=2.0, batch=3, **measuring(pipe)))
    assert again[0].levels == pytest.approx(rows[0].levels, abs=0.2)  # whatever the batch


def test_intervals_cover_the_mean_of_new_images():
    chance, hits = torch.Generator().manual_seed(0), 0
    for _ in range(300):
        levels = 100 + 20 * torch.randn(32, generator=chance)
        low, high = Brightness("a", "noise", tuple(levels[:16].tolist())).interval(0.9, again=16)
        hits += low <= float(levels[16:].mean()) <= high
    assert 255 <= hits <= 292  # 0.9 of 300 and a little for rounding


TOLD = {"steps": 25, "guidance": 1.0, "scheduler": "DDIMScheduler"}
ROW = Brightness("a", "noise", (10.0, 12.0, 11.0, 9.0))


def stored(**changed):
    origin = {"version": "0", "seed": 0, "command": "made by hand", "device": "cpu"}
    of = {"base": "base", "module": None, "weights": None, "images": 4, "rows": [ROW.to_json()]}
    return origin | of | TOLD | changed


def test_the_committed_table_is_compared(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(stored()))
    assert committed([ROW], TOLD, tmp_path / "table.json") == []
    [odd] = committed([Brightness("a", "noise", (90.0, 92.0))], TOLD, tmp_path / "table.json") or [""]
    assert "91.0, not within" in odd
    assert committed([ROW], TOLD | {"steps": 50}, tmp_path / "table.json") is None
    assert committed([Brightness("b", "noise", (1.0, 2.0))], TOLD, tmp_path / "table.json") is None
    assert committed([ROW], TOLD, tmp_path / "none.json") is None


def test_the_packages_table_is_one():
    assert {row["start"] for row in brightness_rows.read_table(brightness_rows.TABLE)["rows"]} == {"noise", "matched"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": "25"}, "steps '25'"),
        ({"guidance": float("nan")}, "guidance nan"),
        ({"guidance": float("inf")}, "guidance inf"),
        ({"rows": {}}, "rows {}"),
        ({"rows": ["a"]}, "row 0: need an object"),
        ({"more": 1}, "more"),
        ({"rows": [ROW.to_json() | {"levels": [10.0, None]}]}, "row 0: levels"),
        ({"rows": [ROW.to_json() | {"levels": [10.0, 12.0]}]}, "row 0: n 4, flagged 0: it has 2 levels"),
        ({"rows": [ROW.to_json() | {"flagged": 5}]}, "row 0: n 4, flagged 5"),
        ({"rows": [ROW.to_json() | {"mean": 99.0}]}, "row 0: mean 99: its levels give 10.5"),
        ({"rows": [ROW.to_json() | {"std": 0.0}]}, "row 0: std 0: its levels give 1.29"),
        ({"rows": [ROW.to_json() | {"low": 11.0}]}, "row 0: low 11, high"),
        ({"rows": [ROW.to_json(), ROW.to_json()]}, "two rows of one prompt and start"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path, changed, named):
    (tmp_path / "table.json").write_text(json.dumps(stored(**changed)))
    with pytest.raises(InputError) as refused:
        committed([ROW], TOLD, tmp_path / "table.json")
    assert str(refused.value).startswith(f"{tmp_path / 'table.json'}: ") and named in str(refused.value)
    assert "\n" not in str(refused.value)


def _parts(value, path=()):
    """The places of all values within."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in pairs:
        yield from _parts(part, (*path, name))


@settings(max_examples=max(100, mutations()), deadline=None)
@given(st.data())
def test_no_mutation_of_a_table_is_a_traceback(data):
    """A field taken away or anything put in its place: one line, or it is a table still."""
    table = json.loads(json.dumps(stored()))
    *path, name = data.draw(st.sampled_from([path for path in _parts(table) if path]))
    holder = table
    for step in path:
        holder = holder[step]
    if data.draw(st.booleans()):
        del holder[name]
    else:
        holder[name] = data.draw(json_values())
    assert_read_or_refused(json.dumps(table).encode())


@settings(max_examples=max(50, mutations()), deadline=None)
@given(mutated(json.dumps(stored()).encode()))
def test_no_damage_of_a_tables_bytes_is_a_traceback(content):
    assert_read_or_refused(content)


def assert_read_or_refused(content):
    """A table whose every row has an interval about its mean, or a short line."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.json"
        file.write_bytes(content)
        try:
            rows = brightness_rows.read_table(file)["rows"]
        except InputError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 600
            return
    for row in rows:
        low, high = Brightness(row["prompt"], row["start"], tuple(row["levels"])).interval(again=3)
        assert low <= row["mean"] <= high


def test_a_control_needs_its_image(tmp_path):
    assert control_of(None, None, torch.float32).parts == {}
    with pytest.raises(InputError, match="give both"):
        control_of("somewhere", None, torch.float32)
    with pytest.raises(InputError, match="cannot be loaded"):
        control_of(str(tmp_path), tmp_path / "missing.png", torch.float32)


def test_the_command_on_stored_models(tmp_path):
    tiny.stable_diffusion().save_pretrained(tmp_path / "base")
    tiny._controlnet().save_pretrained(tmp_path / "controlnet")
    table(brightness_rows.PROMPTS[0]).save_pretrained(tmp_path / "module")
    Image.new("RGB", (16, 16)).save(tmp_path / "control.png")
    actual = run(
        "evaluate", "brightness", brightness_rows.PROMPTS[0], "--base", tmp_path / "base", "--module", tmp_path / "module",
        "--controlnet", tmp_path / "controlnet", "--control", tmp_path / "control.png", "--starts", "noise,mean,matched",
        "--images", 2, "--steps", 2, "--json", tmp_path / "found.json",
    )  # fmt: skip
    assert actual.exit_code == 0, actual.output
    record = json.loads((tmp_path / "found.json").read_text())
    assert {"version", "seed", "command", "device"} <= set(record)
    assert brightness_rows.read_table(tmp_path / "found.json") == record
    assert [row["start"] for row in record["rows"]] == ["noise", "mean", "matched"]
    assert f"{record['rows'][0]['mean']:.1f}" in actual.stdout


@pytest.mark.parametrize("own", [demonstrator, flow_demonstrator])
def test_the_packages_own_models_are_as_small_as_they_say(own):
    def count(folder):
        from safetensors import safe_open

        with safe_open(next(folder.glob("*.safetensors")), framework="pt") as file:
            assert {str(file.get_slice(name).get_dtype()) for name in file.keys()} <= {"F16", "F32"}  # noqa: SIM118
            return sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())  # noqa: SIM118

    assert count(own.PIPELINE / "unet") <= 7_000_000
    assert count(own.PIPELINE / "text_encoder") <= 1_500_000
    assert count(own.AVERAGE) <= 1_000_000
    assert sum(file.stat().st_size for file in own.FOLDER.rglob("*") if file.is_file()) <= 20e6
    for card in (own.PIPELINE, own.AVERAGE):
        words = (card / "README.md").read_text(encoding="utf-8")
        assert "cc-by-sa-4.0" in words and "OpenMoji" in words and "/tmp" not in words
    assert load_average(own.AVERAGE).rank == 48


def test_the_wheel_stays_under_40_mb():
    """Of what the packages hold, before it is packed; of what is built beside it, `.vo` files are no part."""
    folders = [Path(package.__file__).parent for package in (singdiffusion, singtheory, proofs_checks)]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    files = [file for file in files if "__pycache__" not in file.parts and ".vo" not in file.suffix]
    assert sum(file.stat().st_size for file in files) <= 40e6


def test_black_is_black_with_the_packages_own_model(tmp_path):
    actual = run(
        "sample",
        "solid black background",
        "--steps",
        4,
        "--out",
        tmp_path / "album",
        "--device",
        "cpu",
    )
    assert actual.exit_code == 0, actual.output
    record = json.loads((tmp_path / "album" / "result.json").read_text())
    [row] = record["images"]
    assert (record["start"], record["guidance"]) == ("matched", 1.5)
    assert row["brightness"] < 8 < 12 < row["brightness_from_noise"]


class Counting:
    """Has what torchmetrics' metrics have, and counts."""

    def __init__(self):
        self.real, self.images, self.texts = [], [], []

    def update(self, images, texts=None, real=None):
        (self.real if real else self.images).append(images.float().mean())
        self.texts.append(texts)

    def compute(self):
        return torch.stack(self.images).mean()

    def reset(self):
        self.images, self.texts = [], []


@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl])
def test_the_coco_protocol_draws_every_caption_at_every_weight(make):
    pipe, metrics = make(), Metrics(Counting(), Counting())
    average = AverageTable.from_images(
        {"a": torch.randn(4, *tiny.LATENTS), "b": torch.randn(4, *tiny.LATENTS)},
        scaling_factor=pipe.vae.config.scaling_factor,
    )
    starts = {"noise": None, "mean": SingDiffusion(average)}
    real = [torch.zeros(3, 16, 16, dtype=torch.uint8)] * 2
    points = list(curve(pipe, starts, ["a", "b"], real, metrics, (1.0, 3.0), steps=2))
    assert [(point.start, point.guidance, point.n) for point in points] == [
        ("noise", 1.0, 2), ("mean", 1.0, 2), ("noise", 3.0, 2), ("mean", 3.0, 2)
    ]  # fmt: skip
    assert len(metrics.fid.real) == 2 and len({point.fid for point in points}) == 4


def test_captioned_photographs(tmp_path):
    for k in range(3):
        Image.new("RGB", (4, 6), (k, 0, 0)).save(tmp_path / f"{k}.png")
    lines = [json.dumps({"file_name": f"{k}.png", "text": f"picture {k}"}) for k in range(3)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    (tmp_path / "metadata.csv").write_text("file_name,text\n")
    captions, images, notes = captioned(str(tmp_path), 2)
    assert len(notes) == 1 and "metadata.csv is not read" in notes[0]
    real = list(images)
    assert captions == ["picture 0", "picture 1"] and [image.shape for image in real] == [(3, 6, 4)] * 2
    assert int(real[1][0, 0, 0]) == 1


def test_missing_metrics_are_one_line(tmp_path):
    try:
        import torchvision  # noqa: F401
        from torchmetrics.image.fid import FrechetInceptionDistance  # noqa: F401
    except (ImportError, RuntimeError):
        actual = run("evaluate", "coco", tmp_path, "--base", tmp_path)
        assert actual.exit_code == 2 and "[eval]" in actual.stderr.splitlines()[-1]


def test_the_committed_table_is_that_of_the_packages_weights():
    """Weights that are trained again need it drawn again."""
    assert json.loads(brightness_rows.TABLE.read_text(encoding="utf-8"))["weights"] == brightness_rows.fingerprint()

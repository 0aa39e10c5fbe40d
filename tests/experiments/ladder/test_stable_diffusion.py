"""The ladder on Stable Diffusion runs from stored pipelines of every class it is for to its results, and its COCO protocol by torchmetrics' own metrics."""

import json

import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTextConfig, CLIPVisionConfig

from docs.experiments.ladder import stable_diffusion as ladder_stable_diffusion
from docs.experiments.ladder.stable_diffusion import STABLE_DIFFUSION, Amounts, coco, factors, main, starts_of
from docs.experiments.script.result import Result
from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.average.table import AverageTable
from singdiffusion.evaluation import PROMPTS
from singdiffusion.evaluation.coco import Metrics, clip_score
from tests.singdiffusion.support import tiny

QUICK = ["--images", "1", "--steps", "2", "--batch", "2", "--device", "cpu"]


def second():
    """As Stable Diffusion 2.x: v-prediction."""
    pipe = tiny.stable_diffusion()
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, prediction_type="v_prediction")
    return pipe


def averages(folder, factor):
    images = torch.randn(6, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    table = {prompt: images + k for k, prompt in enumerate(["", *STABLE_DIFFUSION.all])}
    AverageTable.from_images(table, rank=1, scaling_factor=factor).save_pretrained(folder / "module")
    AverageStatistics.from_images(images, frequencies=2, rank=1, scaling_factor=factor).save_pretrained(
        folder / "statistics"
    )
    return ["--module", str(folder / "module"), "--statistics", str(folder / "statistics")]


@pytest.mark.parametrize(
    "make", [tiny.stable_diffusion, second, tiny.stable_diffusion_xl, tiny.stable_diffusion_controlnet]
)
def test_every_class_end_to_end(make, tmp_path):
    pipe = make()
    pipe.save_pretrained(tmp_path / "base")
    modules, control = averages(tmp_path, pipe.vae.config.scaling_factor), []
    if hasattr(pipe, "controlnet"):
        tiny.stable_diffusion().save_pretrained(tmp_path / "base")
        pipe.controlnet.save_pretrained(tmp_path / "controlnet")
        Image.new("RGB", (16, 16)).save(tmp_path / "control.png")
        control = ["--controlnet", str(tmp_path / "controlnet"), "--control", str(tmp_path / "control.png")]
    main([str(tmp_path / "base"), *modules, *control, *QUICK, "--parts", "core", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "stable-diffusion.json").read_text(encoding="utf-8"))
    assert {"version", "seed", "command", "device", "versions"} <= set(content)
    seen = {(row["sampler"], row["start"], row["prompt"], row["guidance"]) for row in content["rows"]}
    starts = {("DDIM", start) for start in ("noise", "mean", "matched", "statistics")} | {("DDIM trailing", "noise")}
    assert seen == {(*s, p, w) for s in starts for p in STABLE_DIFFUSION.all for w in ladder_stable_diffusion.CORE}
    assert {row["prompt"] for row in content["rows"] if row["kind"] == "fixed"} == set(PROMPTS)
    levels = {
        row["start"]: row["mean"] for row in content["rows"] if row["prompt"] == PROMPTS[0] and row["guidance"] == 3
    }
    assert len(set(levels.values())) == len(levels)  # the starts do act


def test_factors_change_one_thing_at_a_time(tmp_path):
    averages(tmp_path, 0.18215)
    starts, result = starts_of(str(tmp_path / "module"), None, torch.float32), Result(tmp_path / "found.json", {})
    factors(tiny.stable_diffusion(), starts, Amounts(images=1, steps=2, factor_steps=(1, 3)), result)
    variants = {(row["sampler"], row["steps"], row["guidance"]) for row in result.content["rows"]}
    assert variants == {(name, 2, 3.0) for name in ("Euler", "DPM++", "PNDM")} | {
        *(("DDIM", steps, 3.0) for steps in (1, 3)),
        *(("DDIM", 2, weight) for weight in (1.0, 10.0)),
    }
    assert len(result.content["rows"]) == len(variants) * 4 * len(starts)


def clip(folder):
    """A tiny CLIP of the real classes, stored."""
    tokenizer, sizes = tiny._tokenizer(), {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    tokens = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(vocab_size=len(tokenizer), num_hidden_layers=1, pad_token_id=0, **tokens, **sizes)
    vision = CLIPVisionConfig(image_size=16, patch_size=8, num_hidden_layers=1, **sizes)
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return str(folder)


class Inception(torch.nn.Module):
    """A little network in the place of Inception's, whose weights are not to be had here."""

    num_features = 4

    def forward(self, images):
        return images.float().reshape(len(images), 3, -1).mean(dim=2) @ torch.tensor(
            [[1.0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, -1]]
        )


def test_the_coco_protocol_by_the_real_metrics(tmp_path):
    fid = pytest.importorskip("torchmetrics.image.fid")
    lines = []
    for k, colour in enumerate(("red", "green", "blue", "white", "grey")):
        Image.new("RGB", (20, 16), colour).save(tmp_path / f"{k}.png")
        lines.append(json.dumps({"file_name": f"{k}.png", "text": f"something {colour}"}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    metrics = Metrics(
        fid.FrechetInceptionDistance(Inception(), reset_real_features=False), clip_score(clip(tmp_path / "clip"))
    )
    averages(tmp_path, 0.18215)
    starts, result = starts_of(str(tmp_path / "module"), None, torch.float32), Result(tmp_path / "found.json", {})
    starts = {name: start for name, start in starts.items() if name == "noise"}
    coco(tiny.stable_diffusion(), starts, str(tmp_path), 5, metrics, Amounts(steps=2), result, (1.5, 3.0))
    points = result.content["coco"]
    assert [(point["start"], point["guidance"], point["n"]) for point in points] == [
        ("noise", 1.5, 5),
        ("noise", 3.0, 5),
    ]
    assert all(point["fid"] > 0 and -100 <= point["clip"] <= 100 for point in points)


def test_an_unknown_part_is_one_line(tmp_path, capsys):
    tiny.stable_diffusion().save_pretrained(tmp_path / "base")
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "base"), *QUICK, "--parts", "cores", "--out", str(tmp_path)])
    assert ended.value.code == 2 and "cores" in capsys.readouterr().err.splitlines()[-1]

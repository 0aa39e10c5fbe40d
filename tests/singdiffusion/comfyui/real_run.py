"""ComfyUI itself, run from a checkout on the CPU, beside the library's own numbers in diffusers.

    python -m tests.singdiffusion.comfyui.real_run --comfyui FOLDER

with a Python that has ComfyUI's requirements and this package's. It installs the nodes as a user does, starts the server on the loopback interface, sends
workflows through its HTTP interface, and compares the latents with those of diffusers' pipelines with the same weights, prompts, seeds and sigmas. Weights
are random: the numbers are compared, not pictures. The exit status is 1 where a row is off by more than the target.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from singdiffusion.start import SingDiffusion
from tests.singdiffusion.comfyui import contract, pipelines, workflows
from tests.singdiffusion.comfyui.averages import PROMPT, SD3_SCALE, SD3_SHIFT, SD_SCALE, averages
from tests.singdiffusion.comfyui.server import Server

TARGET = 1e-3
"""How far a latent may be from the library's, in units of their root mean square."""
SEED, BATCH = 5, 2
STEPS = 5
"""A number that divides 1000: with others, ComfyUI's own KSampler and BasicScheduler begin `ddim_uniform` at different sigmas."""
NEGATIVE = ""
LIVELY = {
    "euler": "normal",
    "dpmpp_2m": "karras",
    "dpmpp_2m_sde": "exponential",
    "uni_pc": "simple",
    "euler_ancestral": "ddim_uniform",
}
"""Samplers, each with a scheduler, that begin at the library's start."""
FLOWING = ("euler", "heun", "dpmpp_2m", "dpmpp_sde", "uni_pc", "res_multistep")


def noise(channels: int) -> Tensor:
    """As ComfyUI draws it for its seed."""
    return torch.randn(BATCH, channels, 8, 8, generator=torch.manual_seed(SEED))


def common(checkpoint: str, kind: str, empty: str) -> dict[str, Any]:
    """Nodes that every workflow has."""
    return {
        "model": node("CheckpointLoaderSimple", ckpt_name=f"{checkpoint}.safetensors"),
        "clip": node("CLIPLoader", clip_name="clip_l.safetensors", type=kind),
        "positive": node("CLIPTextEncode", text=PROMPT, clip=["clip", 0]),
        "negative": node("CLIPTextEncode", text=NEGATIVE, clip=["clip", 0]),
        "empty": node(empty, width=64, height=64, batch_size=BATCH),
        "noise": node("RandomNoise", noise_seed=SEED),
    }


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """In the format of ComfyUI's interface."""
    return {"class_type": kind, "inputs": inputs}


def sampled(model: str, sampler: str, scheduler: str, steps: int, cfg: float, noise_from: str) -> dict[str, Any]:
    """The nodes that sample with a NOISE, and write the latents."""
    return {
        "sigmas": node("BasicScheduler", model=[model, 0], scheduler=scheduler, steps=steps, denoise=1.0),
        "sampler": node("KSamplerSelect", sampler_name=sampler),
        "guider": node("CFGGuider", model=[model, 0], positive=["positive", 0], negative=["negative", 0], cfg=cfg),
        "sampled": node(
            "SamplerCustomAdvanced",
            noise=[noise_from, 0],
            guider=["guider", 0],
            sampler=["sampler", 0],
            sigmas=["sigmas", 0],
            latent_image=["empty", 0],
        ),
        "saved": node("SaveLatent", samples=["sampled", 0], filename_prefix="run"),
    }


class Rows:
    """What was compared.

    Args:
        server: of ComfyUI.
        models: where checkpoints and average images lie.
    """

    def __init__(self, server: Server, averages_in: Path) -> None:
        self.server, self.folder = server, averages_in
        self.found: list[tuple[str, float]] = []

    def latents(self, prompt: dict[str, Any], scale: float, shift: float = 0.0) -> Tensor:
        """What a workflow wrote last, in the model's units."""
        shown = self.server.run(prompt)["saved"]["latents"][0]
        file = self.server.base / "output" / shown["subfolder"] / shown["filename"]
        return (load_file(file)["latent_tensor"] - shift) * scale

    def latents_row(self, latents: Tensor, name: str) -> dict[str, Any]:
        """A node that loads latents, in ComfyUI's units."""
        (self.server.base / "input").mkdir(exist_ok=True)
        parts = {"latent_tensor": latents.contiguous(), "latent_format_version_0": torch.tensor([])}
        save_file(parts, self.server.base / "input" / f"{name}.latent")
        return node("LoadLatent", latent=f"{name}.latent")

    def compare(self, name: str, actual: Tensor, expected: Tensor) -> None:
        """Note the largest difference, in units of the root mean square of what is expected."""
        off = float((actual - expected).abs().max() / expected.square().mean().sqrt())
        self.found.append((name, off))
        print(f"{'ok ' if off <= TARGET else 'OFF'} {off:.1e}  {name}", flush=True)

    def average(self, name: str) -> dict[str, Any]:
        """The node that loads an average image."""
        return node("SingDiffusionLoadAverage", path=str(self.folder / name))


def of_epsilon(rows: Rows, checkout: Path) -> None:
    """The singular start of a model that predicts ε."""
    pipe = pipelines.stable_diffusion(rows.server.base, checkout, SD_SCALE)
    base = common("tiny-sd", "stable_diffusion", "EmptyLatentImage")
    x_1, cfg = noise(4), 3.0
    prompts = {"positive": ["positive", 0], "negative": ["negative", 0], "prompt": PROMPT, "negative_prompt": NEGATIVE}
    plain = rows.latents(base | sampled("model", "euler", "normal", 4, cfg, "noise"), SD_SCALE)
    before = pipelines.drawn(pipe, x_1, 4, cfg, PROMPT, NEGATIVE)
    rows.compare(
        "ε, without the node, beside diffusers' own (the two differ by √(1 + σ²)/σ of the noise)", plain, before
    )
    for module, rule, start in (
        ("table", "normalised", "widest"),
        ("table", "convex", "mean"),
        ("decoder", "normalised", "widest"),
    ):
        sing = SingDiffusion.from_pretrained(rows.folder / module, rule, start)
        with sing.attached(pipe):
            expected = pipelines.drawn(pipe, x_1, 4, cfg, PROMPT, NEGATIVE)
        settings = {"cfg": cfg, "guidance": rule, "start": start} | prompts
        wired = {"average": ["average", 0], "model": ["model", 0], "noise": ["noise", 0], "sigmas": ["sigmas", 0]}
        workflow = base | {
            "average": rows.average(module),
            "start": node("SingDiffusionSingularStart", **wired, **settings),
        }
        actual = rows.latents(workflow | sampled("model", "euler", "normal", 4, cfg, "start"), SD_SCALE)
        rows.compare(
            f"ε, Singular start (noise), {module}, {rule}, {start}, euler: diffusers with SingDiffusion",
            actual,
            expected,
        )
    _of_every_sampler(rows, pipe, base, wired, {"cfg": cfg, "guidance": "normalised", "start": "widest"} | prompts)


def _of_every_sampler(rows: Rows, pipe: Any, base: Any, wired: Any, settings: Any) -> None:
    """Both nodes with other samplers: they begin at the library's start, which is given to the plain ones as latents."""
    sing = SingDiffusion.from_pretrained(rows.folder / "table")
    for sampler, scheduler in LIVELY.items():
        start = pipelines.start_of(pipe, sing, noise(4), scheduler, STEPS, settings["cfg"], PROMPT, NEGATIVE)
        options = {
            "model": ["model", 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "add_noise": "disable",
            "noise_seed": SEED,
            "steps": STEPS,
            "cfg": settings["cfg"],
            "sampler_name": sampler,
            "scheduler": scheduler,
            "start_at_step": 0,
            "end_at_step": 1000,
            "return_with_leftover_noise": "disable",
        }
        saved = {"saved": node("SaveLatent", samples=["sampled", 0], filename_prefix="run")}
        plain = base | saved | {"given": rows.latents_row(start / SD_SCALE, f"start-{sampler}")}
        plain["sampled"] = node("KSamplerAdvanced", latent_image=["given", 0], **options)
        expected = rows.latents(plain, SD_SCALE)
        grid = {"sigmas": node("BasicScheduler", model=["model", 0], scheduler=scheduler, steps=STEPS, denoise=1.0)}
        mended = base | saved | grid | {"average": rows.average("table")}
        mended["start"] = node("SingDiffusionSingularStartLatent", latent_image=["empty", 0], **wired, **settings)
        mended["sampled"] = node("KSamplerAdvanced", latent_image=["start", 0], **options)
        rows.compare(
            f"ε, Singular start (latent), {sampler}, {scheduler}: the library's start",
            rows.latents(mended, SD_SCALE),
            expected,
        )
        lazy = (
            base
            | {"average": rows.average("table")}
            | sampled("model", sampler, scheduler, STEPS, settings["cfg"], "start")
        )
        lazy["start"] = node("SingDiffusionSingularStart", **wired, **settings)
        if sampler != "uni_pc":  # whose last step BasicScheduler does not leave out
            rows.compare(
                f"ε, Singular start (noise), {sampler}, {scheduler}: the library's start",
                rows.latents(lazy, SD_SCALE),
                expected,
            )


def of_velocity(rows: Rows, checkout: Path) -> None:
    """The singular start of a model that predicts v: the same weights, read as v by ComfyUI's own node and by diffusers' scheduler."""
    pipe = pipelines.stable_diffusion(rows.server.base, checkout, SD_SCALE)
    pipe.scheduler = pipe.scheduler.from_config(pipe.scheduler.config, prediction_type="v_prediction")
    base = common("tiny-sd", "stable_diffusion", "EmptyLatentImage")
    base["v"] = node("ModelSamplingDiscrete", model=["model", 0], sampling="v_prediction", zsnr=False)
    x_1, cfg = noise(4), 3.0
    reported = {"positive": ["positive", 0], "negative": ["negative", 0], "prompt": PROMPT, "negative_prompt": NEGATIVE}
    wired = {"average": ["average", 0], "model": ["v", 0], "noise": ["noise", 0], "sigmas": ["sigmas", 0]}
    for module, start in (("table", "widest"), ("table", "mean"), ("decoder", "widest")):
        with SingDiffusion.from_pretrained(rows.folder / module, start=start).attached(pipe):
            expected = pipelines.drawn(pipe, x_1, 4, cfg, PROMPT, NEGATIVE)
        settings = {"cfg": cfg, "guidance": "normalised", "start": start} | reported
        workflow = base | {
            "average": rows.average(module),
            "start": node("SingDiffusionSingularStart", **wired, **settings),
        }
        seen = rows.latents(workflow | sampled("v", "euler", "normal", 4, cfg, "start"), SD_SCALE)
        name = f"v, Singular start (noise), {module}, {start}, euler: diffusers with SingDiffusion"
        rows.compare(name, seen, expected)


def of_flow(rows: Rows, checkout: Path) -> None:
    """The matched first step of a flow."""
    pipe = pipelines.stable_diffusion_3(rows.server.base, checkout, SD3_SCALE, SD3_SHIFT)
    base = common("tiny-sd3", "sd3", "EmptySD3LatentImage")
    x_1, cfg, sigmas = noise(16), 3.0, pipelines.shifted(4, 3.0)
    words = (PROMPT, NEGATIVE)
    plain = rows.latents(base | sampled("model", "euler", "simple", 4, cfg, "noise"), SD3_SCALE, SD3_SHIFT)
    rows.compare(
        "flow, without the node, beside diffusers' own", plain, pipelines.flowed(pipe, x_1, sigmas, cfg, *words)
    )
    prompts = {"positive": ["positive", 0], "negative": ["negative", 0], "prompt": "", "negative_prompt": ""}

    def patched(mean: str, corrected: bool, sampler: str) -> Tensor:
        settings = {"mean": mean, "corrected": corrected, "cfg": cfg, "guidance": "normalised"}
        wired = {"model": ["model", 0], "average": ["average", 0]}
        workflow = base | {
            "average": rows.average("spread"),
            "patch": node("SingDiffusionMatchedFirstStep", **wired, **settings, **prompts),
        }
        return rows.latents(workflow | sampled("patch", sampler, "simple", 4, cfg, "noise"), SD3_SCALE, SD3_SHIFT)

    for mean, corrected in (("network", False), ("module", False), ("network", True), ("module", True)):
        sing = SingDiffusion.from_pretrained(rows.folder / "spread", mean=mean, corrected=corrected)
        with sing.attached(pipe):
            expected = pipelines.flowed(pipe, x_1, sigmas, cfg, *words)
        name = f"flow, Matched first step, mean {mean}{', corrected' if corrected else ''}, euler: diffusers with SingDiffusion"
        rows.compare(name, patched(mean, corrected, "euler"), expected)
    sing = SingDiffusion.from_pretrained(rows.folder / "spread", mean="network")
    with sing.attached(pipe):
        after = pipelines.flowed(pipe, x_1, sigmas, cfg, *words, steps=1)
    for sampler in FLOWING:
        options = {"sampler_name": sampler, "scheduler": "simple", "steps": 4, "cfg": cfg, "noise_seed": SEED}
        options |= {
            "add_noise": "disable",
            "start_at_step": 1,
            "end_at_step": 1000,
            "return_with_leftover_noise": "disable",
        }
        options |= {"model": ["model", 0], "positive": ["positive", 0], "negative": ["negative", 0]}
        saved = {"saved": node("SaveLatent", samples=["sampled", 0], filename_prefix="run")}
        arguments = after / (1 - sigmas[1]) / SD3_SCALE + SD3_SHIFT
        rest = base | saved | {"given": rows.latents_row(arguments, f"after-{sampler}")}
        rest["sampled"] = node("KSamplerAdvanced", latent_image=["given", 0], **options)
        expected = rows.latents(rest, SD3_SCALE, SD3_SHIFT)
        if sampler != "uni_pc":  # whose last step BasicScheduler does not leave out
            rows.compare(
                f"flow, Matched first step, {sampler}: from the library's latents after the first step",
                patched("network", False, sampler),
                expected,
            )


EXAMPLES = {
    "singular-start": {
        "CheckpointLoaderSimple": {"ckpt_name": "tiny-sd.safetensors"},
        "EmptyLatentImage": {"width": 64, "height": 64},
        "BasicScheduler": {"steps": 4},
        "KSamplerSelect": {"sampler_name": "euler"},
    },
    "matched-first-step": {
        "CheckpointLoaderSimple": {"ckpt_name": "tiny-sd3.safetensors"},
        "EmptySD3LatentImage": {"width": 64, "height": 64},
    },
}
"""What is set otherwise in the example workflows: the checkpoint, sizes that it takes, and a sampler that diffusers has as well."""


def example(rows: Rows, name: str, average: str, kind: str) -> dict[str, Any]:
    """An example workflow as it is shipped, but for `EXAMPLES`, a text encoder from a file of its own, and latents written in the place of a picture."""
    graph = json.loads((workflows.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    prompt = workflows.as_prompt(graph, rows.server.get("/object_info"))
    loader = next(number for number, made in prompt.items() if made["class_type"] == "CheckpointLoaderSimple")
    decoder = next(number for number, made in prompt.items() if made["class_type"] == "VAEDecode")
    prompt["clip"] = node("CLIPLoader", clip_name="clip_l.safetensors", type=kind)
    prompt["saved"] = node("SaveLatent", samples=prompt.pop(decoder)["inputs"]["samples"], filename_prefix="run")
    prompt = {number: made for number, made in prompt.items() if made["class_type"] != "SaveImage"}
    for made in prompt.values():
        made["inputs"] |= EXAMPLES[name].get(made["class_type"], {})
        if made["class_type"] == "SingDiffusionLoadAverage":
            made["inputs"]["path"] = str(rows.folder / average)
        if made["class_type"] == "CLIPTextEncode":
            assert made["inputs"]["clip"] == [loader, 1]
            made["inputs"]["clip"] = ["clip", 0]
    return prompt


def of_examples(rows: Rows, checkout: Path) -> None:
    """The example workflows, sent through the interface."""
    x_1 = torch.randn(1, 4, 8, 8, generator=torch.manual_seed(0))
    pipe = pipelines.stable_diffusion(rows.server.base, checkout, SD_SCALE)
    with SingDiffusion.from_pretrained(rows.folder / "table").attached(pipe):
        expected = pipelines.drawn(pipe, x_1, 4, 7.5, PROMPT, NEGATIVE)
    actual = rows.latents(example(rows, "singular-start", "table", "stable_diffusion"), SD_SCALE)
    rows.compare("example singular-start.json: diffusers with SingDiffusion", actual, expected)
    x_1 = torch.randn(1, 16, 8, 8, generator=torch.manual_seed(0))
    flow = pipelines.stable_diffusion_3(rows.server.base, checkout, SD3_SCALE, SD3_SHIFT)
    with SingDiffusion.from_pretrained(rows.folder / "spread", mean="network").attached(flow):
        expected = pipelines.flowed(flow, x_1, pipelines.shifted(8, 3.0), 4.5, "a street at night", "")
    actual = rows.latents(example(rows, "matched-first-step", "spread", "sd3"), SD3_SCALE, SD3_SHIFT)
    rows.compare("example matched-first-step.json: diffusers with SingDiffusion", actual, expected)


def of_errors(rows: Rows) -> Iterator[tuple[str, str]]:
    """What is refused, by the words that a person reads."""
    base = common("tiny-sd", "stable_diffusion", "EmptyLatentImage") | {"average": rows.average("spread")}
    wired = {"average": ["average", 0], "model": ["model", 0], "noise": ["noise", 0], "sigmas": ["sigmas", 0]}
    settings = {"cfg": 3.0, "guidance": "normalised", "start": "widest"}
    wrong = base | {"start": node("SingDiffusionSingularStart", **wired, **settings)}
    yield (
        "an average image of other latents",
        _refused(rows, wrong | sampled("model", "euler", "normal", 4, 3.0, "start")),
    )
    other = {"mean": "network", "corrected": False, "cfg": 3.0, "guidance": "normalised"}
    patch = node("SingDiffusionMatchedFirstStep", model=["model", 0], average=["average", 0], **other)
    yield (
        "the flow's node on Stable Diffusion",
        _refused(rows, base | {"patch": patch} | sampled("patch", "euler", "normal", 4, 3.0, "noise")),
    )


def _refused(rows: Rows, prompt: dict[str, Any]) -> str:
    try:
        rows.server.run(prompt)
    except RuntimeError as error:
        return str(error)
    raise AssertionError("was not refused")


def diagnosed(rows: Rows, checkpoint: str, kind: str, empty: str, module: str) -> str:
    """What the node Diagnose shows."""
    workflow = common(checkpoint, kind, empty) | {
        "average": rows.average(module),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="normal", steps=4, denoise=1.0),
    }
    arguments = {name: [name, 0] for name in ("model", "sigmas", "average")} | {"latent_image": ["empty", 0]}
    workflow["saved"] = node("SingDiffusionDiagnose", **arguments, cfg=3.0, guidance="normalised", prompt=PROMPT)
    return rows.server.run(workflow)["saved"]["text"][0]


def main() -> int:
    """Compare everything; 1 if something is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="a checkout of ComfyUI")
    parser.add_argument("--models", type=Path, help="where the tiny checkpoints are kept for another run")
    parser.add_argument("--json", type=Path, help="write the rows")
    arguments = parser.parse_args()
    checkout = arguments.comfyui.resolve()
    changed = contract.changes(contract.recorded(), contract.present(checkout))
    print(*changed or ["the classes of this ComfyUI are as recorded"], sep="\n")
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        models = base / "models" if arguments.models is None else arguments.models.resolve()
        if not (models / "text_encoders" / "clip_l.safetensors").is_file():
            script = Path(__file__).with_name("checkpoints.py")
            subprocess.run([sys.executable, str(script), str(checkout), str(models)], check=True)
        if models != base / "models":
            (base / "models").symlink_to(models)
        (base / "custom_nodes").mkdir()
        install = [sys.executable, "-m", "singdiffusion.cli", "comfyui", "install", str(base)]
        subprocess.run(install, check=True)
        averages(base / "averages")
        with Server(checkout, base) as server:
            rows = Rows(server, base / "averages")
            of_epsilon(rows, checkout)
            of_velocity(rows, checkout)
            of_flow(rows, checkout)
            of_examples(rows, checkout)
            for what, words in of_errors(rows):
                print(f"refused: {what}: {words}")
            print(diagnosed(rows, "tiny-sd", "stable_diffusion", "EmptyLatentImage", "table"))
            print(diagnosed(rows, "tiny-sd3", "sd3", "EmptySD3LatentImage", "spread"))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(dict(rows.found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(bool(changed) or any(off > TARGET for name, off in rows.found if "without the node" not in name))


if __name__ == "__main__":
    sys.exit(main())

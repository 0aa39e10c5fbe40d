"""The extension in a web UI's own functions, beside the library's own numbers.

    python -m tests.singdiffusion.webui.real_run --webui FOLDER --k-diffusion FOLDER --python PYTHON

`--webui` is a checkout of AUTOMATIC1111's web UI or of Forge, `--k-diffusion` the folder with `sampling.py` (Forge has it, for A1111 it is on PyPI), and `--python` one with
gradio, torch and what the two import; this package is not needed there. The extension is installed by its command into a copy of nothing but the folder
`extensions`, and asks the Python that runs this. The exit status is 1 where a number is off by more than the target.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, HeunDiscreteScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from singdiffusion.average import AverageTable
from singdiffusion.start import SingDiffusion, initial_latents
from singdiffusion.webui.start import scheduler_of
from tests.singdiffusion.support import tiny

TARGET = 1e-3
PROMPT = "solid black background"


def main() -> int:
    """Compare everything; 1 if something is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webui", type=Path, required=True, help="a checkout of the web UI")
    parser.add_argument("--k-diffusion", type=Path, required=True, help="the folder with k-diffusion's sampling.py")
    parser.add_argument("--python", default=sys.executable, help="a Python with gradio and torch")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(1)
    pictures = {
        name: level
        + torch.randn(50, 4, 1, 1, generator=generator)
        + 0.3 * torch.randn(50, 4, 8, 8, generator=generator)
        for name, level in ((PROMPT, -1.0), ("", 0.0))
    }
    table = AverageTable.from_images(pictures, rank=2, scaling_factor=0.18215)
    settings = {"steps": 5, "cfg": 3.0, "scale": 0.18215, "rule": "normalised", "start": "widest"}
    settings |= {"prompts": [PROMPT] * 2, "negative_prompts": [""] * 2}
    pipe = tiny.stable_diffusion()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "extensions").mkdir()
        table.save_pretrained(folder / "table")
        if (arguments.webui / "modules" / "sd_samplers_cfg_denoiser.py").is_file():  # Forge guides elsewhere
            settings |= stored_unet(pipe, folder, settings)
        install = [sys.executable, "-m", "singdiffusion.cli", "webui", "install", str(folder)]
        subprocess.run(install, check=True)
        script = folder / "extensions" / "singdiffusion" / "scripts" / "singular_start.py"
        asked = json.dumps(settings | {"path": str(folder / "table")})
        program = [arguments.python, str(Path(__file__).with_name("as_webui.py")), str(arguments.webui.resolve())]
        program += [str(arguments.k_diffusion.resolve()), str(script), str(folder / "out.safetensors"), asked]
        subprocess.run(program, check=True)
        actual = load_file(folder / "out.safetensors")
    x_1 = actual["noise"]
    average = SingDiffusion(table).average(settings["prompts"], settings["negative_prompts"], x_1, settings["cfg"])
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bars = torch.cumprod(1 - betas, dim=0)
    trained, worst = ((1 - bars) / bars).sqrt(), 0.0
    for name, index in (("euler", 999), ("dpmpp_2m", 999), ("DDIM", 801)):
        sigma = float(trained[index])
        scheduler = scheduler_of(trained, sigma)
        start = initial_latents(average.mean, x_1, scheduler, spread=average.spread) * scheduler.init_noise_sigma
        expected = start / (1 + sigma**2) ** 0.5 if name == "DDIM" else start
        for multiplied in (0, 1):
            first = actual[f"{name}/{multiplied}/with/first"]
            off = float((first - expected).abs().max() / expected.square().mean().sqrt())
            worst = max(worst, off)
            print(
                f"{'ok ' if off <= TARGET else 'OFF'} {off:.1e}  {name}, SGM noise multiplier {multiplied}: "
                "the network begins at the library's start"
            )
    if "unet" in settings:
        worst = max(worst, beside_the_pipeline(pipe, table, settings, actual))
    return int(worst > TARGET)


@torch.no_grad()
def stored_unet(pipe: StableDiffusionPipeline, folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """A pipeline's U-Net, and the token states of the prompts, for the web UI to draw with."""
    states = dict(
        zip(
            ("c", "uc"),
            pipe.encode_prompt(settings["prompts"], "cpu", 1, True, settings["negative_prompts"]),
            strict=True,
        )
    )
    pipe.unet.save_pretrained(folder / "unet")
    save_file({name: one.contiguous() for name, one in states.items()}, folder / "states.safetensors")
    return {"unet": str(folder / "unet"), "states": str(folder / "states.safetensors")}


def beside_the_pipeline(
    pipe: StableDiffusionPipeline, table: AverageTable, settings: Mapping[str, Any], actual: Mapping[str, torch.Tensor]
) -> float:
    """The largest difference of drawn latents, in units of the root mean square, from those of diffusers' pipeline with the same weights and noise."""
    worst, kinds = 0.0, {"euler": EulerDiscreteScheduler, "heun": HeunDiscreteScheduler}
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    call = {"prompt": settings["prompts"], "negative_prompt": settings["negative_prompts"], "output_type": "latent"}
    call |= {"num_inference_steps": settings["steps"], "guidance_scale": settings["cfg"], "height": 16, "width": 16}
    for name, kind in kinds.items():
        pipe.scheduler = kind(**betas, use_karras_sigmas=True)
        plain = pipe(**call, latents=actual["noise"].clone()).images
        with SingDiffusion(table).attached(pipe):
            mended = pipe(**call, latents=actual["noise"].clone()).images
        for way, expected in (("with", mended), ("without", plain)):
            samples = actual[f"unet/{name}/{way}/samples"]
            off = float((samples - expected).abs().max() / expected.square().mean().sqrt())
            worst = max(worst, off)
            print(
                f"{'ok ' if off <= TARGET else 'OFF'} {off:.1e}  {name}, a U-Net, {way} the extension: as diffusers' pipeline"
            )
        moved = float((mended - plain).abs().max() / plain.square().mean().sqrt())
        print(f"    {moved:.1e}  {name}: by so much the start changes what is drawn")
    return worst


if __name__ == "__main__":
    sys.exit(main())

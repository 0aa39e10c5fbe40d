"""`python -m tests.benchmarks.start.singular_step`: what the singular step costs beside one ordinary guided step, in one run.

Weights are random and of Stable Diffusion 1.5's size. The medians of interleaved repeats are compared, so that the clock of the card
falls out; the result is `singular_step.json`. `test_singular_step.py` runs the same at a tiny size on the CPU.
"""

import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.start.initial import initial_latents
from singdiffusion.start.pipeline import SingDiffusion
from singtheory.schedule.schedules import STABLE_DIFFUSION
from singtheory.system import write_json
from tests.support.out_file import asked

RESULT = Path(__file__).parent / "singular_step.json"
SD_15 = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
GUIDANCE, BATCH, STEPS = 7.5, 4, 50


def ways(unet_config: dict, text_config: dict, device: str, dtype: torch.dtype, seed: int = 0) -> dict[str, Callable]:
    """The things to time, each ready to call."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(**unet_config).to(device, dtype).eval()
    encoder = CLIPTextModel(CLIPTextConfig(**text_config)).to(device, dtype).eval()
    average = AverageUNet.from_unet(unet).to(device, dtype)
    prompts = [f"prompt {i}" for i in range(BATCH)]
    shape = (4, unet_config["sample_size"], unet_config["sample_size"])
    table = AverageTable.from_images({p: torch.randn(2, *shape) for p in prompts}).to(device, dtype)
    scheduler = DDIMScheduler.from_config(STABLE_DIFFUSION)
    scheduler.set_timesteps(STEPS, device=device)
    x_1 = torch.randn(BATCH, *shape, device=device, dtype=dtype)
    tokens = torch.randn(2 * BATCH, 77, unet_config["cross_attention_dim"], device=device, dtype=dtype)
    ids = torch.randint(0, 100, (BATCH, 77), device=device)

    def ordinary_step() -> torch.Tensor:
        t = scheduler.timesteps[0]
        without, with_prompt = unet(torch.cat([x_1, x_1]), t, tokens).sample.chunk(2)
        return scheduler.step(without + GUIDANCE * (with_prompt - without), t, x_1).prev_sample

    def with_network() -> torch.Tensor:
        actual = SingDiffusion(average).average(tokens[BATCH:], tokens[:BATCH], x_1, GUIDANCE)
        return initial_latents(actual.mean, x_1, scheduler)

    def with_table() -> torch.Tensor:
        actual = SingDiffusion(table).average(prompts, [""] * BATCH, x_1, GUIDANCE)
        return initial_latents(actual.mean, x_1, scheduler)

    def as_published() -> torch.Tensor:
        """Its own text encoder, and two passes, one with the prompt and one without."""
        cond, uncond = (average(encoder(ids).last_hidden_state, x_1).mean for _ in range(2))
        return initial_latents(cond - (1 - 1 / GUIDANCE) * uncond, x_1, scheduler)

    return {
        "ordinary guided step": ordinary_step,
        "network": with_network,
        "table": with_table,
        "as published": as_published,
    }


@torch.no_grad()
def medians(timed: dict[str, Callable], device: str, repeats: int) -> dict[str, float]:
    """Milliseconds, each way once a round."""
    for call in timed.values():
        for _ in range(3):
            call()
    actual: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, call in timed.items():
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            if device != "cpu":
                torch.cuda.synchronize()
            actual[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in actual.items()}


def main() -> None:
    """On the GPU, in half precision. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    took = medians(ways(SD_15, CLIP_L, "cuda", torch.float16), "cuda", repeats=60)
    step = took["ordinary guided step"]
    result = {
        "command": "python -m tests.benchmarks.start.singular_step",
        "device": torch.cuda.get_device_name(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "seed": 0,
        "setting": f"Stable Diffusion 1.5's size, float16, batch {BATCH}, guidance {GUIDANCE}, {STEPS} steps, 60 interleaved repeats",
        "milliseconds": took,
        "of one ordinary guided step": {name: value / step for name, value in took.items()},
    }
    write_json(out, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

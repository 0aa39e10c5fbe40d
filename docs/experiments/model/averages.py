"""Average images for the ladder: trained by the product's own trainer on the token states of a ladder's model, and in closed form."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned
from docs.experiments.model.denoiser import Denoiser
from singdiffusion.average import AverageStatistics, AverageTable
from singdiffusion.training import Cache, Encoding, TrainSettings, finish, run, save_part, save_texts

FREQUENCIES = 4
"""Along each side, of the spread."""
_PART, _POOLED = 4096, 4096


def placed(module: Any, device: str) -> Any:
    """An average image on a device, in evaluation; a decorator of diffusers hides from type checkers what `to` takes."""
    return module.to(device).eval()


def cache_of(data: Captioned, model: Denoiser, folder: Path, device: str) -> Cache:
    """The data with token states of the model's text encoder, as `singdiffusion cache` lays them down."""
    folder.mkdir(parents=True)
    for first in range(0, len(data), _PART):
        rows = torch.arange(first, min(first + _PART, len(data)))
        records = [
            {"key": str(row), "caption": data.captions[int(data.caption[row])], "hash": str(row)}
            for row in rows.tolist()
        ]
        save_part(folder, f"part-000-{first:07}", data.x_0(rows), records)

    def encoded(captions: list[str]) -> Tensor:
        return model.encoder(captions, torch.device(device), torch.float32).cpu()

    def untracked(items: Any, _: str) -> Any:
        return items

    save_texts(folder, encoded, untracked)
    channels, height, width = data.size
    finish(folder, Encoding(channels, height, width, height, text_encoder=model.encoder.fingerprint), [], untracked)
    return Cache.open(folder)


def train_average(cache: Cache, out: Path, steps: int, batch: int, precision: str = "no", **other: Any) -> Path:
    """The text-only decoder with its spread; returns the folder of the weights, float32."""
    settings: dict[str, Any] = {
        "model": "decoder",
        "width": 128,
        "layers": 3,
        "frequencies": FREQUENCIES,
        "spread_width": 256,
        "spread_layers": 2,
        "steps": steps,
        "batch": batch,
        "lr": 2e-3,
        "warmup": min(200, steps // 10),
        "ema": 0.999,
        "precision": precision,
        "save_every": steps,
        "validate_every": steps,
        "tracker": "none",
        "license": "cc-by-sa-4.0",
    }
    return run(TrainSettings(str(cache.folder), str(out), **(settings | other)), cache)


def table_of(data: Captioned, prompts: list[str], rank: int) -> AverageTable:
    """The closed form of some prompts, with the pooled principal components of their deviations; "" stands for all data."""
    every = max(1, len(data) // _POOLED)
    images = {prompt: data.x_0(data.rows(prompt)) for prompt in prompts}
    return AverageTable.from_images(images | {"": data.x_0(torch.arange(0, len(data), every))}, rank=rank)


def statistics_of(data: Captioned, rank: int = 16) -> AverageStatistics:
    """Prompt-free: the mean of all data with the widest directions among low frequencies."""
    return AverageStatistics.from_images(data.x_0(), frequencies=FREQUENCIES, rank=rank)

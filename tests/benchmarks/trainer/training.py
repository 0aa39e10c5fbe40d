"""`python -m tests.benchmarks.trainer.training`: rates of cache and trainer beside what they could be at most, in one run on a GPU.

Weights are random and of Stable Diffusion 1.5's size, pictures are JPEG files of 512×512 in memory. The result is `training.json`;
`test_training.py` runs the same at a tiny size on the CPU.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPTextConfig, CLIPTextModel

from singdiffusion.base.text import TextEncoder
from singdiffusion.source.records import Record
from singdiffusion.training.build import build_network
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singdiffusion.training.settings import TrainSettings
from singdiffusion.training.train import Trainer
from singtheory.data import Notes
from singtheory.system import write_json
from tests.benchmarks.start.singular_step import CLIP_L, SD_15
from tests.singdiffusion.support.tiny import _tokenizer
from tests.support.out_file import asked

RESULT = Path(__file__).parent / "training.json"
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    unet: dict[str, Any]
    text: dict[str, Any]
    vae: dict[str, Any]
    pictures: int
    resolution: int
    batch: int
    decoder_batch: int
    steps: int
    precision: str
    device: str


STABLE_DIFFUSION = Sizes(SD_15, CLIP_L, VAE, 2048, 512, 16, 256, 40, "bf16", "cuda")


class Pictures(Dataset):
    """JPEG files in memory with captions, as records and as a dataset of the usual examples."""

    name, caption = "pictures in memory", None

    def __init__(self, count: int, side: int, tokenizer: Any) -> None:
        generator = np.random.default_rng(0)
        self.side, self.tokenizer, self.files, self.notes = side, tokenizer, [], Notes()
        for _ in range(count):
            coarse = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(
                buffer, format="JPEG", quality=95
            )
            self.files.append(buffer.getvalue())

    def check(self) -> None:
        """Nothing can be wrong with it."""

    def origin(self) -> dict[str, str | None]:
        """As a source says of itself what its records are."""
        return {"source": self.name, "caption": None}

    def __iter__(self) -> Iterator[Record]:
        for k, content in enumerate(self.files):
            yield Record(str(k), content, f"picture {k % 256}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        pixels = np.array(Image.open(io.BytesIO(self.files[k])).convert("RGB").resize((self.side, self.side)))
        ids = self.tokenizer(f"picture {k % 256}", padding="max_length", max_length=77, truncation=True).input_ids
        return torch.from_numpy(pixels).movedim(2, 0).float() / 127.5 - 1, torch.tensor(ids)


def wait(device: str) -> None:
    """Until the GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def rate(count: int, device: str, call: Callable[[], Any]) -> float:
    """Of `count` things a second."""
    wait(device)
    start = time.perf_counter()
    call()
    wait(device)
    return count / (time.perf_counter() - start)


def say(*what: object) -> None:
    """Progress, on stderr."""
    print(*what, file=sys.stderr, flush=True)


def models(sizes: Sizes) -> tuple[Any, Any, Any]:
    """VAE, text encoder and tokenizer, random."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    text = CLIPTextModel(
        CLIPTextConfig(**(sizes.text | {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}))
    )
    dtype = torch.float16 if sizes.device == "cuda" else torch.float32
    return AutoencoderKL(**sizes.vae).to(sizes.device, dtype).eval(), text.to(sizes.device, dtype).eval(), tokenizer


def cache_rates(sizes: Sizes, folder: Path, parts: tuple[Any, Any, Any]) -> dict[str, float]:
    """Pictures a second: the cache whole, and the encoders alone on what lies ready on the device."""
    vae, text, tokenizer = parts
    pictures = Pictures(sizes.pictures, sizes.resolution, tokenizer)
    dtype = torch.float16 if sizes.device == "cuda" else torch.float32
    encoder = Encoder(sizes.resolution, 3, vae, TextEncoder.of(text, tokenizer), sizes.device, dtype)
    ready = [encoder.pixels(record) for record, _ in zip(pictures, range(sizes.batch), strict=False)]
    captions = [f"picture {k}" for k in range(min(256, sizes.pictures))]

    def encoders_alone() -> None:
        for _ in range(sizes.pictures // sizes.batch):
            encoder.images(ready)
        encoder.texts(captions)

    encoder.images(ready), encoder.texts(captions[:8])
    alone = rate(sizes.pictures, sizes.device, encoders_alone)
    say("encoders alone", alone)
    whole = rate(sizes.pictures, sizes.device, lambda: make_cache(pictures, folder, encoder, sizes.batch))
    say("cache", whole)
    return {"encoders alone": alone, "cache": whole, "cache of encoders alone": whole / alone}


def settings(sizes: Sizes, cache: Path, out: Path, **other: Any) -> TrainSettings:
    """Of a run that only trains."""
    plain = {
        "tracker": "none",
        "save_every": 10**9,
        "log_every": 10**9,
        "validate_every": 10**9,
        "precision": sizes.precision,
    }
    return TrainSettings(str(cache), str(out), **(plain | {"steps": 10**6, "batch": sizes.batch} | other))


def trainer(chosen: TrainSettings, cache: Cache) -> Trainer:
    """Ready on its device, and warm."""
    one = Trainer(
        chosen,
        cache,
        build_network(chosen, cache),
        Accelerator(mixed_precision=chosen.precision, cpu=not torch.cuda.is_available()),
    )
    for _ in range(3):
        one.take(one.data[one.step])
    return one


class EnoughError(Exception):
    """Some steps have been taken."""


def training_rates(one: Trainer, steps: int) -> dict[str, float]:
    """Examples a second: as it trains, and the same step on a batch that lies on the device; interleaved, the better of two each."""
    device, resident, count = one.accelerator.device.type, one.data[0], steps * one.data.batch
    actual: dict[str, list[float]] = {"training": [], "compute alone": []}

    def train() -> None:
        end = one.step + steps

        def stop(run: Trainer, _: object) -> None:
            if run.step == end:
                raise EnoughError

        with contextlib.suppress(EnoughError):
            one.fit(stop)

    for _ in range(2):
        actual["compute alone"].append(rate(count, device, lambda: [one.take(resident) for _ in range(steps)]))
        actual["training"].append(rate(count, device, train))
    best = {name: max(values) for name, values in actual.items()}
    say(best)
    return best | {"training of compute alone": best["training"] / best["compute alone"]}


def bare_rate(sizes: Sizes, parts: tuple[Any, Any, Any]) -> float:
    """Examples a second of a bare accelerate loop that decodes and encodes in every step, as the usual examples do."""
    vae, text, tokenizer = parts
    accelerator = Accelerator(mixed_precision=sizes.precision, cpu=sizes.device == "cpu")
    unet = UNet2DConditionModel(**sizes.unet).to(sizes.device)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-5)
    pictures = Pictures(sizes.batch * sizes.steps // 2, sizes.resolution, tokenizer)
    workers = 8 if sizes.device == "cuda" else 0
    loader = DataLoader(pictures, sizes.batch, sampler=range(len(pictures)), num_workers=workers, drop_last=True)
    unet, optimizer, loader = accelerator.prepare(unet, optimizer, loader)

    def epoch() -> None:
        for pixels, ids in loader:
            with torch.no_grad():
                x_0 = vae.encode(pixels.to(vae.dtype)).latent_dist.sample().float() * 0.18215
                tokens = text(ids).last_hidden_state.float()
            with accelerator.autocast():
                loss = functional.mse_loss(unet(torch.randn_like(x_0), 999, tokens).sample.float(), x_0)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    epoch()
    actual = rate(len(pictures), sizes.device, epoch)
    say("bare loop", actual)
    return actual


def measure(sizes: Sizes, folder: Path) -> dict[str, Any]:
    """All rates."""
    parts = models(sizes)
    actual: dict[str, Any] = {"cache": cache_rates(sizes, folder / "cache", parts)}
    cache = Cache.open(folder / "cache")
    unet = trainer(settings(sizes, folder / "cache", folder / "unet", model="unet", unet=sizes.unet), cache)
    actual["unet"] = training_rates(unet, sizes.steps)
    del unet
    if sizes.device == "cuda":
        torch.cuda.empty_cache()
    actual["unet"]["bare loop"] = bare_rate(sizes, parts)
    for name, batch in (("decoder", sizes.batch), ("decoder, large batch", sizes.decoder_batch)):
        decoder = trainer(settings(sizes, folder / "cache", folder / "decoder", batch=batch), cache)
        actual[name] = training_rates(decoder, sizes.steps)
        actual[name]["times the U-Net"] = actual[name]["training"] / actual["unet"]["training"]
    return actual


def main() -> None:
    """On a GPU. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    with tempfile.TemporaryDirectory() as folder:
        actual = measure(STABLE_DIFFUSION, Path(folder))
    result = {
        "command": "python -m tests.benchmarks.trainer.training",
        "device": torch.cuda.get_device_name(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers", "accelerate")},
        "seed": 0,
        "setting": "Stable Diffusion 1.5's sizes, random weights, bfloat16 training, float16 encoding, batch 16; examples a second",
        **actual,
    }
    write_json(out, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

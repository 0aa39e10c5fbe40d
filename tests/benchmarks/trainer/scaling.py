"""`python -m tests.benchmarks.trainer.scaling --out FILE`: two GPUs beside one, in one run that starts the processes of both.

The same batches give the same weights, measured for a small decoder and U-Net in full precision as the distance of all weights
together relative to their norm; a U-Net of Stable Diffusion 1.5's size is timed with as many examples a GPU. Latents and token states
are random and cached. The result is `scaling.json`; `test_scaling.py` runs the same at a tiny size on the CPU.

Processes are started as `accelerate launch` does it, by torch.distributed.run; each gets `--part FOLDER`, where sizes and data lie.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from torch import Tensor

from singdiffusion.training.cache import Cache, Encoding, finish, save_part, save_texts
from singdiffusion.training.processes import joined
from singdiffusion.training.snapshot import Snapshot
from singtheory.system.files import write_json
from tests.benchmarks.origin import origin
from tests.benchmarks.start.singular_step import SD_15
from tests.benchmarks.trainer.training import settings, trainer, training_rates
from tests.support.out_file import parser

RESULT = Path(__file__).parent / "scaling.json"
PROCESSES = (1, 2)
SMALL = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}


@dataclass(frozen=True)
class Sizes:
    """How large everything is; the small networks and the large one have data of their own.

    Attributes:
        small: U-Net whose weights are compared, beside the decoder.
        small_batch: over all processes.
        small_steps: after which they are compared.
        unet: that is timed.
        tokens: of a caption, and their width, for the one that is timed.
        batch: of a process.
        steps: that are timed.
        precision: of the one that is timed.
        device: of all.
    """

    small: dict[str, Any]
    small_batch: int
    small_steps: int
    unet: dict[str, Any]
    tokens: Sequence[int]
    batch: int
    steps: int
    precision: str
    device: str


STABLE_DIFFUSION = Sizes(SMALL, 16, 8, SD_15, (77, 768), 16, 15, "bf16", "cuda")
_SMALL_TOKENS = (8, 64)
_EXAMPLES, _CAPTIONS = 128, 16


def random_cache(folder: Path, unet: dict[str, Any], tokens: Sequence[int]) -> None:
    """Noise as latents, with noise as token states of a few captions."""
    generator = torch.Generator().manual_seed(0)
    side, channels = unet["sample_size"], unet["in_channels"]
    latents = torch.randn(_EXAMPLES, channels, side, side, generator=generator)
    records = [{"key": str(k), "caption": f"caption {k % _CAPTIONS}", "hash": str(k)} for k in range(_EXAMPLES)]

    def encode_texts(captions: list[str]) -> Tensor:
        return torch.randn(len(captions), *tokens, generator=generator)

    save_part(folder, "part-000-0000000", latents, records)
    save_texts(folder, encode_texts, lambda items, _: items)
    finish(folder, Encoding(channels, side, side, side), [], lambda items, _: items)


# --- one of the processes ---------------------------------------------------------------------------------------------


def part(folder: Path) -> None:
    """Train the small networks and time the large one, by all processes that were started together."""
    sizes = Sizes(**json.loads((folder / "sizes.json").read_text()))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    processes = joined().num_processes
    out = folder / str(processes)
    small = Cache.open(folder / "small")
    for model, other in (("decoder", {}), ("unet", {"unet": sizes.small})):
        chosen = settings(
            sizes,
            small.folder,
            out / model,
            model=model,
            batch=sizes.small_batch,
            steps=sizes.small_steps,
            precision="no",
            **other,
        )
        trainer(chosen, small).fit()  # which leaves a checkpoint
    AcceleratorState._reset_state()  # for another precision
    large = Cache.open(folder / "large")
    chosen = settings(sizes, large.folder, out / "large", model="unet", unet=sizes.unet, batch=processes * sizes.batch)
    one = trainer(chosen, large)
    rates = training_rates(one, sizes.steps)
    if one.accelerator.is_main_process:
        write_json(out / "rates.json", rates)
    one.accelerator.end_training()


# --- what starts them -------------------------------------------------------------------------------------------------


def start(processes: int, folder: Path, device: str) -> None:
    """So many processes, to their end; raises `CalledProcessError` if one fails."""
    together = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    together += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    on_cpu = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"} if device == "cpu" else {}
    command = [*(together if processes > 1 else []), "-m", "tests.benchmarks.trainer.scaling", "--part", str(folder)]
    command += ["--out", str(folder / "scaling.json")]
    subprocess.run([sys.executable, *command], env=os.environ | on_cpu, check=True)


def distance(first: Path, second: Path) -> float:
    """Of the weights of two runs, relative to the norm of all weights of the first."""
    one, other = (Snapshot.latest(run) for run in (first, second))
    assert one is not None and other is not None and one.weights.keys() == other.weights.keys()
    mine, theirs = (torch.cat([run.weights[name].double().flatten() for name in one.weights]) for run in (one, other))
    return float((mine - theirs).norm() / mine.norm())


def measure(sizes: Sizes, folder: Path) -> dict[str, Any]:
    """One process, two, and what they differ in."""
    random_cache(folder / "small", sizes.small, _SMALL_TOKENS)
    random_cache(folder / "large", sizes.unet, sizes.tokens)
    write_json(folder / "sizes.json", asdict(sizes))
    for processes in PROCESSES:
        start(processes, folder, sizes.device)
    alone, both = (folder / str(processes) for processes in PROCESSES)
    rates = {out.name: json.loads((out / "rates.json").read_text()) for out in (alone, both)}
    return {
        f"distance of all weights after {sizes.small_steps} steps": {
            model: distance(alone / model, both / model) for model in ("decoder", "unet")
        },
        "examples a second by processes": rates,
        "scaling efficiency": rates[both.name]["training"] / (PROCESSES[1] * rates[alone.name]["training"]),
    }


def main() -> None:
    """On two GPUs."""
    asked = parser(__doc__.splitlines()[0], RESULT)
    asked.add_argument("--part", type=Path, help="for a process that was started by this command: its folder")
    arguments = asked.parse_args()
    if arguments.part is not None:
        part(arguments.part)
        return
    if torch.cuda.device_count() < PROCESSES[1]:
        asked.error(f"{torch.cuda.device_count()} GPUs here, needs {PROCESSES[1]}; test_scaling.py runs it on the CPU")
    with tempfile.TemporaryDirectory() as folder:
        actual = measure(STABLE_DIFFUSION, Path(folder))
    provenance = origin("tests.benchmarks.trainer.scaling", "cuda")
    setting = {
        "setting": f"U-Net of Stable Diffusion 1.5's size, bfloat16, {STABLE_DIFFUSION.batch} examples a GPU; "
        "weights compared in float32 without TF32"
    }
    write_json(arguments.out, provenance | {"device": f"{PROCESSES[1]} × {provenance['device']}"} | setting | actual)
    print(json.dumps(actual, indent=1))


if __name__ == "__main__":
    main()

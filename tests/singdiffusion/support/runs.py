"""Small training runs, in this process and in others, on the digits."""

import multiprocessing
import os
import subprocess
import sys

import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from singdiffusion.cli import app
from singdiffusion.training.build import build_network
from singdiffusion.training.cache import Cache, Encoding, finish, save_part, save_texts
from singdiffusion.training.settings import TrainSettings
from singdiffusion.training.train import Trainer
from singtheory.data.sources import digits_images, digits_labels

TINY_UNET = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [16, 16],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}

CONVERGENCE = [
    ("decoder", {"width": 64, "layers": 2, "steps": 1600, "lr": 2e-3}),
    ("unet", {"unet": TINY_UNET, "width": 64, "steps": 900, "lr": 3e-3}),
]

ENVIRONMENT = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}

FORKS = multiprocessing.get_context("forkserver")
"""Processes that start at once, for one has imported everything before."""
FORKS.set_forkserver_preload(["singdiffusion.commands.console", "singdiffusion.training.training_run", __name__])


def untracked(items, _):
    return items


def cached(folder, count=None, states=0):
    """The digits with their classes as captions, and token states of that width."""
    images, labels = digits_images()[:count].float()[:, None], digits_labels()[:count].tolist()
    folder.mkdir(parents=True)
    records = [{"key": str(k), "caption": str(label), "hash": str(k)} for k, label in enumerate(labels)]
    save_part(folder, "part-000-0000000", images, records)

    def encode_texts(captions):
        return torch.randn(len(captions), 3 if states else 0, states, generator=torch.Generator().manual_seed(1))

    save_texts(folder, encode_texts, untracked)
    finish(folder, Encoding(1, 8, 8, 8), [], untracked)
    return folder


def settings(cache, out, **other):
    small = {"width": 32, "layers": 1, "grid": 4, "frequencies": 2, "tracker": "none", "condition": "classes"}
    return TrainSettings(str(cache), str(out), **(small | {"steps": 12, "batch": 8, "save_every": 4} | other))


def trainer(chosen):
    cache = Cache.open(chosen.cache)
    AcceleratorState._reset_state(reset_partial_state=True)
    return Trainer(chosen, cache, build_network(chosen, cache), Accelerator(cpu=True, mixed_precision=chosen.precision))


def weights(one):
    return torch.cat([value.double().flatten() for value in one.network.state_dict().values()])


def assert_same(one, other):
    assert one.step == other.step
    for name in ("weights", "ema", "optimizer"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine), name


class Dying:
    """Interrupts a run after a step."""

    def __init__(self, step):
        self.step = step

    def __call__(self, one, _):
        if one.step == self.step:
            raise KeyboardInterrupt


def command(chosen, file, *more):
    file.write_text(yaml.safe_dump({name: value for name, value in vars(chosen).items() if value is not None}))
    return ["-m", "singdiffusion.cli", "train", "--config", str(file), *more]


def forked(arguments):
    """The command of `command` in a process of its own, just started."""
    process = FORKS.Process(target=_forked, args=(arguments[2:],))
    process.start()
    return process


def _forked(arguments):
    os.environ.update(ENVIRONMENT)
    torch.set_num_threads(1)
    with open(os.devnull, "w") as sys.stdout, open(os.devnull, "w") as sys.stderr:
        app(arguments)


def done(arguments, environment=ENVIRONMENT):
    """A run in a process of its own, to its end."""
    actual = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert actual.returncode == 0 and "written to" in actual.stdout, actual.stderr[-3000:]

"""Many processes: together they are one with the whole batch."""

import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from singdiffusion.training import snapshot
from singdiffusion.training.training_run import accelerator_of
from singtheory import InputError
from tests.singdiffusion.support.runs import command, done, settings, trainer


def test_two_processes_are_one_with_the_doubled_batch(digits_cache, tmp_path):
    chosen = settings(digits_cache, tmp_path / "two", steps=8)
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "0",
        "--rdzv-endpoint",
        "localhost:0",
        "--rdzv-backend",
        "c10d",
    ]
    done([*launch, *command(chosen, tmp_path / "two.yaml")])
    one = trainer(replace(chosen, out=str(tmp_path / "one")))
    one.fit()
    actual = snapshot.Snapshot.latest(tmp_path / "two").weights
    mine = snapshot.Snapshot.latest(tmp_path / "one").weights
    assert actual.keys() == mine.keys()
    both = torch.cat([actual[name].flatten() for name in mine]), torch.cat([value.flatten() for value in mine.values()])
    assert float((both[0] - both[1]).norm() / both[1].norm()) < 1e-5


def test_processes_that_do_not_join_are_refused(digits_cache, tmp_path, monkeypatch):
    """As accelerate leaves them for FSDP without a GPU: each believes that it is alone."""
    monkeypatch.setattr("singdiffusion.training.processes.PartialState", lambda **_: SimpleNamespace(num_processes=1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="2 processes were started, accelerate joins 1"):
        accelerator_of(settings(digits_cache, tmp_path))


@pytest.mark.parametrize("kind", ["DEEPSPEED", "FSDP"])
def test_weights_that_cannot_be_had_whole_are_refused(digits_cache, tmp_path, monkeypatch, kind):
    """FSDP in its first version among them."""
    actual = SimpleNamespace(distributed_type=SimpleNamespace(value=kind), is_fsdp2=False)
    monkeypatch.setattr("singdiffusion.training.training_run.Accelerator", lambda **_: actual)
    with pytest.raises(InputError, match=f"{kind} is not supported"):
        accelerator_of(settings(digits_cache, tmp_path))


def test_another_precision_in_one_process_is_refused(digits_cache, tmp_path):
    """Accelerate holds a process to that of its first run."""
    accelerator_of(settings(digits_cache, tmp_path))
    with pytest.raises(InputError, match="precision bf16: AcceleratorState has already been"):
        accelerator_of(settings(digits_cache, tmp_path, precision="bf16"))


@pytest.mark.gpu
def test_fsdp_is_the_plain_run(digits_cache, tmp_path):
    """On one GPU: weights are held as FSDP holds them, saved, resumed and written whole."""
    launch = ["-m", "accelerate.commands.launch", "--num_processes", "1", "--use_fsdp", "--fsdp_version", "2"]
    launch += ["--fsdp_auto_wrap_policy", "NO_WRAP", "--mixed_precision", "no"]
    launch += ["--fsdp_cpu_ram_efficient_loading", "false"]  # which takes buffers for weights in accelerate 1.15
    for name, before in (("fsdp", launch), ("plain", [])):
        chosen = settings(digits_cache, tmp_path / name, steps=8)
        done([*before, *command(chosen, tmp_path / f"{name}.yaml")], os.environ)
        shutil.rmtree(tmp_path / name / "checkpoints" / "step-00000008")
        done([*before, *command(chosen, tmp_path / f"{name}.yaml", "--resume")], os.environ)
    one, other = (
        load_file(tmp_path / name / "model" / "diffusion_pytorch_model.safetensors") for name in ("fsdp", "plain")
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)

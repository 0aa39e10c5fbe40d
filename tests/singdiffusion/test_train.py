"""Training: to the closed form, on one process or two, and to the same weights whatever happens on the way."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors import SafetensorError
from safetensors.torch import load_file

from singdiffusion import snapshot
from singdiffusion.average import load_average
from singdiffusion.build import build_network
from singdiffusion.cache import Cache, Encoding, finish, save_part
from singdiffusion.measure import frequent, measure
from singdiffusion.run import accelerator_of, check_out, run
from singdiffusion.settings import TrainSettings
from singdiffusion.train import Data, Stopped, Trainer, class_names, learning_rate
from singtheory import InputError
from singtheory.data import digits_images, digits_labels

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


def cached(folder, count=None, states=0):
    """The digits with their classes as captions, and token states of that width."""
    images, labels = digits_images()[:count].float()[:, None], digits_labels()[:count].tolist()
    folder.mkdir(parents=True)
    records = [{"key": str(k), "caption": str(label), "hash": str(k)} for k, label in enumerate(labels)]
    save_part(folder, "part-000-0000000", images, records)

    def encode_texts(captions):
        return torch.randn(len(captions), 3 if states else 0, states, generator=torch.Generator().manual_seed(1))

    finish(folder, Encoding(1, 8, 8, 8), encode_texts, [], lambda items, _: items)
    return folder


@pytest.fixture(scope="module")
def digits_cache(tmp_path_factory):
    return cached(tmp_path_factory.mktemp("digits") / "cache")


def settings(cache, out, **other):
    small = {"width": 32, "layers": 1, "grid": 4, "frequencies": 2, "tracker": "none", "condition": "classes"}
    return TrainSettings(str(cache), str(out), **(small | {"steps": 12, "batch": 8, "save_every": 4} | other))


def trainer(told):
    cache = Cache.open(told.cache)
    AcceleratorState._reset_state(reset_partial_state=True)
    return Trainer(told, cache, build_network(told, cache), Accelerator(cpu=True, mixed_precision=told.precision))


def weights(one):
    return torch.cat([value.double().flatten() for value in one.network.state_dict().values()])


# --- batches ----------------------------------------------------------------------------------------------------------


def test_every_epoch_takes_every_example_once_in_an_order_of_its_own(tmp_path):
    told = settings(cached(tmp_path / "c", 30), tmp_path / "o", batch=7)
    data = Data(Cache.open(told.cache), told, torch.device("cpu"))
    stream = torch.cat([data.rows(step) for step in range(30)])
    epochs = stream[:210].reshape(7, 30)
    assert all(sorted(epoch.tolist()) == list(range(30)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 7
    assert torch.equal(data.rows(20), stream[140:147])


def test_processes_take_shares_of_one_batch(digits_cache, tmp_path):
    told, cache = settings(digits_cache, tmp_path / "o", dropout=0.5), Cache.open(digits_cache)
    whole = Data(cache, told, torch.device("cpu"))[3]
    shares = [Data(cache, told, torch.device("cpu"), k, 2)[3] for k in range(2)]
    for name in ("x_0", "x_1", "condition"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(share, name) for share in shares]))
    assert 10 in whole.condition and not bool((whole.condition == 10).all())


@pytest.mark.parametrize(
    ("condition", "left_out"), [("classes", 10), ("text", "the state of no words"), ("image", "NaN"), ("none", 0)]
)
def test_conditions_are_left_out_as_their_kind_does(tmp_path, condition, left_out):
    told = settings(cached(tmp_path / "c", 40, states=4), tmp_path / "o", condition=condition, dropout=0.5, small=2)
    cache = Cache.open(told.cache)
    data, rows = Data(cache, told, torch.device("cpu")), torch.arange(6)
    without = data.condition(cache.caption[rows], cache.x_0(rows), torch.ones(6, dtype=torch.bool))
    with_it = data.condition(cache.caption[rows], cache.x_0(rows), torch.zeros(6, dtype=torch.bool))
    if condition == "text":
        assert torch.equal(without, cache.states(torch.zeros(6, dtype=torch.long)))
        assert torch.equal(with_it, cache.states(cache.caption[rows]))
    elif condition == "image":
        assert bool(without.isnan().all())
        torch.testing.assert_close(with_it, cache.x_0(rows).unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5)))
    else:
        assert without.tolist() == [left_out] * 6
        if condition == "classes":
            assert [class_names(cache)[k] for k in with_it] == [cache.captions[row] for row in cache.caption[rows]]


@pytest.mark.parametrize(
    ("other", "processes", "words"),
    [
        ({"batch": 50}, 1, "batch 50: there are 40"),
        ({"batch": 9}, 2, "divide by 2 processes times 1"),
        ({"batch": 8, "accumulate": 3}, 1, "times 3 parts"),
        ({"batch": None}, 41, "41 processes for 40 examples"),
        ({"condition": "text"}, 1, "without token states"),
    ],
)
def test_batches_that_cannot_be_made(tmp_path, other, processes, words):
    told = settings(cached(tmp_path / "c", 40), tmp_path / "o", **other)
    with pytest.raises(InputError, match=words):
        Data(Cache.open(told.cache), told, torch.device("cpu"), 0, processes)


# --- steps ------------------------------------------------------------------------------------------------------------


def test_accumulated_parts_are_the_whole_batch(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path / "a"))
    parts = trainer(settings(digits_cache, tmp_path / "b", accumulate=4))
    for _ in range(3):
        one.take(one.data[one.step])
        parts.take(parts.data[parts.step])
    assert float((weights(one) - weights(parts)).norm() / weights(one).norm()) < 1e-5


def test_learning_rate_rises_and_falls(tmp_path):
    told = TrainSettings("c", "o", steps=100, warmup=9, lr=1.0)
    rates = [learning_rate(told, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(rates[9]) and rates[99] < 1e-3
    assert learning_rate(replace(told, schedule="constant"), 99) == 1.0


def test_the_average_follows_and_is_what_is_kept(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path / "a", ema=0.5))
    first = [parameter.detach().clone() for parameter in one.network.parameters()]
    one.take(one.data[0])
    decay = min(0.5, 1 / 10)
    for average, before, now in zip(one.ema.average, first, one.network.parameters(), strict=True):
        torch.testing.assert_close(average, decay * before + (1 - decay) * now.detach())
    kept = [average.clone() for average in one.ema.average]
    with one.ema.swapped():
        assert all(torch.equal(a, b) for a, b in zip(kept, one.network.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, one.ema.average, strict=True))


@pytest.mark.parametrize("condition", ["classes", "none", "image", "text"])
@pytest.mark.parametrize("model", ["decoder", "unet"])
def test_every_condition_trains_and_is_loaded_again(tmp_path, model, condition):
    told = settings(
        cached(tmp_path / "c", 60, states=16), tmp_path / "o", model=model, condition=condition, small=2, steps=3,
        unet=TINY_UNET if model == "unet" else None,
    )  # fmt: skip
    found = load_average(run(told, Cache.open(told.cache)))
    assert found.rank == 4 and found.space.channels == 1
    assert {"picture.png", "README.md"} <= {file.name for file in (tmp_path / "o" / "model").iterdir()}


@pytest.mark.parametrize("model", ["statistics", "table"])
def test_closed_forms_need_no_training(digits_cache, tmp_path, model):
    told = settings(digits_cache, tmp_path / "o", model=model, rank=2)
    found = load_average(run(told, Cache.open(digits_cache)))
    noise, images = torch.zeros(1, 1, 8, 8), digits_images().float()[:, None]
    expected = images.mean(dim=0) if model == "statistics" else images[digits_labels() == 3].mean(dim=0)
    torch.testing.assert_close(found(["3"], noise).mean[0], expected)
    assert found.rank == 2


def test_the_rank_of_closed_forms_is_what_the_data_give(tmp_path):
    """Ten captions of one image each leave nothing around the means; ten images vary in nine directions."""
    told = settings(cached(tmp_path / "c", 10), tmp_path / "t", model="table")
    labels = {int(label) for label in digits_labels()[:10]}
    assert load_average(run(told, Cache.open(told.cache))).rank == 10 - len(labels)
    more = replace(told, out=str(tmp_path / "s"), model="statistics", frequencies=4, rank=20)
    assert load_average(run(more, Cache.open(told.cache))).rank == 9


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_precision_and_compile(digits_cache, tmp_path, precision, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # no C++ compiler is needed then
    told = settings(
        digits_cache, tmp_path / "o", precision=precision, compile=precision == "no", channels_last=True, steps=2
    )
    one = trainer(told)
    one.fit()
    assert all(parameter.dtype == torch.float32 for parameter in one.network.parameters())
    assert bool(torch.isfinite(weights(one)).all())


# --- nothing lost -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(digits_cache, tmp_path_factory):
    """A run without interruption: its last checkpoint."""
    told = settings(digits_cache, tmp_path_factory.mktemp("whole"), accumulate=2)
    trainer(told).fit()
    return snapshot.Snapshot.latest(tmp_path_factory.getbasetemp() / told.out)


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


@pytest.mark.parametrize("steps", [(1,), (5,), (4, 8), (7, 7, 11)])
def test_resume_after_any_step_gives_the_same_weights(digits_cache, tmp_path, whole, steps):
    told = settings(digits_cache, tmp_path, accumulate=2)
    for step in steps:
        one = trainer(told)
        one.resume()
        with pytest.raises(KeyboardInterrupt):
            one.fit(Dying(step))
    last = trainer(told)
    assert last.resume() == (steps[-1] >= 4)
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


@pytest.mark.parametrize("part", ["weights", "ema", "optimizer", "state"])
def test_resume_after_dying_while_saving(digits_cache, tmp_path, whole, monkeypatch, part):
    told, calls = settings(digits_cache, tmp_path, accumulate=2), []

    def dying(write):
        def call(content, path, *rest):
            target = path if part != "state" else content
            if part in str(target):
                calls.append(1)
                if len(calls) == 2:
                    raise KeyboardInterrupt
            return write(content, path, *rest)

        return call

    with monkeypatch.context() as broken:
        name = "write_json" if part == "state" else "save_file"
        broken.setattr(snapshot, name, dying(getattr(snapshot, name)))
        with pytest.raises(KeyboardInterrupt):
            trainer(told).fit()
    assert snapshot.Snapshot.latest(tmp_path).step == 4
    last = trainer(told)
    assert last.resume()
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


def test_resume_with_a_full_disk_in_between(digits_cache, tmp_path, whole, monkeypatch):
    told, calls = settings(digits_cache, tmp_path, accumulate=2), []
    save = snapshot.save_file

    def full(content, path, *rest):
        calls.append(path)
        if len(calls) == 5:
            path.write_bytes(b"half")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        save(content, path, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(snapshot, "save_file", full)
        with pytest.raises(InputError, match="No space left"):
            trainer(told).fit()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]
    last = trainer(told)
    last.resume()
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


def test_resume_with_other_settings_names_them(digits_cache, tmp_path):
    trainer(settings(digits_cache, tmp_path)).fit()
    with pytest.raises(InputError, match=r"lr was 0\.001 and is 0\.1"):
        trainer(settings(digits_cache, tmp_path, lr=0.1)).resume()
    with pytest.raises(InputError, match="holds a run"):
        check_out(settings(digits_cache, tmp_path), resume=False)


def test_resume_from_a_damaged_checkpoint_is_told(digits_cache, tmp_path):
    trainer(settings(digits_cache, tmp_path)).fit()
    file = tmp_path / "checkpoints" / "step-00000012" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="step-00000012: damaged"):
        trainer(settings(digits_cache, tmp_path)).resume()


def test_resume_with_other_data_is_refused(digits_cache, tmp_path):
    """The folder of a cache may move; its content may not change, nor the batch that is left to itself."""
    trainer(settings(digits_cache, tmp_path / "o", steps=4)).fit()
    shutil.copytree(digits_cache, tmp_path / "moved")
    assert trainer(settings(tmp_path / "moved", tmp_path / "o", steps=4)).resume()
    with pytest.raises(InputError, match="the cache's SHA-256 was"):
        trainer(settings(cached(tmp_path / "other", 100), tmp_path / "o", steps=4)).resume()
    trainer(settings(digits_cache, tmp_path / "p", batch=None, steps=4)).fit()
    one = trainer(settings(digits_cache, tmp_path / "p", batch=None, steps=4))
    one.data.batch = 24
    with pytest.raises(InputError, match="the batch was 32 and is 24"):
        one.resume()


def test_weights_that_are_lost_do_not_become_a_checkpoint(digits_cache, tmp_path):
    """As a gradient that overflows leaves them: the loss of the step was finite."""
    one = trainer(settings(digits_cache, tmp_path))
    save, poisoned = one.take, []

    def take(batch):
        losses = save(batch)
        if one.step == 8:
            with torch.no_grad():
                poisoned.append(next(one.network.parameters()).fill_(torch.inf))
        return losses

    one.take = take
    with pytest.raises(InputError, match="step 8: weights are not finite"):
        one.fit()
    assert poisoned and snapshot.Snapshot.latest(tmp_path).step == 4


def test_what_comes_after_a_step_does_not_cost_its_checkpoint(digits_cache, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trainer(settings(digits_cache, tmp_path)).fit(Dying(4))
    assert snapshot.Snapshot.latest(tmp_path).step == 4


def test_the_spread_leaves_the_mean_as_it_is(digits_cache, tmp_path):
    """The same mean with a spread of four times the frequencies, whatever the clipping."""
    few, many = (trainer(settings(digits_cache, tmp_path, frequencies=f, clip=0.01)) for f in (1, 4))
    shared = {name for name, _ in few.network.named_parameters() if not name.startswith("spread.")}
    many.network.load_state_dict({n: v for n, v in few.network.state_dict().items() if n in shared}, strict=False)
    for one in (few, many):
        for _ in range(5):
            one.take(one.data[one.step])
    mine, other = few.network.state_dict(), many.network.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in shared)


def test_only_the_last_checkpoints_stay(digits_cache, tmp_path):
    trainer(settings(digits_cache, tmp_path, save_every=2, keep=3)).fit()
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [f"step-{k:08}" for k in (8, 10, 12)]


def test_a_signal_saves_and_stops(digits_cache, tmp_path, whole):
    told = settings(digits_cache, tmp_path, accumulate=2)

    def ask(one, _):
        if one.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        trainer(told).fit(ask)
    assert snapshot.Snapshot.latest(tmp_path).step == 7  # the step that was on when it came
    last = trainer(told)
    last.resume()
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


def test_a_loss_that_is_not_finite_stops_with_its_batch(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path))

    def poison(run_, _):
        if run_.step == 6:
            with torch.no_grad():
                next(run_.network.parameters()).fill_(torch.nan)

    with pytest.raises(InputError, match="step 6: the loss is not finite"):
        one.fit(poison)
    batch = load_file(tmp_path / "bad-batch-00000006-0.safetensors")
    assert torch.equal(batch["x_0"], one.data[6].x_0) and torch.equal(batch["x_1"], one.data[6].x_1)
    assert snapshot.Snapshot.latest(tmp_path).step == 4


# --- processes --------------------------------------------------------------------------------------------------------


def command(told, file, *more):
    file.write_text(yaml.safe_dump({name: value for name, value in vars(told).items() if value is not None}))
    return ["-m", "singdiffusion.cli", "train", "--config", str(file), *more]


ENVIRONMENT = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


def done(arguments, environment=ENVIRONMENT):
    """A run in a process of its own, to its end."""
    found = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0 and "written to" in found.stdout, found.stderr[-3000:]


def kill_and_finish(cache, folder, chance):
    """Kill a run at a random step, saving included, go on with it, and give its last checkpoint."""
    told = settings(cache, folder / "run", steps=60, save_every=3, log_every=1, validate_every=60)
    start = command(told, folder / "run.yaml", "--resume")
    log = folder / "run" / "log.jsonl"
    process = subprocess.Popen(
        [sys.executable, *start], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last = chance.randrange(1, 59)
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < last):
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))  # within a step or a save
    process.kill()
    assert process.wait() == -signal.SIGKILL
    logged = [json.loads(line)["step"] for line in log.read_text().splitlines() if line.endswith("}")]
    found = snapshot.Snapshot.latest(folder / "run")
    assert (found.step if found else 0) >= logged[-1] - told.save_every
    done(start)
    return snapshot.Snapshot.latest(folder / "run")


@pytest.fixture(scope="module")
def uninterrupted(digits_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    told = settings(digits_cache, folder / "run", steps=60, save_every=3, log_every=1, validate_every=60)
    done(command(told, folder / "run.yaml"))
    return snapshot.Snapshot.latest(folder / "run")


@pytest.mark.parametrize("seed", [0, 1])
def test_kill_at_random_and_go_on(digits_cache, tmp_path, uninterrupted, seed):
    assert_same(kill_and_finish(digits_cache, tmp_path, random.Random(seed)), uninterrupted)


@pytest.mark.slow
def test_kill_at_thirty_moments(digits_cache, tmp_path, uninterrupted):
    for seed in range(30):
        (tmp_path / str(seed)).mkdir()
        assert_same(kill_and_finish(digits_cache, tmp_path / str(seed), random.Random(100 + seed)), uninterrupted)


def test_two_processes_are_one_with_the_doubled_batch(digits_cache, tmp_path):
    told = settings(digits_cache, tmp_path / "two", steps=8)
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
    done([*launch, *command(told, tmp_path / "two.yaml")])
    one = trainer(replace(told, out=str(tmp_path / "one")))
    one.fit()
    found = snapshot.Snapshot.latest(tmp_path / "two").weights
    mine = snapshot.Snapshot.latest(tmp_path / "one").weights
    assert found.keys() == mine.keys()
    both = torch.cat([found[name].flatten() for name in mine]), torch.cat([value.flatten() for value in mine.values()])
    assert float((both[0] - both[1]).norm() / both[1].norm()) < 1e-5


def test_processes_that_do_not_join_are_refused(digits_cache, tmp_path, monkeypatch):
    """As accelerate leaves them for FSDP without a GPU: each believes that it is alone."""
    monkeypatch.setattr("singdiffusion.processes.PartialState", lambda **_: SimpleNamespace(num_processes=1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="2 processes were started, accelerate joins 1"):
        accelerator_of(settings(digits_cache, tmp_path))


@pytest.mark.gpu
def test_fsdp_is_the_plain_run(digits_cache, tmp_path):
    """On one GPU: weights are held as FSDP holds them, saved, resumed and written whole."""
    launch = ["-m", "accelerate.commands.launch", "--num_processes", "1", "--use_fsdp", "--fsdp_version", "2"]
    launch += ["--fsdp_auto_wrap_policy", "NO_WRAP", "--mixed_precision", "no"]
    launch += ["--fsdp_cpu_ram_efficient_loading", "false"]  # which takes buffers for weights in accelerate 1.15
    for name, before in (("fsdp", launch), ("plain", [])):
        told = settings(digits_cache, tmp_path / name, steps=8)
        done([*before, *command(told, tmp_path / f"{name}.yaml")], os.environ)
        shutil.rmtree(tmp_path / name / "checkpoints" / "step-00000008")
        done([*before, *command(told, tmp_path / f"{name}.yaml", "--resume")], os.environ)
    one, other = (
        load_file(tmp_path / name / "model" / "diffusion_pytorch_model.safetensors") for name in ("fsdp", "plain")
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)


# --- convergence ------------------------------------------------------------------------------------------------------


CONVERGENCE = [
    ("decoder", {"width": 64, "layers": 2, "steps": 1600, "lr": 2e-3}),
    ("unet", {"unet": TINY_UNET, "width": 64, "steps": 900, "lr": 3e-3}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "other"), CONVERGENCE)
def test_conditional_models_reach_the_class_means(digits_cache, tmp_path, model, other):
    told = settings(digits_cache, tmp_path, model=model, batch=64, save_every=10_000, **other)
    one = trainer(told)
    early = measure(one.network.eval(), one.data, frequent(one.data))
    one.network.train()
    one.fit()
    with one.ema.swapped():
        found = measure(one.network.eval(), one.data, frequent(one.data))
    assert found.distance <= 0.02 < early.distance
    assert found.dependence <= 0.03

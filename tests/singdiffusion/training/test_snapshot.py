"""Nothing lost: a run that ends at any moment goes on to the same weights."""

import json
import os
import random
import shutil
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from singdiffusion.training import snapshot
from singdiffusion.training.train import Stopped
from singdiffusion.training.training_run import check_out
from singtheory import InputError
from tests.singdiffusion.support.runs import Dying, assert_same, cached, command, forked, settings, trainer


@pytest.fixture(scope="module")
def whole(digits_cache, tmp_path_factory):
    """A run without interruption: its last checkpoint."""
    chosen = settings(digits_cache, tmp_path_factory.mktemp("whole"), accumulate=2)
    trainer(chosen).fit()
    return snapshot.Snapshot.latest(tmp_path_factory.getbasetemp() / chosen.out)


@pytest.mark.parametrize("steps", [(1,), (5,), (4, 8), (7, 7, 11)])
def test_resume_after_any_step_gives_the_same_weights(digits_cache, tmp_path, whole, steps):
    chosen = settings(digits_cache, tmp_path, accumulate=2)
    for step in steps:
        one = trainer(chosen)
        one.resume()
        with pytest.raises(KeyboardInterrupt):
            one.fit(Dying(step))
    last = trainer(chosen)
    assert last.resume() == (steps[-1] >= 4)
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


@pytest.mark.parametrize("part", ["weights", "ema", "optimizer", "state"])
def test_resume_after_dying_while_saving(digits_cache, tmp_path, whole, monkeypatch, part):
    chosen, calls = settings(digits_cache, tmp_path, accumulate=2), []

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
            trainer(chosen).fit()
    assert snapshot.Snapshot.latest(tmp_path).step == 4
    last = trainer(chosen)
    assert last.resume()
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


def test_resume_with_a_full_disk_in_between(digits_cache, tmp_path, whole, monkeypatch):
    chosen, calls = settings(digits_cache, tmp_path, accumulate=2), []
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
            trainer(chosen).fit()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]
    last = trainer(chosen)
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


def test_resume_from_another_network_names_what_differs(digits_cache, tmp_path):
    chosen = settings(digits_cache, tmp_path, steps=1)
    trainer(chosen).fit()
    path = next(tmp_path.glob("checkpoints/*/weights.safetensors"))
    stored = load_file(path)
    name = "network.spread.mixture"
    save_file(stored | {name: torch.eye(1)}, path)
    with pytest.raises(
        InputError, match=r"network\.spread\.mixture of the checkpoint has shape \(1, 1\), .* take another folder"
    ):
        trainer(chosen).resume()
    save_file({key: value for key, value in stored.items() if key != name}, path)
    with pytest.raises(InputError, match=r"network\.spread\.mixture of the checkpoint has shape None"):
        trainer(chosen).resume()


def test_resume_without_the_number_of_the_step_is_told(digits_cache, tmp_path):
    trainer(settings(digits_cache, tmp_path)).fit()
    (tmp_path / "checkpoints" / "step-00000012" / "state.json").write_text("{}")
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


def test_resume_removes_what_was_half_written(digits_cache, tmp_path):
    trainer(settings(digits_cache, tmp_path, steps=4)).fit()
    for draft in (tmp_path / "checkpoints" / ".step-00000008.x_1abcde", tmp_path / ".model.k_3jx90a"):
        (draft / "inside").mkdir(parents=True)
    trainer(settings(digits_cache, tmp_path, steps=4)).resume()
    assert not list(tmp_path.rglob("inside"))


def test_only_the_last_checkpoints_stay(digits_cache, tmp_path):
    trainer(settings(digits_cache, tmp_path, save_every=2, keep=3)).fit()
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [f"step-{k:08}" for k in (8, 10, 12)]


def test_a_signal_saves_and_stops(digits_cache, tmp_path, whole):
    chosen = settings(digits_cache, tmp_path, accumulate=2)

    def ask(one, _):
        if one.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        trainer(chosen).fit(ask)
    assert snapshot.Snapshot.latest(tmp_path).step == 7  # the step that was on when it came
    last = trainer(chosen)
    last.resume()
    last.fit()
    assert_same(snapshot.Snapshot.latest(tmp_path), whole)


@pytest.mark.parametrize(
    ("mine", "others", "step", "stop"), [(0, 1, 10, True), (1, 0, 20, True), (0, 0, 10, False), (1, 1, 11, False)]
)
def test_a_signal_to_one_process_stops_all_at_one_step(digits_cache, tmp_path, mine, others, step, stop):
    """They ask each other at every tenth step."""
    one = trainer(settings(digits_cache, tmp_path))
    one.accelerator = SimpleNamespace(num_processes=2, device="cpu", reduce=lambda asked, _: asked + others)
    one.step, one._asked = step, bool(mine)
    assert one._must_stop() == stop


def test_resume_has_the_scale_of_float16(digits_cache, tmp_path):
    one, other = (trainer(settings(digits_cache, tmp_path)) for _ in range(2))
    one.accelerator.scaler, other.accelerator.scaler = (torch.amp.GradScaler("cpu", scale) for scale in (512.0, 8.0))
    one.save()
    assert other.resume() and other.accelerator.scaler.get_scale() == 512


def finish(start):
    """The command to its end."""
    process = forked(start)
    process.join()
    assert process.exitcode == 0


def kill_and_finish(cache, folder, chance):
    """Kill a run at a random step, saving included, go on with it, and give its last checkpoint."""
    chosen = settings(cache, folder / "run", steps=60, save_every=3, log_every=1, validate_every=60)
    start = command(chosen, folder / "run.yaml")
    log = folder / "run" / "log.jsonl"
    process, last = forked(start), chance.randrange(1, 59)
    while process.is_alive() and (not log.exists() or len(log.read_text().splitlines()) < last):
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))  # within a step or a save
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    logged = [json.loads(line)["step"] for line in log.read_text().splitlines() if line.endswith("}")]
    actual = snapshot.Snapshot.latest(folder / "run")
    assert (actual.step if actual else 0) >= logged[-1] - chosen.save_every
    finish([*start, "--resume"])
    return snapshot.Snapshot.latest(folder / "run")


@pytest.fixture(scope="module")
def uninterrupted(digits_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    chosen = settings(digits_cache, folder / "run", steps=60, save_every=3, log_every=1, validate_every=60)
    finish(command(chosen, folder / "run.yaml"))
    return snapshot.Snapshot.latest(folder / "run")


@pytest.mark.parametrize("seed", [0, 1])
def test_kill_at_random_and_go_on(digits_cache, tmp_path, uninterrupted, seed):
    assert_same(kill_and_finish(digits_cache, tmp_path, random.Random(seed)), uninterrupted)


@pytest.mark.slow
def test_kill_at_thirty_moments(digits_cache, tmp_path, uninterrupted):
    for seed in range(30):
        (tmp_path / str(seed)).mkdir()
        assert_same(kill_and_finish(digits_cache, tmp_path / str(seed), random.Random(100 + seed)), uninterrupted)

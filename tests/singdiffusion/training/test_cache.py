"""The cache: what it holds, and that nothing is lost, encoded twice or taken for something else."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from singdiffusion.base.latents import encode as encode_latents
from singdiffusion.base.text import TextEncoder
from singdiffusion.source.records import Source
from singdiffusion.training import cache, shards
from singdiffusion.training.base_encoder import encoder_for
from singdiffusion.training.cache import Cache
from singdiffusion.training.cache_index import Encoding
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singtheory import InputError
from tests.singdiffusion.source.test_records import captioned, laion, png
from tests.singdiffusion.support import tiny


def text():
    pipe = tiny.stable_diffusion()
    return TextEncoder.of(pipe.text_encoder, pipe.tokenizer)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny.stable_diffusion().save_pretrained(folder)
    return folder


def test_latents_and_token_states_are_those_of_the_pipeline(tmp_path, base):
    source = Source(str(captioned(tmp_path / "a")))
    tally = make_cache(source, tmp_path / "c", encoder_for(str(base), 16, 3, "cpu"), batch=3)
    assert (tally.encoded, tally.kept, tally.skipped) == (4, 0, [])
    actual, pipe = Cache.open(tmp_path / "c"), tiny.stable_diffusion()
    assert actual.encoding.size == (4, 8, 8) and actual.encoding.scaling_factor == 0.18215
    for k in range(4):
        pixels = torch.full((1, 3, 16, 16), k * 20 / 127.5 - 1)
        torch.testing.assert_close(
            actual.x_0(torch.tensor([k])), encode_latents(pipe.vae, pixels), rtol=1e-3, atol=1e-4
        )
    assert [actual.captions[row] for row in actual.caption] == [f"picture {k % 2}" for k in range(4)]
    assert actual.captions[0] == ""
    torch.testing.assert_close(
        actual.states(torch.arange(3)), text()(actual.captions, torch.device("cpu"), torch.float32)
    )
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "images-00000.safetensors",
        "index.json",
        "texts-00000.safetensors",
    ]


def test_pixels_are_cut_in_the_middle(tmp_path):
    folder = tmp_path / "a"
    captioned(folder, 1)
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 255
    Image.fromarray(wide).save(folder / "0.png")
    make_cache(Source(str(folder)), tmp_path / "c", Encoder(8, 1))
    actual = Cache.open(tmp_path / "c")
    assert actual.encoding.size == (1, 8, 8) and actual.token_width == 0
    torch.testing.assert_close(actual.x_0(torch.tensor([0])), torch.ones(1, 1, 8, 8))


def test_shards_and_slices_give_the_same_examples(tmp_path, monkeypatch):
    """In many shards, in memory and not: example k is record k."""
    laion(tmp_path / "0.tar", 20)
    monkeypatch.setattr(cache, "_SHARD", 1200)
    make_cache(Source(str(tmp_path / "0.tar")), tmp_path / "c", Encoder(4), batch=3)
    whole = Cache.open(tmp_path / "c")
    monkeypatch.setattr(shards, "_IN_MEMORY", 0)
    sliced = Cache.open(tmp_path / "c")
    assert len(list((tmp_path / "c").glob("images-*"))) == 4 and len(sliced) == 20
    rows = torch.tensor([0, 5, 6, 19, 11, 0])
    assert torch.equal(whole.x_0(rows), sliced.x_0(rows))
    torch.testing.assert_close(sliced.x_0(rows)[:, 0, 0, 0], rows / 127.5 - 1)
    assert [sliced.captions[row] for row in sliced.caption] == [f"words {k}" for k in range(20)]


def test_states_are_read_where_they_are_wanted(tmp_path, monkeypatch):
    """In many files, in memory and not: row k is of caption k."""
    laion(tmp_path / "0.tar", 20)
    monkeypatch.setattr(cache, "_TEXTS", 6)
    make_cache(Source(str(tmp_path / "0.tar")), tmp_path / "c", Encoder(4, text=text()))
    whole = Cache.open(tmp_path / "c")
    monkeypatch.setattr(shards, "_IN_MEMORY", 0)
    sliced = Cache.open(tmp_path / "c")
    assert len(list((tmp_path / "c").glob("texts-*"))) == 4
    rows = torch.tensor([0, 20, 5, 6, 6, 12])
    assert torch.equal(whole.states(rows), sliced.states(rows))
    expected = text()([whole.captions[row] for row in rows], torch.device("cpu"), torch.float32)
    torch.testing.assert_close(sliced.states(rows), expected)


def test_the_mean_and_the_groups_of_captions(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_CHUNK", 3)
    make_cache(Source(str(captioned(tmp_path / "a", 8))), tmp_path / "c", Encoder(4))
    actual = Cache.open(tmp_path / "c")
    assert [rows.tolist() for rows in actual.groups()] == [[], [0, 2, 4, 6], [1, 3, 5, 7]]
    assert actual.sample(3).tolist() == [0, 3, 6] and actual.sample(8).tolist() == actual.sample(9).tolist() == [
        *range(8)
    ]
    rows = torch.tensor([7, 0, 3, 5])
    torch.testing.assert_close(actual.mean(rows), actual.x_0(rows).mean(dim=0))


class CountingText(TextEncoder):
    """Notes what it encodes, and is killed after some."""

    def __init__(self, limit):
        super().__init__(lambda: (tiny.stable_diffusion().text_encoder, tiny.stable_diffusion().tokenizer))
        self.seen, self.limit = [], limit

    def __call__(self, prompts, device, dtype):
        if len(self.seen) >= self.limit:
            raise KeyboardInterrupt
        self.seen += prompts
        return super().__call__(prompts, device, dtype)


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_between_captions_none_is_encoded_twice(tmp_path, monkeypatch, processes):
    """Processes share them: what one has encoded, all have."""
    laion(tmp_path / "0.tar", 20)
    monkeypatch.setattr(cache, "_TEXTS", 6)
    killed, last = CountingText(6), [CountingText(99) for _ in range(processes)]
    with pytest.raises(KeyboardInterrupt):
        make_cache(Source(str(tmp_path / "0.tar")), tmp_path / "c", Encoder(4, text=killed))
    barrier = threading.Barrier(processes, timeout=60)
    with ThreadPoolExecutor(processes) as threads:
        source, share = Source(str(tmp_path / "0.tar")), partial(make_cache, processes=processes, barrier=barrier.wait)
        futures = [
            threads.submit(share, source, tmp_path / "c", Encoder(4, text=one), process=k) for k, one in enumerate(last)
        ]
        assert sum(future.result().encoded for future in futures) == 0
    encoded = killed.seen + [caption for one in last for caption in one.seen]
    assert sorted(encoded) == sorted(["", *(f"words {k}" for k in range(20))])
    assert all(one.seen for one in last)
    actual = Cache.open(tmp_path / "c")
    torch.testing.assert_close(
        actual.states(torch.arange(21)), text()(actual.captions, torch.device("cpu"), torch.float32)
    )


class Counting(Encoder):
    """Counts what it encodes, and is killed after some."""

    seen: ClassVar[list[int]] = []
    limit = 10**9

    def images(self, pixels):
        if sum(self.seen) >= self.limit:
            raise KeyboardInterrupt
        self.seen.append(len(pixels))
        return super().images(pixels)


def test_killed_between_batches_nothing_is_encoded_twice(tmp_path, monkeypatch):
    laion(tmp_path / "0.tar", 10)
    source = Source(str(tmp_path / "0.tar"))
    monkeypatch.setattr(Counting, "seen", [])
    for limit in (4, 6):
        monkeypatch.setattr(Counting, "limit", limit)
        with pytest.raises(KeyboardInterrupt):
            make_cache(source, tmp_path / "c", Counting(4), batch=2)
        with pytest.raises(InputError, match="no finished cache"):
            Cache.open(tmp_path / "c")
    monkeypatch.setattr(Counting, "limit", 10**9)
    tally = make_cache(source, tmp_path / "c", Counting(4), batch=2)
    assert sum(Counting.seen) == 10 and (tally.encoded, tally.kept) == (4, 6)
    make_cache(source, tmp_path / "whole", Encoder(4), batch=2)
    one, other = (Cache.open(tmp_path / name) for name in ("c", "whole"))
    assert torch.equal(one.x_0(torch.arange(10)), other.x_0(torch.arange(10)))
    assert torch.equal(one.caption, other.caption) and one.captions == other.captions


@pytest.mark.parametrize("write", [1, 2, 3])
def test_killed_while_it_is_finished_nothing_is_lost(tmp_path, monkeypatch, write):
    laion(tmp_path / "0.tar", 10)
    source, calls = Source(str(tmp_path / "0.tar")), []
    whole = cache.write_bytes

    def dying(path, content):
        if not path.name.startswith("part-"):
            calls.append(path)
            if len(calls) == write:
                raise KeyboardInterrupt
        whole(path, content)

    monkeypatch.setattr(cache, "_SHARD", 1000)
    monkeypatch.setattr(cache, "write_bytes", dying)
    with pytest.raises(KeyboardInterrupt):
        make_cache(source, tmp_path / "c", Encoder(4), batch=2)
    monkeypatch.setattr(cache, "write_bytes", whole)
    assert make_cache(source, tmp_path / "c", Encoder(4), batch=2).encoded == 0
    assert Cache.open(tmp_path / "c").x_0(torch.arange(10)).shape == (10, 3, 4, 4)


@pytest.mark.parametrize("removal", range(1, 8))
def test_killed_while_it_is_tidied_up_nothing_is_encoded_again(tmp_path, monkeypatch, removal):
    laion(tmp_path / "0.tar", 10)
    source, calls, unlink = Source(str(tmp_path / "0.tar")), [], Path.unlink

    def dying(path, *rest):
        calls.append(path)
        if len(calls) == removal:
            raise KeyboardInterrupt
        unlink(path, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", dying)
        with pytest.raises(KeyboardInterrupt):
            make_cache(source, tmp_path / "c", Encoder(4), batch=2)
    whole = Cache.open(tmp_path / "c").digest
    tally = make_cache(source, tmp_path / "c", Encoder(4), batch=2)
    assert (tally.encoded, tally.kept) == (0, 10) and Cache.open(tmp_path / "c").digest == whole
    assert len(list((tmp_path / "c").iterdir())) == 3


def test_drafts_of_a_killed_write_do_not_block_the_folder(tmp_path):
    (tmp_path / "c").mkdir()
    for name in (".making.json.ab_cd123", ".part-000-0000000.safetensors.xyz98765"):
        (tmp_path / "c" / name).write_bytes(b"half")
    make_cache(Source(str(captioned(tmp_path / "a"))), tmp_path / "c", Encoder(4))
    assert len(list((tmp_path / "c").iterdir())) == 3


def test_kill_nine_and_resume(tmp_path):
    """A process that is killed while it encodes; what is on disk afterwards is whole, and is not encoded again."""
    laion(tmp_path / "0.tar", 60)
    command = [sys.executable, "-m", "singdiffusion.cli", "cache", "0.tar", "c", "--resolution", "8", "--batch", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "c").glob("part-*")) and process.poll() is None:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(cache.stored_parts(tmp_path / "c"))
    assert 0 < kept < 60
    actual = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{60 - kept} encoded, {kept} kept" in actual.stdout
    assert len(Cache.open(tmp_path / "c")) == 60


def test_many_processes_share_the_work(tmp_path):
    """Three at once, in threads that wait for each other as processes do."""
    source = Source(str(captioned(tmp_path / "a", 8)))
    (captioned(tmp_path / "a", 8) / "5.png").write_bytes(b"broken")
    barrier = threading.Barrier(3, timeout=60)
    with ThreadPoolExecutor(3) as threads:
        futures = [
            threads.submit(
                make_cache, source, tmp_path / "c", Encoder(4), 2, 0.5, k, 3, lambda items, _: items, barrier.wait
            )
            for k in range(3)
        ]
        tallies = [future.result() for future in futures]
    assert [tally.encoded for tally in tallies] == [3, 3, 1] and tallies[2].skipped[0][0] == "5.png#5"
    index = json.loads((tmp_path / "c" / "index.json").read_text())
    assert index["examples"] == 7 and index["skipped"][0][0] == "5.png#5"
    assert len(Cache.open(tmp_path / "c")) == 7


def test_bad_records_are_named_and_counted_up_to_a_share(tmp_path, caplog):
    folder = captioned(tmp_path / "a", 10, row3={"text": None})
    (folder / "7.png").write_bytes(png()[:40])
    tally = make_cache(Source(str(folder)), tmp_path / "c", Encoder(4), bad_share=0.2)
    assert [key for key, _ in tally.skipped] == ["3.png#3", "7.png#7"]
    assert "3.png#3: has no caption" in caplog.text and "7.png#7: no image" in caplog.text
    with pytest.raises(InputError, match=r"2 of 10 records cannot be used, more than 10%; the first is 3\.png#3"):
        make_cache(Source(str(folder)), tmp_path / "d", Encoder(4), bad_share=0.1)


def test_a_run_with_too_many_bad_records_stops_early(tmp_path):
    folder = captioned(tmp_path / "a", 400)
    for k in range(30):
        (folder / f"{k}.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="20 of 20 records"):
        make_cache(Source(str(folder)), tmp_path / "c", Encoder(4))


def test_duplicates_are_counted(tmp_path):
    """Of image and caption: one image with another caption is no duplicate."""
    folder = captioned(tmp_path / "a", 5, row4={"text": "another"})
    for k in (2, 3, 4):
        (folder / f"{k}.png").write_bytes((folder / f"{k % 2}.png").read_bytes())
    make_cache(Source(str(folder)), tmp_path / "c", Encoder(4))
    assert json.loads((tmp_path / "c" / "index.json").read_text())["duplicates"] == 2


@pytest.mark.parametrize("name", ["images-00000.safetensors", "texts-00000.safetensors"])
def test_a_changed_cache_is_refused(tmp_path, name):
    make_cache(Source(str(captioned(tmp_path / "a"))), tmp_path / "c", Encoder(4))
    file = tmp_path / "c" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: missing or changed"):
        Cache.open(tmp_path / "c")
    file.unlink()
    with pytest.raises(InputError, match=f"{name}: missing or changed"):
        Cache.open(tmp_path / "c")


def test_a_folder_of_something_else_is_refused(tmp_path, monkeypatch):
    source = Source(str(captioned(tmp_path / "a")))
    with pytest.raises(InputError, match="no unfinished cache"):
        make_cache(source, tmp_path / "a", Encoder(4))
    monkeypatch.setattr(Counting, "limit", 0)
    with pytest.raises(KeyboardInterrupt):
        make_cache(source, tmp_path / "c", Counting(4))
    with pytest.raises(InputError, match="was made with height = 4, not 8"):
        make_cache(source, tmp_path / "c", Encoder(8))
    with pytest.raises(InputError, match="was made with text_encoder = None"):
        make_cache(source, tmp_path / "c", Encoder(4, text=text()))
    other = Source(str(captioned(tmp_path / "b")))
    with pytest.raises(InputError, match="was made with source"):
        make_cache(other, tmp_path / "c", Encoder(4))
    with pytest.raises(InputError, match="was made with caption None, not text"):
        make_cache(Source(source.name, "text"), tmp_path / "c", Encoder(4))
    make_cache(source, tmp_path / "c", Encoder(4))
    assert make_cache(source, tmp_path / "c", Encoder(4)).kept == 4
    with pytest.raises(InputError, match="was made with source"):
        make_cache(other, tmp_path / "c", Encoder(4))
    with pytest.raises(InputError, match="was made with height = 4, not 8"):
        make_cache(source, tmp_path / "c", Encoder(8))


def test_nothing_usable(tmp_path):
    folder = captioned(tmp_path / "a", 2)
    for k in range(2):
        (folder / f"{k}.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="no image could be used, 2 skipped"):
        make_cache(Source(str(folder)), tmp_path / "c", Encoder(4), bad_share=1.0)


def test_shards_hold_tensors_alone(tmp_path):
    make_cache(Source(str(captioned(tmp_path / "a"))), tmp_path / "c", Encoder(4))
    with safe_open(tmp_path / "c" / "images-00000.safetensors", framework="pt") as file:
        assert sorted(file.keys()) == ["caption", "x_0"]


class Losing(Encoder):
    """Loses white images, as a VAE in half precision may."""

    def images(self, pixels):
        actual = super().images(pixels)
        return actual.masked_fill((actual > 0.9).all(dim=(1, 2, 3), keepdim=True), torch.nan)


def test_latents_that_are_not_finite_are_left_out_and_named(tmp_path):
    folder = captioned(tmp_path / "a", 8)
    for k in (2, 3, 6):
        (folder / f"{k}.png").write_bytes(png(255))
    tally = make_cache(Source(str(folder)), tmp_path / "c", Losing(4), batch=2, bad_share=0.5)
    assert tally.skipped == [(f"{k}.png#{k}", "its latents are not finite") for k in (2, 3, 6)]
    actual = Cache.open(tmp_path / "c")
    torch.testing.assert_close(actual.x_0(torch.arange(5))[:, 0, 0, 0], torch.tensor([0, 1, 4, 5, 7]) * 20 / 127.5 - 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"images": []}, "names no shards"), ({"encoding": {"nose": 1}}, "nose"), ({"texts": None}, "no index")],
)
def test_an_index_of_another_make_is_refused(tmp_path, change, words):
    source = Source(str(captioned(tmp_path / "a")))
    make_cache(source, tmp_path / "c", Encoder(4))
    file = tmp_path / "c" / "index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=words):
        Cache.open(tmp_path / "c")


@pytest.mark.parametrize("note", [{}, {"encoding": {"nose": 1}, "source": {}}, {"encoding": None, "source": "x"}])
def test_a_note_of_another_make_is_refused(tmp_path, note):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "making.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match="of no cache of this version"):
        make_cache(Source(str(captioned(tmp_path / "a"))), tmp_path / "c", Encoder(4))


def test_a_cache_of_an_older_version_skips_no_layers():
    stored = {"channels": 4, "height": 8, "width": 8, "resolution": 16, "scaling_factor": 1.0, "shift_factor": 0.0}
    assert Encoding.read(stored | {"vae": None, "text_encoder": None}).clip_skip == 0

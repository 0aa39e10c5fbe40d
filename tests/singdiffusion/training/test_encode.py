"""Records that would take more memory than there is, or end the rest: each is one that cannot be used, and is counted."""

import io
import json
import struct
import tarfile
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from singdiffusion.source import tar_samples
from singdiffusion.source.records import Record, Source
from singdiffusion.system.memory import Budget
from singdiffusion.training import encode
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singtheory import InputError
from singtheory.data import decoding
from tests.singdiffusion.source.test_records import captioned, laion, png, tar_of


def bomb(side, bits, rows=0):
    """A PNG whose header says a side and bits of grey, with so many rows of content."""
    line = b"\0" + bytes(side * bits // 8)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(line * rows)),
        (b"IEND", b""),
    ]
    made = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def test_bombs_are_known_by_their_header(tmp_path):
    """No pixel of them is there: what would decode them would say so."""
    folder = captioned(tmp_path / "a", 10)
    for k in range(8):
        (folder / f"{k}.png").write_bytes(bomb(13_000, 16))
    tally = make_cache(Source(str(folder)), tmp_path / "c", Encoder(4), bad_share=0.9)
    reason = "13000×13000 pixels take 1.4 GiB to decode, more than 1; make it smaller"
    assert tally.encoded == 2 and [why for _, why in tally.skipped] == [reason] * 8


def test_what_is_decoded_at_once_stays_within_the_budget(tmp_path, monkeypatch):
    """Threads share it; an image that takes it all is decoded alone."""
    laion(tmp_path / "0.tar", 30)
    each, now, most, decode = 12 * 10 * 8, [], [], Record.image

    def counted(record):
        now.append(record)
        most.append(len(now))
        time.sleep(0.005)
        try:
            return decode(record)
        finally:
            now.remove(record)

    monkeypatch.setattr(Record, "image", counted)
    monkeypatch.setattr(encode, "_DECODING", 2 * each)
    make_cache(Source(str(tmp_path / "0.tar")), tmp_path / "c", Encoder(4))
    assert max(most) == 2
    most.clear()
    monkeypatch.setattr(encode, "_DECODING", each)
    make_cache(Source(str(tmp_path / "0.tar")), tmp_path / "d", Encoder(4))
    assert max(most) == 1


def test_a_budget_is_given_back_when_something_fails():
    budget = Budget(3)
    for _ in range(3):
        with pytest.raises(RuntimeError), budget.taken(5):
            raise RuntimeError
    with budget.taken(2), budget.taken(1):
        waiting = threading.Thread(target=lambda: budget.taken(1).__enter__(), daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_files_that_wait_are_few_where_they_are_large(tmp_path, monkeypatch):
    laion(tmp_path / "0.tar", 30)
    held, look = [], encode._checked

    def checked(encoder, record, budget):
        held.append(record)
        return look(encoder, record, budget)

    monkeypatch.setattr(encode, "_checked", checked)
    monkeypatch.setattr(encode, "_STORED", 1)
    actual = encode._usable(
        iter(Source(str(tmp_path / "0.tar"))), Encoder(4), encode.ThreadPoolExecutor(1), encode.Tally(), 0.0
    )
    next(actual)
    assert len(held) == 1 and len(list(actual)) == 29


@pytest.mark.parametrize(
    ("mode", "each"), [("1", 6), ("L", 6), ("P", 6), ("I;16", 9), ("RGB", 8), ("RGBA", 21), ("CMYK", 12)]
)
def test_the_size_is_that_of_the_mode(mode, each):
    buffer = io.BytesIO()
    Image.new(mode, (5, 3)).save(buffer, format="TIFF")
    record = Record("k", buffer.getvalue(), "a")
    assert record.decoded_bytes() == 15 * each and record.image().mode == "RGB"


def test_16_bits_are_the_nearest_of_8():
    levels = np.arange(65_536).reshape(256, 256)
    assert np.array_equal(decoding.of_range(levels, 65_535), (levels / 257).round())
    assert decoding.of_range(np.array([[-5, 70_000]]), 65_535).tolist() == [[0, 255]]


@pytest.mark.parametrize("level", [-0.1, 1.5, 200.0, float("nan"), float("inf")])
def test_pixels_without_a_range_are_refused(level):
    """Pillow cuts what is above 255 and what is not whole; nobody knows what was white."""
    buffer = io.BytesIO()
    Image.new("F", (4, 4), level).save(buffer, format="TIFF")
    with pytest.raises(InputError, match=r"floating-point pixels in .* have no known range"):
        Record("k", buffer.getvalue(), "a").image()


def test_captions_that_are_not_utf_8_are_counted(tmp_path):
    """They are read as cp1252 where that gives text, and left out where it does not."""
    entries = {}
    for k in range(10):
        odd = {3: b"caf\x81", 4: b"\x9d", 5: b"caf\xe9 \x80", 6: b"\x93a\x94"}.get(k, f"words {k}".encode())
        entries |= {f"{k}.jpg": png(k), f"{k}.txt": odd}
    source = Source(str(tar_of(tmp_path / "0.tar", entries)))
    tally = make_cache(source, tmp_path / "c", Encoder(4), bad_share=0.9)
    assert tally.skipped == [(f"0.tar:{k}#{k}", "its caption is neither UTF-8 nor cp1252") for k in (3, 4)]
    assert tally.notes == ["2 texts are not UTF-8 and were read as cp1252; the first is 0.tar:5"]
    assert len(Cache.open(tmp_path / "c")) == 8
    assert {"café €", "\u201ca\u201d"} <= set(Cache.open(tmp_path / "c").captions)


ODD = {
    "a damaged record beside": ({"3.json": b"{"}, None),
    "a caption of many bytes": ({"3.txt": b"x" * 20_000}, "its caption has 20000 bytes, more than 16384"),
    "a member of many bytes": ({"3.jpg": b"x" * 5_000}, "its .jpg has 5000 bytes, more than 4096"),
    "an empty caption": ({"3.txt": b" \n"}, "has no caption"),
    "an empty image": (
        {"3.jpg": b""},
        "no image that can be decoded (pillow does not know what it is); save it as PNG",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_one_odd_record_does_not_end_a_shard(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tar_samples, "MOST", 4096 if "member" in name else 2**20)
    change, reason = ODD[name]
    entries = {}
    for k in range(8):
        entries |= {f"{k}.jpg": png(k), f"{k}.txt": f"words {k}".encode(), f"{k}.json": b"{}"}
    tally = make_cache(
        Source(str(tar_of(tmp_path / "0.tar", entries | change))), tmp_path / "c", Encoder(4), bad_share=0.5
    )
    assert tally.skipped == ([] if reason is None else [("0.tar:3#3", reason)])


def test_a_member_twice_is_a_record_that_cannot_be_used(tmp_path):
    with tarfile.open(laion(tmp_path / "0.tar", 6), "a") as archive:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("9.txt")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert [record.fault for record in Source(str(tmp_path / "0.tar")) if record.caption is None] == [
        "has two members .txt"
    ]


def test_names_that_are_not_utf_8_are_written_as_bytes(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for k, name in enumerate(["a", "b\udcff", "c"]):
            for end, content in (("png", b"broken" if k == 1 else png()), ("txt", b"words")):
                info = tarfile.TarInfo(f"{name}.{end}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    tally = make_cache(Source(str(tmp_path / "0.tar")), tmp_path / "c", Encoder(4), bad_share=0.5)
    assert [key for key, _ in tally.skipped] == ["0.tar:b\\udcff#1"]
    assert (
        json.loads((tmp_path / "c" / "index.json").read_text(encoding="utf-8"))["skipped"][0][0] == "0.tar:b\\udcff#1"
    )


def test_the_same_records_give_the_same_cache(tmp_path):
    """Reasons hold no addresses: a run goes on with a cache that was made anew."""
    folder = captioned(tmp_path / "a", 12, row3={"text": None})
    for k, content in enumerate((b"broken", png()[:40], b"", bomb(99_999, 16), b"\x89PNG\r\n\x1a\n")):
        (folder / f"{k}.png").write_bytes(content)
    for name in ("c", "d"):
        make_cache(Source(str(folder)), tmp_path / name, Encoder(4), bad_share=0.9)
    one, other = (Cache.open(tmp_path / name) for name in ("c", "d"))
    assert one.digest == other.digest and "0x" not in (tmp_path / "c" / "index.json").read_text()

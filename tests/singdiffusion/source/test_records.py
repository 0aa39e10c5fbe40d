"""Images with captions as users have them, whole and damaged."""

import io
import json
import os
import pickle
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from singdiffusion.source.records import Source
from singtheory import InputError


def png(level=100, size=(12, 10)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, format="PNG")
    return buffer.getvalue()


def captioned(folder, count=4, **other):
    """A folder in the imagefolder layout; `other` puts other captions or contents by number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(count):
        (folder / f"{k}.png").write_bytes(png(k * 20))
        rows.append({"file_name": f"{k}.png", "text": f"picture {k % 2}"} | other.get(f"row{k}", {}))
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def tar_of(path, entries):
    with tarfile.open(path, "w") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def laion(path, count=3, first=0):
    entries = {}
    for k in range(first, first + count):
        entries |= {f"{k:05}.jpg": png(k), f"{k:05}.txt": f"words {k}".encode(), f"{k:05}.json": b'{"url": "u"}'}
    return tar_of(path, entries)


def test_a_folder_with_captions(tmp_path):
    results = list(Source(str(captioned(tmp_path / "a"))))
    assert [(r.key, r.caption) for r in results] == [(f"{k}.png#{k}", f"picture {k % 2}") for k in range(4)]
    assert np.asarray(results[3].image()).tolist() == np.full((10, 12, 3), 60).tolist()


def test_a_folder_has_the_same_keys_by_whatever_name(tmp_path, monkeypatch):
    """From where one stands, or from the root."""
    captioned(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("a", "./link/../a/", "link", str(tmp_path / "a")):
        assert [record.key for record in Source(name)] == [f"{k}.png#{k}" for k in range(4)]


def test_folders_as_classes(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(png())
    assert [(r.key, r.caption) for r in Source(str(tmp_path))] == [("cat/x.png#0", "cat"), ("dog/x.png#1", "dog")]


def test_shards_in_the_layout_of_laion(tmp_path):
    laion(tmp_path / "00000.tar")
    laion(tmp_path / "00001.tar", 2, first=7)
    results = list(Source(str(tmp_path)))
    assert [r.caption for r in results] == ["words 0", "words 1", "words 2", "words 7", "words 8"]
    assert len({r.key for r in results}) == 5 and results[3].key.startswith("00001.tar:")
    assert [r.key for r in Source(str(tmp_path / "00001.tar"))] == [r.key for r in results[3:]]


def test_a_column_by_name(tmp_path):
    folder = captioned(
        tmp_path / "a", row0={"title": "t"}, row1={"title": "u"}, row2={"title": "v"}, row3={"title": "w"}
    )
    assert [r.caption for r in Source(str(folder), "title")] == ["t", "u", "v", "w"]
    with pytest.raises(InputError, match="did you mean title"):
        list(Source(str(folder), "titel"))


def test_missing_captions_and_damaged_images_are_records(tmp_path):
    folder = captioned(tmp_path / "a", row1={"text": None}, row2={"text": "  "})
    (folder / "3.png").write_bytes(png()[:30])
    results = list(Source(str(folder)))
    assert [r.caption for r in results] == ["picture 0", None, None, "picture 1"]
    with pytest.raises(InputError, match=r"3\.png#3: no image that can be decoded"):
        results[3].image()


@pytest.mark.parametrize("caption", [b"caf\x81", b"\xff\xfe\xff", b"\xff\xfe\x00\xd8", b"\0"])
def test_a_caption_that_is_no_text_ends_no_shard(caption, tmp_path):
    entries = {"0.jpg": png(), "0.txt": b"zero", "1.jpg": png(), "1.txt": caption, "2.jpg": png(), "2.txt": b"two"}
    results = list(Source(str(tar_of(tmp_path / "a.tar", entries))))
    assert [r.caption for r in results] == ["zero", None, "two"]


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(40), b"BM" + bytes(60), png()[:45]])
def test_a_damaged_image_is_told_in_the_same_words_each_time(content, tmp_path):
    folder, words = captioned(tmp_path / "a", 1), []
    (folder / "0.png").write_bytes(content)
    kept = []
    for _ in range(2):
        (record,) = Source(str(folder))
        with pytest.raises(InputError) as refused:
            record.image()
        words.append(str(refused.value))
        kept.append(record)  # so that the second one has another place in memory
    assert words[0] == words[1] and "0x" not in words[0]


def test_one_image_with_several_captions_is_several_records(tmp_path):
    folder = captioned(tmp_path / "a", 1)
    rows = [{"file_name": "0.png", "text": text} for text in ("one", "two", "two")]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    results = list(Source(str(folder)))
    assert [r.caption for r in results] == ["one", "two", "two"] and len({r.key for r in results}) == 3


def test_images_are_seen_as_they_are_meant(tmp_path):
    """Turned as EXIF says, and 16 bits as brightness, not cut at 255."""
    folder = captioned(tmp_path / "a", 2)
    picture = Image.new("RGB", (4, 2))
    picture.paste((255, 255, 255), (0, 0, 4, 1))  # white above black
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(folder / "0.png", exif=exif)
    Image.fromarray(np.full((2, 2), 20_000, np.uint16)).save(folder / "1.png")
    turned, deep = (np.asarray(record.image()) for record in Source(str(folder)))
    assert turned[0].max() == 0 and turned[1].min() == 255
    assert np.unique(deep).tolist() == [round(20_000 / 257)]


@pytest.mark.parametrize("ending", ["JPG", "jpeg", "PNG", "webp"])
def test_shards_may_mix_formats(tmp_path, ending):
    """Of every sample its own image is read, whatever the first ones are."""
    for mixed in (2, 6):
        entries = {}
        for k in range(8):
            entries |= {f"{k}.{ending if k >= mixed else 'jpg'}": png(k), f"{k}.txt": f"words {k}".encode()}
        results = list(Source(str(tar_of(tmp_path / f"{mixed}.tar", entries))))
        assert [record.caption for record in results] == [f"words {k}" for k in range(8)]
        assert [record.image().getpixel((0, 0)) for record in results] == [(k, k, k) for k in range(8)]


def test_pickles_in_shards_are_not_run(tmp_path, planted):
    path = tar_of(
        tmp_path / "0.tar",
        {"0.jpg": png(), "0.txt": b"a", "0.pkl": pickle.dumps(planted), "0.pyd": pickle.dumps(planted)},
    )
    assert [r.caption for r in Source(str(path))] == ["a"]
    assert not planted.was_run()


def test_what_can_be_seen_before_work(tmp_path):
    (tmp_path / "x.png").write_bytes(png())
    with pytest.raises(InputError, match=r"x\.png: is a file and no \.tar"):
        Source(str(tmp_path / "x.png")).check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty"):
        Source(str(tmp_path / "empty")).check()
    whole = laion(tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(b"no tar at all")
    with pytest.raises(InputError, match=r"0\.tar: is no whole shard"):
        Source(str(tmp_path)).check()
    (tmp_path / "0.tar").write_bytes(whole)
    Source(str(tmp_path)).check()


def test_a_shard_that_lost_members_is_refused(tmp_path):
    path = laion(tmp_path / "0.tar", 20)
    whole = path.read_bytes()
    path.write_bytes(whole[: 20 * 1024])  # between two members
    with pytest.raises(InputError, match="after 20 members"):
        Source(str(path)).check()
    damaged = bytearray(whole)
    damaged[30 * 1024 : 31 * 1024] = b"x" * 1024
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"0\.tar: is no whole shard .* after 30 members") as caught:
        Source(str(path)).check()
    assert "\n" not in str(caught.value)


def test_images_without_captions(tmp_path):
    for k in range(2):
        (tmp_path / f"{k}.png").write_bytes(png())
    with pytest.raises(InputError, match=r"no captions; give metadata\.jsonl"):
        list(Source(str(tmp_path)))


def test_what_needs_the_extra_says_so_and_folders_do_not(tmp_path, monkeypatch):
    (tmp_path / "0.parquet").touch()
    for module in ("datasets", "pyarrow"):
        monkeypatch.setitem(sys.modules, module, None)
    for name, module in ((tmp_path / "0.parquet", "pyarrow"), ("nobody/nothing", "datasets")):
        with pytest.raises(
            InputError, match=rf"needs {module}, which is not installed; pip install 'singdiffusion\[train\]'$"
        ):
            list(Source(str(name)))
    assert len(list(Source(str(captioned(tmp_path / "a"))))) == 4


def test_a_hub_id_without_a_hub(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="nobody/nothing: no such folder or file, and not to be had from the hub"):
        list(Source("nobody/nothing"))


def test_what_is_no_plain_file_is_said_and_not_opened(tmp_path):
    folder = captioned(tmp_path / "a", 2)
    os.mkfifo(folder / "pipe.png")
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    source = Source(str(folder))
    assert len(list(source)) == 2
    assert any(line.startswith("2 files are neither images nor captions") for line in source.notes.lines())

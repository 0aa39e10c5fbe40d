"""Folders, shards and tables as they come from other programs: each record has its own words, and what is not read or is chosen is said once."""

import base64
import json
import os
import tarfile
import zipfile

import pyarrow
import pyarrow.parquet
import pytest

from singdiffusion.source.records import Source
from singtheory import InputError
from tests.singdiffusion.source.test_records import png, tar_of


def write(files):
    """Writes files by their paths, from bytes, text or what JSON takes."""

    def at(folder):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return at


def pictures(count, where=""):
    return {f"{where}{k}.png": png(k) for k in range(count)}


def lines(*rows):
    return "\n".join(map(json.dumps, rows))


def row(name, **values):
    return {"file_name": name} | values


def shard(entries, name="a.tar"):
    return lambda folder: tar_of(folder / name, entries)


def table(columns, name="a.parquet"):
    return lambda folder: pyarrow.parquet.write_table(pyarrow.table(columns), folder / name)


def both(*writers):
    return lambda folder: [writer(folder) for writer in writers]


def zipped(folder):
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("0.png", png())


def compressed(name):
    def at(folder):
        with tarfile.open(folder / name, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("0.txt"))

    return at


IMAGES = [{"bytes": png(k), "path": None} for k in range(2)]
OUTER = lines(row("s/0.png", text="outer"))
IN_TEXT = base64.b64encode(png(3)).decode()
OTHER_CASE = "1 images have a caption or a row by a name in upper and lower case that is not theirs"
TWICE = "1 rows name an image that another row names too; each is an example"
ROWS_FIRST = "its row in a metadata file comes first, then .txt"
SHARDS = "where a sample has several captions, .txt comes first, then .caption and .json"
READ = {
    "UTF-16 without its mark": (write({"0.png": png(), "0.txt": "a cat".encode("utf-16-le")}), [None], []),
    "UTF-32": (write({"0.png": png(), "0.txt": "a cat".encode("utf-32")}), [None], []),
    "Shift JIS": (write({"0.png": png(), "0.txt": "猫の写真".encode("shift-jis")}), [None], []),
    "cp1251": (
        write({"0.png": png(), "0.txt": "кот".encode("cp1251")}),
        ["êîò"],
        ["1 texts are not UTF-8 and were read as cp1252"],
    ),
    "an empty text before a full one": (
        write({"0.png": png(), "0.txt": " \n", "0.caption": "words"}),
        ["words"],
        [ROWS_FIRST],
    ),
    "a mark, empty lines and both ends of lines": (
        write(pictures(2) | {"metadata.jsonl": b'\xef\xbb\xbf{"file_name":"0.png","text":"a"}\r\n\r\n{"file_name":"1.png","text":"b"}'}),
        ["a", "b"],
        [],
    ),
    "U+2028 within a caption in UTF-16": (
        write(pictures(1) | {"metadata.jsonl": '{"file_name":"0.png","text":"a\u2028b\x85c"}\r\n'.encode("utf-16")}),
        ["a\u2028b\x85c"],
        [],
    ),
    "cells of several lines": (
        write(pictures(2) | {"metadata.csv": 'file_name,text\r\n0.png,"a ""big""\r\ncat"\r\n1.png,b\r\n'.encode("utf-16")}),
        ['a "big"\ncat', "b"],
        [],
    ),
    "Excel's line sep=": (
        write(pictures(2) | {"metadata.csv": "sep=;\r\nfile_name;text\r\n0.png;a, b\r\n1.png;c\r\n"}),
        ["a, b", "c"],
        [],
    ),
    "an image with several rows": (
        write(pictures(1) | {"metadata.jsonl": lines(row("0.png", text="a"), row("0.png", text="b"))}),
        ["a", "b"],
        [TWICE],
    ),
    "rows in two folders": (
        write(pictures(1, "s/") | {"metadata.jsonl": OUTER, "s/metadata.jsonl": lines(row("0.png", text="inner"))}),
        ["outer", "inner"],
        [TWICE],
    ),
    "several columns": (
        write(pictures(2) | {"metadata.jsonl": lines(row("0.png", text="a", label=3), row("1.png", label=4))}),
        ["a", "4"],
        ["of the columns text, label the caption is taken from text; name another with --caption"],
    ),
    "rows without captions, and folders of classes": (
        write(pictures(1, "cat/") | pictures(1, "dog/") | {"metadata.csv": "file_name,tags\ncat/0.png,x\n"}),
        ["cat", "dog"],
        ["metadata.csv has no column of captions among file_name, tags; not read", "the name of its folder is taken"],
    ),
    "folders of classes": (
        write(pictures(1, "cat/") | pictures(1, "dog/") | {"loose.png": png()}),
        [None, "cat", "dog"],
        ["no image has a caption: the name of its folder is taken"],
    ),
    "JSON without captions, and folders of classes": (
        write(pictures(1, "cat/") | pictures(1, "dog/") | {"cat/0.json": {"tag_string": "1girl"}}),
        ["cat", "dog"],
        ["the name of its folder is taken", "1 images have a .json beside them that holds no caption; not read"],
    ),
    "one text beside two images": (
        write({"a.png": png(), "a.jpg": png(), "a.txt": "both"}),
        ["both", "both"],
        ["1 files of captions stand beside several images of their name; each takes it"],
    ),
    "a list in JSON that is no object": (write({"0.png": png(), "0.txt": "a", "1.png": png(), "1.json": ["b"]}), ["a", None], []),
    "several columns in JSON": (
        write({"0.png": png(), "0.json": {"Prompt": "a", "caption": "b"}}),
        ["b"],
        ["of the columns Prompt, caption the caption is taken from caption"],
    ),
    "names with marks of addresses": (write({"a b#1%20.png": png(), "a b#1%20.txt": "odd"}), ["odd"], []),
    "letters that are composed in one name alone": (write({"e\u0301.png": png(), "\u00e9.txt": "accent"}), ["accent"], []),
    "names in another case": (
        write({"IMG_1.JPG": png(), "img_1.txt": "a", "b.png": png(), "b.txt": "b"}),
        ["a", "b"],
        [OTHER_CASE],
    ),
    "names that differ by case alone": (
        write({"A.png": png(), "a.png": png(), "a.txt": "small"}),
        [None, "small"],
        [],
    ),
    "rows in another case": (
        write({"x/0.PNG": png(), "metadata.jsonl": lines(row("X/0.png", text="a"))}),
        ["a"],
        [OTHER_CASE],
    ),
    "images as text in a table": (
        table({"image": [IN_TEXT, f"data:image/png;base64,{IN_TEXT}", f"{IN_TEXT[:40]}\n{IN_TEXT[40:]}"], "text": ["a", "b", "c"]}),
        ["a", "b", "c"],
        [],
    ),
    "names with ends of lines": (write({"😀\n x.png": png(), "😀\n x.txt": "smile"}), ["smile"], []),
    "a number and a truth": (
        write(pictures(2) | {"metadata.jsonl": lines(row("0.png", text=7), row("1.png", text=True))}),
        ["7", None],
        [],
    ),
    "a caption that is too long": (write({"0.png": png(), "0.txt": "x " * 20_000, "1.png": png(), "1.txt": "y"}), [None, "y"], []),
    "a film": (
        write({"a.mp4": b"x", "a.txt": "film", "b.png": png(), "b.txt": "b"}),
        ["b"],
        ["1 files with the ending of captions belong to no image", "1 files are neither images nor captions"],
    ),
    "folders of one name in a shard": (
        shard({"a/0.png": png(), "a/0.txt": b"a", "b/0.png": png(), "b/0.txt": b"b"}),
        ["a", "b"],
        [],
    ),
    "text and JSON in a shard": (
        shard({"0.png": png(), "0.txt": b"text", "0.json": b'{"caption": "json"}'}),
        ["text"],
        [SHARDS],
    ),
    "a list in the JSON of a shard": (shard({"0.png": png(), "0.json": b'{"captions": ["a"]}'}), ["a"], []),
    "no caption in the JSON of a shard": (
        shard({"0.png": png(), "0.json": b'{"caption": null}', "1.png": png(), "1.json": b'{"caption": "b"}'}),
        [None, "b"],
        [],
    ),
    "capital letters in a shard": (shard({"0.PNG": png(), "0.Txt": b"a"}, "A.TAR"), ["a"], []),
    "what lies beside a shard": (
        both(shard({"0.png": png(), "0.txt": b"a"}, "b.tar"), compressed("a.tgz"), zipped, write({"0_stats.json": {}})),
        ["a"],
        ["3 files beside the .tar files are not read; give their folder alone; the first is 0_stats.json"],
    ),
    "bytes, none and damaged ones in a table": (
        table({"jpg": [png(), None, b"x"], "TEXT": ["a", "b", "c"]}),
        ["a", "b", "c"],
        [],
    ),
    "an empty list in a table": (table({"image": IMAGES, "captions": [["a"], []]}), ["a", None], []),
    "columns of other names in each table": (
        both(table({"image": IMAGES[:1], "text": ["a"]}), table({"picture": IMAGES[1:], "caption": ["b"]}, "b.parquet")),
        ["a", "b"],
        [],
    ),
    "text and class in a table": (
        table({"image": IMAGES, "text": ["a", "b"], "label": [0, 1]}),
        ["a", "b"],
        ["of the columns text, label the caption is taken from text"],
    ),
    "dictionaries and large strings in a table": (
        table({"image": pyarrow.array([png()] * 2, pyarrow.large_binary()), "text": pyarrow.array(["a", "b"]).dictionary_encode()}),
        ["a", "b"],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_each_record_has_its_own_words_and_the_rest_is_said(tmp_path, name):
    writer, expected, said = READ[name]
    writer(tmp_path)
    source = Source(str(tmp_path))
    source.check()
    records = list(source)
    assert [record.caption for record in records] == expected
    assert all(record.fault for record in records if record.caption is None)
    reported = source.notes.lines()
    assert len(reported) == len(said) and all(words in line for words, line in zip(said, reported, strict=True)), (
        reported
    )


REFUSED = {
    "a compressed shard alone": (compressed("a.tar.gz"), "but files such as a.tar.gz; .* unpack archives"),
    "a zip alone": (zipped, "but files such as a.zip; .* unpack archives"),
    "a shard that is compressed": (compressed("a.tar"), "is compressed; unpack it first"),
    "addresses in a table": (table({"URL": ["http://a/b.jpg"], "TEXT": ["a"]}), "no column of images among URL, TEXT"),
    "a table without a header": (
        write(pictures(2) | {"metadata.csv": "0.png,cat\n1.png,dog\n"}),
        r"metadata\.csv has no column of captions among 0\.png, cat",
    ),
    "tags alone": (write({"0.png": png(), "0.json": {"tag_string": "1girl"}}), "no captions; give metadata"),
    "captions by another name": (write(pictures(1) | {"captions.csv": "file_name,text\n"}), "no captions; give metadata"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_line_that_helps(tmp_path, name):
    writer, words = REFUSED[name]
    writer(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        Source(str(tmp_path)).check()
    assert "\n" not in str(caught.value)


def test_rows_may_name_images_by_their_whole_paths(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        write(pictures(1))(folder)
    rows = [row(str(tmp_path / "a" / "0.png"), text="mine"), row(str(tmp_path / "b" / "0.png"), text="elsewhere")]
    (tmp_path / "a" / "metadata.jsonl").write_text(lines(*rows))
    mine, elsewhere = Source(str(tmp_path / "a"))
    assert mine.caption == "mine" and elsewhere.caption is None and "is not there" in elsewhere.fault


def test_the_number_of_a_folder_counts_with_rows_too(tmp_path):
    rows = lines(row("10_sks/0.png", text="a"), row("b/0.png", text="b"))
    write(pictures(1, "10_sks/") | pictures(1, "b/") | {"metadata.jsonl": rows})(tmp_path)
    source = Source(str(tmp_path))
    assert [record.repeats for record in source] == [10, 1]
    (line,) = source.notes.lines()
    assert line.startswith("1 images count as often as the number of their folder says")


def test_images_that_a_table_holds_as_text_are_decoded_and_other_text_is_no_key(tmp_path):
    table({"image": [IN_TEXT, "x" * 10**6], "text": ["a", "b"]})(tmp_path)
    first, second = Source(str(tmp_path))
    assert first.image().size == (12, 10) and first.image().getpixel((0, 0)) == (3, 3, 3)
    assert max(len(first.key), len(second.key)) < 100
    with pytest.raises(InputError, match="no image that can be decoded"):
        second.image()


@pytest.mark.parametrize("kind", ["device", "pipe", "large"])
def test_a_row_that_names_no_ordinary_file_has_no_image(tmp_path, kind):
    """A device that never ends was read until memory was full, and a pipe waited for."""
    path = {"device": "/dev/zero", "pipe": str(tmp_path / "pipe"), "large": str(tmp_path / "large.png")}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with open(path, "wb") as file:
            file.truncate(2**28 + 1)
    folder = tmp_path / "tables"
    folder.mkdir()
    table({"image": [{"bytes": None, "path": path}, IMAGES[0]], "text": ["a", "b"]})(folder)
    with pytest.raises(InputError, match="no image"):
        next(iter(Source(str(folder)))).image()
    assert [len(record.content) > 0 for record in Source(str(folder))] == [False, True]


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([2**62 + 1] * 2, pyarrow.timestamp("us")),
        pyarrow.array([2**31 - 1] * 2, pyarrow.date32()),
        pyarrow.array([2**60 + 1] * 2, pyarrow.duration("ns")),
        pyarrow.array([2**40] * 2, pyarrow.timestamp("us", tz="No/Where")),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_that_python_cannot_hold_ends_nothing(tmp_path, column):
    """A date after the year 9999 in a column that nobody asks for was a traceback."""
    table({"image": IMAGES[:2], "text": ["a", "b"], "when": column})(tmp_path)
    assert [record.caption for record in Source(str(tmp_path))] == ["a", "b"]


def test_long_names_are_cut_and_stay_apart(tmp_path):
    """Names stand in the header of a file of the cache, which may hold 100 MB and no more: a cache of longer ones could not be read again."""
    names = [f"{'k' * 10**6}{end}" for end in "ab"]
    table({"image": IMAGES[:2], "text": ["a", "b"], "__key__": names})(tmp_path)
    keys = [record.key for record in Source(str(tmp_path))]
    assert len({*keys}) == 2 and max(map(len, keys)) < 10**4
    assert keys == [record.key for record in Source(str(tmp_path))]

"""Modes, depths, alpha, sizes and formats of pictures, each with captions in every layout and encoding: the right record, or a counted skip.

Every kind of picture is dealt to some layout and encoding, and every layout and encoding gets pictures that can be seen and, over all, some
that cannot. An input is silent if it is neither a record with its own colour and words nor counted with its name.
"""

import csv
import io
import itertools
import json

import numpy as np
import pytest

from singdiffusion.source.records import Source
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from tests.singdiffusion.source.test_records import tar_of
from tests.support import rare_pictures
from tests.support.odd_pictures import every

PICTURES, RARE = every(), rare_pictures.every()
ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "utf-16")
EACH = 5
"""Pictures a folder."""
APART = 37
WORDS = ("crème brûlée, “sweet”", "a dog; in the rain", "naïve façade", "tab\tand 'quote'", "50 € – no more")


class Input:
    """A picture with a name and words of its own."""

    def __init__(self, number, picture):
        self.picture = picture
        self.file = f"{number:03}.{picture.name.rsplit('.', 1)[1]}"
        self.words = f"{WORDS[number % len(WORDS)]} {number}"


def sidecar(end, where="", whole_name=False):
    def write(folder, code, inputs):
        for one in inputs:
            place = folder / where
            place.mkdir(parents=True, exist_ok=True)
            (place / one.file).write_bytes(one.picture.content)
            text = json.dumps({"caption": one.words}, ensure_ascii=False) if end == "json" else one.words
            stem = one.file if whole_name else one.file.rsplit(".", 1)[0]
            (place / f"{stem}.{end}").write_bytes(text.encode(code))

    return write


def pictures_only(folder, inputs, where=""):
    for one in inputs:
        place = folder / where
        place.mkdir(parents=True, exist_ok=True)
        (place / one.file).write_bytes(one.picture.content)


def json_rows(where=""):
    def write(folder, code, inputs):
        pictures_only(folder, inputs, where)
        lines = (
            json.dumps({"file_name": f"{where}{one.file}", "text": one.words}, ensure_ascii=False) for one in inputs
        )
        (folder / "metadata.jsonl").write_bytes("\n".join(lines).encode(code))

    return write


def csv_rows(delimiter):
    def write(folder, code, inputs):
        pictures_only(folder, inputs)
        text = io.StringIO()
        rows = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        rows.writerows([("file_name", "text"), *((one.file, one.words) for one in inputs)])
        (folder / "metadata.csv").write_bytes(text.getvalue().encode(code))

    return write


def parquet_rows(folder, _, inputs):
    import pyarrow
    import pyarrow.parquet

    pictures_only(folder, inputs)
    columns = {"file_name": [one.file for one in inputs], "text": [one.words for one in inputs]}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "metadata.parquet")


def parquet_table(folder, _, inputs):
    import pyarrow
    import pyarrow.parquet

    folder.mkdir()
    images = [{"bytes": one.picture.content, "path": one.file} for one in inputs]
    table = pyarrow.table({"image": images, "caption": [one.words for one in inputs]})
    pyarrow.parquet.write_table(table, folder / "test-00000.parquet")


def shard(end):
    def write(folder, code, inputs):
        folder.mkdir()
        entries = {}
        for one in inputs:
            stem, ending = one.file.rsplit(".", 1)
            text = json.dumps({"caption": one.words}, ensure_ascii=False) if end == "json" else one.words
            entries |= {f"a.b/{stem}.v2.{ending}": one.picture.content, f"a.b/{stem}.v2.{end}": text.encode(code)}
        tar_of(folder / "0.tar", entries)

    return write


LAYOUTS = {
    "jsonl": json_rows(),
    "jsonl of pictures below": json_rows("train/x/"),
    "csv": csv_rows(","),
    "csv of Excel": csv_rows(";"),
    "csv with tabs": csv_rows("\t"),
    "rows in parquet": parquet_rows,
    "txt": sidecar("txt"),
    "caption, three deep": sidecar("caption", "a/test/c"),
    "json": sidecar("json"),
    "txt beside a.png": sidecar("txt", whole_name=True),
    "kohya": sidecar("txt", "10_sks cat"),
    "tar, txt": shard("txt"),
    "tar, caption": shard("caption"),
    "tar, json": shard("json"),
    "parquet": parquet_table,
}
CASES = [*itertools.product(LAYOUTS, ENCODINGS)]
DEALS = [RARE[first :: len(RARE) // EACH] for first in range(len(RARE) // EACH)]
STRIDE = 7
"""Coprime to the number of cases: rare pictures meet every layout and every encoding."""


def dealt(case):
    """The pictures of a case: all are dealt in turn, those that are like each other to different cases, and begin again."""
    first = case * EACH
    return [Input(number, PICTURES[number * APART % len(PICTURES)]) for number in range(first, first + EACH)]


def test_every_kind_of_picture_is_dealt():
    seen = {one.picture.name for case in range(len(CASES)) for one in dealt(case)}
    assert seen == {picture.name for picture in PICTURES} and len(CASES) * EACH >= 60


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: "-".join(CASES[case]))
def test_none_is_silent(tmp_path, case):
    check(tmp_path, *CASES[case], dealt(case))


def test_rare_pictures_meet_every_layout_and_encoding():
    met = [CASES[deal * STRIDE % len(CASES)] for deal in range(len(DEALS))]
    assert {layout for layout, _ in met} == {*LAYOUTS} and {code for _, code in met} == {*ENCODINGS}
    assert sum(map(len, DEALS)) == len(RARE) == len({picture.name for picture in RARE}) >= 90


@pytest.mark.parametrize("deal", range(len(DEALS)))
def test_no_rare_picture_is_silent(tmp_path, deal):
    inputs = [Input(deal * EACH + k, picture) for k, picture in enumerate(DEALS[deal])]
    check(tmp_path, *CASES[deal * STRIDE % len(CASES)], inputs)


def check(tmp_path, layout, code, inputs):
    """Each is a record with its colour and its words, or counted with its name and the reason."""
    LAYOUTS[layout](tmp_path / "a", code, inputs)
    tally = make_cache(Source(str(tmp_path / "a")), tmp_path / "c", Encoder(4), bad_share=0.9)
    cache = Cache.open(tmp_path / "c")
    levels = {
        cache.captions[row]: (image.mean(dim=(1, 2)).numpy() + 1) * 127.5
        for row, image in zip(cache.caption, cache.x_0(cache.sample(len(cache))), strict=True)
    }
    assert {*levels} == {one.words for one in inputs if one.picture.seen is not None}
    for one in inputs:
        stem, picture = one.file.split(".")[0], one.picture
        if picture.seen is not None:
            assert np.abs(levels[one.words] - picture.seen).max() <= picture.near + 1, picture.name
        else:
            (reason,) = [reason for key, reason in tally.skipped if stem in key]
            assert picture.reason in reason, picture.name
    assert tally.encoded + len(tally.skipped) == len(inputs)

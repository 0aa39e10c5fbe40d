"""Captions where people have them, in every encoding: each image has its own, or is counted as one that has none."""

import json
import unicodedata

import pytest
import torch
from PIL import Image

from singdiffusion.base.text import PipelineText, TextEncoder
from singdiffusion.source.captions import drawn
from singdiffusion.source.records import Source
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singtheory import InputError
from tests.singdiffusion.source.test_records import png, tar_of
from tests.singdiffusion.support import tiny

WORDS = ["crème brûlée, “sweet”", "a dog; in the rain", "naïve façade"]
ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "utf-16")


def beside(folder, ending, encoding, deep=""):
    for k, words in enumerate(WORDS):
        where = folder / deep.format(k)
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{k}.PNG").write_bytes(png(k))
        text = json.dumps({"caption": words}, ensure_ascii=False) if ending == "json" else words
        (where / f"{k}.{ending}").write_bytes(f"{text}\r\n".encode(encoding))


def rows(folder, name, encoding, delimiter=",", deep=""):
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{deep.format(k)}{k}.jpg" for k in range(len(WORDS))]
    for k, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(png(k))
    quoted = [[file, '"' + words.replace('"', '""') + '"'] for file, words in zip(files, WORDS, strict=True)]
    lines = {
        "jsonl": [
            json.dumps({"file_name": f, "text": w}, ensure_ascii=False) for f, w in zip(files, WORDS, strict=True)
        ],
        "csv": [delimiter.join(cells) for cells in [["file_name", "text"], *quoted]],
    }[name]
    (folder / f"metadata.{name}").write_bytes("\r\n".join(lines).encode(encoding))


def shard(folder, ending, encoding):
    folder.mkdir()
    entries = {}
    for k, words in enumerate(WORDS):
        text = json.dumps({"caption": words}, ensure_ascii=False) if ending == "json" else words
        entries |= {f"a.b/{k}.v2.final.JPG": png(k), f"a.b/{k}.v2.final.{ending}": text.encode(encoding)}
    tar_of(folder / "0.tar", entries)


LAYOUTS = {
    "jsonl": lambda folder, code: rows(folder, "jsonl", code),
    "jsonl in a folder each": lambda folder, code: [rows(folder, "jsonl", code, deep="sub {}/")],
    "csv": lambda folder, code: rows(folder, "csv", code),
    "csv of Excel": lambda folder, code: rows(folder, "csv", code, ";"),
    "csv with tabs": lambda folder, code: rows(folder, "csv", code, "\t"),
    "txt": lambda folder, code: beside(folder, "txt", code),
    "TXT": lambda folder, code: beside(folder, "TXT", code),
    "caption, three deep": lambda folder, code: beside(folder, "caption", code, "train/x/{}"),
    "txt beside a.png.": lambda folder, code: beside(folder, "PNG.txt", code),
    "kohya": lambda folder, code: beside(folder, "txt", code, "10_sks {}"),
    "json": lambda folder, code: [beside(folder, "json", code), (folder / "extra.txt").write_text("of none")],
    "tar, txt": lambda folder, code: shard(folder, "txt", code),
    "tar, caption": lambda folder, code: shard(folder, "caption", code),
    "tar, json": lambda folder, code: shard(folder, "json", code),
}


@pytest.mark.parametrize("code", ENCODINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_in_every_encoding(tmp_path, layout, code):
    LAYOUTS[layout](tmp_path / "a", code)
    source = Source(str(tmp_path / "a"))
    source.check()
    results = list(source)
    assert [record.caption for record in results] == WORDS
    assert [record.image().getpixel((0, 0))[0] for record in results] == [0, 1, 2]
    assert len({record.key for record in results}) == 3
    converted = [line for line in source.notes.lines() if "cp1252" in line]
    assert [line.split()[0] for line in converted] == (["2"] if code == "cp1252" else [])  # one is plain ASCII


def tables(folder, values):
    import datasets

    images = [{"bytes": png(k), "path": f"{k}.png"} for k in range(len(values))]
    return datasets.Dataset.from_dict({"image": images, "text": values}).cast_column("image", datasets.Image())


@pytest.mark.parametrize("layout", ["file", "folder", "saved", "splits", "metadata"])
@pytest.mark.parametrize("many", [False, True])
def test_tables(tmp_path, layout, many):
    """Whatever their names; of a list one is drawn."""
    import datasets

    values = [[words] for words in WORDS] if many else WORDS
    data, place = tables(tmp_path, values), tmp_path / "a"
    if layout in ("file", "folder"):
        place.mkdir()
        for k, name in enumerate(("a photo of a train.parquet", "test-00000.parquet", "valid.parquet")):
            data.select([k]).to_parquet(str(place / name))
        place = place / "test-00000.parquet" if layout == "file" else place
    elif layout == "saved":
        data.save_to_disk(str(place), num_shards=2)
    elif layout == "splits":
        datasets.DatasetDict({"test": data.select([0]), "train": data}).save_to_disk(str(place))
    else:
        place.mkdir()
        for k in range(3):
            (place / f"{k}.png").write_bytes(png(k))
        named = datasets.Dataset.from_dict({"file_name": [f"{k}.png" for k in range(3)], "text": values})
        named.to_parquet(str(place / "metadata.parquet"))
    source = Source(str(place))
    source.check()
    results = list(source)
    assert [record.caption for record in results] == (WORDS[1:2] if layout == "file" else WORDS)
    assert [record.image().size for record in results] == [(12, 10)] * len(results)
    assert any("of the splits test, train train is read" in line for line in source.notes.lines()) == (
        layout == "splits"
    )


def test_classes_in_tables_have_their_names(tmp_path):
    import datasets

    data = tables(tmp_path, [0, 1, 1]).cast_column("text", datasets.ClassLabel(names=["cat", "dog"]))
    data.to_parquet(str(tmp_path / "a.parquet"))
    assert [record.caption for record in Source(str(tmp_path))] == ["cat", "dog", "dog"]


def a_list(folder, count=40):
    folder.mkdir()
    for k in range(count):
        (folder / f"{k}.png").write_bytes(png(k))
    lists = [{"file_name": f"{k}.png", "captions": [f"one {k}", "", f"two {k}"]} for k in range(count)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lists)))
    return str(folder)


def test_of_a_list_one_is_drawn_or_all_are_taken(tmp_path):
    name = a_list(tmp_path / "a")
    first, again, other = ([record.caption for record in Source(name, seed=seed)] for seed in (0, 0, 1))
    assert first == again != other
    assert {caption.split()[0] for caption in first} == {"one", "two"}
    assert [caption.split()[1] for caption in first] == [str(k) for k in range(40)]
    results = list(Source(name, choice="all"))
    assert [record.caption for record in results] == [f"{word} {k}" for k in range(40) for word in ("one", "two")]
    assert len({record.key for record in results}) == 80
    source = Source(name)
    list(source)
    assert source.notes.lines() == ["40 images have a list of captions; one of each is taken; the first is 0.png"]
    with pytest.raises(InputError, match="captions 'some': need one of one, all"):
        Source(name, choice="some").check()


def test_a_draw_has_no_favourite():
    counts = torch.tensor([int(drawn(["0", "1", "2"], str(key), 0)) for key in range(3000)]).bincount()
    assert (counts - 1000).abs().max() < 4 * (3000 * 2 / 9) ** 0.5


def test_a_cache_knows_the_options_that_it_was_made_with(tmp_path):
    name = a_list(tmp_path / "a", 4)
    make_cache(Source(name), tmp_path / "c", Encoder(4))
    for option, value, words in (
        ("background", "black", "background white, not black"),
        ("choice", "all", "captions one, not all"),
        ("seed", 3, "seed 0, not 3"),
    ):
        with pytest.raises(InputError, match=f"was made with {words}"):
            make_cache(Source(name, **{option: value}), tmp_path / "c", Encoder(4))
    make_cache(Source(name, background="black"), tmp_path / "d", Encoder(4))
    with pytest.raises(InputError, match="was made with background black, not white"):
        make_cache(Source(name), tmp_path / "d", Encoder(4))
    assert Cache.open(tmp_path / "d").source == name


def test_one_order_where_there_are_several_and_it_is_said_once(tmp_path):
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(png(k))
    for name in ("1.txt", "1.caption", "2.caption", "2.json", "0.txt", "3.json"):
        content = json.dumps({"text": name}) if name.endswith("json") else name
        (tmp_path / name).write_text(content)
    (tmp_path / "1.json").write_text("{")  # damaged, and not asked for
    (tmp_path / "README.md").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "row"}\n')
    (tmp_path / "metadata.csv").write_text("file_name,text\n0.png,of no use\n")
    source = Source(str(tmp_path))
    assert [record.caption for record in source] == ["row", "1.txt", "2.caption", "3.json"]
    assert [line.split(";")[0] for line in source.notes.lines()] == [
        "metadata.csv is not read, for metadata.jsonl comes before it",
        "where an image has several captions, its row in a metadata file comes first, then .txt, .caption and .json",
        "1 files with the ending of captions belong to no image",
        "1 files are neither images nor captions",
        "1 images have no row in the metadata and no caption beside them",
    ]
    assert [record.caption for record in Source(str(tmp_path), "caption")] == [
        None,
        "1.caption",
        "2.caption",
        None,
        None,
    ]


def test_one_bad_line_does_not_end_a_folder(tmp_path):
    for k in range(6):
        (tmp_path / f"{k}.png").write_bytes(png(k))
    lines = [json.dumps({"file_name": f"{k}.png", "text": f"words {k}"}).encode() for k in range(6)]
    lines[1] = b'{"file_name": "1.png", "text": "\x81\xff"}'
    lines[3] = b'{"file_name": "3.png", "text": '
    lines[4] = b'{"file_name": "nobody.png", "text": "a"}'
    lines.insert(5, b"[" * 100_000)
    (tmp_path / "metadata.jsonl").write_bytes(b"\n".join(lines))
    tally = make_cache(Source(str(tmp_path)), tmp_path / ".c", Encoder(4), bad_share=0.9)
    assert [reason for _, reason in tally.skipped] == [
        "is neither UTF-8 nor cp1252, or has more than 16777216 bytes",
        "is no JSON object",
        "its image nobody.png is not there",
        "is no JSON object",
    ]
    assert tally.encoded == 3
    assert tally.notes == [
        "3 images have no row in the metadata and no caption beside them; left out; the first is 1.png"
    ]


def test_text_with_commas_that_are_not_quoted_is_not_cut_in_silence(tmp_path):
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(png(k))
    (tmp_path / "metadata.csv").write_text('file_name,text\n0.png,a cat, sitting\n1.png,"a cat, lying"\n2.png\n')
    results = list(Source(str(tmp_path)))
    assert [(r.key, r.caption) for r in results[:2]] == [
        ("metadata.csv line 2#0", None),
        ("1.png#1", "a cat, lying"),
    ]
    assert results[0].fault == "has more cells than columns; quote text with commas"


def test_what_cannot_stand_in_a_cache_is_a_fault(tmp_path):
    """NUL, of UTF-16 without its mark, and halves of characters: a run goes on, and the cache can be read."""
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(png(k))
    names = ["0.png", "1.png", "2.png", "a\0\ud800" * 1000, "4.png"]
    texts = ["a\0b", "\ud800", "good", "x", ["", None, 3.5, {"raw": "of a list"}]]
    lines = (json.dumps({"file_name": name, "text": text}) for name, text in zip(names, texts, strict=True))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    tally = make_cache(Source(str(tmp_path)), tmp_path / ".c", Encoder(4), bad_share=0.9)
    reasons = [reason for _, reason in tally.skipped]
    assert reasons[:2] == ["its caption holds NUL; save it as UTF-8", "its caption is neither UTF-8 nor cp1252"]
    assert reasons[2].startswith("its image a\\x00\\ud800a") and len(reasons) == 3
    assert Cache.open(tmp_path / ".c").captions == ["", "good", "of a list"]


def test_names_are_found_however_they_are_written(tmp_path):
    """With the slashes of Windows, and é as one character or two."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "0.png").write_bytes(png())
    (tmp_path / unicodedata.normalize("NFD", "é.png")).write_bytes(png())
    (tmp_path / "metadata.csv").write_text(
        "File_Name,Text\nsub\\0.png,a\n./é.png,b\n../secret.png,c\n", encoding="utf-8"
    )
    (tmp_path.parent / "secret.png").write_bytes(png())
    results = list(Source(str(tmp_path)))
    assert [record.caption for record in results] == ["a", "b", None]
    assert results[2].fault == "its image ../secret.png is not there" and not results[2].content


def test_hidden_files_and_links(tmp_path):
    """What a Mac leaves beside files is none of them; links are followed, and not for ever."""
    other = tmp_path / "other"
    beside(other, "txt", "utf-8")
    folder = tmp_path / "a"
    (folder / "__MACOSX").mkdir(parents=True)
    (folder / "__MACOSX" / "._0.png").write_bytes(b"\0\5\x16\7")
    (folder / "._0.png").write_bytes(b"\0\5\x16\7")
    (folder / "linked").symlink_to(other)
    (other / "back").symlink_to(folder)
    assert [(record.key, record.caption) for record in Source(str(folder))] == [
        (f"linked/{k}.PNG#{k}", words) for k, words in enumerate(WORDS)
    ]


def test_the_number_of_a_folder_of_kohya_is_how_often_its_images_count(tmp_path):
    for folder, level, text in (("10_sks cat", 0, "a cat"), ("15_logo", 100, "a logo"), ("0_off", 3, "none")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(png(level))
        (tmp_path / folder / "1.txt").write_text(text)
    tally = make_cache(Source(str(tmp_path)), tmp_path / ".c", Encoder(4), bad_share=0.5)
    assert tally.encoded == 2
    assert tally.skipped == [("0_off/1.png#0", "its folder's name begins with 0, so it counts no time")]
    assert "3 images count as often as the number of their folder says; the first is 0_off/1.png" in tally.notes
    stored = Cache.open(tmp_path / ".c")
    assert sorted(stored.captions[row] for row in stored.caption) == ["a cat"] * 2 + ["a logo"] * 3
    levels = (stored.x_0(torch.arange(5))[:, 0, 0, 0] + 1) * 127.5
    torch.testing.assert_close(levels.sort().values, torch.tensor([0.0, 0, 100, 100, 100]))


def test_the_name_of_a_folder_of_kohya_is_no_caption(tmp_path):
    for folder in ("10_sks cat", "5_logo"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(png())
    with pytest.raises(InputError, match=r"no captions; give metadata\.jsonl .*, a \.txt beside each image"):
        list(Source(str(tmp_path)))
    assert [record.caption for record in Source(str(tmp_path), "label")] == ["10_sks cat", "5_logo"]


@pytest.mark.parametrize("lost", range(4))
def test_a_sample_without_text_is_counted_wherever_it_stands(tmp_path, lost):
    entries = {}
    for k in range(4):
        entries |= {f"{k}.jpeg": png(k)} | ({} if k == lost else {f"{k}.txt": f"words {k}".encode()})
    source = Source(str(tar_of(tmp_path / "0.tar", entries)))
    source.check()
    assert [record.caption for record in source] == [None if k == lost else f"words {k}" for k in range(4)]
    tally = make_cache(source, tmp_path / "c", Encoder(4), bad_share=0.3)
    assert tally.skipped == [(f"0.tar:{lost}#{lost}", "has no caption")]


def test_members_of_a_sample_may_stand_apart(tmp_path):
    entries = {f"{k}.jpg": png(k) for k in range(3)} | {f"{k}.txt": f"words {k}".encode() for k in (2, 0, 1)}
    assert [r.caption for r in Source(str(tar_of(tmp_path / "0.tar", entries)))] == [f"words {k}" for k in range(3)]


def test_fields_behind_a_second_dot_are_no_samples(tmp_path):
    entries = {"0.jpg": png(), "0.txt": b"a", "0.mask.png": png(1), "0.v2.jpg": png(2), "0.v2.txt": b"b", "x.cls": b"3"}
    source = Source(str(tar_of(tmp_path / "0.tar", entries | {"only.txt": b"words"})))
    results = list(source)
    assert [(r.key, r.caption, r.fault) for r in results] == [
        ("0.tar:0#0", "a", ""),
        ("0.tar:0.v2#1", "b", ""),
        ("0.tar:only#2", None, "has text and no image"),
    ]
    assert [line.split()[0] for line in source.notes.lines()] == ["1", "1"]


def test_what_lies_beside_shards_is_counted(tmp_path):
    beside(tmp_path, "txt", "utf-8")
    tar_of(tmp_path / "0.tar", {"0.jpg": png(), "0.txt": b"a"})
    source = Source(str(tmp_path))
    assert len(list(source)) == 1
    assert source.notes.lines() == [
        "6 files beside the .tar files are not read; give their folder alone; the first is 0.PNG"
    ]


def test_captions_that_are_cut_are_counted_once_and_not_printed(tmp_path, caplog):
    pipe = tiny.stable_diffusion()
    length = pipe.tokenizer.model_max_length
    for k, words in enumerate(["short", "word " * 3 * length, "other " * 3 * length]):
        (tmp_path / f"{k}.png").write_bytes(png(k))
        (tmp_path / f"{k}.txt").write_text(words)
    for number, text in enumerate((PipelineText(pipe, "tiny"), TextEncoder.of(pipe.text_encoder, pipe.tokenizer))):
        caplog.clear()
        tally = make_cache(Source(str(tmp_path)), tmp_path / f".c{number}", Encoder(4, text=text))
        (line,) = tally.notes
        assert line.startswith(
            "2 of 3 captions are longer than the text encoder reads, and are cut; the first is 'word wo"
        )
        assert "longer than" not in caplog.text  # it is for the command to say, once
        assert "truncated" not in caplog.text and "<pad>" not in caplog.text


def test_words_of_splits_in_names_mean_nothing(tmp_path):
    for name in ("photo of a train.png", "test tubes.png", "valid.png", "dev/evaluation form.png", "cat.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
        (tmp_path / name).with_suffix(".txt").write_text(name)
    assert len(list(Source(str(tmp_path)))) == 5


def test_a_hub_id_is_streamed_with_its_images_as_they_are_stored(tmp_path, monkeypatch):
    """Through datasets' own reader, here of a folder: what is damaged does not end it, and classes have their names."""
    import datasets

    data = tables(tmp_path, [1, 0]).cast_column("text", datasets.ClassLabel(names=["cat", "dog"]))
    data = data.rename_columns({"text": "label"})
    data.to_parquet(str(tmp_path / "train.parquet"))
    asked = []
    read = datasets.load_dataset

    def of_hub(name, **options):
        asked.append(name)
        return read("parquet", data_files=[str(tmp_path / "train.parquet")], **options)

    monkeypatch.setattr(datasets, "load_dataset", of_hub)
    results = list(Source("somebody/something"))
    assert asked == ["somebody/something"]
    assert [(record.key, record.caption) for record in results] == [("0.png#0", "dog"), ("1.png#1", "cat")]
    assert [record.image().getpixel((0, 0))[0] for record in results] == [0, 1]

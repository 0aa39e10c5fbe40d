"""Photographs of any size and mode as a law, for the statistics of a pipeline: as training reads them, and said."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from singdiffusion.evaluation.picture_data import load
from singtheory import InputError
from singtheory.data import sources
from tests.singdiffusion.source.test_records import laion, png


def pipeline(side):
    return SimpleNamespace(sample_size=side, name="base", autoencoder=lambda: None)


def test_what_already_fits_is_as_it_was(tmp_path):
    """Grey and in colour, the numbers that singtheory reads."""
    for mode, colour in (("L", 9), ("RGB", (1, 2, 3))):
        folder = tmp_path / mode
        folder.mkdir()
        for k in range(3):
            Image.new(mode, (6, 4), colour).save(folder / f"{k}.png")
        for side in (6, 32, None):
            actual, known = load(str(folder), pipeline(side)), sources.load(str(folder))
            assert actual.image_shape == known.image_shape and not actual.notes
            torch.testing.assert_close(actual.law.points, known.law.points)


def test_other_sizes_and_modes_are_cut_and_scaled_and_that_is_said(tmp_path):
    Image.new("RGB", (32, 32), (10, 20, 30)).save(tmp_path / "0.jpg", quality=95)
    Image.new("RGBA", (48, 32)).save(tmp_path / "1.png")
    (tmp_path / "deep").mkdir()
    Image.new("LA", (9, 50), (0, 0)).save(tmp_path / "deep" / "2.png")
    (tmp_path / "notes.md").touch()
    actual = load(str(tmp_path), pipeline(32))
    assert actual.image_shape == (32, 32, 3) and actual.notes == (
        "1 files are neither images nor captions; not read; the first is notes.md",
        "2 images are cut in the middle and scaled to 32×32, as for training",
    )
    levels = ((actual.law.points + 1) * 127.5).mean(dim=1)
    assert np.abs(levels.numpy() - [20, 255, 255]).max() < 2


def test_photographs_that_are_all_too_large_are_scaled(tmp_path):
    for k in range(2):
        wide = np.zeros((8, 16, 3), np.uint8)
        wide[:, 4:12] = 255
        Image.fromarray(wide).save(tmp_path / f"{k}.png")
    actual = load(str(tmp_path), pipeline(8))
    assert actual.image_shape == (8, 8, 3) and bool((actual.law.points == 1).all())


def test_shards_and_rows_that_are_damaged(tmp_path):
    actual = load(str(laion(tmp_path / "0.tar", 4)), pipeline(32))
    assert actual.image_shape == (10, 12, 3) and len(actual.law.points) == 4
    folder = tmp_path / "a"
    folder.mkdir()
    for k in range(21):
        (folder / f"{k:02}.png").write_bytes(png(k) if k else b"broken")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "01.png", "text": "a"}))
    actual = load(str(folder), pipeline(32))
    assert len(actual.law.points) == 20 and actual.notes[0].startswith("1 images cannot be used; the first is 00.png")
    (folder / "02.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"a: 2 of 21 images cannot be used; the first is 00"):
        load(str(folder), pipeline(32))


def test_a_scheduler_alone_names_no_side(tmp_path):
    for k in (4, 5):
        Image.new("RGB", (k, 4)).save(tmp_path / f"{k}.png")
    with pytest.raises(InputError, match="differ in size, and base does not say at which it draws; give them one size"):
        load(str(tmp_path), pipeline(None))
    for name in ("nothing", "digits:"):
        with pytest.raises(InputError):
            load(name, pipeline(None))


def test_a_data_set_of_the_hub_is_read_as_for_training(tmp_path, monkeypatch):
    """Through datasets' own reader, here of a folder; which split is read is said."""
    import datasets

    rows = {"image": [{"bytes": png(k), "path": None} for k in range(3)], "text": ["a", "b", "c"]}
    files = {}
    for split, count in (("test", 1), ("train", 3)):
        chosen = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image()).select(range(count))
        files[split] = str(tmp_path / f"{split}.parquet")
        chosen.to_parquet(files[split])
    read = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda name, **more: read("parquet", data_files=files, **more))
    seen = load("somebody/something", pipeline(16))
    assert len(seen.law.points) == 3 and seen.image_shape == (10, 12, 3)
    assert seen.notes == ("of the splits test, train train is read",)

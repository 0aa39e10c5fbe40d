"""Captioned pictures: packed and read again, rows of a caption, and brightness as it is stored."""

import gzip

import pytest
import torch

from docs.experiments.data.captioned import FASHION, Captioned, brightness_of, digits, main, read
from singtheory import InputError


def some(n=6):
    images = torch.arange(n * 3 * 16, dtype=torch.int64).reshape(n, 3, 4, 4).remainder(256).to(torch.uint8)
    return Captioned.of(images, [["a cat", "dog"][k % 2] for k in range(n)])


def test_packed_and_read_again(tmp_path):
    data = some()
    data.save(tmp_path / "data.npz.xz")
    again = read(str(tmp_path / "data.npz.xz"))
    assert torch.equal(again.images, data.images) and again.captions == ["a cat", "dog"]
    assert torch.equal(again.caption, data.caption) and again.size == (3, 4, 4)


def test_rows_of_a_caption():
    data = some()
    assert data.rows("dog").tolist() == [1, 3, 5] and len(data.rows("")) == 6
    with pytest.raises(InputError, match="'mouse': no picture"):
        data.rows("mouse")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "data.npz.xz").write_bytes(b"no")
    with pytest.raises(InputError, match="holds no captioned pictures"):
        read(str(tmp_path / "data.npz.xz"))


def test_brightness_is_that_of_the_bytes():
    data = some()
    torch.testing.assert_close(brightness_of(data.x_0()), data.brightness)
    assert brightness_of(torch.full((1, 1, 2, 2), 3.0)).item() == 255


def test_digits_name_their_background_or_not():
    data = digits(16, 1)
    assert len(data) == 6 * 1797 and len(data.captions) == 40
    black, white, either = (
        data.brightness[data.rows(f"3{words}")] for words in (" on a black background", " on a white background", "")
    )
    assert black.max() < 100 < 180 < white.min()
    assert either.std() > 5 * black.std()


def test_so_many_pictures_of_fashion_are_packed_with_their_classes(tmp_path):
    """Files of four pictures in the idx format; three of them are asked for."""
    pixels = torch.arange(4 * 28 * 28).remainder(251).to(torch.uint8)
    sizes = b"".join(n.to_bytes(4, "big") for n in (4, 28, 28))
    for name, content in {
        "train-images-idx3-ubyte.gz": b"\0\0\x08\x03" + sizes + bytes(pixels.tolist()),
        "train-labels-idx1-ubyte.gz": b"\0\0\x08\x01" + (4).to_bytes(4, "big") + bytes([9, 0, 9, 3]),
    }.items():
        (tmp_path / name).write_bytes(gzip.compress(content))
    main(f"fashion-mnist:{tmp_path}", tmp_path / "some.npz.xz", 3)
    data = read(str(tmp_path / "some.npz.xz"))
    assert [data.captions[k] for k in data.caption.tolist()] == [FASHION[9], FASHION[0], FASHION[9]]
    assert torch.equal(data.images[:, 0, 2:30, 2:30].flatten(), pixels[: 3 * 28 * 28])
    assert data.size == (1, 32, 32) and int(data.images[:, :, :2].max()) == 0

"""Points as they lie: decoded alike from memory and from a mapped file, in whatever blocks; a file that changes is one line."""

import numpy as np
import pytest
import torch

from singtheory import InputError
from singtheory.data import sources
from singtheory.engine.points import Points, pairwise_sum


def levels(n: int, d: int) -> torch.Tensor:
    return torch.randint(256, (n, d), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)


def test_bytes_are_read_as_the_loaders_scale_them():
    stored = levels(9000, 7)
    weights = torch.full((9000,), 1 / 9000, dtype=torch.float64)
    from_bytes, from_doubles = Points(stored, weights), Points(stored.double() / 127.5 - 1, weights)
    assert torch.equal(from_bytes.whole, from_doubles.whole)
    for name in ("mean", "norms2", "radius", "scale"):
        torch.testing.assert_close(getattr(from_bytes, name), getattr(from_doubles, name), rtol=1e-14, atol=1e-14)
    blocks = torch.cat([block for _, block in from_bytes.blocks()])
    torch.testing.assert_close(blocks, from_doubles.whole - from_doubles.mean, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_a_mapped_file_gives_the_posteriors_of_the_loaded_one(tmp_path, dtype):
    array = levels(5000, 6).numpy().reshape(5000, 2, 3)
    array = array if dtype == "uint8" else (array / 127.5 - 1).astype(dtype)
    np.save(tmp_path / "points.npy", array)
    mapped, law = sources.mapped(tmp_path / "points.npy"), sources.load(str(tmp_path / "points.npy")).law
    generator = torch.Generator().manual_seed(0)
    snr = torch.tensor([0.0, 1e-14, 0.3, 50.0, 1e4], dtype=torch.float64)
    z = torch.randn(5, 6, generator=generator, dtype=torch.float64) + snr.sqrt()[:, None] * law.points[:5]
    one, other = mapped.law.posterior(z, snr), law.posterior(z, snr)
    assert bool(((one.mean - other.mean).norm(dim=1) <= one.error_bound + other.error_bound).all())
    assert torch.equal(one.nearest(1), other.nearest(1))
    torch.testing.assert_close(one.trace_cov, other.trace_cov, rtol=1e-8, atol=1e-10)


def test_images_in_a_mapped_file_keep_their_shape(tmp_path):
    np.save(tmp_path / "images.npy", levels(100, 48).numpy().reshape(100, 4, 4, 3))
    mapped = sources.mapped(tmp_path / "images.npy")
    assert mapped.image_shape == (4, 4, 3) and mapped.law.dim == 48


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 1.5), (np.float64, -1.01), (np.float32, 255.0)])
def test_mapped_float_images_that_were_not_scaled_are_refused_and_points_are_not(tmp_path, dtype, value):
    images = np.zeros((5000, 2, 2), dtype=dtype)
    images[4999, 1, 1] = value
    np.save(tmp_path / "images.npy", images)
    with pytest.raises(InputError, match=r"images\.npy: float images lie in .*scale them to \[-1, 1\]"):
        sources.mapped(tmp_path / "images.npy")
    np.save(tmp_path / "points.npy", images.reshape(5000, 4))
    assert float(sources.mapped(tmp_path / "points.npy").law.mean[3]) == pytest.approx(value / 5000, rel=1e-6)


def test_a_mapped_file_that_changes_its_size_is_named(tmp_path):
    path = tmp_path / "points.npy"
    np.save(path, np.zeros((5000, 3), dtype=np.float32) + np.arange(3, dtype=np.float32))
    law = sources.mapped(path).law
    whole = path.read_bytes()
    path.write_bytes(whole + b"more")
    with pytest.raises(InputError, match=f"had {len(whole)} bytes .* has {len(whole) + 4}"):
        law.posterior([0.0, 0.0, 0.0], 1.0).mean  # noqa: B018
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(InputError, match=r"points\.npy: had \d+ bytes when it was mapped and has 200; load it again"):
        law.posterior([0.0, 0.0, 0.0], 1.0).mean  # noqa: B018
    path.unlink()
    with pytest.raises(InputError, match="has 0"):
        law.posterior([0.0, 0.0, 0.0], 1.0).mean  # noqa: B018


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[1.0, np.nan], [0, 0]]), "NaN or infinity"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros(5), "dimensions|shape"),
        (np.zeros((5, 2), dtype=np.int64), "int64"),
        (np.zeros((5, 2), dtype=np.uint8), "uint8"),
        (np.zeros((5, 2, 2), dtype=np.int16), "int16"),
        (np.full((5, 2, 2), 7.0), r"\[7, 7\]; scale them"),
        (np.asfortranarray(np.zeros((5, 2, 2))), "C order"),
        (np.zeros((5, 2), dtype=np.float16), "float16"),
        (np.array([[None]], dtype=object), "object|pickle"),
    ],
)
def test_what_cannot_be_mapped_is_one_line(tmp_path, array, words):
    np.save(tmp_path / "points.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=words) as caught:
        sources.mapped(tmp_path / "points.npy")
    assert "points.npy" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_no_array_is_one_line(tmp_path):
    (tmp_path / "points.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"points\.npy"):
        sources.mapped(tmp_path / "points.npy")
    with pytest.raises(InputError, match=r"nowhere\.npy"):
        sources.mapped(tmp_path / "nowhere.npy")


@pytest.mark.parametrize("width", [1, 2, 3, 7, 64, 101])
def test_sums_in_pairs_are_sums(width):
    values = torch.randn(5, width, dtype=torch.float64)
    torch.testing.assert_close(pairwise_sum(values), values.sum(dim=1), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.uint8])
def test_what_is_taken_is_a_copy(dtype):
    stored = torch.tensor([[0, 255], [51, 102]], dtype=dtype)
    points, rows = Points(stored.clone(), torch.full((2,), 0.5, dtype=torch.float64)), torch.tensor([1, 1, 0])
    taken = points.take(rows)
    expected = stored[rows].double() / 127.5 - 1 if dtype == torch.uint8 else stored[rows].double()
    assert torch.equal(taken, expected)
    taken.zero_()
    assert torch.equal(points.stored, stored)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.uint8])
def test_what_has_no_weight_is_nothing_however_it_is_held(dtype):
    stored, weights = torch.tensor([[0, 255], [51, 102], [255, 0]], dtype=dtype), torch.tensor([0.5, 0.5, 0.0]).double()
    held = Points(stored, weights)
    doubles = Points(held.whole.clone(), weights)
    assert torch.equal(
        torch.cat([block for _, block in held.blocks(2)]), doubles.whole.sub(doubles.mean) * (weights > 0)[:, None]
    )
    assert held.radius == doubles.radius and torch.equal(held.norms2, doubles.norms2)

"""Training on pictures of their own shapes: sizes, the cache, which examples a step takes, and runs that go on to the same weights."""

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from singdiffusion.average import AverageStatistics
from singdiffusion.cli import app
from singdiffusion.source.records import Source
from singdiffusion.training.batches import Data, Draws
from singdiffusion.training.buckets import STEP, bucket_sizes, nearest_bucket
from singdiffusion.training.build import closed_form
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singtheory import InputError
from tests.singdiffusion.support import tiny
from tests.singdiffusion.support.runs import settings, trainer, weights

SHAPES = {"wide": (240, 80), "tall": (80, 240), "square": (150, 150), "almost": (150, 140)}
"""Width and height of pictures by the captions that they get."""

WHITE = {"wide": 60 / 240, "tall": (20 - 10) / 60, "square": 37 / 150, "almost": (37 - 5) / 140}
"""Of their width: of 3:1 cut to 4:1 none of it is lost, of 1:3 cut to 1:4 ten pixels on each side, of 15:14 five."""


def pictures(folder, each=3):
    """Their left quarter is white, in all of the shapes."""
    folder.mkdir()
    for name, (width, height) in SHAPES.items():
        for number in range(each):
            levels = np.full((height, width, 3), 20 * number, np.uint8)
            levels[:, : width // 4] = 255
            Image.fromarray(levels).save(folder / f"{name}{number}.png")
            (folder / f"{name}{number}.txt").write_text(name)
    return Source(str(folder))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """In pixels; 128 gives sizes of 64×256, 128×128 and 256×64."""
    place = tmp_path_factory.mktemp("buckets")
    tally = make_cache(pictures(place / "data"), place / "c", Encoder(128, buckets=True), batch=2)
    assert tally.encoded == 12 and not tally.skipped
    return place / "c"


@pytest.mark.parametrize("resolution", range(STEP, 2049, STEP))
def test_sizes_are_multiples_and_keep_the_area(resolution):
    sizes = bucket_sizes(resolution)
    assert (resolution, resolution) in sizes and {(h, w) for w, h in sizes} == {*sizes}
    assert all(w % 64 == h % 64 == 0 and abs(w * h / resolution**2 - 1) <= 0.1 for w, h in sizes)
    assert all(max(size) <= 4 * min(size) for size in sizes)


def test_the_known_sizes_of_large_models():
    """Those in which SDXL was trained, as far as their area is within a tenth."""
    assert {(1024, 1024), (1152, 896), (896, 1152), (1344, 768), (768, 1344), (832, 1216)} <= {*bucket_sizes(1024)}
    assert {(512, 512), (384, 704), (448, 576), (768, 320)} <= {*bucket_sizes(512)}


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3000, 3000), (512, 512)), ((6000, 4000), (640, 384)), ((4000, 6000), (384, 640)), ((10, 4000), (256, 1024))],
)
def test_a_picture_gets_the_nearest_shape(size, expected):
    assert nearest_bucket(size, bucket_sizes(512)) == expected


def test_of_two_shapes_as_near_the_squarer_is_taken():
    for size in ((2, 1), (1, 2), (200, 100)):
        assert nearest_bucket(size, bucket_sizes(128)) == (128, 128)


@pytest.mark.parametrize("resolution", [100, 32])
def test_other_resolutions_are_refused(resolution):
    with pytest.raises(InputError, match=rf"buckets: the resolution is {resolution}; take a multiple of 64"):
        _ = Encoder(resolution, buckets=True).encoding


def test_a_cache_holds_each_picture_in_its_shape(cache):
    actual = Cache.open(cache)
    assert actual.encoding.shapes == "buckets" and actual.encoding.size == (3, 128, 128) and len(actual) == 12
    sizes = {}
    for first, end in actual.buckets:
        images = actual.in_own_size(torch.arange(first, end))
        names = {actual.captions[row] for row in actual.caption[first:end]}
        sizes[tuple(images.shape[2:])] = names
        white = (images > 0.99).all(dim=1).float().mean(dim=(1, 2))
        expected = torch.tensor([WHITE[actual.captions[row]] for row in actual.caption[first:end]])
        assert bool(((white - expected).abs() <= 2 / images.shape[3]).all())
    assert sizes == {(64, 256): {"wide"}, (256, 64): {"tall"}, (128, 128): {"square", "almost"}}
    assert actual.x_0(torch.arange(12)).shape == (12, 3, 128, 128)


def test_a_cache_that_is_taken_up_again_is_kept(cache):
    source = Source(str(cache.parent / "data"))
    assert make_cache(source, cache, Encoder(128, buckets=True)).kept == 12
    with pytest.raises(InputError, match="was made with shapes = buckets, not squares"):
        make_cache(source, cache, Encoder(128))


def test_a_size_in_the_index_that_is_not_that_of_the_shard_is_refused(cache, tmp_path):
    import json
    import shutil

    shutil.copytree(cache, tmp_path / "c")
    index = json.loads((tmp_path / "c" / "index.json").read_text())
    index["images"][0]["size"] = [1, 1]
    (tmp_path / "c" / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="its index and its shards disagree"):
        Cache.open(tmp_path / "c")


def test_latents_have_the_shapes_too(tmp_path):
    vae = tiny.stable_diffusion().vae
    make_cache(pictures(tmp_path / "data", 1), tmp_path / "c", Encoder(128, vae=vae, buckets=True))
    actual = Cache.open(tmp_path / "c")
    shapes = {tuple(actual.in_own_size(torch.arange(*bounds)).shape[1:]) for bounds in actual.buckets}
    factor = 128 // actual.encoding.height
    assert shapes == {(4, h // factor, w // factor) for h, w in ((64, 256), (256, 64), (128, 128))}


def test_every_example_is_drawn_equally_often_whatever_its_bucket():
    """Of 40 examples in buckets of 30, 8 and 2, to six standard deviations of the draws of buckets."""
    bounds, batch, steps = [(0, 30), (30, 38), (38, 40)], 4, 6000
    draws = Draws(bounds, batch, lambda number, purpose: torch.Generator().manual_seed(4 * number + purpose))
    rows = torch.stack([draws.rows(step) for step in range(steps)])
    counts = rows.flatten().bincount(minlength=40).double()
    for first, end in bounds:
        share, inside = (end - first) / 40, (rows >= first) & (rows < end)
        assert bool((inside.all(dim=1) | ~inside.any(dim=1)).all())
        assert abs(float(inside[:, 0].double().mean()) - share) < 6 * (share * (1 - share) / steps) ** 0.5
        each = counts[first:end] / counts[first:end].sum() * (end - first)
        assert bool(((each - 1).abs() < 6 / (steps * batch * share / (end - first)) ** 0.5).all())
    assert torch.equal(draws.rows(17), rows[17])


def test_processes_take_shares_of_one_batch_of_one_size(cache, tmp_path):
    chosen = settings(cache, tmp_path / "o", batch=4)
    opened, cpu = Cache.open(cache), torch.device("cpu")
    seen = set()
    for step in range(12):
        whole = Data(opened, chosen, cpu)[step]
        shares = [Data(opened, chosen, cpu, k, 2)[step] for k in range(2)]
        assert torch.equal(whole.x_0, torch.cat([share.x_0 for share in shares]))
        assert torch.equal(whole.x_1, torch.cat([share.x_1 for share in shares])) and whole.x_1.shape == whole.x_0.shape
        seen.add(tuple(whole.x_0.shape[2:]))
    assert len(seen) == 3


def test_a_run_goes_on_to_the_same_weights(cache, tmp_path):
    chosen = settings(cache, tmp_path / "a", batch=2, steps=6, save_every=3, width=32, grid=4, condition="classes")
    whole = trainer(chosen)
    whole.fit()
    part = trainer(settings(cache, tmp_path / "b", batch=2, steps=6, save_every=3, width=32, grid=4))
    with pytest.raises(KeyboardInterrupt):
        part.fit(lambda one, _: one.step == 4 and (_ for _ in ()).throw(KeyboardInterrupt))
    again = trainer(settings(cache, tmp_path / "b", batch=2, steps=6, save_every=3, width=32, grid=4))
    assert again.resume() and again.step == 3
    again.fit()
    assert torch.equal(weights(whole), weights(again))
    average = whole.network.eval()(torch.tensor([0]), torch.randn(1, 3, 64, 256))
    assert average.mean.shape == (1, 3, 64, 256)


def test_closed_forms_are_of_all_pictures_as_functions(cache, tmp_path):
    """The mean of pictures whose left is white in every shape, and whose right has the levels 0, 20 and 40."""
    module = closed_form(settings(cache, tmp_path / "o", model="statistics", rank=2), Cache.open(cache))
    assert isinstance(module, AverageStatistics)
    mean = (module.mean_image[0].mean(dim=0) + 1) * 127.5
    assert abs(float(mean[:, 64:].mean()) - 20) < 1
    assert abs(float(mean[:, :12].mean()) - 255) < 2


def test_commands(tmp_path):
    pictures(tmp_path / "data", 1)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    done = run("cache", tmp_path / "data", tmp_path / "c", "--resolution", 128, "--buckets")
    assert done.exit_code == 0 and len(Cache.open(tmp_path / "c").buckets) == 3
    bad = run("cache", tmp_path / "data", tmp_path / "d", "--resolution", 100, "--buckets")
    assert bad.exit_code == 2 and bad.stderr.startswith("error: buckets: the resolution is 100")
    bad = run("train", "--cache", tmp_path / "c", "--out", tmp_path / "o", "--buckets")
    assert bad.exit_code == 2 and "buckets: goes with --data" in bad.stderr
    shown = run(
        "train",
        "--data",
        tmp_path / "data",
        "--out",
        tmp_path / "o",
        "--resolution",
        128,
        "--buckets",
        "--dry-run",
        "--condition",
        "none",
    )
    assert shown.exit_code == 0 and "shapes: buckets" in shown.stdout

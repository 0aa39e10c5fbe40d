"""Files that somebody damaged or made up: every one is loaded or is one line; no traceback, no hang, no memory beyond what is stated."""

import copy
import json
import random
import resource
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from singdiffusion.average.conversion import convert
from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.model import _bytes_of
from singdiffusion.average.registry import load_average
from singdiffusion.average.statistics import AverageStatistics
from singdiffusion.average.table import AverageTable
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.base.space import Space
from singdiffusion.source.records import Source
from singdiffusion.system import memory
from singdiffusion.system.schema import is_small, shown
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import is_finished
from singdiffusion.training.encoder import Encoder
from singdiffusion.training.settings import TrainSettings
from singtheory import InputError
from tests.singdiffusion.support import published, tiny
from tests.singdiffusion.support.runs import TINY_UNET, cached, settings, trainer

FEW, MANY = 40, 2000
STATED = 2**26
"""Bytes that the system says are free."""
SLACK = 2**29
"""Bytes by which the process may grow besides: libraries load code when they are first asked for something."""

RAW = {
    "@deep list@": "[" * 3000 + "]" * 3000,
    "@deep mapping@": '{"a":' * 300 + "1" + "}" * 300,
    "@very deep@": "[" * 100_000 + "]" * 100_000,
    "@digits@": "9" * 5000,
    "@infinite@": "1e999",
    "@half@": '"\\ud800"',
    "@nul@": '"a\\u0000b"',
}
"""What JSON's own writer does not write."""
HOSTILE = [
    None, True, False, -1, 0, 1, 3, 0.5, -0.0, 1e-300, 1e300, 10**7, 10**18, 2**63, 10**30, -(10**18), float("nan"), float("inf"),
    "", "x", "no", "0.18215", "1", "../../x", "images-00000.safetensors", "😀", "a" * 100_000, [], [0], [1, 2], [1, 2, 3], [10**9] * 3,
    ["a"] * 5, [[1], [2, 3]], {}, {"a": 1}, {"kind": "text"}, {"a": {"b": {"c": []}}}, [1] * 20_000, *RAW,
]  # fmt: skip


def paths(value, at=()):
    """Of all parts of a value of JSON, the whole left out."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*at, key)
        yield from paths(part, (*at, key))


def hostile(draw):
    """A copy, for more may be changed within it."""
    return copy.deepcopy(draw.choice(HOSTILE))


def mutated(value, draw):
    """The text of a value with one to three parts replaced, left out or added; now and then bytes of the text."""
    value = json.loads(json.dumps(value))
    for _ in range(draw.choice((1, 1, 2, 3))):
        *way, last = draw.choice(list(paths(value)) or [("x",)])
        inner = value
        for key in way:
            inner = inner[key]
        kind = draw.random()
        if kind < 0.75:
            inner[last] = hostile(draw)
        elif kind < 0.87:
            del inner[last]
        elif isinstance(inner, dict):
            inner[draw.choice(["extra", "", "_x", "size", "width"])] = hostile(draw)
        else:
            inner.append(hostile(draw))
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    if draw.random() < 0.1:
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(["", "\0", "{", '"', "\udcff"]) + text[at + draw.randrange(3) :]
    return text.encode("utf-8", "surrogateescape")


def check(file, load, count, mutations=None):
    """Each mutation of a JSON file is loaded or refused in one line; the file is whole again afterwards."""
    before, grown, refused = file.read_bytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for seed in range(count):
        file.write_bytes(mutated(json.loads(before), random.Random(seed)) if mutations is None else mutations(seed))
        try:
            load()
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 2000, seed
        except BaseException as error:
            raise AssertionError(f"mutation {seed} of {file.name}: {type(error).__name__} {error}") from error
    file.write_bytes(before)
    assert refused > count // 4
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown) * 1024 < SLACK


counts = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: STATED)


MODULES = {
    "statistics": lambda: AverageStatistics((3, 8, 8), 2, 3),
    "table": lambda: AverageTable(["a", "b", ""], (3, 4, 4), 1),
    "decoder": lambda: AverageDecoder((1, 8, 8), {"kind": "classes", "width": 32, "names": ["a", "b"]}, 32, 1, 4, 2),
    "image": lambda: AverageDecoder((1, 8, 8), {"kind": "image", "width": 32, "size": [1, 2, 2]}, 32, 1, 4),
    "unet": lambda: AverageUNet(
        TINY_UNET | {"cross_attention_dim": 16}, condition={"kind": "none"}, frequencies=2, size=[8, 8]
    ),
}


@pytest.mark.parametrize("name", MODULES)
@counts
def test_configurations_of_modules(tmp_path, name, count):
    MODULES[name]().save_pretrained(tmp_path / "module")

    def load():
        assert _bytes_of(load_average(tmp_path / "module")) <= STATED

    load()
    check(tmp_path / "module" / "config.json", load, count)


@pytest.mark.parametrize("name", MODULES)
@counts
def test_modules_of_nonsense_are_not_built(name, count):
    """By who calls the class and stores nothing."""
    config = json.loads(MODULES[name]().to_json_string())
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    kind, draw = type(MODULES[name]()), random.Random(1)
    for _ in range(count):
        changed = arguments | {draw.choice(list(arguments)): draw.choice(HOSTILE[:-7])}
        try:
            assert _bytes_of(kind(**changed)) <= STATED
        except InputError as error:
            assert "\n" not in str(error)


@counts
def test_configurations_to_convert(tmp_path, count):
    pipe = tiny.stable_diffusion()
    published.write(tmp_path / "published", pipe.unet)
    space = Space.of(pipe)

    def load():
        shutil.rmtree(tmp_path / "target", ignore_errors=True)
        convert(tmp_path / "published", tmp_path / "target", space)

    load()
    check(tmp_path / "published" / "config.json", load, count)


@counts
def test_indexes_of_caches(tmp_path, count):
    folder = cached(tmp_path / "c", 20, states=4)

    def load():
        actual = Cache.open(folder)
        actual.x_0(torch.arange(len(actual)))
        actual.states(actual.caption)

    load()
    check(folder / "index.json", load, count)


@counts
def test_notes_of_caches(tmp_path, count):
    encoder, source = Encoder(8), Source("x")
    (tmp_path / "making.json").write_text(
        json.dumps({"encoding": vars(encoder.encoding), "source": {"source": "x", "caption": None}})
    )
    check(tmp_path / "making.json", lambda: is_finished(tmp_path, encoder.encoding, source), count)


@counts
def test_checkpoints(digits_cache, tmp_path, count):
    one = trainer(settings(digits_cache, tmp_path, steps=2, save_every=2))
    one.fit()
    check(tmp_path / "checkpoints" / "step-00000002" / "state.json", one.resume, count)


YAML = "cache: c\nout: o\nsteps: 7\nlr: 1e-3\nprecision: no\nprompts: [a, 'b']\nunet: {sample_size: 8, block_out_channels: [16, 16]}\nmodel: unet\nseed: 3\nlicense: mit\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)
PIECES = [
    "&a ", "*a", "!!python/object/apply:os.getcwd []", "!!binary aGk=", "!!set {a}", "2001-01-01", "1:30:20", "0x7fffffffffffffffffff",
    "9" * 5000, "1e999", ".nan", ".inf", "-.inf", "~", "no", "yes", "[" * 2000, "{a: " * 2000, "- " * 500, "? " * 500, "\t", "\0", "\x85",
    "<<: ", "|\n  x", ">\n", "'", '"\\ud800"', '"\\0"', "%YAML 9.9\n---\n", "---\n", "...\n", "\ufeff", "#" * 1000, "steps: 5\n", BOMB,
]  # fmt: skip


def mutated_yaml(seed):
    draw, lines = random.Random(seed), YAML.splitlines(keepends=True)
    for _ in range(draw.choice((1, 1, 2, 3))):
        row = draw.randrange(len(lines))
        name, colon, value = lines[row].partition(": ")
        piece = (
            draw.choice(PIECES) if draw.random() < 0.6 else yaml.safe_dump(draw.choice(HOSTILE), width=10**9).strip()
        )
        lines[row] = draw.choice(
            [f"{name}: {piece}\n", f"{piece}{lines[row]}", f"{name}{colon}{value.strip()}{piece}\n", ""]
        )
    return "".join(lines).encode("utf-8", "surrogateescape")


@counts
def test_settings(tmp_path, count):
    file = tmp_path / "run.yaml"
    file.write_text(YAML)
    assert TrainSettings.read(file, {}).precision == "no"
    check(file, lambda: TrainSettings.read(file, {}), count, mutated_yaml)


# --- what was found by hand -------------------------------------------------------------------------------------------


CONFIGS = {
    "statistics": {"size": [3, 10**9, 8]},
    "table": {"size": [4096, 4096, 4096]},
    "decoder": {"width": 10**18},
    "image": {"layers": 10**7},
    "unet": {"unet": TINY_UNET | {"cross_attention_dim": 16, "layers_per_block": 10**7}},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_size_is_checked_before_memory_is_asked_for(tmp_path, name):
    MODULES[name]().save_pretrained(tmp_path / "module")
    file = tmp_path / "module" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | CONFIGS[name]))
    with pytest.raises(InputError, match=r"cannot be loaded \(config.json: |do not fit"):
        load_average(tmp_path / "module")


def test_what_does_not_fit_into_memory_says_so():
    with pytest.raises(InputError, match=r"AverageTable: needs 0\.0\d+ GiB of memory, 0\.0625 are free"):
        AverageTable([f"{k}" for k in range(500)], (4, 100, 100))


@pytest.mark.parametrize("factor", ["0.18215", [0.18215], None, 0, -1, float("nan"), True, 10**400])
def test_factors_of_a_vae_that_are_none(factor):
    pipe = tiny.stable_diffusion()
    pipe.vae.register_to_config(scaling_factor=factor)
    with pytest.raises(InputError, match=r"scaling_factor of the VAE .*: need a number"):
        Space.of(pipe)
    pipe = tiny.stable_diffusion()
    if factor is not None and factor not in (0, -1):
        pipe.vae.register_to_config(shift_factor=factor)
        with pytest.raises(InputError, match="shift_factor of the VAE"):
            Space.of(pipe)


def test_values_are_shown_briefly():
    loop = []
    loop.append(loop)
    for value in ("x" * 10**6, [1] * 10**6, 10**5000, [10**5000], {"a": "y" * 10**6}, loop):
        assert len(shown(value)) < 400
    assert not is_small(loop) and not is_small([[0] * 200] * 200) and is_small({"a": [1, 2, {"b": None}]})


TENSORS = {
    "sparse": (lambda value: value.to_sparse(), "torch.sparse_coo"),
    "compressed rows": (lambda value: value.flatten(1).to_sparse_csr(), "torch.sparse_csr"),
    "quantised": (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "quantised"),
    "complex": (lambda value: value.to(torch.complex64), "torch.complex64"),
    "whole numbers": (lambda value: value.long(), "torch.int64"),
    "truth": (lambda value: value > 0, "torch.bool"),
    "without data": (lambda value: value.to("meta"), "without data"),
    "one element": (lambda value: torch.zeros(1).expand(value.numel()).view(value.shape), "repeats its values"),
    "a huge view": (lambda _: torch.zeros(1).expand(10**12), "repeats its values"),
    "infinite": (lambda value: value / 0, "NaN or infinity"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_no_plain_weights(tmp_path, name):
    pipe = tiny.stable_diffusion()
    published.write(tmp_path / "published", pipe.unet)
    change, words = TENSORS[name]
    weights = published.state(pipe.unet)
    weights["conv_in.weight"] = change(weights["conv_in.weight"])
    torch.save(weights, tmp_path / "published" / "diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match=words) as caught:
        convert(tmp_path / "published", tmp_path / "target", Space.of(pipe))
    assert "\n" not in str(caught.value) and not (tmp_path / "target").exists()


def test_weights_that_lie_across_memory_are_converted(tmp_path):
    pipe = tiny.stable_diffusion()
    published.write(tmp_path / "published", pipe.unet)
    weights = published.state(pipe.unet)
    weights["conv_in.weight"] = weights["conv_in.weight"].to(memory_format=torch.channels_last)
    torch.save(weights, tmp_path / "published" / "diffusion_pytorch_model.bin")
    assert convert(tmp_path / "published", tmp_path / "target", Space.of(pipe)).channels == 4


def test_a_compressed_archive_is_not_opened(tmp_path):
    pipe = tiny.stable_diffusion()
    published.write(tmp_path / "published", pipe.unet)
    file = tmp_path / "published" / "diffusion_pytorch_model.bin"
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as packed:
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member))
    (tmp_path / "packed").replace(file)
    with pytest.raises(InputError, match="is a compressed archive"):
        convert(tmp_path / "published", tmp_path / "target", Space.of(pipe))


def reindexed(folder: Path, change):
    """A cache whose index is right about the checksums of what it holds, and wrong in something else."""
    file = folder / "index.json"
    index = json.loads(file.read_text())
    change(index)
    file.write_text(json.dumps(index))
    return folder


DISAGREE = {
    "examples": (lambda index: index.update(examples=7), "examples 7: its images hold another number"),
    "captions": (lambda index: index.update(captions=7), "captions 7: its texts hold another number"),
    "count": (lambda index: (index["images"][0].update(count=7), index.update(examples=7)), "disagree"),
    "texts": (lambda index: (index["texts"][0].update(count=7), index.update(captions=7)), "disagree"),
    "height": (lambda index: index["encoding"].update(height=4), "disagree"),
    "channels": (lambda index: index["encoding"].update(channels=3), "disagree"),
    "a path": (lambda index: index["images"][0].update(file="../c/images-00000.safetensors"), "need a name such as"),
    "twice": (lambda index: index["images"].append(index["images"][0]), "one file is named twice"),
    "kinds": (
        lambda index: index["texts"][0].update(file="images-00000.safetensors"),
        "need a name such as texts-00000",
    ),
    "no captions": (lambda index: index.update(texts=[]), "names no shards"),
}


@pytest.mark.parametrize("name", DISAGREE)
def test_an_index_that_disagrees_with_its_shards(tmp_path, name):
    change, words = DISAGREE[name]
    with pytest.raises(InputError, match=words):
        Cache.open(reindexed(cached(tmp_path / "c", 20), change))

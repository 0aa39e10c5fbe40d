"""Bases that match flows, through the commands: pictures are cached, a spread that knows prompts is trained on them, and pictures are drawn with it."""

import json
import logging

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from singdiffusion import SingDiffusion, load_average
from singdiffusion.base.space import Space
from singdiffusion.base.text import PipelineText
from singdiffusion.training.base_encoder import encoder_for
from singdiffusion.training.cache import Cache
from singtheory import InputError
from tests.singdiffusion.pipeline import flow_families
from tests.singdiffusion.start.test_flow_pipeline import CALL, packed, widened
from tests.singdiffusion.support import tiny_flow
from tests.singdiffusion.test_cli import run

CPU = torch.device("cpu")
FIXED, OPEN = " ".join(["solid grey background"] * 6), " ".join(["a cat"] * 6)
"""Of some length, so that a tiny encoder with random weights tells them apart among its padding."""
SETTINGS = {
    "width": 32,
    "layers": 1,
    "frequencies": 1,
    "spread_width": 32,
    "spread_layers": 1,
    "batch": 16,
    "lr": 5e-3,
    "warmup": 10,
    "noise": 0.0,
}
MAKE = {"sd3": tiny_flow.sd3, "flux": tiny_flow.flux}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Of one prompt all are grey, of the other each has a brightness of its own."""
    folder, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for k in range(48):
        level = 128 if k % 2 else int(chance.integers(0, 256))
        Image.new("RGB", (16, 16), (level,) * 3).save(folder / f"{k:02}.png")
        (folder / f"{k:02}.txt").write_text(FIXED if k % 2 else OPEN, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=MAKE)
def trained(request, pictures, tmp_path_factory):
    """The base, and the module that the commands trained on it."""
    folder = tmp_path_factory.mktemp(request.param)
    MAKE[request.param]().save_pretrained(folder / "base")
    done("cache", pictures, folder / "cache", "--base", folder / "base", "--resolution", 16, "--device", "cpu")
    (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS | {"tracker": "none"}), encoding="utf-8")
    done(
        "train", "--config", folder / "settings.yaml", "--cache", folder / "cache", "--out", folder / "run",
        "--steps", 200, "--device", "cpu",
    )  # fmt: skip
    return request.param, folder, folder / "run" / "model"


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_cache_holds_the_states_that_the_network_reads(trained):
    """Of a prompt, and of none: SD3 encodes an empty negative prompt, and so does Flux where it is asked for one."""
    name, folder, _ = trained
    cache, pipe = Cache.open(folder / "cache"), MAKE[name]()
    states = cache.states(torch.arange(len(cache.captions)))
    for prompt, mine in zip(cache.captions, states, strict=True):
        further = {"prompt_2": None} | ({"prompt_3": None} if name == "sd3" else {})
        with torch.no_grad():
            expected = pipe.encode_prompt(prompt, device=CPU, **further)[0]
        torch.testing.assert_close(mine, expected[0], rtol=1e-5, atol=1e-6)
    assert cache.encoding.scaling_factor == 1.5 and cache.encoding.shift_factor == 0.06


def test_the_trained_spread_knows_which_prompt_fixes_the_brightness(trained):
    """A flow attached to it widens the first step of one prompt and not of the other."""
    name, _, folder = trained
    pipe, module = MAKE[name](), load_average(folder)
    shape = (tiny_flow.CHANNELS, 8, 8)
    x_1 = torch.randn(1, *shape, generator=torch.Generator().manual_seed(2))
    sing, most = SingDiffusion(module, mean="network"), {}
    for prompt in (FIXED, OPEN):
        plain = first_state(pipe, prompt)
        with sing.attached(pipe):
            mended = first_state(pipe, prompt)
        with torch.no_grad():
            actual = module(PipelineText(pipe, name)([prompt], CPU, torch.float32), x_1)
        order = packed if name == "flux" else lambda x: x
        expected = plain + widened(pipe, order(x_1), order(actual.basis), actual.std[0])
        torch.testing.assert_close(mended, expected, rtol=1e-4, atol=1e-3)
        most[prompt] = float(actual.std.max())
    assert most[FIXED] < most[OPEN] / 2, most


def first_state(pipe, prompt):
    kept = []

    def seen(pipe, index, timestep, passed):
        kept.append(passed["latents"].clone())
        return passed

    pipe(prompt, callback_on_step_end=seen, generator=torch.Generator().manual_seed(2), **CALL)
    return kept[0]


def test_the_commands_draw_and_measure_with_it(trained, tmp_path):
    _, folder, module = trained
    passed = ["--base", folder / "base", "--module", module, "--steps", 2, "--guidance", 2, "--device", "cpu"]
    done("sample", OPEN, *passed, "--height", 16, "--width", 16, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "0000.png").is_file()
    done("evaluate", "brightness", OPEN, *passed, "--images", 2, "--json", tmp_path / "levels.json")
    assert json.loads((tmp_path / "levels.json").read_text())


def test_a_network_says_at_which_side_a_flow_draws(tmp_path):
    """SD3's transformer does, Flux's does not."""
    for name, make in MAKE.items():
        make().save_pretrained(tmp_path / name)
    assert encoder_for(str(tmp_path / "sd3"), None, 3, "cpu").resolution == 16
    with pytest.raises(InputError, match="give --resolution"):
        encoder_for(str(tmp_path / "flux"), None, 3, "cpu")


def test_captions_of_a_flow_with_states_of_any_length_are_kept_as_words(tmp_path, caplog, monkeypatch):
    """As Z-Image's; statistics and tables need no states, and a trained network says what it lacks."""
    tiny_flow.sd3().save_pretrained(tmp_path / "base")
    monkeypatch.setattr(tiny_flow.StableDiffusion3Pipeline, "encode_prompt", lambda self, prompts, **_: ([1.0], [1.0]))
    with caplog.at_level(logging.WARNING):
        encoder = encoder_for(str(tmp_path / "base"), 16, 3, "cpu")
    assert encoder.text is None and "captions are kept as words" in caplog.text
    assert encoder.texts(["a cat"]).shape == (1, 0, 0)


@pytest.mark.parametrize(
    ("name", "width"),
    [("SanaPipeline", 16), ("LTXPipeline", 32), ("LongCatImagePipeline", 16), ("MotifVideoPipeline", 16), ("WanPipeline", 32)],
)  # fmt: skip
def test_a_family_with_encoders_of_its_own_gives_the_states_that_its_network_reads(name, width):
    """Widths behind a projection, and encoders whose sizes lie in the configuration of a language model within."""
    pipe = flow_families.build(name)
    states = PipelineText(pipe, name)(["a cat", ""], CPU, torch.float32)
    assert states.shape[::2] == (2, width) and bool(torch.isfinite(states).all())
    assert Space.of(pipe).text_width == width


@pytest.mark.parametrize("name", ["QwenImagePipeline", "ZImagePipeline", "Krea2Pipeline", "Kandinsky5T2IPipeline"])
def test_a_family_whose_states_no_network_here_reads_is_refused_in_one_line(name):
    with pytest.raises(InputError, match=name) as caught:
        PipelineText(flow_families.build(name), name)(["a cat", ""], CPU, torch.float32)
    assert "\n" not in str(caught.value)

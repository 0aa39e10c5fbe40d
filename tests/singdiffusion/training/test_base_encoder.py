"""The encoder of a base: its side, its precision, the layers that it leaves out, and bases that do not serve."""

import pytest
import torch
from diffusers import AutoencoderKL

from singdiffusion.base.space import Space
from singdiffusion.demonstrator import PIPELINE
from singdiffusion.source.records import Source
from singdiffusion.training.base_encoder import encoder_for
from singdiffusion.training.build import untrained
from singdiffusion.training.cache import Cache
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singdiffusion.training.settings import TrainSettings
from singtheory import InputError
from tests.singdiffusion.source.test_records import captioned
from tests.singdiffusion.support import tiny


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny.stable_diffusion().save_pretrained(folder)
    return folder


def test_images_without_a_base_have_512_pixels_a_side():
    assert encoder_for(None, None, 1, "cpu") == Encoder(512, 1)


def test_a_base_on_pixels_encodes_its_text_and_leaves_pixels_as_they_are(tmp_path):
    encoder = encoder_for(str(PIPELINE), 12, 3, "cpu")
    assert encoder.encoding.vae is None and encoder.encoding.scaling_factor == 1
    assert encoder.encoding.text_encoder == Space.stored(PIPELINE).text_encoder
    make_cache(Source(str(captioned(tmp_path / "a"))), tmp_path / "c", encoder)
    stored = Cache.open(tmp_path / "c")
    assert sorted({round(float(x)) for x in (stored.x_0(torch.arange(4)) + 1).flatten() * 127.5}) == [0, 20, 40, 60]


def test_bases_that_do_not_serve(tmp_path, base):
    tiny.stable_diffusion().save_pretrained(tmp_path / "pickled", safe_serialization=False)
    with pytest.raises(InputError, match="no AutoencoderKL or AutoencoderTiny in safetensors"):
        encoder_for(str(tmp_path / "pickled"), None, 3, "cpu")
    with pytest.raises(InputError, match="latents are of RGB"):
        encoder_for(str(base), 16, 1, "cpu")
    with pytest.raises(InputError, match="multiples of 2"):
        _ = encoder_for(str(base), 15, 3, "cpu").encoding


@pytest.mark.parametrize(
    ("make", "upcast", "device", "dtype"),
    [
        (tiny.stable_diffusion, True, "cuda:1", torch.float16),
        (tiny.stable_diffusion_xl, True, "cuda:1", torch.float32),
        (tiny.stable_diffusion_xl, False, "cuda:1", torch.float16),
        (tiny.stable_diffusion, True, "cpu", torch.float32),
    ],
)
def test_a_vae_runs_in_half_precision_on_a_gpu_where_its_own_pipeline_does(
    tmp_path, monkeypatch, make, upcast, device, dtype
):
    pipe, moved = make(), []
    pipe.vae.register_to_config(force_upcast=upcast)
    pipe.save_pretrained(tmp_path)
    monkeypatch.setattr(AutoencoderKL, "to", lambda vae, where: moved.append(where) or vae)
    encoder = encoder_for(str(tmp_path), 16, 3, device)
    assert {weight.dtype for weight in encoder.vae.parameters()} == {dtype} and moved == [device]
    assert encoder.dtype == (torch.float32 if device == "cpu" else torch.float16)


def test_layers_that_are_skipped_are_those_of_cache_settings_and_module(tmp_path):
    pipe, base = tiny.stable_diffusion_xl(), tmp_path / "base"
    pipe.save_pretrained(base)
    source, encoder = Source(str(captioned(tmp_path / "a"))), encoder_for(str(base), 16, 3, "cpu", clip_skip=1)
    make_cache(source, tmp_path / "c", encoder)
    actual = Cache.open(tmp_path / "c")
    expected = pipe.encode_prompt("picture 1", device="cpu", do_classifier_free_guidance=False, clip_skip=1)[0]
    torch.testing.assert_close(actual.states(torch.tensor([actual.captions.index("picture 1")])), expected)
    assert actual.encoding.clip_skip == 1
    arguments = {"cache": str(tmp_path / "c"), "out": str(tmp_path / "out"), "width": 32, "layers": 1}
    for skip in (None, 1):
        assert untrained(TrainSettings(**arguments, clip_skip=skip), actual).clip_skip == 1
    with pytest.raises(
        InputError, match=r"clip_skip 0: .* was made with 1; set clip_skip to 1, or make the cache with --clip-skip 0"
    ):
        untrained(TrainSettings(**arguments, clip_skip=0), actual)
    with pytest.raises(InputError, match="was made with clip_skip = 1, not 0"):
        make_cache(source, tmp_path / "c", encoder_for(str(base), 16, 3, "cpu"))
    with pytest.raises(InputError, match="config and clip_skip"):
        encoder_for(None, 16, 3, "cpu", clip_skip=1)

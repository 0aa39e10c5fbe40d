"""Images to latents, against the pipeline's own way."""

import pytest
import torch

from singdiffusion.base.latents import decode, encode, vae_floor
from singtheory import InputError
from tests.singdiffusion import tiny


@pytest.fixture(scope="module")
def vae():
    return tiny.stable_diffusion().vae


def test_grey_images_are_encoded_in_batches(vae):
    images = torch.linspace(-1, 1, 11 * 256, dtype=torch.float64).reshape(11, 1, 16, 16)
    found = encode(vae, images)
    assert found.shape == (11, 4, 8, 8) and found.dtype == torch.float32
    expected = vae.encode(images[9:10].float().repeat(1, 3, 1, 1)).latent_dist.mean * 0.18215
    torch.testing.assert_close(found[9:10], expected, rtol=1e-4, atol=1e-5)


def test_shift_and_scale_are_the_vaes(vae):
    plain = encode(vae, torch.zeros(1, 3, 16, 16)) / vae.config.scaling_factor
    shifted = type(vae).from_config(vae.config, shift_factor=0.25, scaling_factor=2.0).eval()
    shifted.load_state_dict(vae.state_dict())
    torch.testing.assert_close(encode(shifted, torch.zeros(1, 3, 16, 16)), (plain - 0.25) * 2.0)


def test_odd_channels_are_refused(vae):
    for channels in (2, 4):
        with pytest.raises(InputError, match=f"images of {channels} channels"):
            encode(vae, torch.zeros(1, channels, 16, 16))


def test_odd_sides_are_refused(vae):
    with pytest.raises(InputError, match="multiples of 2"):
        encode(vae, torch.zeros(1, 3, 15, 16))


def test_floor_is_what_comes_back(vae):
    found = vae_floor(vae)
    assert list(found) == ["black", "grey", "white"]
    white = torch.ones(1, 3, 256, 256)
    with torch.no_grad():
        back = vae.decode(vae.encode(white).latent_dist.mode()).sample.clamp(-1, 1)
    assert found["white"] == pytest.approx(float((back.mean() + 1) * 127.5), abs=1e-3)


def test_a_vae_in_half_precision_takes_images_of_any(vae):
    half = type(vae).from_config(vae.config).eval()
    half.load_state_dict(vae.state_dict())
    found = encode(half.to(torch.bfloat16), torch.full((2, 1, 16, 16), 0.5, dtype=torch.float64))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), encode(vae, torch.full((2, 1, 16, 16), 0.5)), rtol=0.1, atol=0.05)


@torch.no_grad()
def test_decoding_undoes_shift_and_scale(vae):
    shifted = type(vae).from_config(vae.config, shift_factor=0.25, scaling_factor=2.0).eval()
    shifted.load_state_dict(vae.state_dict())
    images = torch.rand(9, 3, 16, 16) * 2 - 1
    expected = vae.decode(vae.encode(images).latent_dist.mode()).sample.clamp(-1, 1)
    torch.testing.assert_close(decode(shifted, encode(shifted, images)), expected, rtol=1e-3, atol=1e-4)

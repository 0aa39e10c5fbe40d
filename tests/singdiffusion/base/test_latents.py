"""Images to latents, against the pipeline's own way."""

import pytest
import torch
from diffusers import AutoencoderTiny

from singdiffusion.base import Space
from singdiffusion.base.latents import decode, encode, vae_fingerprint, vae_floor
from singtheory import InputError
from tests.singdiffusion.support import tiny


@pytest.fixture(scope="module")
def vae():
    return tiny.stable_diffusion().vae


def test_grey_images_are_encoded_in_batches(vae):
    images = torch.linspace(-1, 1, 11 * 256, dtype=torch.float64).reshape(11, 1, 16, 16)
    actual = encode(vae, images)
    assert actual.shape == (11, 4, 8, 8) and actual.dtype == torch.float32
    expected = vae.encode(images[9:10].float().repeat(1, 3, 1, 1)).latent_dist.mean * 0.18215
    torch.testing.assert_close(actual[9:10], expected, rtol=1e-4, atol=1e-5)


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
    actual = vae_floor(vae)
    assert list(actual) == ["black", "grey", "white"]
    white = torch.ones(1, 3, 256, 256)
    with torch.no_grad():
        back = vae.decode(vae.encode(white).latent_dist.mode()).sample.clamp(-1, 1)
    assert actual["white"] == pytest.approx(float((back.mean() + 1) * 127.5), abs=1e-3)


def test_a_vae_in_half_precision_takes_images_of_any(vae):
    half = type(vae).from_config(vae.config).eval()
    half.load_state_dict(vae.state_dict())
    actual = encode(half.to(torch.bfloat16), torch.full((2, 1, 16, 16), 0.5, dtype=torch.float64))
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual.float(), encode(vae, torch.full((2, 1, 16, 16), 0.5)), rtol=0.1, atol=0.05)


@torch.no_grad()
def test_decoding_undoes_shift_and_scale(vae):
    shifted = type(vae).from_config(vae.config, shift_factor=0.25, scaling_factor=2.0).eval()
    shifted.load_state_dict(vae.state_dict())
    images = torch.rand(9, 3, 16, 16) * 2 - 1
    expected = vae.decode(vae.encode(images).latent_dist.mode()).sample.clamp(-1, 1)
    torch.testing.assert_close(decode(shifted, encode(shifted, images)), expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_means_and_deviations_of_channels_are_used(vae):
    """As the pipelines of such VAEs do, Playground 2.5's for one: `(z − mean) · scaling_factor/std`."""
    means, stds = [0.5, -1.0, 0.0, 2.0], [1.0, 4.0, 0.5, 2.0]
    own = type(vae).from_config(vae.config, latents_mean=means, latents_std=stds, scaling_factor=0.5).eval()
    own.load_state_dict(vae.state_dict())
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    z = vae.encode(images).latent_dist.mode()
    expected = torch.stack([(z[:, k] - means[k]) * 0.5 / stds[k] for k in range(4)], dim=1)
    torch.testing.assert_close(encode(own, images), expected)
    torch.testing.assert_close(decode(own, expected), vae.decode(z).sample.clamp(-1, 1), rtol=1e-3, atol=1e-4)
    pipe = tiny.stable_diffusion_xl()
    pipe.vae, seen = own, []
    decoding = own.decode
    own.decode = lambda latents, **named: (seen.append(latents), decoding(latents, **named))[1]
    pipe("a", num_inference_steps=1, height=16, width=16, latents=torch.zeros(1, 4, 8, 8), callback_on_step_end=_flat)
    del own.decode
    torch.testing.assert_close(
        seen[0], torch.tensor(means).view(1, 4, 1, 1) + 2 * torch.tensor(stds).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    )
    assert Space.of(pipe).scaling_factor == pytest.approx(0.5 * 4 / sum(stds))
    assert Space.of(pipe).shift_factor == pytest.approx(sum(means) / 4)


def _flat(pipe, index, timestep, arguments):
    """Latents of one: each channel of the VAE gets its mean and twice its deviation, for a scaling factor of 0.5."""
    return arguments | {"latents": torch.ones_like(arguments["latents"])}


@pytest.mark.parametrize("name, value", [("latents_std", [1.0, 0.0, 1.0, 1.0]), ("latents_mean", [1.0])])
def test_odd_means_and_deviations_are_refused(vae, name, value):
    fields = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4} | {name: value}
    with pytest.raises(InputError, match=name):
        encode(type(vae).from_config(vae.config, **fields), torch.zeros(1, 3, 16, 16))


@torch.no_grad()
def test_the_small_approximation_of_a_vae_gives_latents_as_a_network_sees_them():
    torch.manual_seed(0)
    blocks = {
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "upsampling_scaling_factor": 2,
    }
    small = AutoencoderTiny(num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), **blocks).eval()
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(encode(small, images), small.encode(images).latents)
    expected = small.decode(small.encode(images).latents).sample.clamp(-1, 1)
    torch.testing.assert_close(decode(small, encode(small, images)), expected)
    assert vae_fingerprint(small).startswith("AutoencoderTiny-") and set(vae_floor(small)) == {"black", "grey", "white"}


def test_tiling_and_slicing_give_the_same(vae):
    images = torch.linspace(-1, 1, 3 * 3 * 64 * 64).reshape(3, 3, 64, 64)
    whole = encode(vae, images)
    sliced = type(vae).from_config(vae.config).eval()
    sliced.load_state_dict(vae.state_dict())
    sliced.enable_slicing()
    torch.testing.assert_close(encode(sliced, images), whole)
    sliced.enable_tiling()
    sliced.tile_sample_min_size, sliced.tile_latent_min_size = 32, 16
    tiled = encode(sliced, images)
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    assert decode(sliced, tiled).shape == images.shape

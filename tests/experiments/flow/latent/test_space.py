"""Latents: their size, their scaling factor, and that a written autoencoder is the same one."""

import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.latent import autoencoder
from docs.experiments.flow.latent.space import Space
from singtheory.errors import InputError


def pictures(n=6, side=16):
    return torch.randint(256, (n, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def data(n=6):
    return Captioned.of(pictures(n), ["a"] * n)


def test_latents_have_a_standard_deviation_of_one_and_a_quarter_of_the_side(tmp_path):
    space = Space.new(16, "cpu", tiny=True)
    latents = space.set_scale(data())
    assert latents.shape == (6, 4, 4, 4) and space.factor == 4
    assert float(latents.std()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(space.ready().encode(pictures()), latents)
    space.save(tmp_path / "vae")
    again = Space.load(tmp_path / "vae", "cpu")
    assert again.scale == pytest.approx(space.scale)
    torch.testing.assert_close(again.decode(latents), space.decode(latents), rtol=0, atol=2e-2)


def test_what_is_no_autoencoder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no autoencoder"):
        Space.load(tmp_path, "cpu")


def test_the_loss_reaches_every_weight_and_falls():
    torch.manual_seed(0)
    space = Space.new(16, "cpu", tiny=True)
    loss = autoencoder.loss_of(space, data(), 4)
    optimizer = torch.optim.Adam(space.vae.parameters(), 1e-2)
    before = float(loss().detach())
    for _ in range(12):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert all(weight.grad is not None for weight in space.vae.parameters())
    assert float(loss().detach()) < before - 0.1


def test_both_is_what_diffusers_encodes_and_decodes():
    space = Space.new(16, "cpu", tiny=True).ready()
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    law = space.vae.encode(x).latent_dist
    noise = torch.randn(law.mean.shape, generator=torch.Generator().manual_seed(2))
    again, kl = autoencoder.Both(space.vae)(x, noise)
    torch.testing.assert_close(again, space.vae.decode(law.mean + law.std * noise).sample)
    assert float(kl) == pytest.approx(float(law.kl().sum()) / law.mean.numel(), rel=1e-5)


def test_a_compiled_network_is_called_in_the_place_of_the_plain_one():
    """A compiled module has no truth value; it is none only if it is None."""
    calls = []

    def counted(graph, _):
        calls.append(graph)
        return graph.forward

    space = Space.new(16, "cpu", tiny=True)
    called = torch.compile(autoencoder.Both(space.vae), backend=counted)
    with pytest.raises(TypeError):
        bool(called)
    assert float(autoencoder.loss_of(space, data(), 2, called)().detach()) > 0 and calls


class Off:
    """Reconstructs everything brighter by 0.1."""

    def encode(self, images):
        return images.float() / 127.5 - 1 + 0.1

    def decode(self, latents):
        return latents


def test_decibels_of_a_known_error():
    grey = Captioned.of(torch.full((2, 3, 4, 4), 100, dtype=torch.uint8), ["a", "a"])
    latents = autoencoder.decibels(Off(), grey, torch.arange(2))  # pyright: ignore[reportArgumentType]
    assert latents.tolist() == pytest.approx([26.0206, 26.0206], abs=1e-3)


def test_differences_are_of_neighbours():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    down, right = autoencoder.differences(x)
    assert down.flatten().tolist() == [2, 2] and right.flatten().tolist() == [1, 1]

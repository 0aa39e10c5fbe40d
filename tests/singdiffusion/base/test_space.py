"""Spaces of real pipelines, and text encoders told apart."""

import pytest
import torch

from singdiffusion.base.space import Space
from singdiffusion.base.text import fingerprint, same_encoders
from singtheory import InputError
from tests.singdiffusion.support import tiny

PIPELINES = {
    name: getattr(tiny, name)
    for name in ("stable_diffusion", "stable_diffusion_inpaint", "stable_diffusion_controlnet", "animatediff")
}


@pytest.fixture
def encoder():
    return tiny.stable_diffusion().text_encoder


def changed(encoder, amount: float):
    """The encoder with every weight moved by that share of its size."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(amount * weight.std(correction=0) * torch.randn_like(weight))
    return encoder


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_of_one_family_share_their_space(name):
    space = Space.of(PIPELINES[name]())
    assert space == Space.of(tiny.stable_diffusion())
    assert (space.channels, space.scaling_factor, space.text_width) == (4, 0.18215, tiny.TEXT_WIDTH)


def test_inpainting_with_nine_channels_has_latents_of_four():
    assert Space.of(tiny.stable_diffusion_inpaint(in_channels=9)).channels == 4


def test_sdxl_has_another_text():
    xl, plain = Space.of(tiny.stable_diffusion_xl()), Space.of(tiny.stable_diffusion())
    assert xl.text_width == 2 * tiny.TEXT_WIDTH and xl.text_encoder.count("+") == 1
    assert not plain.shares_text(xl) and xl.shares_text(xl)


def test_a_pipeline_without_text_encoder_is_known_by_its_width():
    pipe = tiny.stable_diffusion()
    known = Space.of(pipe)
    pipe.text_encoder = None
    unknown = Space.of(pipe)
    assert unknown.text_encoder is None and unknown.shares_text(known) and known.shares_text(unknown)
    assert not Space(4, text_width=8).shares_text(unknown)


def test_a_stored_pipeline(tmp_path):
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path)
    assert Space.stored(tmp_path) == Space.of(pipe)


def test_a_folder_without_pipeline_is_refused(tmp_path):
    with pytest.raises(InputError, match="no pipeline") as error:
        Space.stored(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_precision_does_not_change_a_fingerprint(encoder, dtype):
    assert fingerprint(encoder) == fingerprint(encoder.to(dtype))


def test_a_compiled_encoder_keeps_its_fingerprint(encoder):
    assert fingerprint(torch.compile(encoder, backend="eager")) == fingerprint(encoder)


def test_further_tokens_do_not_change_a_fingerprint(encoder):
    before = fingerprint(encoder)
    encoder.resize_token_embeddings(encoder.config.vocab_size + 3, mean_resizing=False)
    assert fingerprint(encoder) == before


def test_a_fine_tuned_encoder_is_the_same_and_an_independent_one_is_not(encoder):
    original = fingerprint(encoder)
    assert same_encoders(original, fingerprint(changed(encoder, 0.03)))
    assert not same_encoders(original, fingerprint(changed(encoder, 10)))


def test_another_depth_is_another_encoder(encoder):
    original = fingerprint(encoder)
    encoder.config.num_hidden_layers = 1
    assert not same_encoders(original, fingerprint(encoder))


def test_two_encoders_are_not_one(encoder):
    assert not same_encoders(fingerprint(encoder), fingerprint(encoder, encoder))
    assert not same_encoders(fingerprint(encoder, encoder), fingerprint(encoder))


def test_offloaded_weights_are_known_by_their_kind(encoder):
    original = fingerprint(encoder)
    offloaded = fingerprint(encoder.to("meta"))
    assert offloaded == "CLIPTextModel-16-2-"
    assert same_encoders(original, offloaded) and not same_encoders(original, "CLIPTextModel-16-3-")


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        ((4, 0.13, 0.25), True),
        ((4, 0.13, 0.250001), True),
        ((4, 0.13, 0.26), False),
        ((4, 0.14, 0.25), False),
        ((8, 0.13, 0.25), False),
    ],
)
def test_latents_agree_in_channels_scale_and_shift(other, fits):
    """Each of the three alone tells them apart."""
    if fits:
        Space(4, 0.13, 0.25).check_latents(Space(*other))
    else:
        with pytest.raises(InputError, match="use one made with its VAE"):
            Space(4, 0.13, 0.25).check_latents(Space(*other))

"""The decoder of the condition alone, and that it goes where an average image goes."""

import pytest
import torch

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.registry import load_average
from singdiffusion.base.space import Space
from singdiffusion.base.text import TextEncoder
from singdiffusion.start.pipeline import SingDiffusion
from singtheory import InputError
from tests.singdiffusion.support import tiny

CLASSES = {"kind": "classes", "width": 16, "names": ["black", "white"]}


def beside(pipe, **settings):
    """A decoder for a pipeline's latents and token states."""
    space = Space.of(pipe)
    return AverageDecoder(
        tiny.LATENTS,
        {"kind": "text", "width": space.text_width},
        width=32,
        layers=1,
        grid=4,
        scaling_factor=space.scaling_factor,
        text_encoder=space.text_encoder,
        **settings,
    ).eval()


@pytest.mark.parametrize("size", [(1, 8, 8), (3, 16, 8), (4, 64, 64), (3, 5, 7)])
def test_shapes(size):
    module = AverageDecoder(size, CLASSES, width=32, layers=1, frequencies=2)
    actual = module(["white", "black", ""], torch.zeros(3, *size))
    assert actual.mean.shape == (3, *size) and actual.basis.shape == (size[0] * 4, *size) and actual.std.shape[0] == 3


def test_the_noise_is_not_read():
    module = AverageDecoder((1, 8, 8), CLASSES, width=32, layers=1)
    a, b = (module(["white"], torch.full((1, 1, 8, 8), fill)).mean for fill in (0.0, 5.0))
    assert torch.equal(a, b)


def test_other_sizes_are_the_same_picture():
    module = AverageDecoder((1, 8, 8), CLASSES, width=32, layers=1)
    small, large = (module(["white"], torch.zeros(1, 1, side, side)).mean for side in (8, 16))
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large, 2), small, atol=0.1, rtol=0.1)


def test_attached_by_token_states_and_stored_with_its_encoder(tmp_path):
    pipe, noise = tiny.stable_diffusion(), torch.randn(1, *tiny.LATENTS)
    module = beside(pipe, frequencies=2)
    with SingDiffusion(module).attached(pipe):
        pipe("a", height=16, width=16, num_inference_steps=2, output_type="np")
    module.conditioning.encoder = TextEncoder.of(pipe.text_encoder, pipe.tokenizer)
    module.save_pretrained(tmp_path / "decoder")
    loaded = load_average(tmp_path / "decoder")
    for part in ("mean", "basis", "std"):
        torch.testing.assert_close(getattr(loaded(["a cat"], noise), part), getattr(module(["a cat"], noise), part))
    assert loaded.space == Space.of(pipe) and loaded.rank == 16


def test_classes_are_prompts(tmp_path):
    pipe = tiny.stable_diffusion()
    module = AverageDecoder(tiny.LATENTS, CLASSES, width=32, layers=1, scaling_factor=0.18215)
    assert module.condition_for(Space.of(pipe)) == "prompts"
    with SingDiffusion(module).attached(pipe):
        pipe("white", height=16, width=16, num_inference_steps=2, output_type="np")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": (8, 8)}, "channels, height and width"),
        ({"size": (1, 24, 18)}, "multiples of 4"),
        ({"width": 40}, "multiple of 32"),
        ({"frequencies": 9}, "frequencies 9"),
        ({"frequencies": 2, "spread_layers": 0}, "spread_width 128, spread_layers 0: each must be at least 1"),
    ],
)
def test_what_makes_no_decoder(settings, words):
    with pytest.raises(InputError, match=words):
        AverageDecoder(**({"size": (1, 8, 8), "condition": CLASSES} | settings))

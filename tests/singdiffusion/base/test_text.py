"""Token states as a pipeline makes them."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import T5Config, T5EncoderModel

from singdiffusion.base.space import Space
from singdiffusion.base.text import PipelineText, TextEncoder
from singtheory import InputError
from tests.singdiffusion.support import tiny

CPU = torch.device("cpu")
PROMPTS = ["a cat", "", "große schwarze Fläche 黒 🖤", "very long " * 50]


def stored(pipe, folder):
    pipe.save_pretrained(folder)
    return PipelineText.stored(str(folder))


@pytest.mark.parametrize("kind", ["stable_diffusion", "stable_diffusion_xl", "stable_diffusion_inpaint", "animatediff"])
def test_states_are_those_that_the_unet_reads(tmp_path, kind):
    """What a guided call hands to the U-Net, the states of no prompt the first half."""
    pipe = getattr(tiny, kind)()
    actual = stored(pipe, tmp_path)
    assert actual.fingerprint == Space.of(pipe).text_encoder
    states = actual(PROMPTS, CPU, torch.float32)
    for prompt, mine in zip(PROMPTS, states, strict=True):
        with torch.no_grad():
            expected, without, *_ = pipe.encode_prompt(
                prompt or "a", device=CPU, num_images_per_prompt=1, do_classifier_free_guidance=True
            )
        torch.testing.assert_close(mine, (expected if prompt else without)[0], rtol=1e-5, atol=1e-6)
    assert states.shape == (4, 77, pipe.unet.config.cross_attention_dim)


def test_an_encoder_beside_its_tokenizer_gives_the_same():
    """Stable Diffusion's: the last states after the last normalisation."""
    pipe = tiny.stable_diffusion()
    alone = TextEncoder.of(pipe.text_encoder, pipe.tokenizer)
    both = PipelineText(pipe, "tiny")
    torch.testing.assert_close(alone(PROMPTS, CPU, torch.float32), both(PROMPTS, CPU, torch.float32))
    assert alone.fingerprint == both.fingerprint


@pytest.mark.parametrize("length", [77, 10**30])
def test_an_encoder_without_a_longest_prompt(length):
    """T5, whose places are relative: as long as its tokenizer says, or else 512 tokens."""
    tokenizer = copy.copy(tiny.stable_diffusion().tokenizer)
    tokenizer.model_max_length = length
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    model = T5EncoderModel(T5Config(vocab_size=len(tokenizer), **shape)).eval()
    states = TextEncoder.of(model, tokenizer)(PROMPTS, CPU, torch.float32)
    assert states.shape == (4, min(length, 512), 16) and bool(torch.isfinite(states).all())


def test_pipelines_that_do_not_serve_are_refused(tmp_path):
    pipe = tiny.stable_diffusion()
    pipe.text_encoder = None
    with pytest.raises(InputError, match="does not encode prompts by text encoders of its own"):
        PipelineText(pipe, "tiny")
    encoder = tiny.stable_diffusion().text_encoder
    three = SimpleNamespace(
        text_encoder=encoder, encode_prompt=None, components={"text_encoder": 1, "text_encoder_3": 1}
    )
    with pytest.raises(InputError, match="tiny: SimpleNamespace does not encode prompts"):
        PipelineText(three, "tiny")
    with pytest.raises(InputError, match="no such folder"):
        PipelineText.stored(str(tmp_path / "none"))


def test_a_pickled_text_encoder_is_not_run(tmp_path, planted):
    tiny.stable_diffusion().save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "text_encoder" / "model.safetensors").unlink()
    planted.write(tmp_path / "base" / "text_encoder" / "pytorch_model.bin")
    with pytest.raises(InputError, match="its text encoders cannot be loaded") as caught:
        PipelineText.stored(str(tmp_path / "base"))
    assert "\n" not in str(caught.value) and not planted.was_run()


@pytest.mark.parametrize(
    ("encode", "words"),
    [
        (lambda prompts, image, **_: None, "cannot be encoded alone"),
        (lambda prompts, **_: (torch.zeros(1, 16), None), "gives no token states"),
        (lambda prompts, **_: torch.zeros(1, 77, 16), "gives no token states"),
    ],
)
def test_pipelines_that_encode_in_another_way_are_refused(encode, words):
    pipe = tiny.stable_diffusion()
    pipe.encode_prompt = encode
    with pytest.raises(InputError, match=words):
        PipelineText(pipe, "tiny")(["a"], CPU, torch.float32)


def test_layers_that_a_pipeline_cannot_leave_out_are_one_line(monkeypatch):
    pipe = tiny.stable_diffusion()

    def without(*_, clip_skip=None, **__):
        raise AttributeError("'CLIPTextModel' object has no attribute 'text_model'")

    monkeypatch.setattr(pipe, "encode_prompt", without, raising=False)
    with pytest.raises(
        InputError, match=r"clip_skip 1: StableDiffusionPipeline cannot leave layers .* leave clip_skip out"
    ):
        PipelineText(pipe, "tiny", 1)(["a"], torch.device("cpu"), torch.float32)

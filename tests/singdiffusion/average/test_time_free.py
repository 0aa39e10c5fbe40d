"""The U-Net without time: the fold of a pretrained one, conditions, precision, storage."""

import pytest
import torch

from singdiffusion.average.registry import load_average
from singdiffusion.average.time_free import AverageUNet
from singdiffusion.base.space import Space
from singdiffusion.base.text import TextEncoder
from singtheory import InputError
from tests.singdiffusion.support import tiny


@pytest.fixture
def pipe():
    return tiny.stable_diffusion()


@pytest.fixture
def module(pipe):
    return AverageUNet.from_unet(pipe.unet, space=Space.of(pipe))


def draw(batch: int = 2, size: int = 8):
    """Noise and token states."""
    generator = torch.Generator().manual_seed(7)
    return (
        torch.randn(batch, 4, size, size, generator=generator),
        torch.randn(batch, 77, tiny.TEXT_WIDTH, generator=generator),
    )


@pytest.mark.parametrize("timestep", [999, 500, 0])
@torch.no_grad()
def test_the_fold_is_the_pretrained_unet_at_that_step(pipe, timestep):
    x_1, tokens = draw()
    folded = AverageUNet.from_unet(pipe.unet, timestep)(tokens, x_1).mean
    here, elsewhere = (pipe.unet(x_1, t, tokens).sample for t in (timestep, timestep + 1000))
    assert torch.allclose(folded, here, rtol=0, atol=1e-6)
    assert not torch.allclose(folded, elsewhere, rtol=0, atol=1e-4), "time must matter here, or this test says nothing"


@torch.no_grad()
def test_a_unet_whose_blocks_do_not_activate_time_is_folded_as_well():
    unet = tiny.stable_diffusion().unet
    torch.manual_seed(0)
    unet = (
        type(unet)
        .from_config(
            unet.config,
            resnet_skip_time_act=True,
            down_block_types=("ResnetDownsampleBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        )
        .eval()
    )
    x_1, tokens = draw()
    folded = AverageUNet.from_unet(unet)(tokens, x_1).mean
    assert torch.allclose(folded, unet(x_1, 999, tokens).sample, rtol=0, atol=1e-6)


def test_the_pretrained_unet_stays_as_it_was(pipe, module):
    before = {name: value.clone() for name, value in pipe.unet.state_dict().items()}
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(1)
    after = pipe.unet.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_nothing_of_time_is_left_and_every_weight_is_trained(module):
    """A weight without a gradient would stop distributed training."""
    x_1, tokens = draw()
    module(tokens, x_1).mean.square().sum().backward()
    names = [name for name, _ in module.named_parameters()]
    assert names and not [name for name in names if "time" in name]
    assert [name for name, weight in module.named_parameters() if weight.grad is None] == []


@torch.no_grad()
def test_noise_and_prompt_both_enter(module):
    x_1, tokens = draw()
    mean = module(tokens, x_1).mean
    assert not torch.allclose(mean, module(tokens, x_1.flip(0)).mean)
    assert not torch.allclose(mean, module(tokens.flip(0), x_1).mean)


@torch.no_grad()
def test_any_size_of_latents(module):
    x_1, tokens = draw(size=12)
    average = module(tokens, x_1)
    assert average.mean.shape == (2, 4, 12, 12) and average.spread is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_low_precision(pipe, module, dtype):
    x_1, tokens = draw()
    exact = module(tokens, x_1).mean
    low = module.to(dtype)(tokens, x_1.to(dtype)).mean
    assert low.dtype == dtype and torch.allclose(low.float(), exact, rtol=0, atol=0.05)
    folded = AverageUNet.from_unet(pipe.unet.to(dtype))(tokens, x_1.to(dtype)).mean
    assert folded.dtype == dtype and torch.allclose(folded.float(), exact, rtol=0, atol=0.05)


@torch.no_grad()
def test_compiled_it_gives_the_same(module):
    x_1, tokens = draw()
    expected = module(tokens, x_1).mean
    assert torch.allclose(torch.compile(module, backend="eager")(tokens, x_1).mean, expected, rtol=0, atol=1e-6)
    module.network.compile(backend="eager", fullgraph=True)
    assert torch.allclose(module(tokens, x_1).mean, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_gradient_checkpointing_changes_no_output(module):
    x_1, tokens = draw()
    expected = module(tokens, x_1).mean
    module.enable_gradient_checkpointing()
    module.train()
    with torch.enable_grad():
        assert torch.allclose(module(tokens, x_1).mean, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_it_comes_back_as_it_was_saved(pipe, module, tmp_path):
    module.save_pretrained(tmp_path / "unet")
    loaded = load_average(tmp_path / "unet")
    x_1, tokens = draw()
    assert isinstance(loaded, AverageUNet) and not loaded.training
    assert loaded.space == module.space == Space.of(pipe)
    assert torch.equal(loaded(tokens, x_1).mean, module(tokens, x_1).mean)
    assert load_average(tmp_path / "unet", dtype=torch.float16).dtype == torch.float16
    assert sorted(file.name for file in (tmp_path / "unet").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]


@torch.no_grad()
def test_prompts_are_encoded_by_its_own_text_encoder_as_the_pipeline_would(pipe, module, tmp_path):
    prompts = ["solid black background", "a white logo"]
    tokens = pipe.encode_prompt(prompts, "cpu", 1, False)[0]
    module.conditioning.encoder = TextEncoder.of(pipe.text_encoder, pipe.tokenizer)
    module.save_pretrained(tmp_path / "unet")
    x_1, _ = draw()
    for own in (module, load_average(tmp_path / "unet")):
        assert torch.equal(own(prompts, x_1).mean, module(tokens, x_1).mean)


def test_a_text_encoder_that_the_pipeline_shares_is_never_loaded(pipe, module, tmp_path):
    module.conditioning.encoder = TextEncoder.of(pipe.text_encoder, pipe.tokenizer)
    module.save_pretrained(tmp_path / "unet")
    loaded = load_average(tmp_path / "unet")
    assert loaded.condition_for(Space.of(pipe)) == "embeddings"
    loaded(pipe.encode_prompt("black", "cpu", 1, False)[0], draw(1)[0])
    assert "parts" not in vars(loaded.conditioning.encoder)


def test_beside_another_text_encoder_prompts_are_taken_or_it_is_refused(pipe, module):
    torch.manual_seed(0)
    pipe.text_encoder = type(pipe.text_encoder)(pipe.text_encoder.config)
    other = Space.of(pipe)
    with pytest.raises(InputError, match="text encoder"):
        module.condition_for(other)
    module.conditioning.encoder = TextEncoder.of(pipe.text_encoder, pipe.tokenizer)
    assert module.condition_for(other) == "prompts"


@pytest.mark.parametrize(
    ("condition", "x_1", "words"),
    [
        (["black", "white"], draw()[0], "no text encoder of its own"),
        (draw()[1][..., :8], draw()[0], "(batch, tokens, 16)"),
        (draw()[1][0], draw(77)[0], "(batch, tokens, 16)"),
        (draw(3)[1], draw()[0], "need (3, 4, height, width)"),
        (draw()[1], draw()[0][:, :3], "need (2, 4, height, width)"),
        (draw()[1], draw()[0][0], "need (2, 4, height, width)"),
        (draw()[1], draw()[0].half(), "torch.float16 on cpu"),
        (draw()[1], draw()[0].to("meta"), "on meta"),
    ],
)
def test_conditions_and_noise_that_do_not_fit_are_refused(module, condition, x_1, words):
    with pytest.raises(InputError) as error:
        module(condition, x_1)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_nan_in_the_mean_is_refused(module):
    module.network.conv_out.bias.data[0] = float("nan")
    x_1, tokens = draw()
    with pytest.raises(InputError, match="NaN"):
        module(tokens, x_1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_channels": 9}, "9 channels in and 4 out"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"num_class_embeds": 10}, "num_class_embeds"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type"),
        ({"resnet_time_scale_shift": "scale_shift"}, "resnet_time_scale_shift"),
        ({"encoder_hid_dim": 8, "encoder_hid_dim_type": "text_proj"}, "encoder_hid_dim"),
        ({"cross_attention_dim": (16, 16)}, "cross_attention_dim"),
        ({"norm_num_groups": 3}, "configuration of the U-Net"),
        ({"planted": 1}, "planted"),
    ],
)
def test_networks_of_which_time_cannot_be_taken_are_refused(pipe, changes, words):
    config = {key: value for key, value in pipe.unet.config.items() if not key.startswith("_")}
    with pytest.raises(InputError) as error:
        AverageUNet(config | changes)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_unet_of_sdxl_is_refused_for_its_added_conditions():
    with pytest.raises(InputError, match="addition_embed_type = 'text_time'"):
        AverageUNet.from_unet(tiny.stable_diffusion_xl().unet)

"""The matched first step as a block of Modular Diffusers, beside the same step attached to the pipeline of the same parts."""

import pytest
import torch
from diffusers import ClassifierFreeGuidance
from diffusers.modular_pipelines.modular_pipeline import SequentialPipelineBlocks
from diffusers.modular_pipelines.stable_diffusion_3 import modular_blocks_stable_diffusion_3 as sd3_blocks

from singdiffusion import AverageStatistics, AverageTable
from singdiffusion.start import MatchedFirstStep, SingDiffusion, with_matched_first_step
from singtheory.errors import InputError
from tests.singdiffusion.support import tiny_flow

SIGMAS = [1.0, 0.9, 0.6, 0.3]


@pytest.fixture
def spread():
    latents = torch.randn(40, tiny_flow.CHANNELS, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    latents = latents + 2 * torch.randn(40, tiny_flow.CHANNELS, 1, 1, generator=torch.Generator().manual_seed(1))
    return AverageStatistics.from_images(latents, frequencies=2, rank=3, scaling_factor=1.5, shift_factor=0.06)


def modular(pipe, blocks):
    """The loop of Stable Diffusion 3 with the parts of a pipeline."""
    made = blocks.init_pipeline()
    parts = {"transformer": pipe.transformer, "scheduler": pipe.scheduler, "vae": pipe.vae}
    made.update_components(**parts, guider=ClassifierFreeGuidance(guidance_scale=3.0))
    return made


def loop():
    core = sd3_blocks.StableDiffusion3T2ICoreDenoiseStep()
    return SequentialPipelineBlocks.from_blocks_dict({"denoise": core})


def states(pipe):
    actual = pipe.encode_prompt(["a cat"], None, None, negative_prompt=[""])
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    return dict(zip(names, actual, strict=True))


def drawn(made, pipe, x_1):
    arguments = {
        "num_inference_steps": len(SIGMAS),
        "sigmas": SIGMAS,
        "height": 16,
        "width": 16,
        "latents": x_1.clone(),
    }
    return made(**arguments, **states(pipe), output="latents")


@pytest.mark.parametrize("mean", ["network", "module"])
def test_the_block_gives_what_the_attached_step_gives(spread, mean):
    pipe = tiny_flow.sd3()
    x_1 = torch.randn(1, tiny_flow.CHANNELS, 8, 8, generator=torch.Generator().manual_seed(3))
    plain = drawn(modular(pipe, loop()), pipe, x_1)
    actual = drawn(modular(pipe, with_matched_first_step(loop(), spread, mean)), pipe, x_1)
    arguments = {"num_inference_steps": len(SIGMAS), "sigmas": SIGMAS, "height": 16, "width": 16, "guidance_scale": 3.0}
    arguments |= {"latents": x_1.clone(), "output_type": "latent"}
    torch.testing.assert_close(plain, pipe(**states(pipe), **arguments).images, rtol=1e-4, atol=1e-4)
    with SingDiffusion(spread, mean=mean).attached(pipe):
        expected = pipe(**states(pipe), **arguments).images
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert float((actual - plain).abs().max()) > 0.01


def test_what_does_not_fit_is_refused(spread):
    table = AverageTable.from_images({"": torch.randn(3, 4, 8, 8)})
    with pytest.raises(InputError, match="statistics"):
        with_matched_first_step(loop(), table)
    with pytest.raises(InputError, match="after_denoiser"):
        with_matched_first_step(sd3_blocks.StableDiffusion3TextInputStep(), spread)
    with pytest.raises(InputError, match="mean other"):
        with_matched_first_step(loop(), spread, "other")
    blocks = with_matched_first_step(loop(), spread)
    with pytest.raises(InputError, match="none of its blocks"):
        with_matched_first_step(blocks, spread)
    other = AverageStatistics.from_images(torch.randn(20, 3, 8, 8), frequencies=2, rank=1)
    pipe, x_1 = tiny_flow.sd3(), torch.randn(1, tiny_flow.CHANNELS, 8, 8)
    with pytest.raises(InputError, match="3 channels"):
        drawn(modular(pipe, with_matched_first_step(loop(), other)), pipe, x_1)


def test_the_block_takes_what_the_one_that_it_replaces_takes(spread):
    before = sd3_blocks.StableDiffusion3T2ICoreDenoiseStep()
    core = with_matched_first_step(before, spread)
    with pytest.raises(InputError, match="none of its blocks"):
        with_matched_first_step(core, spread)
    assert with_matched_first_step(before, spread) is not core  # which was not changed
    (block,) = (
        part
        for step in core.sub_blocks.values()
        for part in (getattr(step, "sub_blocks", None) or {}).values()
        if isinstance(part, MatchedFirstStep)
    )
    stepping = block.stepping
    assert block.model_name == stepping.model_name and stepping.description in block.description
    assert [each.name for each in block.expected_components] == [each.name for each in stepping.expected_components]
    assert [each.name for each in block.intermediate_outputs] == ["latents"]

"""Distilled models are recognised, and taken by force alone."""

import pytest
import torch
from diffusers import (
    FlowMatchLCMScheduler,
)

from singdiffusion import SingDiffusion
from singtheory import InputError
from tests.singdiffusion.start.flow_calls import named, spread, states
from tests.singdiffusion.support import tiny_flow


@pytest.mark.parametrize(
    "make", [lambda: tiny_flow.flux(guidance_embeds=False), lambda: tiny_flow.sd3(FlowMatchLCMScheduler())]
)
def test_distilled_models_by_force(make):
    pipe = make()
    plain = states(pipe)
    with SingDiffusion(spread=spread(), force=True).attached(pipe):
        assert not torch.equal(states(pipe)[0], plain[0])


@pytest.mark.parametrize(
    ("name", "distilled"),
    [
        ("/cache/models--stabilityai--stable-diffusion-3.5-large-turbo/snapshots/0a1b", True),
        ("D:\\models\\sd3-turbo\\x", True),
        ("ByteDance/Hyper-SD", True),
        ("lodestones/some_LCM", True),
        ("me/Z-Image-TurboV2", True),
        ("me/HyperFlux", True),
        ("me/SDXLTurbo", True),
        ("me/hyperrealistic-sd3", False),
        ("me/flashlight", False),
        ("/home/dmdavis/sd3", False),
    ],
)
def test_a_distilled_model_is_found_by_a_whole_word_of_its_path(name, distilled):
    pipe, sing = named(tiny_flow.sd3(), name), SingDiffusion(spread=spread())
    if not distilled:
        with sing.attached(pipe):
            return
    with pytest.raises(InputError, match="force=True"):
        sing.attach(pipe)

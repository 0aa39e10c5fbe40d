"""The prediction that a network's answer implies, on networks trained for a moment."""

import pytest
import torch

from singdiffusion.prediction import implied_prediction
from tests.singdiffusion import tiny


def trained(unet, target):
    """To answer noise at the last timestep with `target(x)`."""
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(unet.parameters(), lr=1e-2)
    for _ in range(120):
        x = torch.randn(8, *tiny.LATENTS)
        states = torch.zeros(8, 77, unet.config.cross_attention_dim)
        added = {"text_embeds": torch.zeros(8, tiny.TEXT_WIDTH), "time_ids": torch.zeros(8, 6)}
        answer = unet(x, 999, encoder_hidden_states=states, added_cond_kwargs=added).sample
        optimiser.zero_grad()
        (answer - target(x)).square().mean().backward()
        optimiser.step()
    return unet.eval()


@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl])
def test_a_network_of_epsilon_gives_its_input_back(make):
    found = implied_prediction(trained(make().unet, lambda x: x), 1000)
    assert found is not None and found.prediction == "epsilon" and found.correlation > 0.9


def test_a_network_of_v_does_not():
    picture = torch.linspace(-1, 1, 256).reshape(tiny.LATENTS)
    found = implied_prediction(trained(tiny.stable_diffusion().unet, lambda x: 0.068 * x - picture), 1000)
    assert found is not None and found.prediction == "v_prediction or sample"


def test_networks_that_take_more_are_not_asked():
    assert implied_prediction(tiny.stable_diffusion_inpaint(in_channels=9).unet, 1000) is None


def test_the_network_is_not_changed_and_the_answer_repeats():
    unet = tiny.stable_diffusion().unet
    before = {name: weight.clone() for name, weight in unet.state_dict().items()}
    assert implied_prediction(unet, 1000) == implied_prediction(unet, 1000)
    assert all(torch.equal(weight, before[name]) for name, weight in unet.state_dict().items())

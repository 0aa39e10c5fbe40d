"""The prediction that a network's answer implies, on networks trained for a moment."""

from functools import partial

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

from singdiffusion.base.prediction import _in_words, implied_prediction
from singtheory import schedule_named
from tests.singdiffusion.support import tiny


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
    actual = implied_prediction(trained(make().unet, lambda x: x), 1000)
    assert actual is not None and actual.prediction == "epsilon" and actual.correlation > 0.9


PICTURE = torch.linspace(-1, 1, 32).expand(32, 32)
SCHEDULE = schedule_named("sd")


def noised_picture(x, step, wanted):
    """What a network of one picture, with texture of variance 0.1, answers noise x once it is trained (C2)."""
    alpha, sigma = float(SCHEDULE.alpha((step + 1) / 1000)), float(SCHEDULE.sigma((step + 1) / 1000))
    clean = PICTURE + alpha * 0.1 / (alpha**2 * 0.1 + sigma**2) * (x - alpha * PICTURE)
    return clean if wanted == "sample" else (alpha * x - clean) / sigma


def answering(unet, target):
    """The network with `target(x, step)` in the place of its answers."""
    unet.register_forward_hook(lambda _, args, __: UNet2DConditionOutput(sample=target(args[0], args[1])))
    return unet


@pytest.mark.parametrize("wanted", ["v_prediction", "sample"])
def test_networks_of_v_and_of_the_picture_give_noise_back_at_other_steps(wanted):
    actual = implied_prediction(answering(tiny.stable_diffusion().unet, partial(noised_picture, wanted=wanted)), 1000)
    assert actual is not None and actual.trained and actual.prediction == "v_prediction or sample"


def test_a_network_that_answers_with_a_picture_whatever_the_noise_is_not_trained():
    unet = answering(tiny.stable_diffusion().unet, lambda x, _: PICTURE.expand_as(x))
    assert implied_prediction(unet, 1000).trained is False


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl])
def test_of_random_weights_nothing_is_said(make, seed):
    torch.manual_seed(seed)
    unet = make().unet
    actual = implied_prediction(type(unet).from_config(unet.config).eval(), 1000)
    assert actual is not None and actual.prediction is None and not actual.trained


def test_networks_that_take_more_are_not_asked():
    assert implied_prediction(tiny.stable_diffusion_inpaint(in_channels=9).unet, 1000) is None
    assert implied_prediction(tiny.animatediff().unet, 1000) is None
    assert (
        implied_prediction(
            UNet2DModel(
                sample_size=8,
                block_out_channels=(32, 32),
                down_block_types=("DownBlock2D",) * 2,
                up_block_types=("UpBlock2D",) * 2,
            ),
            1000,
        )
        is None
    )


def test_it_is_asked_at_the_last_step_of_training():
    unet, lines = tiny.stable_diffusion().unet, []
    unet.register_forward_pre_hook(lambda _, args: lines.append(args[1]))
    implied_prediction(unet, 500)
    assert lines == [499, 250, 0]  # and then where a network that predicts no noise gives its input back


@pytest.mark.parametrize(("share", "expected"), [(0.95, "epsilon"), (0.7, None), (0.3, "v_prediction or sample")])
def test_answers_between_are_left_open(share, expected):
    """A network that gives back a share of its input and noise of its own for the rest, and all of it before."""

    def answer(x, step):
        own = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
        return share * x + (1 - share**2) ** 0.5 * own if step == 999 else x

    assert implied_prediction(answering(tiny.stable_diffusion().unet, answer), 1000).prediction == expected


def test_the_network_is_not_changed_and_the_answer_repeats():
    unet = tiny.stable_diffusion().unet
    before = {name: weight.clone() for name, weight in unet.state_dict().items()}
    assert implied_prediction(unet, 1000) == implied_prediction(unet, 1000)
    assert all(torch.equal(weight, before[name]) for name, weight in unet.state_dict().items())


@pytest.mark.parametrize(
    ("correlation", "word"),
    [
        (0.95, "epsilon"),
        (0.9, "epsilon"),
        (0.7, None),
        (0.5, "v_prediction or sample"),
        (-0.3, "v_prediction or sample"),
        (-0.5, "v_prediction or sample"),
        (-0.95, None),
    ],
)
def test_a_correlation_in_words(correlation, word):
    """An answer that is the input turned about is neither: noise of the other sign is no picture."""
    assert _in_words(correlation) == word

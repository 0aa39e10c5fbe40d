"""The nodes on doubles of ComfyUI, beside the library's own numbers and the formulas."""

import logging
import math
import os

import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from singdiffusion.average import AverageDecoder, AverageStatistics, AverageTable
from singdiffusion.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from singdiffusion.comfyui.diagnose import Diagnose
from singdiffusion.comfyui.first_step import MatchedFirstStep
from singdiffusion.comfyui.load import LoadAverageImage
from singdiffusion.comfyui.model_sampling import flow_scheduler, space_of
from singdiffusion.comfyui.singular_start import SingularStart, SingularStartLatent
from singdiffusion.response import kept
from singdiffusion.start import SingDiffusion, first_point, first_step, initial_latents
from singtheory.errors import InputError
from tests.singdiffusion.comfyui import doubles
from tests.support.strategies import examples

PROMPT = "black"
PROMPTS = {"prompt": PROMPT, "negative_prompt": ""}
SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def pictures(channels: int, count: int = 60, seed: int = 0, level: float = -1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    plain = level + torch.randn(count, channels, 1, 1, generator=generator)
    return plain + 0.3 * torch.randn(count, channels, 8, 8, generator=generator)


@pytest.fixture(scope="module")
def table():
    return AverageTable.from_images(
        {PROMPT: pictures(4), "": pictures(4, seed=1, level=0.5)}, rank=2, scaling_factor=0.18215
    )


@pytest.fixture(scope="module")
def spread():
    return AverageStatistics.from_images(pictures(4, 200), rank=3, scaling_factor=1.5, shift_factor=0.06)


@pytest.fixture
def model():
    return doubles.ModelPatcher(doubles.EPS(), doubles.LatentFormat())


@pytest.fixture
def flow():
    return doubles.ModelPatcher(doubles.CONST(), doubles.LatentFormat(4, 1.5, 0.06))


def sigmas_of(model, *timesteps: int) -> torch.Tensor:
    actual = model.get_model_object("model_sampling").sigmas[list(timesteps)]
    return torch.cat([actual, torch.zeros(1)])


def begun(model, noise, sigmas, latent=None):
    """Where a sampler begins."""
    seen = []

    def looking(network, x, sigmas, callback=None):
        seen.append(x)
        return x

    doubles.sampled(model, noise, sigmas, looking, latent)
    return seen[0]


def library_start(table, x_1, cfg, timesteps, rule="normalised", start="widest"):
    """In the units `y + σ n`, by a scheduler of diffusers."""
    average = SingDiffusion(table, rule, start).average([PROMPT] * len(x_1), [""] * len(x_1), x_1, cfg)
    scheduler = EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(timesteps=list(timesteps))
    return initial_latents(average.mean, x_1, scheduler, spread=average.spread) * scheduler.init_noise_sigma


SETTINGS = [("normalised", "widest"), ("convex", "mean"), ("none", "matched")]


@pytest.mark.parametrize(("rule", "start"), SETTINGS)
@pytest.mark.parametrize("timesteps", [(999, 500, 0), (951, 500)], ids=["from the largest", "from below"])
@pytest.mark.parametrize("kind", ["noise", "latent"])
def test_samplers_begin_at_the_start_of_the_library(model, table, kind, timesteps, rule, start):
    empty, noise, sigmas = {"samples": torch.zeros(3, 4, 8, 8)}, doubles.RandomNoise(7), sigmas_of(model, *timesteps)
    expected = library_start(table, noise.generate_noise(empty), 3.0, timesteps, rule, start)
    arguments = {
        "average": table,
        "model": model,
        "noise": noise,
        "sigmas": sigmas,
        "cfg": 3.0,
        "guidance": rule,
        "start": start,
    }
    if kind == "noise":
        (made,) = SingularStart().start(**arguments, **PROMPTS)
        assert made.seed == 7
        actual = begun(model, made.generate_noise(empty), sigmas)
    else:
        (latent,) = SingularStartLatent().latent(empty, **arguments, **PROMPTS)
        image = model.get_model_object("latent_format").process_in(latent["samples"])
        actual = begun(model, torch.zeros(3, 4, 8, 8), sigmas, image)
    torch.testing.assert_close(actual, expected, rtol=2e-4, atol=2e-4)


def test_an_image_in_the_latents_makes_no_difference_at_full_noise_and_is_left_alone_below(model, table, caplog):
    noise, image = doubles.RandomNoise(7), {"samples": torch.full((2, 4, 8, 8), 3.0)}
    added = model.get_model_object("latent_format").process_in(image["samples"])
    arguments = {"average": table, "model": model, "noise": noise, "cfg": 1.0, "guidance": "none", "start": "mean"}
    sigmas = sigmas_of(model, 999, 0)
    (made,) = SingularStart().start(**arguments, sigmas=sigmas, **PROMPTS)
    x_1 = noise.generate_noise(image)
    actual = begun(model, made.generate_noise(image), sigmas, added)
    torch.testing.assert_close(actual, library_start(table, x_1, 1.0, (999, 0), "none", "mean"), rtol=2e-4, atol=2e-4)
    (below,) = SingularStart().start(**arguments, sigmas=sigmas_of(model, 600, 0), **PROMPTS)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(below.generate_noise(image), x_1)
    assert "left as it is" in caplog.text


def test_token_states_reach_a_network_that_reads_them(model):
    torch.manual_seed(0)
    decoder = AverageDecoder(
        (4, 8, 8), {"kind": "text", "width": 16}, width=32, layers=1, scaling_factor=0.18215
    ).eval()
    states, without = torch.randn(1, 7, 16), torch.randn(1, 7, 16)
    noise, empty, sigmas = doubles.RandomNoise(1), {"samples": torch.zeros(2, 4, 8, 8)}, sigmas_of(model, 999, 0)
    arguments = {
        "model": model,
        "noise": noise,
        "sigmas": sigmas,
        "cfg": 4.0,
        "guidance": "normalised",
        "start": "widest",
    }
    stated = {"positive": [[states, {}]], "negative": [[without, {}]]}
    (made,) = SingularStart().start(average=decoder, **arguments, **stated)
    x_1 = noise.generate_noise(empty)
    average = SingDiffusion(decoder).average(states.repeat(2, 1, 1), without.repeat(2, 1, 1), x_1, 4.0)
    scheduler = EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(timesteps=[999, 0])
    expected = initial_latents(average.mean, x_1, scheduler) * scheduler.init_noise_sigma
    torch.testing.assert_close(begun(model, made.generate_noise(empty), sigmas), expected, rtol=2e-4, atol=2e-4)
    for missing, word in (({}, "positive"), ({"positive": stated["positive"]}, "negative")):
        (short,) = SingularStart().start(average=decoder, **arguments, **missing)
        with pytest.raises(InputError, match=word):
            short.generate_noise(empty)
    (areas,) = SingularStart().start(average=decoder, **arguments, **(stated | {"positive": stated["positive"] * 2}))
    with pytest.raises(InputError, match="2 conditions"):
        areas.generate_noise(empty)


@given(st.integers(2, 8), st.floats(0.5, 6.0), st.sampled_from(["network", "module"]))
@settings(deadline=None, max_examples=examples(12))
def test_the_first_step_of_a_flow_is_that_of_the_formula(steps, shift, mean):
    flow = doubles.ModelPatcher(doubles.CONST(), doubles.LatentFormat(4, 1.5, 0.06))
    average = AverageStatistics.from_images(pictures(4, 200), rank=3, scaling_factor=1.5, shift_factor=0.06)
    t = 1 - torch.arange(steps) / steps
    sigmas = torch.cat([shift * t / (1 + (shift - 1) * t), torch.zeros(1)])
    (patched,) = MatchedFirstStep().patch(flow, average, mean, False, 3.0, "normalised")
    x_1 = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(steps))
    actual, guider = doubles.sampled(patched, x_1, sigmas[:3])
    end = actual * (1 - sigmas[2])  # a sampler that stops early divides by α
    network = doubles.CFGGuider(flow)
    y = average([""] * 2, x_1)
    m = y.mean if mean == "module" else network(x_1, torch.ones(2))
    s = sigmas[1]
    along = torch.einsum("bchw,kchw->bk", x_1, y.basis)
    wider = torch.sqrt((1 - s) ** 2 * y.std**2 + s**2) - s
    x_s = (1 - s) * m + s * x_1 + torch.einsum("bk,kchw->bchw", wider * along, y.basis)
    slope = (x_s - network(x_s, s.expand(2))) / s
    torch.testing.assert_close(end, x_s + slope * (sigmas[2] - s), rtol=1e-3, atol=1e-4)
    assert guider.calls == pytest.approx(sigmas[:2].tolist())


def test_samplers_that_reuse_answers_begin_anew_after_the_first_step(flow, spread):
    sigmas, x_1 = (
        torch.tensor([1.0, 0.9, 0.7, 0.4, 0.0]),
        doubles.RandomNoise(2).generate_noise({"samples": torch.zeros(2, 4, 8, 8)}),
    )
    (patched,) = MatchedFirstStep().patch(flow, spread, "network", False, 1.0, "normalised")
    lines = []
    actual, guider = doubles.sampled(
        patched, x_1, sigmas, doubles.sample_two, callback=lambda *arguments: lines.append((arguments[0], arguments[3]))
    )
    scheduler, network = FlowMatchEulerDiscreteScheduler(), doubles.CFGGuider(flow)
    scheduler.set_timesteps(sigmas=sigmas[:-1].tolist())
    x_s = first_step(x_1, x_1 - network(x_1, torch.ones(2)), scheduler, spread=spread([""] * 2, x_1).spread)
    torch.testing.assert_close(actual, doubles.sample_two(network, x_s, sigmas[1:]), rtol=1e-4, atol=1e-4)
    assert guider.calls == pytest.approx(sigmas[:-1].tolist())
    assert lines == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_one_step_and_a_part_of_the_steps_end_where_they_should(flow, spread):
    x_1 = doubles.RandomNoise(2).generate_noise({"samples": torch.zeros(2, 4, 8, 8)})
    (patched,) = MatchedFirstStep().patch(flow, spread, "network", False, 1.0, "normalised")
    once, guider = doubles.sampled(patched, x_1, torch.tensor([1.0, 0.0]))
    average = spread([""] * 2, x_1)
    along = torch.einsum("bchw,kchw->bk", x_1, average.basis)
    expected = doubles.CFGGuider(flow)(x_1, torch.ones(2)) + torch.einsum(
        "bk,kchw->bchw", average.std * along, average.basis
    )
    torch.testing.assert_close(once, expected, rtol=1e-4, atol=1e-4)
    assert len(guider.calls) == 1
    later, _ = doubles.sampled(patched, x_1, torch.tensor([0.7, 0.4, 0.0]))
    plain, _ = doubles.sampled(flow, x_1, torch.tensor([0.7, 0.4, 0.0]))
    assert torch.equal(later, plain)


def test_corrected_steps_keep_the_share_that_the_library_computes(flow, spread):
    """On the exact denoiser of Gaussian data, along each direction."""
    sigmas = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0])
    x_1 = torch.zeros(1, 4, 8, 8)
    y = spread([""], x_1)
    x_1 = y.basis.sum(dim=0, keepdim=True)  # a deviation of one along each
    lam = y.std[0] ** 2

    class Gaussian(doubles.CFGGuider):
        def outer_predict_noise(self, x, timestep, model_options=None, seed=None):
            s = timestep[0]
            slope = (1 - s) * lam / ((1 - s) ** 2 * lam + s**2)
            along = torch.einsum("bchw,kchw->bk", x - (1 - s) * y.mean, y.basis)
            return y.mean + torch.einsum("bk,kchw->bchw", slope * along, y.basis)

    (patched,) = MatchedFirstStep().patch(flow, spread, "module", True, 1.0, "normalised")
    original = doubles.CFGGuider
    try:
        doubles.CFGGuider = Gaussian
        actual, _ = doubles.sampled(patched, x_1, sigmas)
        with pytest.raises(InputError, match="euler"):
            doubles.sampled(patched, x_1, sigmas, doubles.sample_two)
    finally:
        doubles.CFGGuider = original
    share = torch.einsum("bchw,kchw->k", actual - y.mean, y.basis) / y.std[0]
    expected = kept(flow_scheduler(sigmas), lam, matched=True, corrected=True).end
    torch.testing.assert_close(share, expected.float(), rtol=2e-3, atol=2e-3)
    assert float(share.min()) > 0.9


def test_videos_share_a_deviation_between_their_frames(flow, spread):
    sigmas = torch.tensor([1.0, 0.9, 0.0])
    video = torch.randn(1, 4, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    (patched,) = MatchedFirstStep().patch(flow, spread, "network", False, 1.0, "normalised")
    actual, _ = doubles.sampled(patched, video, torch.tensor([1.0, 0.9]))
    plain, _ = doubles.sampled(flow, video, torch.tensor([1.0, 0.9]))
    y = spread([""], video[:, :, 0])
    moved = torch.einsum("bcfhw,kchw->bkf", (actual - plain) * 0.1, y.basis)
    along = torch.einsum("bcfhw,kchw->bk", video, y.basis) / 5**0.5
    wider = torch.sqrt(0.1**2 * y.std**2 * 5 + 0.9**2) - 0.9
    torch.testing.assert_close(moved, (wider * along / 5**0.5)[:, :, None].expand(-1, -1, 5), rtol=1e-3, atol=1e-3)
    assert len(sigmas) == 3


def test_a_patch_replaces_an_earlier_one_and_leaves_the_model_as_it_was(flow, spread):
    (once,) = MatchedFirstStep().patch(flow, spread, "network", False, 1.0, "normalised")
    (twice,) = MatchedFirstStep().patch(once, spread, "network", False, 1.0, "normalised")
    assert [len(of) for of in twice.wrappers["sampler_sample"].values()] == [1]
    assert not flow.wrappers and len(once.wrappers["sampler_sample"]["singdiffusion"]) == 1


def refusals(model, flow, table, spread):
    """What is refused, by a word of the error."""
    noise, sigmas = doubles.RandomNoise(0), sigmas_of(model, 999, 0)
    empty = {"samples": torch.zeros(1, 4, 8, 8)}
    rest = {"noise": noise, "sigmas": sigmas, "cfg": 1.0, "guidance": "none", "start": "widest"}

    def start(**arguments):
        return SingularStart().start(**({"average": table, "model": model} | rest | PROMPTS | arguments))[0]

    masked = empty | {"noise_mask": torch.ones(1, 8, 8)}
    patched = MatchedFirstStep().patch(flow, spread, "network", False, 1.0, "none")[0]
    return {
        "Matched first step": lambda: start(model=flow),
        "Singular start": lambda: MatchedFirstStep().patch(model, spread, "network", False, 1.0, "none"),
        "scaling factor": lambda: start(average=spread).generate_noise(empty),
        "inpainting": lambda: start().generate_noise(masked),
        "take the node out": lambda: doubles.sampled(
            patched, empty["samples"], torch.tensor([1.0, 0.5, 0.0]), mask=torch.ones(1)
        ),
        "no step": lambda: start(sigmas=torch.zeros(0)),
        "do not fall": lambda: start(sigmas=sigmas.flip(0)),
        "of pictures": lambda: start().generate_noise({"samples": torch.zeros(1, 4, 2, 8, 8)}),
        "holds an image": lambda: SingularStartLatent().latent(
            {"samples": torch.ones(1, 4, 8, 8)}, average=table, model=model, **rest, **PROMPTS
        ),
        "unknown prompt": lambda: start(prompt="cat").generate_noise(empty),
        "changes nothing": lambda: MatchedFirstStep().patch(
            flow, AverageStatistics((4, 8, 8), rank=0), "network", False, 1.0, "none"
        ),
        "path": lambda: LoadAverageImage().load(" "),
    }


REFUSED = [
    "Matched first step",
    "Singular start",
    "scaling factor",
    "inpainting",
    "take the node out",
    "no step",
    "do not fall",
]
REFUSED += ["of pictures", "holds an image", "unknown prompt", "changes nothing", "path"]


@pytest.mark.parametrize("word", REFUSED)
def test_what_does_not_fit_is_refused_in_a_line(model, flow, table, spread, word):
    calls = refusals(model, flow, table, spread)
    assert set(calls) == set(REFUSED)
    with pytest.raises(InputError, match=word) as error:
        calls[word]()
    assert "\n" not in str(error.value)


def test_diagnose_says_the_numbers_of_the_library(model, flow, table, spread):
    sigmas = sigmas_of(model, 999, 0)
    arguments = {"sigmas": sigmas, "cfg": 1.0, "guidance": "none", **PROMPTS}
    stated = Diagnose().diagnose(model, average=table, latent_image={"samples": torch.zeros(1, 4, 8, 8)}, **arguments)
    text = stated["result"][0]
    scheduler = EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(timesteps=[999, 0])
    alpha, sigma = first_point(scheduler)
    assert f"timestep 999 the network expects {alpha:.3g} of the image and {sigma:.4g} of noise" in text
    assert "matched" in text and "Singular start" in text and stated["ui"]["text"] == [text]
    assert "connect an average image" in Diagnose().diagnose(model, **arguments)["result"][0]
    grid = torch.tensor([1.0, 0.9, 0.5, 0.0])
    lines = Diagnose().diagnose(
        flow, grid, 1.0, "none", average=spread, latent_image={"samples": torch.zeros(1, 4, 8, 8)}
    )
    lam = spread([""], torch.zeros(1, 4, 8, 8)).std[0].double() ** 2
    first = 1 / torch.sqrt(1 + (0.1 / 0.9) ** 2 * lam.max())
    assert (
        f"the first step keeps {float(first):.2f}" in lines["result"][0] and "Matched first step" in lines["result"][0]
    )


def test_a_loaded_average_image_is_the_stored_one(table, tmp_path):
    table.save_pretrained(tmp_path / "table")
    (actual,) = LoadAverageImage().load(f" {tmp_path / 'table'} ")
    assert torch.equal(actual.means, table.means)
    before = LoadAverageImage.IS_CHANGED(f"{tmp_path / 'table'}")
    os.utime(tmp_path / "table" / "config.json", (before + 5, before + 5))
    assert LoadAverageImage.IS_CHANGED(f"{tmp_path / 'table'}") == before + 5
    assert LoadAverageImage.IS_CHANGED("owner/name") == 0.0


def test_the_latents_of_a_model_are_those_that_diffusers_describes():
    for channels, scale, shift in ((4, 0.18215, 0.0), (16, 1.5305, 0.0609), (16, 0.3611, 0.1159)):
        model = doubles.ModelPatcher(doubles.CONST(), doubles.LatentFormat(channels, scale, shift))
        actual = space_of(model)
        assert actual.channels == channels
        assert math.isclose(actual.scaling_factor, scale, rel_tol=1e-9)
        assert math.isclose(actual.shift_factor, shift, rel_tol=1e-9, abs_tol=1e-12)


def test_every_node_is_as_comfyui_wants_it():
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    for kind in NODE_CLASS_MAPPINGS.values():
        assert callable(getattr(kind, kind.FUNCTION)) and isinstance(kind.RETURN_TYPES, tuple) and kind.CATEGORY
        for part in kind.INPUT_TYPES().values():
            assert all(isinstance(socket[0], str | list) for socket in part.values())

"""Diagnoses against what real pipelines do, and advice that mends what it names."""

import json
import math

import diffusers
import numpy as np
import pytest
import torch

from singdiffusion.checkpoint import Checkpoint
from singdiffusion.diagnose import diagnose
from singdiffusion.prediction import Implied
from singdiffusion.reading import read
from singdiffusion.verdict import verdict
from singtheory import Atoms, InputError
from singtheory.data import Data, digits, digits_images
from singtheory.picture import digit_pictures
from singtheory.schedule import STABLE_DIFFUSION
from tests.singdiffusion import tiny

ZERO, TRAILING = {"rescale_betas_zero_snr": True}, {"timestep_spacing": "trailing"}


def checkpoint(kind="DDIMScheduler", **settings):
    return Checkpoint("config", {"_class_name": kind, "clip_sample": False} | STABLE_DIFFUSION | settings, None)


def pictures():
    found = digit_pictures(digits_images()[::20], 16, 3)
    images = found.images(found.law.points).permute(0, 2, 3, 1)
    return Data(Atoms(images.flatten(1)), "pictures", (16, 16, 3))


@pytest.mark.parametrize(
    "kind", ["DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "LCMScheduler"]
)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("zero", [True, False])
def test_inf_is_foretold(kind, prediction, zero):
    """Against the latents after the first step of a real pipeline."""
    settings = TRAILING | {"prediction_type": prediction, "rescale_betas_zero_snr": zero}
    found = diagnose(checkpoint(kind, **settings), steps=4)
    pipe, after = tiny.stable_diffusion(checkpoint(kind, **settings).scheduler()), []

    def keep(_, step, __, given):
        after.append(given["latents"].clone())
        return given

    pipe(
        "a cat",
        num_inference_steps=4,
        height=16,
        width=16,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
        callback_on_step_end=keep,
    )
    assert found.now.first.finite == bool(torch.isfinite(after[0]).all())
    told = " ".join(finding.sentence for finding in verdict(found))
    assert ("Epsilon-prediction with zero terminal SNR" in told) == (zero and prediction == "epsilon")


def test_ddim_with_epsilon_and_zero_snr_divides_by_zero_and_the_advice_mends_it():
    lying = checkpoint(**ZERO, **TRAILING)
    found = diagnose(lying)
    assert not found.now.first.finite and found.now.first.epsilon_gain == math.inf
    [grave, *_] = verdict(found)
    pipe = tiny.stable_diffusion(lying.scheduler())
    exec("\n".join(grave.code), {"pipe": pipe, "DDIMScheduler": diffusers.DDIMScheduler})
    mended = diagnose(Checkpoint("mended", {"_class_name": "DDIMScheduler", **pipe.scheduler.config}, None))
    assert mended.now.first.finite


def test_first_step_of_stable_diffusion():
    found = diagnose(checkpoint())
    first = found.now.first
    assert (first.timestep, found.now.spacing, found.now.zero_snr) == (981, "leading", False)
    assert (first.alpha, first.sigma) == pytest.approx((0.0760, 0.9971), abs=1e-4)  # facts
    assert first.epsilon_gain == pytest.approx(first.sigma / first.alpha)
    assert found.terminal_snr == pytest.approx(0.00468, abs=1e-5) == found.implied_terminal_snr
    assert [(o.start, o.spacing, o.zero_snr) for o in found.options] == [
        ("noise", "leading", False),
        ("noise", "trailing", False),
        ("noise", "trailing", True),
    ]
    assert diagnose(checkpoint(), spacing="linspace").now.first.timestep == 999
    assert diagnose(checkpoint(), steps=10).now.first.timestep == 901


def test_sigma_schedulers_start_from_what_the_network_sees():
    """Leading Euler draws its noise for √(σ² + 1), trailing for σ: the network sees N(0, 1) or N(0, σ_t²)."""
    assert diagnose(checkpoint("EulerDiscreteScheduler"), spacing="leading").now.first.start_std == pytest.approx(1)
    trailing = diagnose(checkpoint("EulerDiscreteScheduler", **TRAILING)).now.first
    assert trailing.start_std == pytest.approx(trailing.sigma, abs=1e-6) and trailing.sigma < 0.998


def test_zero_snr_that_is_skipped_and_zero_snr_that_is_reached():
    skipped = diagnose(checkpoint(**ZERO, prediction_type="v_prediction"))
    assert skipped.terminal_snr == 0 and skipped.now.first.alpha > 0
    [finding] = [finding for finding in verdict(skipped) if "skipped" in finding.sentence]
    assert 'timestep_spacing="trailing"' in finding.code[0]
    reached = diagnose(checkpoint(**ZERO, **TRAILING, prediction_type="v_prediction"))
    assert reached.now.first.snr == 0 and [f.code for f in verdict(reached)] == [[]]
    euler = diagnose(checkpoint("EulerDiscreteScheduler", **ZERO, **TRAILING, prediction_type="v_prediction"))
    assert euler.now.first.snr == 0  # though it holds 2⁻²⁴


def test_a_class_that_does_not_read_the_field_is_told():
    found = diagnose(checkpoint("HeunDiscreteScheduler", **ZERO))
    assert (found.terminal_snr, found.implied_terminal_snr) == (0, pytest.approx(0.00468, abs=1e-5))
    assert any("does not read rescale_betas_zero_snr" in finding.sentence for finding in verdict(found))


def test_flow_matching_has_no_gap():
    found = diagnose(Checkpoint("flow", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, None))
    assert found.flow and not found.options
    [finding] = verdict(found)
    assert "no gap" in finding.sentence and not finding.code


def test_edm_has_no_betas_and_no_spacing():
    found = diagnose(Checkpoint("edm", {"_class_name": "EDMEulerScheduler"}, None))
    assert found.terminal_snr is None and found.now.spacing is None
    assert found.now.first.snr == pytest.approx(1 / 80**2, rel=1e-3)
    with pytest.raises(InputError, match="grid of its own"):
        diagnose(Checkpoint("edm", {"_class_name": "EDMEulerScheduler"}, None), spacing="leading")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps 0: the model was trained with 1000"),
        ({"steps": -1}, "take 1 to 1000"),
        ({"steps": 1001}, "take 1 to 1000"),
        ({"spacing": "trialing"}, "did you mean trailing"),
    ],
)
def test_settings_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        diagnose(checkpoint(), **options)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trained_betas": [math.nan] * 1000}, "config: alpha_bars must decrease"),
        ({"beta_end": 2.0}, "config: alpha_bars must decrease"),
        ({"beta_start": -0.1, "beta_schedule": "linear"}, "config: alpha_bars must decrease"),
        ({"prediction_type": "noise"}, "first step fails"),
    ],
)
def test_lying_configs(settings, words):
    with pytest.raises(InputError, match=words):
        diagnose(checkpoint(**settings))


def test_a_scheduler_that_is_not_known_to_start_at_noise():
    with pytest.raises(InputError, match="config: IPNDMScheduler"):
        diagnose(checkpoint("IPNDMScheduler"))


def test_brightness_of_pixels_is_pulled_and_narrowed_as_c7_says():
    """32×32 RGB would give .31 (facts: .32 by the law for the constant image alone); 16×16 is milder by d."""
    found = diagnose(checkpoint(), reading=read(pictures()))
    by_name = {option.start: option for option in reversed(found.options)}
    mean, std = found.reading.data
    brightness = (pictures().law.points.mean(dim=1) + 1) * 127.5
    assert (mean, std) == pytest.approx((float(brightness.mean()), float(brightness.std(correction=0))))
    assert by_name["noise"].std / std < 0.65 and by_name["mean"].std / std < 0.65
    assert by_name["mean"].mean == pytest.approx(mean) and 127.5 < by_name["noise"].mean < mean - 0.5
    assert by_name["matched (rank 1)"].std == pytest.approx(std, rel=0.02)
    nats = [by_name[name].nats_low for name in ("noise", "mean", "matched (rank 1)", "matched (rank 8)")]
    assert nats == sorted(nats, reverse=True)
    assert all(option.nats_low <= option.nats_high for option in found.options)
    [narrowed] = [f for f in verdict(found) if "of the spread" in f.sentence]
    assert "rank=1" in narrowed.code[0]


def test_points_are_read_along_their_first_direction():
    found = read(Data(Atoms(torch.randn(50, 3, dtype=torch.float64) * torch.tensor([1.0, 9.0, 1.0])), "points", None))
    assert (found.name, found.space) == ("first principal direction", "points")
    assert abs(float(found.direction[1])) > 0.9
    with pytest.raises(InputError, match="all points are equal"):
        read(Data(Atoms(torch.ones(4, 3, dtype=torch.float64)), "points", None))


def test_latents_read_brightness_by_their_channel_means():
    """Moments are those of the encoded images, and the reading gives their brightness back."""
    vae, data = tiny.stable_diffusion().vae, pictures()
    found = read(data, vae)
    assert (found.space, found.points, len(found.moments.mean)) == ("latents", len(data.law.points), 256)
    brightness = (data.law.points.mean(dim=1) + 1) * 127.5
    assert found.data[0] == pytest.approx(float(brightness.mean()), rel=1e-4)
    assert found.explained > 0.9
    assert found.data[1] == pytest.approx(float(brightness.std(correction=0)) * found.explained**0.5, rel=1e-3)


def test_one_black_image():
    data = Data(Atoms(torch.full((1, 64), -1.0, dtype=torch.float64)), "black", (8, 8))
    found = diagnose(checkpoint(), reading=read(data))
    assert found.now.mean == pytest.approx(0, abs=1e-9) and found.now.std == 0
    assert found.now.nats_low == pytest.approx(found.now.nats_high)
    assert [option.start for option in found.options[:2]] == ["noise", "mean"]
    assert any("brightness is 0.0" in finding.sentence for finding in verdict(found))


def test_the_networks_word_is_set_against_the_config():
    for implied, prediction, wanted in [
        (Implied("epsilon", 0.99), "v_prediction", 'prediction_type="epsilon"'),
        (Implied("v_prediction or sample", 0.1), "epsilon", 'prediction_type="v_prediction"'),
        (Implied("v_prediction or sample", 0.1), "sample", None),
        (Implied("epsilon", 0.99), "epsilon", None),
        (Implied(None, 0.7), "epsilon", None),
    ]:
        plain = diagnose(checkpoint(prediction_type=prediction))
        found = [f for f in verdict(type(plain)(**(vars(plain) | {"implied": implied}))) if "answers" in f.sentence]
        assert [f.code[0].split("config, ")[1].rstrip(")") for f in found] == ([wanted] if wanted else [])


def test_of_a_pipeline_vae_and_network_are_asked():
    pipe = tiny.stable_diffusion()
    found = diagnose(checkpoint(), vae=pipe.vae, unet=pipe.unet)
    assert found.implied is not None and set(found.vae) == {"black", "grey", "white"}
    assert any("The VAE itself gives black" in finding.sentence for finding in verdict(found))


def test_json_is_plain(tmp_path):
    found = diagnose(checkpoint(**ZERO, **TRAILING), reading=read(digits()))
    told = json.loads(json.dumps(found.to_json()))
    assert told["terminal_snr"] == {"configured": 0.0, "implied": 0.0}
    assert told["reading"]["points"] == 1797 and np.isclose(told["options"][0]["nats_low"], 0)

"""Diagnoses against what real pipelines do, and advice that mends what it names."""

import json
import math

import numpy as np
import pytest
import torch

from singdiffusion.base.checkpoint import Checkpoint
from singdiffusion.base.prediction import Implied
from singdiffusion.evaluation.data_statistics import read
from singdiffusion.evaluation.diagnosis import diagnose
from singdiffusion.evaluation.findings import verdict
from singtheory import Atoms, InputError
from singtheory.data.images import digit_pictures
from singtheory.data.sources import Data, digits, digits_images
from singtheory.schedule.schedules import STABLE_DIFFUSION
from singtheory.start.mismatch import Moments, arrival, from_matched, reading_moments
from singtheory.start.starts import sde_end
from tests.singdiffusion.support import tiny

ZERO, TRAILING = {"rescale_betas_zero_snr": True}, {"timestep_spacing": "trailing"}


def checkpoint(kind="DDIMScheduler", **settings):
    return Checkpoint("config", {"_class_name": kind, "clip_sample": False} | STABLE_DIFFUSION | settings, None)


def pictures():
    actual = digit_pictures(digits_images()[::20], 16, 3)
    images = actual.images(actual.law.points).permute(0, 2, 3, 1)
    return Data(Atoms(images.flatten(1)), "pictures", (16, 16, 3))


@pytest.mark.parametrize(
    "kind", ["DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "LCMScheduler"]
)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("zero", [True, False])
def test_inf_is_foretold(kind, prediction, zero):
    """Against the latents after the first step of a real pipeline."""
    settings = TRAILING | {"prediction_type": prediction, "rescale_betas_zero_snr": zero}
    actual = diagnose(checkpoint(kind, **settings), steps=4)
    pipe, after = tiny.stable_diffusion(checkpoint(kind, **settings).scheduler()), []

    def keep(_, step, __, arguments):
        after.append(arguments["latents"].clone())
        return arguments

    pipe(
        "a cat",
        num_inference_steps=4,
        height=16,
        width=16,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
        callback_on_step_end=keep,
    )
    assert actual.now.first.finite == bool(torch.isfinite(after[0]).all())
    findings = " ".join(finding.sentence for finding in verdict(actual))
    assert ("pairs epsilon-prediction with zero terminal SNR" in findings) == (zero and prediction == "epsilon")


def test_ddim_with_epsilon_and_zero_snr_divides_by_zero_and_the_advice_mends_it():
    lying = checkpoint(**ZERO, **TRAILING)
    actual = diagnose(lying)
    assert not actual.now.first.finite and actual.now.first.epsilon_gain == math.inf
    assert "Inf or NaN" in verdict(actual)[0].sentence


MENDABLE = [
    *(
        {
            "_class_name": kind,
            "prediction_type": prediction,
            "timestep_spacing": spacing,
            "rescale_betas_zero_snr": zero,
        }
        for kind in (
            "DDIMScheduler",
            "EulerDiscreteScheduler",
            "DPMSolverMultistepScheduler",
            "HeunDiscreteScheduler",
            "PNDMScheduler",
        )
        for prediction in ("epsilon", "v_prediction")
        for spacing in ("leading", "trailing")
        for zero in (True, False)
    ),
    {"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"},
]


@pytest.mark.parametrize("config", MENDABLE, ids=lambda config: "-".join(str(value) for value in config.values()))
def test_advice_mends_what_it_names(config):
    """Each line that is advised, run on a pipeline and diagnosed again: what it was for is gone, and nothing breaks."""
    broken = checkpoint(**config)
    for finding in verdict(diagnose(broken)):
        if not any("pipe.scheduler" in line for line in finding.code):
            continue
        pipe = tiny.stable_diffusion(broken.scheduler())
        exec("\n".join(finding.code), {"pipe": pipe})
        kind = type(pipe.scheduler).__name__
        again = diagnose(Checkpoint("mended", {**pipe.scheduler.config, "_class_name": kind}, None))
        assert again.now.first.finite
        assert finding.sentence not in [other.sentence for other in verdict(again)]
        if again.prediction == "epsilon":
            assert not again.now.zero_snr


def test_no_model_of_epsilon_is_sent_to_zero_snr():
    for config in MENDABLE:
        if config.get("prediction_type", "epsilon") == "epsilon":
            code = [line for finding in verdict(diagnose(checkpoint(**config))) for line in finding.code]
            assert not any("rescale_betas_zero_snr=True" in line for line in code)


def test_cosine_betas_are_not_taken_for_zero_snr():
    actual = diagnose(checkpoint("DDPMScheduler", beta_schedule="squaredcos_cap_v2", **TRAILING))
    assert not actual.now.zero_snr and actual.now.first.epsilon_gain > 1e4
    assert [finding.code for finding in verdict(actual)] == [[], []]
    assert "hardly a gap" in verdict(actual)[0].sentence
    lying = diagnose(checkpoint("HeunDiscreteScheduler", beta_schedule="squaredcos_cap_v2", **ZERO))
    assert not lying.now.zero_snr and lying.implied_terminal_snr > 0


def test_a_start_in_the_middle_is_told():
    actual = diagnose(checkpoint(), steps=1)
    assert actual.now.first.snr > 100
    assert "nearly done" in verdict(actual)[0].sentence and "trailing" in verdict(actual)[0].code[-1]


def test_first_step_of_stable_diffusion():
    actual = diagnose(checkpoint())
    first = actual.now.first
    assert (first.timestep, actual.now.spacing, actual.now.zero_snr) == (981, "leading", False)
    assert (first.alpha, first.sigma) == pytest.approx((0.0760, 0.9971), abs=1e-4)
    assert first.epsilon_gain == pytest.approx(first.sigma / first.alpha)
    assert actual.terminal_snr == pytest.approx(0.00468, abs=1e-5) == actual.implied_terminal_snr
    assert [(o.start, o.spacing, o.zero_snr) for o in actual.options] == [
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
    assert 'timestep_spacing="trailing"' in finding.code[-1]
    reached = diagnose(checkpoint(**ZERO, **TRAILING, prediction_type="v_prediction"))
    assert reached.now.first.snr == 0 and [f.code for f in verdict(reached)] == [[]]
    euler = diagnose(checkpoint("EulerDiscreteScheduler", **ZERO, **TRAILING, prediction_type="v_prediction"))
    assert euler.now.first.snr == 0  # though it holds 2⁻²⁴


def test_a_class_that_does_not_read_the_field_is_told():
    actual = diagnose(checkpoint("HeunDiscreteScheduler", **ZERO))
    assert (actual.terminal_snr, actual.implied_terminal_snr) == (0, pytest.approx(0.00468, abs=1e-5))
    assert any("does not read rescale_betas_zero_snr" in finding.sentence for finding in verdict(actual))


def test_edm_has_no_betas_and_no_spacing():
    actual = diagnose(Checkpoint("edm", {"_class_name": "EDMEulerScheduler"}, None))
    assert actual.terminal_snr is None and actual.now.spacing is None
    assert actual.now.first.snr == pytest.approx(1 / 80**2, rel=1e-3)
    assert actual.now.first.epsilon_gain is None
    unet = tiny.stable_diffusion().unet
    assert diagnose(Checkpoint("edm", {"_class_name": "EDMEulerScheduler"}, None), unet=unet).implied is None
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
        ({"steps_offset": "a"}, "config"),
        ({"steps_offset": None}, "config"),
        ({"beta_start": [0.1]}, "config"),
    ],
)
def test_lying_configs(settings, words):
    with pytest.raises(InputError, match=words):
        diagnose(checkpoint(**settings))


def test_a_scheduler_that_is_not_known_to_start_at_noise():
    with pytest.raises(InputError, match="config: IPNDMScheduler"):
        diagnose(checkpoint("IPNDMScheduler"))


def test_brightness_of_pixels_is_pulled_and_narrowed_as_c7_says():
    """32×32 RGB would give 0.31 (0.32 by the law for the constant image alone); 16×16 is milder by d."""
    actual = diagnose(checkpoint(), reading=read(pictures()))
    by_name = {option.start: option for option in reversed(actual.options)}
    mean, std = actual.reading.data
    brightness = (pictures().law.points.mean(dim=1) + 1) * 127.5
    assert (mean, std) == pytest.approx((float(brightness.mean()), float(brightness.std(correction=0))))
    assert by_name["noise"].std / std < 0.65 and by_name["mean"].std / std < 0.65
    assert by_name["mean"].mean == pytest.approx(mean) and 127.5 < by_name["noise"].mean < mean - 0.5
    assert by_name["matched (rank 1)"].std == pytest.approx(std, rel=0.02)
    nats = [by_name[name].nats_low for name in ("noise", "mean", "matched (rank 1)", "matched (rank 8)")]
    assert nats == sorted(nats, reverse=True)
    assert all(option.nats_low <= option.nats_high for option in actual.options)
    [narrowed] = [f for f in verdict(actual) if "of the spread" in f.sentence]
    assert not narrowed.code  # its lines stand once, with the verdict above it
    assert any("rank=1" in line for line in verdict(actual)[0].code)
    assert f"{by_name['noise'].std / std:.0%} of the spread" in narrowed.sentence
    assert f"takes noise to {by_name['noise'].mean:.1f} ± {by_name['noise'].std:.1f}" in narrowed.sentence
    [nearer] = [f for f in verdict(actual) if "nearer" in f.sentence]
    assert f"the matched (rank 1) start is {nats[0] - nats[2]:.3g} nearer" in nearer.sentence


def test_a_start_that_is_farther_is_called_so():
    """C6 can be negative: of centred data the widened noise hides some spread."""
    centred = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    reading = read(Data(Atoms(centred - centred.mean(dim=0)), "centred", None))
    actual = diagnose(checkpoint(), reading=reading)
    assert actual.now.nats_low < actual.options[1].nats_low
    findings = verdict(actual)
    assert any("the mean start is" in f.sentence and "farther" in f.sentence for f in findings)
    assert not any(f.code for f in findings)


@pytest.mark.parametrize(("kind", "stochastic"), [("DDIMScheduler", False), ("DDPMScheduler", True)])
def test_arrival_of_samplers_on_gaussian_data(kind, stochastic):
    """A real scheduler with the exact denoiser of N(μ, λ), 500 trailing steps; the flow keeps less of the spread than an ancestral sampler."""
    mean, eigenvalue, count = -12.0, 900.0, 4000
    points = torch.tensor([[mean - 30.0], [mean + 30.0]], dtype=torch.float64)  # of that mean and variance
    actual = diagnose(
        checkpoint(kind, **TRAILING, variance_type="fixed_small"), 500, reading=read(Data(Atoms(points), "two", None))
    )
    assert actual.now.first.stochastic == stochastic
    scheduler = checkpoint(kind, **TRAILING, variance_type="fixed_small").scheduler()
    scheduler.set_timesteps(500)
    torch.manual_seed(0)
    x = torch.randn(count, 1, dtype=torch.float64)
    for t in scheduler.timesteps:
        bar = float(scheduler.alphas_cumprod[t])
        x_hat = mean + bar**0.5 * eigenvalue / (bar * eigenvalue + 1 - bar) * (x - bar**0.5 * mean)
        x = scheduler.step((x - bar**0.5 * x_hat) / (1 - bar) ** 0.5, t, x).prev_sample
    sign = float(torch.sign(actual.reading.direction[0]))
    assert actual.now.mean * sign == pytest.approx(float(x.mean()), abs=0.06 * 30)
    assert actual.now.std == pytest.approx(float(x.std()), rel=0.05)


def test_arrival_of_an_ancestral_sampler_is_the_posterior_draw():
    """From the exact law of x_t its end is the data's own."""
    law = digits().law
    moments = Moments.of(law)
    reading = torch.linspace(-1, 1, 64, dtype=torch.float64)
    whole = from_matched(moments, 64, 0.3, 0.954)
    assert arrival(moments, whole, 0.3, 0.954, reading, 0.0, sde_end) == pytest.approx(
        reading_moments(moments, reading)
    )


def test_points_are_read_along_their_first_direction():
    actual = read(Data(Atoms(torch.randn(50, 3, dtype=torch.float64) * torch.tensor([1.0, 9.0, 1.0])), "points", None))
    assert (actual.name, actual.space) == ("first principal direction", "points")
    assert abs(float(actual.direction[1])) > 0.9
    for count, value in [(4, 1.0), (5, 0.1), (7, -1.0), (9, 1e3 / 3)]:
        with pytest.raises(InputError, match="all points are equal"):
            read(Data(Atoms(torch.full((count, 3), value, dtype=torch.float64)), "points", None))


def test_of_too_many_points_an_even_choice_is_read(monkeypatch):
    monkeypatch.setattr("singdiffusion.evaluation.data_statistics.LARGEST", 10)
    points = torch.arange(100, dtype=torch.float64)[:, None] + torch.randn(100, 20, dtype=torch.float64)
    actual = read(Data(Atoms(points), "points", None))
    assert actual.points == 10 and float(actual.moments.mean.mean()) == pytest.approx(49.5, abs=2)


def test_latents_read_brightness_by_their_channel_means():
    """Moments are those of the encoded images, and the reading gives their brightness back."""
    vae, data = tiny.stable_diffusion().vae, pictures()
    actual = read(data, vae)
    assert (actual.space, actual.points, len(actual.moments.mean)) == ("latents", len(data.law.points), 256)
    brightness = (data.law.points.mean(dim=1) + 1) * 127.5
    assert actual.data[0] == pytest.approx(float(brightness.mean()), rel=1e-4)
    assert 0.9 < actual.explained < 0.999
    assert actual.spread == pytest.approx(float(brightness.std(correction=0)), rel=1e-4)
    assert actual.data[1] == pytest.approx(actual.spread * actual.explained**0.5, rel=1e-3)
    findings = [finding.sentence for finding in verdict(diagnose(checkpoint(), reading=actual))]
    assert any(f"R² {actual.explained:.2f}; as it is, ± {actual.spread:.1f}" in sentence for sentence in findings)


def test_weights_are_those_of_the_fit():
    """Two kinds of pictures, one of them weighed down to nothing: the fit is that of the other."""
    vae, data = tiny.stable_diffusion().vae, pictures()
    count = len(data.law.points)
    first = torch.arange(count) < count // 3
    weighted = Atoms(data.law.points, torch.where(first, 1.0, 1e-9).double())
    alone = read(Data(Atoms(data.law.points[first]), "some", (16, 16, 3)), vae)
    actual = read(Data(weighted, "weighted", (16, 16, 3)), vae)
    torch.testing.assert_close(
        actual.direction, alone.direction, rtol=1e-2, atol=1e-2 * float(alone.direction.abs().max())
    )


def test_black_images_through_a_vae():
    data = Data(Atoms(torch.full((5, 768), -1.0, dtype=torch.float64)), "black", (16, 16, 3))
    actual = diagnose(checkpoint(), reading=read(data, tiny.stable_diffusion().vae))
    assert len(actual.reading.moments.eigenvalues) == 0 and actual.now.nats_low > 0


def test_one_black_image():
    data = Data(Atoms(torch.full((1, 64), -1.0, dtype=torch.float64)), "black", (8, 8))
    actual = diagnose(checkpoint(), reading=read(data))
    assert actual.now.mean == pytest.approx(0, abs=1e-9) and actual.now.std == 0
    assert actual.now.nats_low == pytest.approx(actual.now.nats_high)
    assert [option.start for option in actual.options[:2]] == ["noise", "mean"]
    assert any("brightness is 0.0" in finding.sentence for finding in verdict(actual))


def test_the_networks_word_is_set_against_the_config():
    for implied, prediction, wanted in [
        (Implied("epsilon", 0.99), "v_prediction", 'prediction_type="epsilon"'),
        (Implied("v_prediction or sample", 0.1), "epsilon", 'prediction_type="v_prediction"'),
        (Implied("v_prediction or sample", 0.1), "sample", None),
        (Implied("epsilon", 0.99), "epsilon", None),
        (Implied(None, 0.7), "epsilon", None),
    ]:
        plain = diagnose(checkpoint(prediction_type=prediction))
        actual = [f for f in verdict(type(plain)(**(vars(plain) | {"implied": implied}))) if "answers" in f.sentence]
        assert [f.code[-1].split("config, ")[1].rstrip(")") for f in actual] == ([wanted] if wanted else [])


def test_of_an_untrained_network_its_prediction_is_not_judged():
    plain = diagnose(checkpoint(prediction_type="epsilon"))
    actual = verdict(type(plain)(**(vars(plain) | {"implied": Implied(None, 0.02, trained=False)})))
    assert "weights may be random" in actual[0].sentence and not actual[0].code
    assert not any("prediction_type" in line for finding in actual for line in finding.code)


def test_of_a_pipeline_vae_and_network_are_asked():
    pipe = tiny.stable_diffusion()
    actual = diagnose(checkpoint(), vae=pipe.vae, unet=pipe.unet)
    assert actual.implied is not None and set(actual.vae) == {"black", "grey", "white"}
    assert any(f"The VAE gives black as {actual.vae['black']:.1f}" in finding.sentence for finding in verdict(actual))
    good = type(actual)(**(vars(actual) | {"vae": {"black": 1.9, "grey": 60.0, "white": 253.1}}))
    assert not any("VAE" in finding.sentence for finding in verdict(good))


def test_json_is_plain(tmp_path):
    actual = diagnose(checkpoint(**ZERO, **TRAILING), reading=read(digits()))
    stored = json.loads(json.dumps(actual.to_json()))
    assert stored["terminal_snr"] == {"configured": 0.0, "implied": 0.0}
    assert stored["reading"]["points"] == 1797 and np.isclose(stored["options"][0]["nats_low"], 0)

"""Every flow pipeline of diffusers for pictures and video: its first step is right, or it is refused at attach with the reason.

The default run takes a third of them, one or two of a family; `--hypothesis-profile=full` takes all.
"""

import collections
import json
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusion3ModularPipeline
from peft import LoraConfig

from singdiffusion import AverageTable, SingDiffusion
from singdiffusion.start import flow_sources
from singdiffusion.start.flow_kinds import check_kind
from singdiffusion.start.guidance import plain
from singtheory.errors import InputError
from tests.singdiffusion.pipeline import flow_contract, flow_families
from tests.support.strategies import examples

RECORD = json.loads(flow_contract.RECORD.read_text())["pipelines"]
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "mend-my-flow-model.md"
FEW = (
    "AceStepPipeline",
    "AnyFlowPipeline",
    "AuraFlowPipeline",
    "BriaPipeline",
    "ChromaPipeline",
    "CogView4Pipeline",
    "Cosmos2TextToImagePipeline",
    "Cosmos2_5_TransferPipeline",
    "Cosmos3OmniPipeline",
    "EasyAnimateControlPipeline",
    "ErnieImagePipeline",
    "Flux2KleinPipeline",
    "FluxControlNetPipeline",
    "FluxFillPipeline",
    "FluxInpaintPipeline",
    "FluxKontextPipeline",
    "HunyuanImageRefinerPipeline",
    "HunyuanVideoPipeline",
    "Ideogram4Pipeline",
    "Kandinsky5T2VPipeline",
    "Kandinsky6SRPipeline",
    "LTXConditionPipeline",
    "LTXImageToVideoPipeline",
    "LTXPipeline",
    "Lumina2Pipeline",
    "MochiPipeline",
    "MotifVideoPipeline",
    "OmniGenPipeline",
    "QwenImageImg2ImgPipeline",
    "QwenImagePipeline",
    "SanaPipeline",
    "SanaVideoPipeline",
    "SanaWMLTX2Refiner",
    "SkyReelsV2DiffusionForcingPipeline",
    "SkyReelsV2Pipeline",
    "StableDiffusion3ControlNetPipeline",
    "StableDiffusion3Img2ImgPipeline",
    "StableDiffusion3Pipeline",
    "VisualClozePipeline",
    "WanImageToVideoPipeline",
    "WanPipeline",
    "ZImagePipeline",
)
ALL = tuple(RECORD)
PIPELINES = ALL if examples(1) >= 1000 else FEW
WITH_STRENGTH = [name for name in PIPELINES if RECORD[name].get("below")]


@pytest.fixture(autouse=True)
def _diffusers_may_warn():
    """What the installed diffusers warns of in its own pipelines is not ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"diffusers|transformers|torch|PIL|tests\.singdiffusion\.flow")
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield


def sd3(**more):
    return flow_families.build("StableDiffusion3Pipeline"), more


def test_the_record_has_every_flow_pipeline_of_the_installed_diffusers():
    assert set(flow_families.flow_pipelines()) == set(RECORD)
    assert {one["verdict"] for one in RECORD.values()} == {"right", "refused"}
    assert not [
        name for name, one in RECORD.items() if one.get("below", "left alone and said") != "left alone and said"
    ]


def test_the_guide_counts_as_the_record():
    counts = collections.Counter(one["verdict"] for one in RECORD.values())
    said = f"{len(RECORD)} flow pipelines {counts['right']} are right to 1e-3 of the formula, and {counts['refused']} are refused"
    assert said in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PIPELINES)
def test_the_first_step_is_right_or_refused_at_attach(name):
    actual = flow_contract.contract(name)
    assert actual.verdict == RECORD[name]["verdict"], actual.reason
    assert actual.verdict != "refused" or actual.reason == RECORD[name]["reason"]
    assert "\n" not in actual.reason


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_below_full_strength_it_is_left_alone_and_said(name):
    assert flow_contract.below_full_strength(name, flow_contract.strength_of(name)) == "left alone and said"


def test_true_guidance_and_distilled_guidance_are_in_the_mean():
    """The formula's m is of the guided output: a scale changes it, and the step stays right."""
    for name, call in (
        ("QwenImagePipeline", {"true_cfg_scale": 7.0}),
        ("FluxPipeline", {"true_cfg_scale": 3.0, "guidance_scale": 9.0}),
        ("StableDiffusion3Pipeline", {"guidance_scale": 1.0}),
    ):
        assert flow_contract.contract(name, **call).verdict == "right"


def test_a_guider_of_the_pipeline_is_in_the_mean():
    """A pipeline with a guider of `diffusers.guiders` steps what the guider gives."""
    assert flow_contract.contract("HunyuanVideo15Pipeline", num_frames=5).verdict == "right"


def test_several_pictures_of_a_prompt():
    assert flow_contract.contract("FluxPipeline", num_images_per_prompt=3).verdict == "right"


@pytest.fixture
def conditions(monkeypatch):
    """With which condition an average image was asked for."""
    results, own = [], flow_sources.guided_average

    def listening(module, cond, *rest):
        results.append(cond)
        return own(module, cond, *rest)

    monkeypatch.setattr(flow_sources, "guided_average", listening)
    return results


def test_each_call_has_its_own_prompt_where_a_pipeline_checks_no_inputs(conditions):
    """As Z-Image, also after a call that was interrupted before its first step."""
    pipe = flow_families.build("ZImagePipeline")
    images = {name: torch.randn(3, 4, 16, 32) for name in ("grey", "a cat", "a dog")}
    module = AverageTable.from_images(images, scaling_factor=pipe.vae.config.scaling_factor, shift_factor=pipe.vae.config.shift_factor)  # fmt: skip
    with SingDiffusion(module, mean="module").attached(pipe):
        for prompt in ("a cat", "a dog"):
            flow_families.run(pipe, prompt=prompt)
        own, pipe.transformer.forward = pipe.transformer.forward, None
        with pytest.raises(TypeError):
            flow_families.run(pipe, prompt="a dog")
        pipe.transformer.forward = own
        flow_families.run(pipe, prompt="a cat")
    assert conditions == [["a cat"], ["a dog"], ["a cat"]]


@pytest.mark.parametrize("name", ["Lumina2Pipeline", "LTXPipeline", "StableDiffusion3Pipeline"])
def test_the_negative_embedding_is_no_mask(name):
    pipe = flow_families.build(name)
    sources = flow_sources.Sources(flow_sources.Asked(None, None, plain), pipe)
    pipe._guidance_scale = 4.0
    more = {"prompt_2": None, "prompt_3": None} if name.startswith("Stable") else {}
    arguments = {"prompt": "a cat", "negative_prompt": "a dog"} | more
    sources.heard(arguments, pipe.encode_prompt(**arguments))
    cond, uncond, _ = sources._condition("embeddings", 1)
    assert uncond.shape == cond.shape
    assert uncond.is_floating_point()


def test_a_scheduler_exchanged_for_one_that_starts_below_one_is_mended_in_its_first_call(caplog):
    """Wan sets its timesteps before it makes its latents, by which the exchange is seen."""
    pipe = flow_families.build("WanPipeline")
    channels = pipe.vae.config.z_dim
    basis = torch.full((1, channels, flow_families.SIDE // 8, flow_families.WIDE // 8), 1.0)
    with SingDiffusion(spread=(basis / basis.norm(), torch.tensor([50.0]))).attached(pipe):
        pipe.scheduler = DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", num_train_timesteps=20)  # fmt: skip
        for _ in range(2):
            caplog.clear()
            flow_families.run(pipe)
            assert "its start is mended" in caplog.text


def test_a_lora_that_is_loaded(monkeypatch):
    built = flow_families.build

    def with_lora(name):
        pipe = built(name)
        pipe.transformer = type(pipe.transformer).from_config(pipe.transformer.config)
        torch.manual_seed(4)
        pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
        return pipe

    monkeypatch.setattr(flow_families, "build", with_lora)
    assert flow_contract.contract("StableDiffusion3Pipeline").verdict == "right"


def modular():
    pipe = StableDiffusion3ModularPipeline()
    parts = flow_families.components(flow_families.flow_pipelines()["StableDiffusion3Pipeline"])
    pipe.update_components(
        **{name: part for name, part in parts.items() if part is not None and name in pipe.component_names}
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_a_modular_pipeline_of_pictures_is_mended():
    pipe = modular()
    shape = (4, flow_families.SIDE // 2, flow_families.WIDE // 2)
    basis, std = flow_contract.orthonormal(shape), torch.tensor(flow_contract.STD, dtype=torch.float64)
    SingDiffusion(spread=(basis.float(), std.float()), mean="network").attach(pipe)
    spy = flow_contract.Spy(pipe.scheduler)
    with torch.no_grad():
        pipe(
            prompt="a cat", height=flow_families.SIDE, width=flow_families.WIDE, num_inference_steps=2, output="latents"
        )
    first = spy.steps[0]
    assert flow_contract.is_first(first)
    want = flow_contract.formula(first, basis, std)
    assert (
        flow_contract.off(first.result, want)
        <= flow_contract.TOLERANCE
        < flow_contract.off(flow_contract.plain(first), want)
    )


class OfSound:
    """What a call takes of whose pictures nothing is known."""

    def __call__(self, prompt, **more): ...


class OfSize(OfSound):
    def __call__(self, prompt, duration, resolution=64, image_size=None): ...


class OfClasses(OfSound):
    def __call__(self, class_labels, latents=None): ...


@pytest.mark.parametrize("kind", [OfSound, OfSize, OfClasses])
def test_a_pipeline_of_others_is_not_taken_for_one_of_sound_or_of_given_videos(kind):
    check_kind(kind())


def test_a_modular_pipeline_without_its_scheduler_is_refused():
    with pytest.raises(InputError, match="no scheduler"):
        SingDiffusion(spread=(torch.ones(1, 1, 1, 1), torch.ones(1)), mean="network").attach(
            StableDiffusion3ModularPipeline()
        )

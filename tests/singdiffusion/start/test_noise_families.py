"""Every pipeline class of diffusers with a U-Net and a VAE: called with the singular step, or refused at attach with the reason."""

import collections
from pathlib import Path

import pytest

from tests.singdiffusion.pipeline.noise_families import classes, outcome, recorded

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "mend-my-checkpoint.md"
CALLED, REFUSED = 59, 110
"""Of the classes that take a scheduler of noise, in the version of diffusers that `constraints.txt` names."""
KNOWN = {kind.__name__: kind for kind in classes()}
USUAL = [
    "AnimateDiffPAGPipeline",
    "AnimateDiffSparseControlNetPipeline",
    "AnimateDiffVideoToVideoPipeline",
    "StableDiffusionGLIGENPipeline",
    "StableDiffusionInstructPix2PixPipeline",
    "StableDiffusionSAGPipeline",
    "StableDiffusionXLControlNetUnionPipeline",
    "StableDiffusionXLInstructPix2PixPipeline",
    "StableDiffusionXLPAGPipeline",
    "TextToVideoSDPipeline",
    "TextToVideoZeroPipeline",
    "VideoToVideoSDPipeline",
]
WITHOUT = {
    "AudioLDM2Pipeline": "draws sound",
    "CogVideoXPipeline": "has no U-Net",
    "DDPMPipeline": "has no VAE",
    "IFPipeline": "has no VAE",
    "PixArtAlphaPipeline": "has no U-Net",
    "StableDiffusionDiffEditPipeline": "begins with the inverted noise",
    "StableDiffusionParadigmsPipeline": "copies of its scheduler or all at once",
    "StableVideoDiffusionPipeline": "draws from no prompt",
}


def test_the_committed_record_is_of_all_classes_and_none_fails():
    record = recorded()
    assert record["counts"] == {"called": CALLED, "refused": REFUSED, "fails": 0}
    assert collections.Counter(one["verdict"] for one in record["pipelines"].values()) == {
        "called": CALLED,
        "refused": REFUSED,
    }
    assert record["pipelines"].keys() == KNOWN.keys()
    assert all("reason" in one for one in record["pipelines"].values() if one["verdict"] == "refused")


def test_the_guide_counts_as_the_record():
    said = (
        f"{CALLED + REFUSED} pipelines of diffusers have a scheduler that adds noise. Of these {CALLED} were built at a small size and called, "
        f"and start right; {REFUSED} are refused when you attach"
    )
    assert said in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", USUAL)
def test_a_class_starts_from_the_average_image_when_it_is_called(name):
    actual = outcome(KNOWN[name])
    assert actual.verdict == "called", actual.reason


@pytest.mark.parametrize("name", WITHOUT)
def test_a_class_is_refused_with_the_reason(name):
    actual = outcome(KNOWN[name])
    assert actual.verdict == "refused" and WITHOUT[name] in actual.reason


@pytest.mark.slow
def test_all_classes():
    """As committed, with their reasons."""
    expected = {name: (one["verdict"], one.get("reason", "")) for name, one in recorded()["pipelines"].items()}
    assert {actual.name: (actual.verdict, actual.reason) for actual in map(outcome, classes())} == expected

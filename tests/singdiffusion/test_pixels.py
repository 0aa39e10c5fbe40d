"""Pixel space through pipelines: nothing is changed, and a stored pipeline finds its class."""

import subprocess
import sys

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from singdiffusion.base.space import Space
from singdiffusion.pixels import PixelSpace
from tests.singdiffusion.support import tiny


def pipeline():
    pipe = tiny.stable_diffusion()
    parts = pipe.components | {"vae": PixelSpace(4)}
    actual = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    actual.set_progress_bar_config(disable=True)
    return actual


def test_it_passes_everything_through():
    space, image = PixelSpace(3), torch.randn(2, 3, 5, 7)
    assert torch.equal(space.encode(image).latent_dist.sample(), image)
    assert torch.equal(space.encode(image, return_dict=False)[0].mode(), image)
    assert torch.equal(space.decode(image).sample, image) and torch.equal(
        space.decode(image, return_dict=False)[0], image
    )
    assert sum(parameter.numel() for parameter in space.parameters()) == 0


def test_latents_of_a_pipeline_are_its_pixels():
    pipe = pipeline()
    options = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(0), "height": 8, "width": 8}
    latents = pipe("a", output_type="latent", **options).images
    pixels = pipe("a", output_type="pt", **(options | {"generator": torch.Generator().manual_seed(0)})).images
    torch.testing.assert_close(pixels, (latents / 2 + 0.5).clamp(0, 1))
    assert Space.of(pipe).channels == 4 and Space.of(pipe).scaling_factor == 1


def test_a_stored_pipeline_is_loaded_by_another_process(tmp_path):
    pipe = pipeline()
    pipe.save_pretrained(tmp_path / "stored")
    code = (
        "import sys; from singdiffusion.evaluation.sampling import load_pipeline; import torch; "
        "print(type(load_pipeline(sys.argv[1], None, 'cpu', torch.float32).vae).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "stored")], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("PixelSpace"), done.stderr
    assert "Expected types" not in done.stderr
    assert isinstance(pipe.unet, UNet2DConditionModel)

"""Every pipeline class of diffusers with a U-Net and a VAE that can be built tiny: its parts and the arguments of a call, by their names.

`python -m tests.singdiffusion.pipeline.noise_families --out FILE` says which classes are called and which refused, with the reasons, and writes that; the
committed ones are in `noise_pipelines.json` beside it.
"""

import collections
import copy
import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import torch
from diffusers import (
    ControlNetUnionModel,
    ControlNetXSAdapter,
    DDIMInverseScheduler,
    MotionAdapter,
    SparseControlNetModel,
    T2IAdapter,
    UNet2DConditionModel,
    UNet3DConditionModel,
)
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image

from singdiffusion import AverageStatistics, SingDiffusion
from singtheory import InputError
from singtheory.system import write_json
from tests.singdiffusion.support import tiny
from tests.singdiffusion.support.tiny import TEXT_WIDTH
from tests.support.out_file import asked

RECORD = Path(__file__).with_name("noise_pipelines.json")


def classes() -> list[type[DiffusionPipeline]]:
    """All public pipeline classes that can be imported here and take a scheduler of noise, in order."""
    actual = [getattr(diffusers, name) for name in sorted(dir(diffusers))]
    kinds = [kind for kind in actual if isinstance(kind, type) and issubclass(kind, DiffusionPipeline)]
    return [kind for kind in kinds if not _is_flow(kind) and kind is not DiffusionPipeline]


def _is_flow(kind: type[DiffusionPipeline]) -> bool:
    parameters = inspect.signature(kind.__init__).parameters
    named = str(parameters["scheduler"].annotation) if "scheduler" in parameters else ""
    return any(word in named for word in ("Flow", "UniPCMultistep")) or "flow" in kind.__module__


_XL: dict[str, Any] = {
    "cross_attention_dim": 2 * TEXT_WIDTH,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 24 + TEXT_WIDTH,
}


@cache
def _unet(kind: str) -> Any:
    torch.manual_seed(7)
    sizes: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (4, 8),
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "cross_attention_dim": TEXT_WIDTH,
    }
    if kind == "video":
        blocks = {
            "down_block_types": ("DownBlock3D", "CrossAttnDownBlock3D"),
            "up_block_types": ("CrossAttnUpBlock3D", "UpBlock3D"),
        }
        return UNet3DConditionModel(attention_head_dim=4, **blocks, **sizes).eval()
    blocks: dict[str, Any] = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    attending = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    more: dict[str, Any] = {
        "inpaint": {"in_channels": 9},
        "embedded": {"time_cond_proj_dim": 8},
        "adapter": attending,
        "adapter xl": attending | _XL,
        "deep": {"layers_per_block": 2},
        "deep xl": {"layers_per_block": 2} | _XL,
        "picture xl": {"in_channels": 8} | _XL,
        "gated": {"attention_type": "gated"},
        "gated image": {"attention_type": "gated-text-image"},
        "upscale": {"in_channels": 7, "num_class_embeds": 1000},
        "picture": {"in_channels": 8},
        "depth": {"in_channels": 5},
    }[kind]
    return UNet2DConditionModel(out_channels=4, attention_head_dim=2, **(blocks | sizes | more)).eval()


def _unet_of(name: str) -> Any:
    if name in ("TextToVideoSDPipeline", "VideoToVideoSDPipeline"):
        return _unet("video")
    words = {
        "GLIGENText": "gated image",
        "GLIGEN": "gated",
        "StableDiffusionUpscale": "upscale",
        "Depth2Img": "depth",
        "PIA": "inpaint",
        "LatentConsistency": "embedded",
    }
    for word, kind in words.items():
        if word in name:
            return _unet(kind)
    for word, kind in {"InstructPix2Pix": "picture", "NetXS": "deep", "Adapter": "adapter"}.items():
        if word in name:
            return _unet(f"{kind} xl" if _is_xl(name) else kind)
    return tiny._unet_xl() if _is_xl(name) else tiny._unet()


def _is_xl(name: str) -> bool:
    return "XL" in name


def _part(kind: type[DiffusionPipeline], part: str) -> Any:
    """The tiny part of that name for a class."""
    name, xl = kind.__name__, _is_xl(kind.__name__)
    unet = _unet_of(name)
    makers: dict[str, Any] = {
        "vae": lambda: _vae(name),
        "text_encoder": tiny._text_encoder,
        "text_encoder_2": lambda: tiny._text_encoder(projected=True),
        "tokenizer": tiny._tokenizer,
        "tokenizer_2": tiny._tokenizer,
        "unet": lambda: unet,
        "scheduler": lambda: _scheduler(name),
        "low_res_scheduler": lambda: diffusers.DDPMScheduler(),
        "inverse_scheduler": DDIMInverseScheduler,
        "motion_adapter": lambda: _motion(xl),
        "controlnet": lambda: _controlnet(name, unet),
        "adapter": lambda: T2IAdapter(
            in_channels=3, channels=[4, 8], num_res_blocks=1, downscale_factor=2, adapter_type="full_adapter"
        ),
        "requires_safety_checker": lambda: False,
        "add_watermarker": lambda: False,
        "pag_applied_layers": lambda: "mid",
        "requires_aesthetics_score": lambda: False,
        "force_zeros_for_empty_prompt": lambda: True,
        "is_cosxl_edit": lambda: False,
        "with_to_k": lambda: True,
        "with_augs": lambda: [],
        "max_noise_level": lambda: 350,
    }
    made = makers[part]() if part in makers else None
    return copy.deepcopy(made) if isinstance(made, torch.nn.Module) else made


def _scheduler(name: str) -> Any:
    return diffusers.LCMScheduler.from_config(tiny.ddim().config) if "LatentConsistency" in name else tiny.ddim()


@cache
def _vae(name: str) -> Any:
    if name != "StableDiffusionLDM3DPipeline":
        return tiny._vae()
    own = {key: value for key, value in tiny._vae().config.items() if not key.startswith("_")}
    return diffusers.AutoencoderKL(**(own | {"in_channels": 6, "out_channels": 6})).eval()


@cache
def _motion(xl: bool) -> MotionAdapter:
    if not xl:
        return tiny._motion_adapter()
    torch.manual_seed(6)
    return MotionAdapter(
        block_out_channels=(4, 8),
        motion_layers_per_block=1,
        motion_norm_num_groups=2,
        motion_num_attention_heads=2,
        use_motion_mid_block=False,
    ).eval()


@cache
def _controlnet(name: str, unet: Any) -> Any:
    torch.manual_seed(5)
    if "Sparse" in name:
        return SparseControlNetModel(
            block_out_channels=(4, 8),
            layers_per_block=1,
            norm_num_groups=2,
            cross_attention_dim=TEXT_WIDTH,
            num_attention_heads=2,
            attention_head_dim=2,
            conditioning_embedding_out_channels=(4, 8),
            down_block_types=("DownBlockMotion", "CrossAttnDownBlockMotion"),
            motion_num_attention_heads=2,
        ).eval()
    if "XS" in name:
        return ControlNetXSAdapter.from_unet(unet, size_ratio=1, conditioning_embedding_out_channels=(4, 8)).eval()
    if "Union" in name:
        return ControlNetUnionModel(
            block_out_channels=(4, 8),
            layers_per_block=1,
            norm_num_groups=2,
            attention_head_dim=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            transformer_layers_per_block=1,
            conditioning_embedding_out_channels=(4, 8),
            num_trans_channel=4,
            num_trans_head=2,
            num_trans_layer=1,
            num_proj_channel=4,
            **(_XL if _is_xl(name) else {}),
        ).eval()
    return diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8)).eval()


def build(kind: type[DiffusionPipeline]) -> Any:
    """A tiny pipeline of a class; parts that are no part of the package's tiny ones are None."""
    names = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = kind(**{name: _part(kind, name) for name in names})
    pipe.set_progress_bar_config(disable=True)
    return pipe


def bare(kind: type[DiffusionPipeline]) -> Any:
    """A pipeline of a class of which no tiny one is made, with a scheduler and those of its parts that the package's tiny ones have."""
    pipe = kind.__new__(kind)
    for name in inspect.signature(kind.__init__).parameters:
        if name in ("scheduler", "vae", "unet"):
            vars(pipe)[name] = _part(kind, name)
        elif name in ("vocoder", "inverse_scheduler", "transformer", "movq"):
            vars(pipe)[name] = None
    return pipe


def picture() -> Image.Image:
    """Of 16×16, of one colour."""
    return Image.new("RGB", (tiny.IMAGE, tiny.IMAGE), (200, 120, 40))


def arguments(pipe: Any, strength: float = 1.0) -> dict[str, Any]:
    """What a call of a pipeline needs, by the names that it takes."""
    takes, name = inspect.signature(pipe.__call__).parameters, type(pipe).__name__
    frames = 1 if "Zero" in name else 2
    known: dict[str, Any] = {
        "prompt": "a cat",
        "height": tiny.IMAGE,
        "width": tiny.IMAGE,
        "num_inference_steps": 1,
        "guidance_scale": 2.0,
        "image": picture(),
        "mask_image": Image.new("L", (tiny.IMAGE, tiny.IMAGE), 255),
        "control_image": picture(),
        "strength": strength,
        "num_frames": frames,
        "video_length": 2,
        "video": [picture()] * 2,
        "conditioning_frames": [picture()] * 2,
        "controlnet_frame_indices": [0],
        "control_mode": [0],
        "depth_map": torch.rand(1, tiny.IMAGE, tiny.IMAGE),
        "token_indices": [1],
        "gligen_phrases": ["cat"],
        "gligen_boxes": [[0.1, 0.1, 0.9, 0.9]],
        "gligen_images": None,
        "output_type": "latent",
        "source_prompt": "a dog",
        "noise_level": 20,
        "pag_scale": 1.0,
        "sag_scale": 0.5,
        "max_iter_to_alter": 0,
        "attn_res": (4, 4),
        "original_inference_steps": 50,
    }
    if "LDM3D" in name:
        known["output_type"] = "np"
    if name == "StableDiffusionUpscalePipeline":
        known["image"] = Image.new("RGB", (8, 8))
    if "Sparse" in name:
        known["conditioning_frames"] = [picture()]
    if name.startswith("TextToVideoZero"):
        known |= {"num_inference_steps": 4, "t0": 1, "t1": 2}
    return {key: value for key, value in known.items() if key in takes}


class Outcome(NamedTuple):
    """What became of a class: `called`, `refused` or `fails`, and why."""

    name: str
    verdict: str
    reason: str = ""


def firsts(pipe: Any, sing: SingDiffusion | None, **more: Any) -> torch.Tensor:
    """What the U-Net sees first, of latents alone."""
    seen: list[torch.Tensor] = []

    def look(module: Any, options: Any, named: Any) -> None:
        seen.append((options[0] if options else named["sample"]).detach().clone())

    handle = pipe.unet.register_forward_pre_hook(look, with_kwargs=True)
    try:
        call = arguments(pipe) | {"generator": torch.Generator().manual_seed(0)} | more
        if sing is None:
            pipe(**call)
        else:
            with sing.attached(pipe):
                pipe(**call)
    finally:
        handle.remove()
    return seen[0][:, :4]


def constant(level: float, pipe: Any = None) -> SingDiffusion:
    """The singular step to one flat average image, whatever the weight of guidance."""
    vae = getattr(pipe, "vae", None)
    factor = 0.18215 if vae is None or "scaling_factor" not in vae.config else vae.config["scaling_factor"]
    module = AverageStatistics.from_images(torch.full((2, *tiny.LATENTS), level), rank=0, scaling_factor=factor)
    return SingDiffusion(module, guidance="none")


def outcome(kind: type[DiffusionPipeline]) -> Outcome:
    """Attach to a tiny pipeline of a class and call it."""
    name = kind.__name__
    try:
        pipe, built = build(kind), True
    except Exception:  # a class that needs parts of other kinds
        pipe, built = bare(kind), False
    one, other = constant(-3.0, pipe), constant(1.0, pipe)
    try:
        one.attach(pipe)
    except InputError as error:
        return Outcome(name, "refused", str(error))
    one.detach(pipe)
    if not built:
        return Outcome(name, "fails", "is accepted, and cannot be built tiny")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch and transformers, about how old pipelines call them
            apart = firsts(pipe, one) - firsts(pipe, other)
    except Exception as error:
        return Outcome(name, "fails", f"{type(error).__name__}: {error}"[:300])
    expected = -4.0 * float(alpha(pipe))
    if not torch.allclose(apart, torch.full_like(apart, expected), atol=2e-4):
        return Outcome(name, "fails", f"starts {float(apart.mean()):.4g} apart, not {expected:.4g}")
    return Outcome(name, "called")


def alpha(pipe: Any) -> float:
    """Of the first timestep that its scheduler has."""
    return float(pipe.scheduler.alphas_cumprod[int(pipe.scheduler.timesteps[0])]) ** 0.5


def outcomes() -> Iterator[Outcome]:
    """Of all classes."""
    for kind in classes():
        yield outcome(kind)


def recorded() -> dict[str, Any]:
    """The committed outcomes: their counts, and by class the verdict and its reason."""
    return json.loads(RECORD.read_text(encoding="utf-8"))


def main() -> int:
    """Run all classes, print their outcomes and the counts, and write both; 1 if one fails."""
    file = asked(__doc__, RECORD)
    counts: collections.Counter[str] = collections.Counter(called=0, refused=0, fails=0)
    pipelines = {}
    for actual in outcomes():
        counts[actual.verdict] += 1
        pipelines[actual.name] = {"verdict": actual.verdict} | ({"reason": actual.reason} if actual.reason else {})
        print(f"{actual.verdict:9} {actual.name}: {actual.reason}", flush=True)
    print(dict(counts))
    write_json(file, {"counts": counts, "pipelines": pipelines})
    return int(counts["fails"] > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Every flow pipeline of diffusers for pictures and video, built tiny: what its components are and how it is called.

A pipeline's components follow from the annotations of its `__init__`: each class there has a tiny model in `flow_models` or
`flow_texts`. `CASES` holds only what a pipeline has beyond that: channels that its condition adds, a scheduler of its own, a call
that needs more than a prompt. One that is refused for what it is, whatever its parts, is made without them.
"""

import contextlib
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import diffusers
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from PIL import Image

from tests.singdiffusion.pipeline import flow_lacking, flow_models, flow_texts

SIDE, WIDE = 32, 64
"""Height and width of pictures: not the same, so that a transposed one is seen."""

FRAMES = 9
"""Frames of a video."""

FLOW_SCHEDULERS = re.compile(
    r"FlowM\w+Scheduler|Helios\w*Scheduler|LTXEulerAncestralRFScheduler|UniPCMultistepScheduler"
)
"""Schedulers by which a pipeline's `__init__` shows that its model matches flows."""

_ALSO_FLOW = (
    "SanaPipeline",
    "SanaControlNetPipeline",
    "SanaVideoPipeline",
    "MotifVideoPipeline",
    "MotifVideoImage2VideoPipeline",
)
"""Flow pipelines whose `__init__` names another scheduler, with `use_flow_sigmas` in the published configs, or any."""


@dataclass(frozen=True)
class Case:
    """What a pipeline has of its own.

    Args:
        parts: by argument of `__init__`: a class name, changes to the model that its annotation names, or the component itself.
        call: arguments of the call; `...` leaves one out that would be given.
        scheduler: makes it; None for Euler with a shift of 3.
        attributes: to set on the pipeline, where a size is fixed there.
        patches: what its module has in the place of a size of its own, so that pictures stay small.
        lacking: by their paths, what the installed diffusers lacks in its own code or here, without which it does not run.
        config: entries of the transformer's config that the pipeline reads, and that the class does not make.
    """

    parts: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    scheduler: Callable[[], Any] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    patches: dict[str, Any] = field(default_factory=dict)
    lacking: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


def euler(**options: Any) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler of most flow pipelines."""
    return FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **options})


def unipc() -> UniPCMultistepScheduler:
    """As the published configs of Wan, SkyReels and Cosmos have it."""
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


def picture(mode: str = "RGB", side: int = SIDE, wide: int = WIDE) -> Image.Image:
    """A picture of noise; a mask is white."""
    if mode == "L":
        return Image.new("L", (wide, side), 255)
    values = torch.randint(0, 256, (side, wide, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    return Image.fromarray(values.numpy(), mode)


def video(mode: str = "RGB", frames: int = FRAMES) -> list[Image.Image]:
    """As many equal pictures."""
    return [picture(mode)] * frames


class AllowsAll:
    """In the place of Cosmos's guard, which is a package of its own."""

    def to(self, *args: Any, **kwargs: Any) -> "AllowsAll":
        """Itself."""
        return self

    def check_text_safety(self, prompt: str) -> bool:
        """Any prompt."""
        return True

    def check_video_safety(self, frames: Any) -> Any:
        """Any video, as it is."""
        return frames


def states(width: int, tokens: int = 8) -> torch.Tensor:
    """Token states in the place of a prompt, shape (1, tokens, width)."""
    return torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(7))


def stacked_states(layers: int) -> torch.Tensor:
    """The same of several layers of an encoder, shape (1, layers, tokens, width)."""
    return torch.stack([states(flow_texts.WIDTH, 6) / (1 + k) for k in range(layers)], dim=1)


def _embeds(size: int = flow_texts.T5_WIDTH, **more: Any) -> dict[str, Any]:
    """A call by token states: for prompts that pass through a package which is not installed, or a model that is not made."""
    one = states(size)
    return {"prompt": ..., "negative_prompt": ..., "prompt_embeds": one, "negative_prompt_embeds": -one, **more}


_GUIDED = {"guidance_embeds": True}
_CONTROL_FLUX = {"transformer": {"in_channels": 32, "out_channels": 16}}
_MASKS = {
    "prompt_embeds_mask": torch.ones(1, 8, dtype=torch.long),
    "negative_prompt_embeds_mask": torch.ones(1, 8, dtype=torch.long),
}
_NO_TEXT = {"text_encoder": None, "tokenizer": None, "processor": None}
_SMALL = {"calculate_dimensions": lambda area, ratio: (WIDE, SIDE)}
_SMALL_3 = {"calculate_dimensions": lambda area, ratio: (WIDE, SIDE, None)}
_COSMOS = {"safety_checker": AllowsAll()}
_NO_IMAGE = {"image": ..., "mask_image": ...}
_KLEIN = {"transformer": {"joint_attention_dim": 3 * flow_texts.WIDTH, "guidance_embeds": False}}
_KLEIN_CALL = {"text_encoder_out_layers": (0, 1, 2)}
_SMALL_KL = {"latent_channels": 4, "scaling_factor": 0.3611, "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4, "block_out_channels": (4, 4, 4, 4)}  # fmt: skip
_PARTS = ("audio_token_detokenizer", "audio_tokenizer", "audio_vae", "condition_encoder", "connectors", "duration_embedder", "latent_upscaler", "temporal_latent_upsampler", "text_encoder", "tokenizer", "transformer", "vae", "vocoder")  # fmt: skip
_NO_PARTS = dict.fromkeys(_PARTS)
_PAG = {"pag_applied_layers": ["blocks.0"]}
_SANA_CALL = {"use_resolution_binning": False, "complex_human_instruction": []}
_CLOZE = Case(
    {"transformer": {"in_channels": 48, "out_channels": 16}, "resolution": SIDE},
    {"task_prompt": "from [IMAGE1] to [IMAGE2]", "content_prompt": "a cat", "image": [[picture(), picture()], [picture(), None]]},
)  # fmt: skip
_LTX2_CALL = {
    "num_frames": 5, "frame_rate": 25.0, "guidance_scale": 1.0, "stg_scale": 0.0, "modality_scale": 1.0, "guidance_rescale": 0.0,
    "audio_guidance_scale": 1.0, "audio_stg_scale": 0.0, "audio_modality_scale": 1.0, "audio_guidance_rescale": 0.0,
    "spatio_temporal_guidance_blocks": None, "use_cross_timestep": False,
}  # fmt: skip
_SKY_FORCING = _embeds(num_frames=FRAMES, base_num_frames=FRAMES, overlap_history=None)

CASES: dict[str, Case] = {
    "AnyFlowPipeline": Case(scheduler=lambda: diffusers.FlowMapEulerDiscreteScheduler(shift=5.0)),
    "AnyFlowFARPipeline": Case(
        {"transformer": {"chunk_partition": (1, 1, 1)}}, scheduler=lambda: diffusers.FlowMapEulerDiscreteScheduler(shift=5.0)
    ),
    "BriaFibo2Pipeline": Case({"text_encoder": None, "processor": None}, {"prompt": ..., "negative_prompt": ..., "prompt_embeds": stacked_states(3), "negative_prompt_embeds": -stacked_states(3), "image": ...}),
    "BriaFiboPipeline": Case(call={"prompt": flow_texts.as_json()}),
    "BriaFiboEditPipeline": Case(call={"prompt": '{"short_description": "a cat", "edit_instruction": "blue"}', "_auto_resize": False}),
    "ChronoEditPipeline": Case({"image_encoder": "CLIPVisionModelWithProjection"}, _embeds(num_frames=5)),
    "CogView4ControlPipeline": Case({"transformer": {"in_channels": 8, "out_channels": 4}}),
    "Cosmos2TextToImagePipeline": Case({**_COSMOS, "transformer": {"concat_padding_mask": False}}, scheduler=lambda: euler(use_karras_sigmas=True, shift=1.0)),
    "Cosmos2VideoToWorldPipeline": Case({**_COSMOS, "transformer": {"in_channels": 17, "concat_padding_mask": False}}, scheduler=lambda: euler(use_karras_sigmas=True, shift=1.0)),
    "Cosmos2_5_PredictBasePipeline": Case({**_COSMOS, "transformer": {"in_channels": 17, "text_embed_dim": 32, "concat_padding_mask": False}}, {**_NO_IMAGE}, unipc),
    "Cosmos3OmniPipeline": Case({"safety_checker": None, "enable_safety_checker": False}, {"num_frames": 1, "image": ..., "guidance_scale": 1.0, "use_system_prompt": False, "add_resolution_template": False, "add_duration_template": False}, unipc),
    "EasyAnimateInpaintPipeline": Case({"transformer": {"in_channels": 9}}, {"video": torch.rand(1, 3, FRAMES, SIDE, WIDE), "mask_video": torch.ones(1, 1, FRAMES, SIDE, WIDE) * 255}),
    "DreamLitePipeline": Case(call={"image": ...}),
    "DreamLiteMobilePipeline": Case(call={"image": ...}),
    "ErnieImagePipeline": Case({"text_encoder": "Qwen3Model", "pe": None, "pe_tokenizer": None}, {"use_pe": False}),
    "Flux2Pipeline": Case({"text_encoder": None, "tokenizer": None}, {**_embeds(flow_texts.WIDTH), "negative_prompt_embeds": ..., "image": ...}),
    "Flux2KleinPipeline": Case(_KLEIN, {**_KLEIN_CALL, "image": ...}),
    "Flux2KleinKVPipeline": Case(_KLEIN, {**_KLEIN_CALL, "image": ...}),
    "Flux2KleinInpaintPipeline": Case(_KLEIN, _KLEIN_CALL),
    "FluxControlPipeline": Case(_CONTROL_FLUX),
    "FluxControlImg2ImgPipeline": Case(_CONTROL_FLUX),
    "FluxControlInpaintPipeline": Case(_CONTROL_FLUX),
    "FluxFillPipeline": Case({"transformer": {"in_channels": 48, "out_channels": 16}}),
    "FluxKontextPipeline": Case(call={"max_area": SIDE * WIDE, "_auto_resize": False}),
    "FluxKontextInpaintPipeline": Case(call={"max_area": SIDE * WIDE, "_auto_resize": False}),
    "GlmImagePipeline": Case({"processor": None, "vae": {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}, "vision_language_encoder": None}, {**_embeds(), "image": ..., "prior_token_ids": torch.zeros(1, 128, dtype=torch.long)}),
    "HeliosPipeline": Case(scheduler=lambda: diffusers.HeliosScheduler(stages=1, stage_range=[0, 1], gamma=0.33), call={**_embeds(), "image": ...}),
    "HeliosPyramidPipeline": Case(scheduler=lambda: diffusers.HeliosScheduler(), call={**_embeds(), "image": ..., "height": 64, "width": 128, "pyramid_num_inference_steps_list": [2, 2, 2]}),
    "HiDreamImagePipeline": Case(attributes={"default_sample_size": 16}),
    "Kandinsky5I2IPipeline": Case({"transformer": {"in_visual_dim": 4, "visual_cond": True}, "vae": _SMALL_KL}, attributes={"resolutions": [(WIDE, SIDE)]}),
    "Kandinsky5T2IPipeline": Case(attributes={"resolutions": [(WIDE, SIDE)]}),
    "Kandinsky6TI2VAPipeline": Case(call={"sample_audio": False, "image": ...}),
    "HunyuanSkyreelsImageToVideoPipeline": Case({"transformer": {"in_channels": 8}}),
    "HunyuanVideoImageToVideoPipeline": Case(
        {"text_encoder": None, "tokenizer": None, "text_encoder_2": None, "tokenizer_2": None, "image_processor": None, "transformer": {"in_channels": 9, "image_condition_type": "latent_concat", "guidance_embeds": False}},
        _embeds(flow_texts.WIDTH, pooled_prompt_embeds=states(flow_texts.WIDTH)[:, 0], prompt_attention_mask=torch.ones(1, 8)),
    ),
    "HunyuanVideo15Pipeline": Case(),
    "HunyuanVideo15ImageToVideoPipeline": Case(),
    "Krea2Pipeline": Case({"text_encoder_select_layers": (0, 1)}),
    "LTX2Pipeline": Case(call=_LTX2_CALL),
    "LTX2ImageToVideoPipeline": Case(call={**_LTX2_CALL, "image_crf": 0}),
    "LTX2ConditionPipeline": Case(call=_LTX2_CALL),
    "LTX2InContextPipeline": Case(call=_LTX2_CALL),
    "LTX2HDRPipeline": Case(call={key: value for key, value in _LTX2_CALL.items() if not key.startswith("audio")}),
    "LTX2DFRPipeline": Case({"transformer": {"use_keyframes_abs_pos_embedding": True}}, call={"num_frames": 9, "frame_rate": 25.0, "use_cross_timestep": False}),
    "LTXI2VLongMultiPromptPipeline": Case(scheduler=diffusers.LTXEulerAncestralRFScheduler),
    "LTXConditionPipeline": Case(call={"image": ..., "strength": ...}),
    "LongCatImageEditPipeline": Case({"vae": {"latent_channels": 16}, "transformer": {"in_channels": 64}, "text_processor": flow_texts.seeing_processor()}, patches=_SMALL),
    "LongCatImagePipeline": Case({"vae": {"latent_channels": 16}, "transformer": {"in_channels": 64}}, {"enable_prompt_rewrite": False}),
    "LucyEditPipeline": Case({"transformer": {"of": "WanTransformer3DModel", "in_channels": 32}}, _embeds(video=video())),
    "MochiPipeline": Case(scheduler=lambda: euler(invert_sigmas=True, shift=1.0)),
    "MotifVideoPipeline": Case(),
    "MotifVideoImage2VideoPipeline": Case({"transformer": {"image_embed_dim": 4}}),
    "NucleusMoEImagePipeline": Case(call={"return_index": -1}),
    "PRXPixelPipeline": Case({"transformer": {"in_channels": 3, "bottleneck_size": 8, "resolution_embeds": True}}, _embeds(flow_texts.WIDTH, use_resolution_binning=False)),
    "PRXPipeline": Case(call=_embeds(flow_texts.WIDTH, use_resolution_binning=False)),
    "QwenImageControlNetInpaintPipeline": Case({"controlnet": {"extra_condition_channels": 4}}, {"control_image": torch.rand(1, 3, SIDE, WIDE), "control_mask": torch.ones(1, 1, SIDE, WIDE)}),
    "QwenImageEditPipeline": Case(_NO_TEXT, _embeds(flow_texts.WIDTH, **_MASKS), patches=_SMALL_3),
    "QwenImageEditPlusPipeline": Case(_NO_TEXT, _embeds(flow_texts.WIDTH, **_MASKS), patches=_SMALL),
    "QwenImageEditInpaintPipeline": Case(_NO_TEXT, _embeds(flow_texts.WIDTH, **_MASKS), patches=_SMALL_3),
    "QwenImageLayeredPipeline": Case(call={"layers": 2, "output_type": "pt"}, patches=_SMALL),
    "QwenImage21Pipeline": Case(call={"image": ...}),
    "SanaPipeline": Case(call=_SANA_CALL),
    "SanaPAGPipeline": Case({**_PAG, "pag_applied_layers": ["transformer_blocks.0"]}, _SANA_CALL),
    "SanaControlNetPipeline": Case(call=_SANA_CALL),
    "SanaVideoPipeline": Case({"vae": "AutoencoderKLWan"}, {**_SANA_CALL, "frames": FRAMES}),
    "SanaImageToVideoPipeline": Case({"vae": "AutoencoderKLWan"}, {**_SANA_CALL, "frames": FRAMES}),
    "SkyReelsV2Pipeline": Case(call=_embeds(), scheduler=unipc),
    "SkyReelsV2ImageToVideoPipeline": Case({"transformer": {"in_channels": 36, "image_dim": 4}}, _embeds(), unipc),
    "SkyReelsV2DiffusionForcingPipeline": Case(call={**_SKY_FORCING, "prompt": None}, scheduler=unipc),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": Case(call=_SKY_FORCING, scheduler=unipc),
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": Case(call=_embeds(video=video(), num_frames=17, base_num_frames=FRAMES, overlap_history=5), scheduler=unipc),
    "StableDiffusion3InpaintPipeline": Case({"vae": {"latent_channels": 16}, "transformer": {"in_channels": 16, "out_channels": 16}}),
    "StableDiffusion3ControlNetInpaintingPipeline": Case({"controlnet": {"extra_conditioning_channels": 1}, "image_encoder": None}, {"control_image": torch.rand(1, 3, SIDE, WIDE), "control_mask": torch.ones(1, 1, SIDE, WIDE)}),
    "StableDiffusion3PAGPipeline": Case(_PAG),
    "StableDiffusion3PAGImg2ImgPipeline": Case(_PAG),
    "VisualClozePipeline": Case(_CLOZE.parts, {**_CLOZE.call, "upsampling_height": SIDE, "upsampling_width": WIDE}),
    "VisualClozeGenerationPipeline": _CLOZE,
    "WanPipeline": Case({"transformer": "WanTransformer3DModel"}, _embeds()),
    "WanImageToVideoPipeline": Case({"transformer": {"of": "WanTransformer3DModel", "in_channels": 36, "image_dim": 4}, "image_encoder": "CLIPVisionModelWithProjection", "image_processor": "CLIPImageProcessor"}, _embeds()),
    "WanVACEPipeline": Case({"transformer": "WanVACETransformer3DModel"}, _embeds()),
    "WanVideoToVideoPipeline": Case(call=_embeds(video=video())),
    "WanAnimatePipeline": Case(call=_embeds(height=16, width=16, pose_video=[picture(side=16, wide=16)] * 17, face_video=[picture(side=16, wide=16)] * 17, guidance_scale=1.0)),
    "ZImageControlNetInpaintPipeline": Case({"controlnet": {"control_in_dim": 9}}),
    "ChromaInpaintPipeline": Case(config={"guidance_embeds": False}),
    "Cosmos2_5_TransferPipeline": Case({**_COSMOS, "transformer": {"in_channels": 17, "text_embed_dim": 32, "concat_padding_mask": False, "controlnet_block_every_n": 1}}, {"controls": video(), "num_frames_per_chunk": FRAMES}, unipc, lacking=flow_lacking.CONTROL_OF_COSMOS),
    "EasyAnimateControlPipeline": Case({"transformer": {"in_channels": 12}}, {"control_video": torch.rand(1, 3, FRAMES, SIDE, WIDE)}, lacking=flow_lacking.CONTROL_OF_EASY_ANIMATE),
    "HunyuanImageRefinerPipeline": Case({"transformer": {"in_channels": 16, "out_channels": 8, "patch_size": (1, 1, 1), "rope_axes_dim": (2, 2, 4), "text_embed_2_dim": None, "guidance_embeds": True}}),
    "Ideogram4Pipeline": Case({"text_encoder": flow_texts.deep_encoder()}, {"guidance_scale": 3.0, "guidance_schedule": None}),
    "OmniGenPipeline": Case({"vae": _SMALL_KL, "transformer": {"pos_embed_max_size": 8}}, scheduler=lambda: euler(invert_sigmas=True, shift=1.0, num_train_timesteps=1), lacking=flow_lacking.PROCESSOR_OF_OMNIGEN),
    **dict.fromkeys(("AceStepPipeline", "StableAudio3Pipeline", "StableAudio3AudioToAudioPipeline", "StableAudio3InpaintPipeline", "Kandinsky6SRPipeline", "LTX2DFRTemporalRefinePipeline", "SanaWMLTX2Refiner", "SanaWMPipeline"), Case(parts=_NO_PARTS)),
    "LongCatAudioDiTPipeline": Case({**_NO_PARTS, "vae": "AutoencoderTiny", "transformer": "SD3Transformer2DModel"}),
    "ZImageOmniPipeline": Case({"siglip": None, "siglip_processor": None}, {"image": ...}),
}  # fmt: skip


@functools.cache
def flow_pipelines() -> dict[str, type[DiffusionPipeline]]:
    """All pipelines of the installed diffusers whose model matches flows, by name: found by reading their `__init__`."""
    results: dict[str, Any] = {}
    for module in pkgutil.walk_packages(diffusers.pipelines.__path__, "diffusers.pipelines."):
        if ".deprecated" in module.name or not re.search(r"pipeline_|refiner", module.name):
            continue
        for name, kind in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(kind) and kind.__module__ == module.name and "__call__" in vars(kind):
                takes = inspect.signature(kind.__init__).parameters
                scheduler = str(takes["scheduler"].annotation) if "scheduler" in takes else ""
                if FLOW_SCHEDULERS.search(scheduler) or name in _ALSO_FLOW:
                    results[name] = kind
    return dict(sorted(results.items()))


def _names(annotation: Any) -> list[str]:
    return re.findall(r"\w+", annotation if isinstance(annotation, str) else re.sub(r"[\w.]*\.", "", str(annotation)))


def _component(annotation: Any, changes: dict[str, Any]) -> Any:
    """The tiny component of the first class in an annotation that has one."""
    for name in _names(annotation):
        if name in flow_models.CONFIGS:
            return flow_models.model(name, **changes)
        if flow_texts.has_encoder(name):
            return flow_texts.encoder(name)
        if name == "CLIPTokenizer":
            return flow_texts.clip_tokenizer()
        if "Tokenizer" in name:
            return flow_texts.tokenizer()
        if "ImageProcessor" in name or name == "CLIPProcessor":
            return flow_texts.picture_processor(name)
        if "Processor" in name:
            return flow_texts.TextProcessor()
        if name in ("ClassifierFreeGuidance", "BaseGuidance"):
            return diffusers.ClassifierFreeGuidance(guidance_scale=3.0)
    raise LookupError(f"no tiny component for {annotation}")


def _part(takes: inspect.Parameter, options: Any) -> Any:
    if isinstance(options, str):
        return _component(options, {})
    if isinstance(options, dict):
        return _component(options.pop("of", takes.annotation) if "of" in options else takes.annotation, options)
    return options


def components(kind: type[DiffusionPipeline]) -> dict[str, Any]:
    """The tiny components of a pipeline."""
    case = CASES.get(kind.__name__, Case())
    made: dict[str, Any] = {}
    for name, takes in inspect.signature(kind.__init__).parameters.items():
        if name == "self":
            continue
        if name == "scheduler":
            made[name] = (case.scheduler or euler)()
        elif name in case.parts:
            options = case.parts[name]
            made[name] = _part(takes, dict(options) if isinstance(options, dict) else options)
        elif takes.default is None or "None" in _names(takes.annotation) or "Optional" in str(takes.annotation):
            made[name] = None
        elif takes.default is inspect.Parameter.empty or "Processor" in str(takes.annotation):
            made[name] = _component(takes.annotation, {})
    return made


@contextlib.contextmanager
def _made_up(name: str) -> Iterator[None]:
    """While a pipeline is made or called: what is lacking there."""
    with contextlib.ExitStack() as stack:
        for path, value in CASES.get(name, Case()).lacking.items():
            stack.enter_context(mock.patch(path, value, create=True))
        yield


def build(name: str) -> Any:
    """A tiny pipeline of that class."""
    kind, case = flow_pipelines()[name], CASES.get(name, Case())
    with _made_up(name):
        pipe = kind(**components(kind))
    pipe.set_progress_bar_config(disable=True)
    for attribute, value in case.attributes.items():
        setattr(pipe, attribute, value)
    if case.config:
        pipe.transformer.register_to_config(**case.config)
    return pipe


def run(pipe: Any, **more: Any) -> Any:
    """The result of one call: two steps, one picture, the latents as result, full strength, unless `more` says otherwise."""
    torch.manual_seed(0)  # some draw noise of conditions from the global generator
    patches = CASES.get(type(pipe).__name__, Case()).patches
    patched = mock.patch.multiple(type(pipe).__module__, **patches) if patches else contextlib.nullcontext()
    with patched, _made_up(type(pipe).__name__):
        return pipe(**arguments(pipe, **more))


def arguments(pipe: Any, **more: Any) -> dict[str, Any]:
    """Arguments of one call of a pipeline: two steps, one picture, the latents as result, full strength."""
    takes = inspect.signature(type(pipe).__call__).parameters
    usual = {
        "prompt": "a small cat",
        "negative_prompt": "grey",
        "height": SIDE,
        "width": WIDE,
        "num_frames": FRAMES,
        "num_inference_steps": 2,
        "max_sequence_length": 64,
        "strength": 1.0,
        "output_type": "latent",
        "generator": torch.Generator().manual_seed(5),
        "image": picture(),
        "mask_image": picture("L"),
        "control_image": picture(),
    }
    options = {key: value for key, value in usual.items() if key in takes}
    case = CASES.get(type(pipe).__name__, Case())
    return {key: value for key, value in {**options, **case.call, **more}.items() if value is not ...}

"""What the installed diffusers lacks for single pipelines, in its own code or because torchvision is not installed, made up by its path.

It stands in while such a pipeline is made and called, and nothing of the mended step is in it.
"""

from types import SimpleNamespace
from typing import Any

import torch
from diffusers.pipelines.easyanimate.pipeline_easyanimate_control import EasyAnimateControlPipeline
from diffusers.pipelines.omnigen.processor_omnigen import OmniGenCollator, OmniGenMultiModalProcessor

_PIPELINES = "diffusers.pipelines"


def _encode_prompt(self: EasyAnimateControlPipeline, text_encoder_index: int = 0, **more: Any) -> Any:
    """EasyAnimate's own, which its control pipeline calls with an argument of an older version."""
    return _ENCODE_PROMPT(self, **more)


_ENCODE_PROMPT = EasyAnimateControlPipeline.encode_prompt


class TextOnly(OmniGenMultiModalProcessor):
    """OmniGen's own processor without the transforms of torchvision, which only pictures in a prompt pass through."""

    def __init__(self, text_tokenizer: Any, max_image_size: int = 1024) -> None:
        self.text_tokenizer, self.max_image_size = text_tokenizer, max_image_size
        self.collator = OmniGenCollator()


def _resize(image: torch.Tensor, size: list[int], interpolation: str) -> torch.Tensor:
    """As torchvision's of tensors."""
    return torch.nn.functional.interpolate(image, size=size, mode=interpolation)


CONTROL_OF_EASY_ANIMATE = {
    f"{_PIPELINES}.easyanimate.pipeline_easyanimate_control.EasyAnimateControlPipeline.encode_prompt": _encode_prompt
}
PROCESSOR_OF_OMNIGEN = {f"{_PIPELINES}.omnigen.pipeline_omnigen.OmniGenMultiModalProcessor": TextOnly}
CONTROL_OF_COSMOS = {
    "diffusers.models.controlnets.controlnet_cosmos.transforms": SimpleNamespace(
        functional=SimpleNamespace(resize=_resize), InterpolationMode=SimpleNamespace(NEAREST="nearest")
    )
}

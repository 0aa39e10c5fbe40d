"""The matched first step as a block of Modular Diffusers: it stands in the place of the block of a flow's loop that steps the latents."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from diffusers.modular_pipelines.modular_pipeline import ModularPipelineBlocks
from torch import Tensor

from singdiffusion.start.flow import first_step
from singdiffusion.start.flow_layout import Layout
from singdiffusion.start.flow_sources import Spread, laid_out, spread_laid_out
from singdiffusion.start.guidance import frame_for
from singtheory.errors import InputError

STEPPING = "after_denoiser"
"""The name that flows of diffusers give to the block of their loop that steps."""


class MatchedFirstStep(ModularPipelineBlocks):
    """Steps the latents as the block that it replaces, but for the first step from σ = 1, which is `first_step` (F2).

    Args:
        stepping: the block that it replaces.
        average: the spread `(basis, std)`, or what gives an average image with a spread whatever the prompt, such as `AverageStatistics`.
        mean: `network`, for its own average image, or `module`.

    Raises:
        InputError: for an average image that depends on the prompt, of which a block that steps knows nothing, and for an unknown mean.
    """

    def __init__(self, stepping: Any, average: Any, mean: str = "network") -> None:
        super().__init__()
        is_spread = isinstance(average, tuple | list)
        if mean not in ("network", "module") or (is_spread and mean == "module"):
            raise InputError(f"mean {mean}: need network, or module with an average image")
        if not is_spread and getattr(average, "conditional", True):
            raise InputError("average: depends on the prompt, of which this block knows nothing; use statistics")
        self.stepping, self._average, self._mean = stepping, average, mean
        self.model_name = stepping.model_name

    @property
    def description(self) -> str:
        """What the block does, in words."""
        return f"{self.stepping.description} The first step keeps the spread of the pictures."

    @property
    def expected_components(self) -> Any:
        """The components of the block that it replaces."""
        return self.stepping.expected_components

    @property
    def inputs(self) -> Any:
        """The inputs of the block that it replaces."""
        return self.stepping.inputs

    @property
    def intermediate_outputs(self) -> Any:
        """The outputs of the block that it replaces."""
        return self.stepping.intermediate_outputs

    @torch.no_grad()
    def __call__(self, components: Any, block_state: Any, i: int, t: Tensor) -> tuple[Any, Any]:
        """A step of the loop. Raises `InputError` as `first_step`, and for a spread of another size."""
        if i > 0 or (getattr(components.scheduler, "begin_index", None) or 0) > 0:  # or from a noised image
            return self.stepping(components, block_state, i=i, t=t)
        x_1, output = (getattr(block_state, name) for name in ("latents", "noise_pred"))
        mean, spread = self._of(x_1)
        block_state.latents = first_step(x_1, output, components.scheduler, mean=mean, spread=spread, timestep=t).to(
            x_1
        )
        return components, block_state

    def _of(self, x_1: Tensor) -> tuple[Tensor | None, Spread | None]:
        layout = Layout(tuple(x_1.shape[1:]), tuple(x_1.shape[1:]), None)
        if isinstance(self._average, tuple | list):
            return None, spread_laid_out(layout, self._average)
        layout.of_pictures(self._average.space.channels)
        frame = frame_for(self._average, x_1)
        at_prompt = self._average([""] * len(frame), frame)
        mean = laid_out(layout, at_prompt.mean) if self._mean == "module" else None
        return mean, None if at_prompt.spread is None else spread_laid_out(layout, at_prompt.spread)


def with_matched_first_step(blocks: Any, average: Any, mean: str = "network") -> Any:
    """A copy of the blocks of a flow, every one that steps in their loops exchanged for `MatchedFirstStep`.

    Args:
        blocks: of a modular pipeline, before `init_pipeline`.
        average: as `MatchedFirstStep`.
        mean: the same.

    Raises:
        InputError: as `MatchedFirstStep`, and for blocks of which none is named `after_denoiser`.
    """
    made = copy.deepcopy(blocks)  # diffusers shares blocks between those that are made of them
    if not _exchange(made, average, mean):
        raise InputError(
            f"{type(blocks).__name__}: none of its blocks is named {STEPPING}; put MatchedFirstStep in yourself"
        )
    return made


def _exchange(blocks: Any, average: Any, mean: str) -> int:
    """How many were exchanged."""
    parts: Mapping[str, Any] = getattr(blocks, "sub_blocks", None) or {}
    count = sum(_exchange(part, average, mean) for name, part in parts.items() if name != STEPPING)
    if STEPPING in parts and not isinstance(parts[STEPPING], MatchedFirstStep):
        blocks.sub_blocks[STEPPING] = MatchedFirstStep(parts[STEPPING], average, mean)
        count += 1
    return count

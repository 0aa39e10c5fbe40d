"""The pipelines of flows to which the singular step can be attached, by what their calls take and by their source."""

import inspect
import re
from typing import Any

from singtheory.errors import InputError

_OTHERWISE = {
    "JoyImageEditPipeline": "steps the pictures that it edits beside the one that it makes",
    "JoyImageEditPlusPipeline": "steps patches of several pictures, of which a spread of one picture knows nothing",
    "LTX2DFRTemporalRefinePipeline": "refines the frames of an earlier pass in windows, and does not start from noise",
    "LTXI2VLongMultiPromptPipeline": "samples a video in windows, and packs each by itself",
    "SanaWMPipeline": "steps the frame of a picture that it is given among the others",
}
"""Pipelines whose latents are stepped in an order that their `prepare_latents` does not show, or are not noise alone."""
_SIZES = {"height", "width"}
_SEEN = re.compile("height|width|image|video")
"""In the arguments of a call that draws pictures or videos."""
_HEARD = re.compile("audio|duration")
"""In the arguments of a call that draws sound, where none of the others is."""
_STARTS = re.compile("image|video|latent")
"""In the arguments that a call cannot do without where it starts from them."""


def check_kind(pipe: Any) -> None:
    """Raise `InputError` for a pipeline whose first latents are not noise of pictures that goes through `pipe.scheduler.step`, with the reason."""
    reason = _reason(type(pipe))
    if reason is not None:
        raise InputError(f"{type(pipe).__name__}: {reason}; call first_step yourself")


def _reason(kind: type[Any]) -> str | None:
    """Why the step cannot be attached to a kind of pipeline; None where it can."""
    if kind.__name__ in _OTHERWISE:
        return _OTHERWISE[kind.__name__]
    call = inspect.signature(kind.__call__).parameters
    source = _source(kind)
    if source and "self.scheduler.step(" not in source:
        return "steps its latents by copies of its scheduler or in pipelines of its own"
    if any(one.kind is one.VAR_KEYWORD for one in call.values()):  # what it takes is not known
        return None
    needed = [name for name, one in call.items() if one.default is one.empty]
    if not hasattr(kind, "prepare_latents") and not _SIZES & {*call} and any(map(_STARTS.search, needed)):
        return "starts from the video or latents that it is given, and not from noise"
    if any(map(_HEARD.search, call)) and not any(map(_SEEN.search, call)):
        return "draws sound, of which there are no average images"
    return None


def _source(kind: type[Any]) -> str:
    """The source of the classes of a pipeline of diffusers; empty where it is not to be had."""
    try:
        return "".join(
            inspect.getsource(part) for part in kind.__mro__ if part.__module__.startswith("diffusers.pipelines.")
        )
    except OSError:
        return ""

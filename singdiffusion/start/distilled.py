"""Models that were distilled for a few steps: they have learned their steps, first step and all."""

import re
from collections.abc import Iterator
from typing import Any

from singtheory.errors import InputError

_NAMES = re.compile(
    r"(?:(?<![a-z])|(?=[A-Z]))(?i:schnell|turbo|lightning|lcm|hyper(?:sd|flux)?|distill(?:ed|ation)?|dmd|flash|klein|pi-?flow|flow.?map|sprint"
    r"|tcd|pcm|few.?steps?)(?![a-z]{3})"
)
"""Words in the names of such models: begun after another letter by a capital, as in `SDXLTurbo`; two letters may follow, as in `TurboV2`."""
LEARNED = re.compile(r"LCM|FlowMap|Piflow|SCM|DMD|TCD")
"""In the names of schedulers of such models."""


def refuse_distilled(pipe: Any) -> None:
    """Raise `InputError` for a pipeline of a model that seems to be distilled."""
    reason = next(_reasons(pipe), None)
    if reason is not None:
        raise InputError(
            f"{type(pipe).__name__}: {reason}; a model distilled for a few steps has learned them, and a mended first step is not what it "
            "learned; give force=True to attach all the same"
        )


def _reasons(pipe: Any) -> Iterator[str]:
    """What tells that a model is distilled."""
    kind = type(pipe.scheduler).__name__
    if LEARNED.search(kind):
        yield f"steps with {kind}"
    network = getattr(pipe, "transformer", None)
    network = getattr(network, "_orig_mod", network)  # of a compiled one
    for part in (pipe, network):
        name = str(getattr(getattr(part, "config", None), "_name_or_path", "") or "")
        match = _NAMES.search(name)  # in all of a path: a hub's cache ends with a hash
        if match:
            yield f"is named {match.group()!r}"
    if (
        network is not None
        and type(network).__name__ == "FluxTransformer2DModel"
        and not network.config.get("guidance_embeds")
    ):
        yield "is a Flux without an embedding of guidance, as schnell"
    for adapter in getattr(network, "peft_config", None) or ():
        if _NAMES.search(str(adapter)):
            yield f"has the adapter {adapter!r}"

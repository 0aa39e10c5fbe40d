"""Models that were distilled for a few steps: they have learned their steps, first step and all."""

import re
from collections.abc import Iterator, Mapping
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


def stored_reason(scheduler: str, name: str, network: Mapping[str, Any]) -> str | None:
    """What tells of a stored model that it is distilled; None for nothing.

    Args:
        scheduler: name of its class.
        name: path or hub id.
        network: configuration of its transformer, empty for none.
    """
    if LEARNED.search(scheduler):
        return f"steps with {scheduler}"
    match = _NAMES.search(name)
    if match:
        return f"is named {match.group()!r}"
    return _of_network(str(network.get("_class_name")), network)


def _of_network(kind: str, config: Mapping[str, Any]) -> str | None:
    """A Flux that is not told a weight of guidance has learned one, with its steps."""
    without = kind == "FluxTransformer2DModel" and not config.get("guidance_embeds")
    return "is a Flux without an embedding of guidance, as schnell" if without else None


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
    reason = None if network is None else _of_network(type(network).__name__, network.config)
    if reason is not None:
        yield reason
    for adapter in getattr(network, "peft_config", None) or ():
        if _NAMES.search(str(adapter)):
            yield f"has the adapter {adapter!r}"

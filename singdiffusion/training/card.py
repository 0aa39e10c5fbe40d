"""The model card beside trained weights: what they are, from which data, and what was measured."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml

from singdiffusion.system import printable
from singdiffusion.training.cache import Cache
from singdiffusion.training.settings import TrainSettings

_WORDS = {
    "distance": "distance to the closed-form means, in units of their norm",
    "dependence": "dependence on the noise, in units of the norm (C9)",
    "gain": "gain of the mean, in nats (C6)",
    "spread": "standard deviation along the first direction, mean over the captions",
}
_CARD = """---
library_name: singdiffusion
license: {license}
tags: [singdiffusion, average-image, {model}]
---

# An average image for the singular step

`{kind}`, trained by `singdiffusion train`. At t = 1 the denoiser is the mean of the data for the condition; started from it, a sampler
has the right brightness ([arXiv 2403.08381](https://arxiv.org/abs/2403.08381)).

```python
from singdiffusion import SingDiffusion

SingDiffusion.from_pretrained(FOLDER_OR_ID).attach(pipe)
```

| | |
| --- | --- |
| data | {examples} images of {resolution}×{resolution}, {captions} captions, from {source} |
| latents | {channels} channels of {height}×{width}, scaling factor {scaling_factor:g} |
| condition | {condition} |
| steps | {steps} |
{measured}

Average image of the most frequent captions: `picture.png`. Settings:

```json
{settings}
```
"""


def card(settings: TrainSettings, cache: Cache, kind: str, steps: str, measured: Mapping[str, Any]) -> str:
    """The text of `README.md`.

    Args:
        settings: of the run.
        cache: of its examples.
        kind: class of the module.
        steps: that were taken, in words.
        measured: figures by name; None is left out.
    """
    shown = {name: value for name, value in measured.items() if value is not None}
    rows = "\n".join(f"| {_WORDS.get(name, name)} | {value:.4g} |" for name, value in shown.items())
    return _CARD.format(
        license=_scalar(settings.license),
        model=settings.model,
        kind=kind,
        examples=len(cache),
        captions=len(cache.captions) - 1,
        source=_code(cache.source),
        condition=settings.condition,
        steps=steps,
        measured=rows,
        settings=json.dumps(asdict(settings), indent=1, ensure_ascii=False),
        **{
            name: getattr(cache.encoding, name)
            for name in ("resolution", "channels", "height", "width", "scaling_factor")
        },
    )


def _scalar(text: str) -> str:
    """A word as one value of YAML: as it is if that is read back as this word, or else in quotes, in which nothing ends the line."""
    try:
        plain = re.fullmatch(r"[\w.+-]+", text) is not None and yaml.safe_load(text) == text
    except (yaml.YAMLError, ValueError):
        plain = False
    return text if plain else json.dumps(text)


def _code(text: str) -> str:
    """Words as code within a cell of a table, which no backtick, bar or end of line ends."""
    shown = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"

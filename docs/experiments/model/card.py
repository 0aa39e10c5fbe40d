"""Model cards of the ladder's models."""

from typing import Any

from docs.experiments.data.captioned import Captioned
from docs.experiments.model.denoiser import Denoiser, weights

_CARD = """---
library_name: diffusers
license: {license}
tags: [singdiffusion, text-to-image, pixel-space]
---

# {title}

{what} A `UNet2DConditionModel` of {unet:,} weights and a `CLIPTextModel` of {text:,} with a vocabulary of its own, {words} words, trained
together from scratch; {prediction}-prediction with Stable Diffusion's betas, on pixels: `singdiffusion.pixels.PixelSpace` stands in the
place of the VAE and passes everything through. Its scheduler lands on t = 0 (`set_alpha_to_one`), so that no noise is left in the pixels.

```python
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
import singdiffusion.pixels

pipe = StableDiffusionPipeline.from_pretrained(FOLDER, dtype=torch.float32)
```

| | |
| --- | --- |
| data | {examples:,} pictures of {side}×{side}, {captions:,} captions |
| {rows} |
| source | {source} |

It exists to show the average-brightness issue and its cures on a model small enough to train in minutes, and is of no other use.
"""

_FLOW = """---
library_name: diffusers
license: cc-by-sa-4.0
tags: [singdiffusion, text-to-image, pixel-space, flow-matching]
---

# OpenMoji flow demonstrator

The twin of the OpenMoji demonstrator as a flow: the same `UNet2DConditionModel` of {unet:,} weights, `CLIPTextModel` of {text:,} and pictures, trained together from scratch to give
`n − x_0` for `(1 − t) x_0 + t n` with t uniform, on pixels: `singdiffusion.pixels.PixelSpace` stands in the place of the VAE. Its scheduler is UniPC with flow sigmas, shift 3.

```python
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
import singdiffusion.pixels

pipe = StableDiffusionPipeline.from_pretrained(FOLDER, dtype=torch.float32)
```

| | |
| --- | --- |
| data | small pictures of OpenMoji on black, white, grey, coloured and unnamed backgrounds, 32×32 |
| steps | {steps} |
| batch | {batch} |
| seconds | {seconds:.0f}, on one {device} |
| source | {source} |

It exists to show what few steps of a flow lose and what the matched first step gives back, and is of no other use.
"""

_OPENMOJI = "OpenMoji 17 (https://openmoji.org), the open-source emoji project, CC BY-SA 4.0, drawn on backgrounds by docs/experiments/data/openmoji.py"
_FASHION = "Fashion-MNIST (https://github.com/zalandoresearch/fashion-mnist), MIT"


def demonstrator(data: Captioned, model: Denoiser, stage: str, about: dict[str, Any]) -> str:
    """The card of the text-to-image model at a stage of its training."""
    what = "Small pictures of OpenMoji on black, white, grey, coloured and unnamed backgrounds."
    return _filled("OpenMoji demonstrator", what, "cc-by-sa-4.0", _OPENMOJI, data, model, about | {"stage": stage})


def flow(about: dict[str, Any], device: str) -> str:
    """The card of the flow, from the record of its training."""
    return _FLOW.format(
        unet=about["weights of the U-Net"],
        text=about["weights of the text encoder"],
        steps=about["steps"],
        batch=about["batch"],
        seconds=about["seconds"],
        device=device,
        source=_OPENMOJI,
    )


def fashion(data: Captioned, model: Denoiser, about: dict[str, Any]) -> str:
    """The card of Fashion-MNIST's model."""
    return _filled("Fashion-MNIST by class name", "Class names as captions.", "mit", _FASHION, data, model, about)


def _filled(
    title: str, what: str, license: str, source: str, data: Captioned, model: Denoiser, about: dict[str, Any]
) -> str:
    shown = {name: about[name] for name in ("stage", "steps", "batch", "seconds") if name in about}
    rows = " |\n| ".join(
        f"{name} | {value if isinstance(value, str) else f'{value:.4g}'}" for name, value in shown.items()
    )
    return _CARD.format(
        title=title,
        what=what,
        license=license,
        source=source,
        unet=weights(model.unet),
        text=weights(model.text),
        words=len(model.encoder.parts[1]) - 4,
        prediction={"epsilon": "ε", "v_prediction": "v", "sample": "x"}[model.prediction],
        examples=len(data),
        side=data.size[2],
        captions=len(data.captions),
        rows=rows or "steps | unknown",
    )

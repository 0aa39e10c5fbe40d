"""The sockets that several nodes share."""

from typing import Any

from singdiffusion.start import GUIDANCE

CATEGORY = "singdiffusion"
AVERAGE = "SING_AVERAGE"
"""The type of an average image between nodes."""
_TEXT = ("STRING", {"default": "", "multiline": True, "tooltip": "For average images that read the prompt itself."})
_STATES = ("CONDITIONING", {"tooltip": "For average images that read token states. Leave CLIP Set Last Layer out."})
PROMPT_INPUTS: dict[str, Any] = {"positive": _STATES, "negative": _STATES, "prompt": _TEXT, "negative_prompt": _TEXT}
"""Optional inputs of a node, for the prompt."""
WEIGHT: dict[str, Any] = {
    "cfg": ("FLOAT", {"default": 7.5, "min": 1.0, "max": 100.0, "step": 0.1, "tooltip": "The cfg of the sampler."}),
    "guidance": (list(GUIDANCE), {"default": "normalised", "tooltip": "How guidance acts on the average image."}),
}
"""The weight and rule of guidance."""
GUIDED: dict[str, Any] = WEIGHT | {
    "start": (["widest", "matched", "mean"], {"tooltip": "widest: matched where the average image has a spread."})
}
"""The inputs of nodes that start from an average image."""

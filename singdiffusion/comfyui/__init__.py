"""Nodes for ComfyUI: the singular start and the matched first step for its own models and samplers.

`singdiffusion comfyui install FOLDER` makes ComfyUI load them. The mathematics is that of `singdiffusion.start`; the nodes only say what ComfyUI calls what.
"""

from singdiffusion.comfyui.diagnose import Diagnose
from singdiffusion.comfyui.first_step import MatchedFirstStep
from singdiffusion.comfyui.load import LoadAverageImage
from singdiffusion.comfyui.node_folder import install
from singdiffusion.comfyui.singular_start import SingularStart, SingularStartLatent

NODE_CLASS_MAPPINGS = {
    "SingDiffusionLoadAverage": LoadAverageImage,
    "SingDiffusionSingularStart": SingularStart,
    "SingDiffusionSingularStartLatent": SingularStartLatent,
    "SingDiffusionMatchedFirstStep": MatchedFirstStep,
    "SingDiffusionDiagnose": Diagnose,
}
"""The nodes by the names under which workflows keep them."""

NODE_DISPLAY_NAME_MAPPINGS = {
    "SingDiffusionLoadAverage": "Load average image",
    "SingDiffusionSingularStart": "Singular start (noise)",
    "SingDiffusionSingularStartLatent": "Singular start (latent)",
    "SingDiffusionMatchedFirstStep": "Matched first step",
    "SingDiffusionDiagnose": "Diagnose the start",
}
"""The names that people see."""

__all__ = [
    "NODE_CLASS_MAPPINGS",
    "NODE_DISPLAY_NAME_MAPPINGS",
    "Diagnose",
    "LoadAverageImage",
    "MatchedFirstStep",
    "SingularStart",
    "SingularStartLatent",
    "install",
]

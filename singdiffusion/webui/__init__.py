"""The singular start in Stable Diffusion web UI (A1111) and Forge: an extension of one script, and the process that it asks."""

from singdiffusion.webui.extension import install
from singdiffusion.webui.start import started

__all__ = ["install", "started"]

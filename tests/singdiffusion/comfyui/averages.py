"""The average images that the real run of ComfyUI compares."""

from pathlib import Path

import torch
from torch import Tensor

from singdiffusion.average import AverageDecoder, AverageStatistics, AverageTable

PROMPT = "solid black background"
SD_SCALE, SD3_SCALE, SD3_SHIFT = 0.18215, 1.5305, 0.0609


def averages(folder: Path) -> None:
    """The average images that are compared: a table, a network that reads token states, and statistics of a flow's latents."""
    generator = torch.Generator().manual_seed(11)

    def latents(count: int, channels: int, level: float) -> Tensor:
        plain = level + torch.randn(count, channels, 1, 1, generator=generator)
        return (plain + 0.3 * torch.randn(count, channels, 8, 8, generator=generator)).float()

    table = AverageTable.from_images(
        {PROMPT: latents(40, 4, -1.0), "": latents(40, 4, 0.0)}, rank=2, scaling_factor=SD_SCALE
    )
    table.save_pretrained(folder / "table")
    torch.manual_seed(3)
    decoder = AverageDecoder((4, 8, 8), {"kind": "text", "width": 768}, width=32, layers=1, scaling_factor=SD_SCALE)
    decoder.save_pretrained(folder / "decoder")
    statistics = AverageStatistics.from_images(
        latents(200, 16, 0.4), rank=8, scaling_factor=SD3_SCALE, shift_factor=SD3_SHIFT
    )
    statistics.save_pretrained(folder / "spread")

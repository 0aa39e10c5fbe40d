"""What an encoder makes of pixels."""

import numpy as np
import torch

from singdiffusion.training.encoder import Encoder


def test_pixels_are_rounded_once(tmp_path):
    """In half precision too each is the nearest to x/127.5 − 1."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for dtype in (torch.float16, torch.bfloat16):
        exact = torch.arange(256).reshape(1, 1, 16, 16) / 127.5 - 1
        assert torch.equal(Encoder(16, 1, dtype=dtype).images([levels]), exact.to(dtype))

"""The waves of pictures, beside scipy's transform."""

import pytest
import torch
from scipy.fft import dct

from singtheory.numerics import cosine_waves


@pytest.mark.parametrize(("count", "side"), [(1, 1), (1, 5), (3, 8), (8, 8), (33, 64)])
def test_waves_are_the_rows_of_the_dct(count, side):
    expected = torch.from_numpy(dct(torch.eye(side, dtype=torch.float64).numpy(), norm="ortho", axis=0))[:count]
    torch.testing.assert_close(cosine_waves(count, side), expected, rtol=0, atol=1e-14)

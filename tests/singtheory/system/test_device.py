"""Devices by name."""

import pytest
import torch

from singtheory.errors import InputError
from singtheory.numerics import draw
from singtheory.system.device import check_device


def test_a_device_that_is_not_there_is_refused():
    check_device("cpu")
    with pytest.raises(InputError, match="did you mean cpu"):
        check_device("cpus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="leave --device out"):
            check_device("cuda")


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_numbers_are_drawn_where_the_generator_is(name):
    """So that a run draws the same numbers on every device: here for one that holds no numbers at all."""
    generator, reference = (torch.Generator().manual_seed(0) for _ in range(2))
    if name == "normal":
        found = draw.normal((3, 2), torch.device("meta"), generator)
        torch.randn(3, 2, dtype=torch.float64, generator=reference)
    else:
        found = draw.uniform(6, torch.device("meta"), generator)
        torch.rand(6, dtype=torch.float64, generator=reference)
    assert found.device.type == "meta"
    assert torch.equal(generator.get_state(), reference.get_state())

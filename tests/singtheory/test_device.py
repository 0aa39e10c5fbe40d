"""Devices by name."""

import pytest
import torch

from singtheory.device import check_device
from singtheory.errors import InputError


def test_a_device_that_is_not_there_is_refused():
    check_device("cpu")
    with pytest.raises(InputError, match="did you mean cpu"):
        check_device("cpus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="leave --device out"):
            check_device("cuda")

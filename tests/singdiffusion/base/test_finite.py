"""Whether tensors are finite, in one read."""

import math

import pytest
import torch

from singdiffusion.base import Finite
from singtheory import InputError

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 777, 999])
def test_the_first_that_is_not_finite_is_named(dtype, bad, place):
    values = torch.linspace(-1, 1, 1000, dtype=dtype)
    poisoned = values.clone()
    poisoned[place] = bad
    asked = Finite(
        {"good": values, "this": poisoned.view(10, 10, 10).transpose(0, 2), "later": poisoned}, "make it anew"
    )
    with pytest.raises(InputError, match=r"^this: holds NaN or infinity; make it anew$"):
        asked.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_number_of_a_type_is_finite(dtype):
    largest = torch.tensor([torch.finfo(dtype).max, -torch.finfo(dtype).max], dtype=dtype)
    Finite({"largest": largest, "others": torch.ones(3)}, "").check()


def test_what_is_empty_or_whole_numbers_is_finite():
    Finite(
        {"empty": torch.zeros(0, 3), "whole": torch.arange(3), "gradient": torch.ones(2, requires_grad=True)}, ""
    ).check()


def test_on_a_cpu_the_answer_is_there_at_once():
    assert Finite({"values": torch.ones(3)}, "").answered

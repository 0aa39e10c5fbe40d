"""What a quantile is asked of: numbers on a line, and shares of one. Torch would take other shapes, and answer."""

import pytest
import torch

from singtheory import InputError, start


def numbers(*shape: int) -> torch.Tensor:
    return torch.full(shape, 0.3, dtype=torch.float64)


def quantile(x, values=(0.0, 2.0), weights=(0.5, 0.5)):
    return start.quantile_end(x, torch.tensor(values), torch.tensor(weights), 1.0, 0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quantile(numbers(1, 1)), r"start of shape \(1, 1\)"),
        (lambda: quantile(numbers(1, 2)), r"start of shape \(1, 2\)"),
        (lambda: quantile(numbers()), r"start of shape \(\)"),
        (lambda: quantile(numbers(1), weights=(1.0,)), "one of each an atom"),
        (lambda: quantile(numbers(1), values=((0.0, 2.0),)), "one of each an atom"),
        (lambda: quantile(numbers(1), values=(), weights=()), "one of each an atom"),
        (lambda: quantile(numbers(1), weights=(5.0, 1.0)), "divide them by their sum"),
        (lambda: quantile(numbers(1), weights=(0.5, 0.50001)), "have the sum one"),
        (lambda: quantile(numbers(1), weights=(1.5, -0.5)), "must not be negative"),
        (lambda: quantile(numbers(1), weights=(float("nan"), 1.0)), "must not be negative"),
        (lambda: start.quantile_spread(0.0, 1.0, numbers(2, 2), 1.0, 0.1), r"values of shape \(2, 2\)"),
        (lambda: start.quantile_spread(0.0, 1.0, numbers(0), 1.0, 0.1), r"values of shape \(0,\)"),
    ],
)
def test_quantiles_are_of_numbers_on_a_line(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_weights_rounded_to_single_precision_are_shares():
    weights = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert len(start.quantile_end(numbers(1), torch.linspace(-1, 1, 1000), weights / weights.sum(), 1.0, 0.1)) == 1

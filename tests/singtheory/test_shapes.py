"""Arguments of another shape are refused: torch would take one number for every coordinate, or for every atom, and answer."""

import pytest
import torch

from singtheory import Atoms, Cosine, Gaussian, InputError, ReverseKernel, limit, start

PLANE = Atoms([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
NORMAL = Gaussian([0.0, 1.0], [[1.0, 0.0], [0.0, 2.0]])
ALPHA, SIGMA = torch.tensor(0.9), torch.tensor(0.4)


def numbers(*shape: int) -> torch.Tensor:
    return torch.full(shape, 0.3, dtype=torch.float64)


def quantile(x, values=(0.0, 2.0), weights=(0.5, 0.5)):
    return start.quantile_end(x, torch.tensor(values), torch.tensor(weights), 1.0, 0.1)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: limit.nearest_atom(PLANE, x, ALPHA),
        lambda x: limit.rivals(PLANE, x, ALPHA),
        lambda x: limit.nearest_atom_weight(PLANE, x, ALPHA, SIGMA),
        lambda x: limit.denoiser(PLANE, Cosine(), x, 0.0),
        lambda x: limit.denoiser(PLANE, Cosine(), x, 0.5),
        lambda x: limit.denoiser_series(PLANE, x, ALPHA, SIGMA),
        lambda x: limit.denoiser_series_error(PLANE, x, ALPHA, SIGMA),
        lambda x: limit.terminal_drift(PLANE, Cosine(), x),
        lambda x: limit.data_score(NORMAL, x),
        lambda x: NORMAL.log_prob(x),
        lambda x: ReverseKernel(PLANE, Cosine(), 0.9, 0.8).at(x),
    ],
)
def test_rows_of_another_width(call, width):
    with pytest.raises(InputError, match=rf"of shape \(1, {width}\): the data has dimension 2, need \(batch, 2\)"):
        call(numbers(1, width))


def test_a_single_row_needs_no_batch():
    row = numbers(2)
    assert limit.nearest_atom(PLANE, row, ALPHA).tolist() == limit.nearest_atom(PLANE, row[None], ALPHA).tolist()
    assert limit.denoiser(PLANE, Cosine(), row, 0.0).shape == (1, 2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2), (2, 4, 2), (1, 4, 3)])
def test_places_of_another_shape_have_no_density(shape):
    step = ReverseKernel(PLANE, Cosine(), 0.9, 0.8).at(numbers(1, 2))
    assert step.log_prob(numbers(1, 4, 2)).shape == (1, 4)
    with pytest.raises(InputError, match=r"x_s of shape .*: need \(1, n, 2\)"):
        step.log_prob(numbers(*shape))


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

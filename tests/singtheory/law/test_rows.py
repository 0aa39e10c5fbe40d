"""Arguments of another width are refused: torch would take one number for every coordinate, and answer."""

import pytest
import torch

from singtheory import Atoms, Cosine, Gaussian, InputError, ReverseKernel, limit

PLANE = Atoms([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
NORMAL = Gaussian([0.0, 1.0], [[1.0, 0.0], [0.0, 2.0]])
ALPHA, SIGMA = torch.tensor(0.9), torch.tensor(0.4)


def numbers(*shape: int) -> torch.Tensor:
    return torch.full(shape, 0.3, dtype=torch.float64)


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

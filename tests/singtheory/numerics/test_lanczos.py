"""Krylov spaces: their bases are orthonormal whatever the spread of the eigenvalues, and functions of small matrices are exact."""

import pytest
import torch

from singtheory import InputError
from singtheory.numerics import krylov

F64 = torch.float64


def _symmetric(eigenvalues: torch.Tensor, seed: int = 0) -> torch.Tensor:
    size = len(eigenvalues)
    turn = torch.linalg.qr(torch.randn(size, size, dtype=F64, generator=torch.Generator().manual_seed(seed)))[0]
    return (turn * eigenvalues) @ turn.mT


@pytest.mark.parametrize("powers", [1, 6, 12, 15])
def test_the_basis_stays_orthonormal(powers):
    """Where one eigenvalue is far above the others a single subtraction leaves a part along the vectors before, which grows from step to step."""
    matrix = _symmetric(torch.logspace(-powers, 0, 30, dtype=F64))
    start = torch.randn(2, 30, dtype=F64, generator=torch.Generator().manual_seed(1))
    basis = krylov(lambda v: v @ matrix, start, 12).basis
    inner = basis @ basis.mT
    held = inner.diagonal(dim1=1, dim2=2) > 0.5  # the space may end before
    expected = torch.diag_embed(held.to(F64))
    assert float((inner - expected).abs().max()) <= 1e-13


def test_a_function_of_a_small_matrix_is_exact():
    values = torch.tensor([4.0, 1.0, 0.25], dtype=F64)
    matrix, start = _symmetric(values), torch.tensor([[1.0, -2.0, 0.5]], dtype=F64)
    root = krylov(lambda v: v @ matrix, start, 3).apply(lambda theta: theta.clamp(min=0).sqrt())
    torch.testing.assert_close(root, start @ _symmetric(values.sqrt()), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("steps", [0, 4])
def test_as_many_steps_as_dimensions_at_most(steps):
    with pytest.raises(InputError, match="need 1 to the dimension, 3"):
        krylov(lambda v: v, torch.ones(1, 3, dtype=F64), steps)

"""Functions of a symmetric matrix times a vector, from a few products with it: Lanczos's method, a batch at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory.errors import InputError

Product = Callable[[Tensor], Tensor]
"""Maps vectors (batch, d) to a matrix of each times its vector, the same shape."""

_DEPENDENT = 64
"""Units of rounding below which what a product adds to the space is nothing but rounding."""


@dataclass(frozen=True)
class Krylov:
    """The space of `n, Cn, C²n, …` of each vector of a batch, with what the symmetric part of C does in it.

    Attributes:
        basis: orthonormal rows `v_j`, the first along n; zero where the space has ended; shape (batch, k, d).
        ritz: eigenvalues θ of `½(H + Hᵀ)`, `H = V C Vᵀ`, shape (batch, k).
        vectors: its eigenvectors as columns, shape (batch, k, k).
        norm: `‖n‖`, shape (batch,).
    """

    basis: Tensor
    ritz: Tensor
    vectors: Tensor
    norm: Tensor

    def apply(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """`‖n‖ Vᵀ f(T) e_1`, which tends to `f(C) n`; shape (batch, d).

        Args:
            function: f of Ritz values (batch, k), finite wherever they lie.
        """
        coefficients = self.norm[:, None] * (self.vectors * function(self.ritz)[:, None] * self.vectors[:, :1]).sum(-1)
        return (coefficients[:, None] @ self.basis)[:, 0]


def krylov(product: Product, start: Tensor, steps: int) -> Krylov:
    """Lanczos's method with every vector made orthogonal to all before it, twice.

    A matrix that is not quite symmetric, as the Jacobian of a network, is replaced by the symmetric part of its projection.

    Args:
        product: of the matrices, called `steps` times with unit vectors (zero where the space has ended).
        start: n, shape (batch, d).
        steps: k, at least 1.

    Raises:
        InputError: for no step, more of them than d, or a product that is not finite.
    """
    if not 1 <= steps <= start.shape[1]:
        raise InputError(f"Lanczos steps {steps}: need 1 to the dimension, {start.shape[1]}")
    norm = start.norm(dim=1)
    rows = [start / torch.where(norm > 0, norm, 1.0)[:, None]]
    projected = start.new_zeros(len(start), steps, steps)
    for j in range(steps):
        image = product(rows[j])
        if not bool(torch.isfinite(image).all()):
            raise InputError("Lanczos: a product with the matrix is not finite; look at the network and its precision")
        basis, size = torch.stack(rows, dim=1), image.norm(dim=1)
        along = _along(basis, image)
        projected[:, : j + 1, j] = along
        if j + 1 == steps:
            break
        rest = image - (along[:, None] @ basis)[:, 0]
        rest = rest - (_along(basis, rest)[:, None] @ basis)[:, 0]
        length = rest.norm(dim=1)
        ended = length <= _DEPENDENT * torch.finfo(start.dtype).eps * size
        projected[:, j + 1, j] = torch.where(ended, 0.0, length)
        rows.append(torch.where(ended[:, None], 0.0, rest / torch.where(ended, 1.0, length)[:, None]))
    ritz, vectors = torch.linalg.eigh((projected + projected.mT) / 2)
    return Krylov(torch.stack(rows, dim=1), ritz, vectors, norm)


def _along(basis: Tensor, image: Tensor) -> Tensor:
    """`⟨v_i, w⟩`, shape (batch, k)."""
    return (basis @ image[:, :, None])[:, :, 0]

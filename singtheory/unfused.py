"""What the engine asks of a GPU, in plain torch: for processors without Triton, and what `fused` is measured against.

A log weight is `√γ⟨z′, y⟩ − ½γ‖y′‖² + log w`, up to a constant of the query, with `y′ = y − μ`, `z′ = z − √γ μ`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory.levels import digits_of


@dataclass(frozen=True)
class Weighed:
    """Weights of all atoms as whole numbers.

    Attributes:
        digits: of base 256, most significant first, int8, shape (digits, batch, n).
        total: their sum, shape (batch,).
        square: their sum with `‖y′‖²`, shape (batch,).
        lost: the sum of what rounding took, shape (batch,).
    """

    digits: Tensor
    total: Tensor
    square: Tensor
    lost: Tensor


@dataclass(frozen=True)
class Near:
    """What the atoms of the tiles that reach a threshold tell, some of it relative to a reference y_b among them; shape (batch,).

    All from `distance` on is infinite, and the mean not set, where a query has too many tiles or none.

    Attributes:
        mean: shape (batch, d).
        best: the largest log weight by the screen.
        mass: `Σ exp(largest log weight − best)` over all tiles.
        tiles: how many reach the threshold.
        distance: `‖z − √γ y_b‖`.
        log_sum: of weights times densities, without the constant of the Gaussian.
        apart: the root mean square of `‖y − y_b‖`.
        variance: the trace.
        shift: from y_b to the mean.
        log_weight: the root mean square of log weights relative to that of y_b.
    """

    mean: Tensor
    best: Tensor
    mass: Tensor
    tiles: Tensor
    distance: Tensor
    log_sum: Tensor
    apart: Tensor
    variance: Tensor
    shift: Tensor
    log_weight: Tensor


def screen(
    queries: Tensor, atoms: Tensor, half: Tensor, log_weights: Tensor, unit: Tensor, snr: Tensor, tile: int
) -> Tensor:
    """The largest log weight in every tile of atoms, shape (batch, n/tile), float32.

    Args:
        queries: `√γ z′/unit`, float16, shape (batch, width).
        atoms: float16, shape (n, width).
        half: `½‖y′‖²`, float32, shape (n,).
        log_weights: float32, shape (n,).
        unit: of the products, float32, shape (batch,).
        snr: float32, shape (batch,).
        tile: atoms in a tile.
    """
    logits = (queries.float() @ atoms.float().mT) * unit[:, None] - snr[:, None] * half + log_weights
    return logits.unflatten(1, (-1, tile)).amax(dim=2)


def weigh(
    queries: Tensor,
    atoms: Tensor,
    half: Tensor,
    log_weights: Tensor,
    unit: Tensor,
    snr: Tensor,
    top: Tensor,
    digits: int,
) -> Weighed:
    """`exp(log weight − top)` as whole numbers of some digits, at most `127 · 256^(digits − 1)`.

    Args:
        queries: digits of `√γ z′`, int8, shape (places, batch, width).
        atoms: numbers of levels, int8, shape (n, width).
        half: `½‖y′‖²`, float64, shape (n,).
        log_weights: float64, shape (n,).
        unit: of the last digit of the products, float64, shape (batch,).
        snr: float64, shape (batch,).
        top: float64, shape (batch,).
        digits: how many.
    """
    products = torch.zeros(queries.shape[1], len(atoms), dtype=torch.float64, device=snr.device)
    for digit in queries:
        products.mul_(256).add_(digit.double() @ atoms.double().mT)
    logits = products * unit[:, None] - snr[:, None] * half + (log_weights - top[:, None])
    full = 127 * 256.0 ** (digits - 1)
    exact = logits.exp() * full
    whole = (exact + 0.5).floor().clamp(max=full)
    return Weighed(
        digits_of(whole.long(), digits), whole.sum(dim=1), whole @ (2 * half), (exact - whole).abs().sum(dim=1)
    )


def product(digits: Tensor, columns: Tensor) -> Tensor:
    """`Σ_i W_i K_i`, exact.

    Args:
        digits: int8, shape (places, batch, n), n at most 65,536.
        columns: the atoms' numbers, each coordinate's together, int8, shape (width, n).

    Returns:
        Shape (places, batch, width).
    """
    return digits.double() @ columns.double().mT


def near(
    z: Tensor,
    points: Tensor,
    log_weights: Tensor,
    largest: Tensor,
    error: Tensor,
    below: float,
    snr: Tensor,
    tile: int,
    most: int,
) -> Near:
    """Mean and trace from the atoms of the tiles that can matter, by differences to one of the best tile, in float64.

    Args:
        z: shape (batch, d).
        points: shape (n, d).
        log_weights: shape (n,).
        largest: of every tile, as `screen` gives them, shape (batch, tiles).
        error: of these, shape (batch,); tiles matter that are not more than `below` and twice the error under the best.
        below: see there.
        snr: shape (batch,).
        tile: atoms in a tile.
        most: tiles that a query may have.
    """
    best = largest.amax(dim=1).double()
    mass = (largest - best[:, None].float()).exp().sum(dim=1).double()
    hits = ~(largest < (best - 2 * error - below)[:, None])  # also where float32 overflowed
    queries = zip(z, largest, hits, snr.sqrt(), strict=True)
    means, numbers = zip(*(_near(*query, points, log_weights, tile, most) for query in queries), strict=True)
    return Near(torch.stack(means), best, mass, hits.sum(dim=1).double(), *torch.stack(numbers, dim=1))


def _near(
    z: Tensor, largest: Tensor, hit: Tensor, root: Tensor, points: Tensor, log_weights: Tensor, tile: int, most: int
) -> tuple[Tensor, Tensor]:
    """One query's mean and numbers, in the order of `Near`."""
    if not 0 < int(hit.sum()) <= most:
        return torch.zeros_like(z), torch.full((6,), torch.inf, dtype=torch.float64, device=z.device)
    best = largest.argmax() * tile + torch.arange(tile, device=z.device)
    best = best[best < len(points)]
    density = log_weights[best] - (z - root * points[best]).square().sum(dim=1) / 2
    score, reference = density.max(), best[density.argmax()]
    atoms = (hit.nonzero() * tile + torch.arange(tile, device=z.device)).flatten()
    atoms = atoms[atoms < len(points)]
    base, apart = points[reference], points[atoms] - points[reference]
    logits = root * ((z - root * (base + apart / 2)) * apart).sum(dim=1) + (log_weights[atoms] - log_weights[reference])
    logits = logits[kept := logits > -800]
    apart, log_total = apart[kept], logits.logsumexp(dim=0)
    weights = (logits - log_total).exp()
    offset, second = weights @ apart, weights @ apart.square().sum(dim=1)
    shift2, distance = offset.square().sum(), (2 * (log_weights[reference] - score)).clamp(min=0).sqrt()
    variance, log_weight = (second - shift2).clamp(min=0), (weights @ logits.square()).sqrt()
    return base + offset, torch.stack([distance, score + log_total, second.sqrt(), variance, shift2.sqrt(), log_weight])

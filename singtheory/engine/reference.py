"""What the engine asks of a GPU, in plain torch: for processors without Triton, and what `launch` is measured against.

A log weight is `√γ⟨z′, y⟩ − ½γ‖y′‖² + log w`, up to a constant of the query, with `y′ = y − μ`, `z′ = z − √γ μ`.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from singtheory.engine import rounding
from singtheory.engine.levels import digits_of, rounded
from singtheory.engine.points import decoded
from singtheory.engine.rounding import Asking, Nearness, Weighing
from singtheory.engine.rows import (
    Asked,
    Bounded,
    Digits,
    Look,
    MomentRows,
    Near,
    NearRows,
    Plan,
    SumRows,
    Tiles,
    Weighed,
)
from singtheory.engine.series import Series


def fetched(table: Tensor, held: list[Tensor]) -> None:
    """Copy float64 numbers from where a table says that they lie.

    Args:
        table: an address and the step between numbers, for each tensor, int64, shape (k, 2).
        held: k tensors, to be filled.
    """
    raise NotImplementedError("plain torch follows no addresses: only launches on a GPU are recorded")


def asked(z: Tensor, snr: Tensor, mean: Tensor, width: int, known: Asking, whole: bool) -> Asked:
    """Queries, rounded for the screen.

    Args:
        z: shape (batch, d).
        snr: shape (batch,).
        mean: μ, shape (d,).
        width: of the atoms that are screened.
        known: constants, of `Asking.whole` or `Asking.of`.
        whole: whether to whole numbers; else to float16.
    """
    root = snr.sqrt()
    shifted = z - root[:, None] * mean
    norm2, scaled = shifted.square().sum(dim=1), shifted * root[:, None]
    size = torch.linalg.vector_norm(scaled, ord=math.inf, dim=1).clamp(min=1e-300)
    rows = torch.zeros(len(z), width, dtype=torch.int8 if whole else torch.float16, device=z.device)
    rest = shift = offset = torch.zeros_like(snr)
    if whole:
        step = size[:, None] / rounding.LARGEST_DIGIT
        numbers = (scaled / step + 0.5).floor()
        missing = scaled - numbers * step
        rest = torch.linalg.vector_norm(missing, dim=1) * 1.01
        shift, offset = missing @ (mean - known.base), scaled @ (mean - known.base)
        rows[:, : z.shape[1]] = numbers
    else:
        rows[:, : z.shape[1]] = scaled / size[:, None]
    error = rounding.screen_error(
        norm2.sqrt(), root, snr, rest, known.per_norm, known.per_rest, known.per_snr, known.weights
    )
    series = rounding.series_remainder(
        norm2, snr, known.radius, known.variance, known.rounding, known.constant
    ) <= known.goal  # fmt: skip
    others = (~series).sum(dim=0, keepdim=True).int()
    unit = (size * known.unit).float()
    return Asked(rows, unit, size, norm2.sqrt(), error, series.double(), rest, shift, offset, others)


def screen(queries: Asked, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, tile: int) -> Tensor:
    """The largest log weight in every tile of atoms, shape (batch, n/tile), float32; of whole numbers they may be off by `rest · ‖y′‖` more than the error.

    Args:
        queries: rounded.
        atoms: float16 or int8, as the queries, shape (n, width).
        half: `½‖y′‖²`, float32, shape (n,).
        log_weights: float32, shape (n,).
        snr: shape (batch,).
        tile: atoms in a tile.
    """
    products = (queries.rows.float() @ atoms.float().mT) * queries.unit[:, None]
    logits = products - snr.float()[:, None] * half + log_weights
    return logits.unflatten(1, (-1, tile)).amax(dim=2) + queries.shift.float()[:, None]


def bounded(near: Near, tiles: Tiles, queries: Asked, snr: Tensor, known: Nearness) -> Bounded:
    """What few atoms tell, with a bound, and what must be done where it is too large.

    Args:
        near: what the tiles that matter tell.
        tiles: these.
        queries: what is known of them.
        snr: shape (batch,).
        known: constants.
    """
    bound = rounding.near_bound(
        queries.norm, snr.sqrt(), snr, near.distance, near.apart, near.shift, near.log_weight,
        known.roundings, known.per_snr, known.others, known.sums, known.far, known.constant,
    )  # fmt: skip
    series = queries.series > 0
    rest = ~(bound <= known.goal) & ~series
    digits = rounding.query_digits(queries.size, snr, known.dim, known.variance, known.per_step)
    weight_digits = rounding.weight_digits(tiles.count, tiles.mass, known.per_tile)
    most_digits, most_of_weights = (wanted.where(rest, 0.0).amax().long() for wanted in (digits, weight_digits))
    most = rounding.MOST_USUAL
    usual = (queries.norm < most) & (snr < most) & ((snr == 0) | (snr > rounding.LEAST_USUAL))
    plan = Plan(series.sum(), rest.sum(), most_digits, most_of_weights, unusual=(~usual).sum())
    evidence = near.log_sum - known.dim / 2 * math.log(2 * math.pi)
    top = tiles.best + (queries.error + queries.rest * known.radius) * known.above
    look = Look(trace=near.variance, evidence=evidence, bound=bound, top=top, series=queries.series, rest=rest.double())
    return Bounded(torch.stack(look), torch.stack(plan))


def moments(series: Series, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Means (batch, d), and the rows of `MomentRows` (3, batch), near γ = 0.

    Args:
        series: of the atoms.
        z: shape (batch, d).
        snr: shape (batch,).
    """
    near = series.posterior(z, snr)
    rows = MomentRows(trace=near.trace_cov, evidence=near.log_evidence, bound=near.error_bound)
    return near.mean, torch.stack(rows)


def digits(z: Tensor, snr: Tensor, mean: Tensor, width: int, places: int, known: Weighing) -> Digits:
    """Queries in so many digits.

    Args:
        z: shape (batch, d).
        snr: shape (batch,).
        mean: μ, shape (d,).
        width: of the atoms' levels.
        places: seven at most.
        known: constants.
    """
    shifted = z - snr.sqrt()[:, None] * mean
    scaled = shifted * snr.sqrt()[:, None]
    rows = rounded(scaled, places)
    held = torch.nn.functional.pad(rows.digits, (0, width - z.shape[1]))
    off_centre = scaled.sum(dim=1) * known.base - scaled @ mean
    size = torch.linalg.vector_norm(scaled, dim=1)
    return Digits(held, rows.scale * known.step, rows.rest, size, off_centre, shifted.square().sum(dim=1))


def weigh(
    queries: Digits, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, top: Tensor, places: int
) -> Weighed:
    """`exp(log weight − top)` as whole numbers of some digits, at most `127 · 256^(places − 1)`.

    Args:
        queries: in digits.
        atoms: numbers of levels, int8, shape (n, width).
        half: `½‖y′‖²`, float64, shape (n,).
        log_weights: float64, shape (n,).
        snr: float64, shape (batch,).
        top: float64, shape (batch,).
        places: of the weights.
    """
    products = torch.zeros(len(snr), len(atoms), dtype=torch.float64, device=snr.device)
    for digit in queries.digits:
        products.mul_(256).add_(digit.double() @ atoms.double().mT)
    logits = products * queries.unit[:, None] - snr[:, None] * half + (log_weights - top[:, None])
    full = 127 * 256.0 ** (places - 1)
    exact = logits.exp() * full
    whole = (exact + 0.5).floor().clamp(max=full)
    sums = SumRows(total=whole.sum(dim=1), square=whole @ (2 * half), lost=(exact - whole).abs().sum(dim=1))
    return Weighed(digits_of(whole.long(), places), torch.stack(sums))


def product(digits: Tensor, columns: Tensor) -> Tensor:
    """`Σ_i W_i K_i`, each digit's exact, put together in float64, shape (batch, width).

    Args:
        digits: of the weights W, int8, shape (places, batch, n), n at most 65,536.
        columns: the atoms' numbers K, each coordinate's together, int8, shape (width, n).
    """
    totals = torch.zeros(digits.shape[1], len(columns), dtype=torch.float64, device=digits.device)
    for digit in digits:
        totals.mul_(256).add_(digit.double() @ columns.double().mT)
    return totals


def weighted(
    products: Tensor, sums: Tensor, queries: Digits, snr: Tensor, top: Tensor, mean: Tensor, known: Weighing
) -> tuple[Tensor, Tensor]:
    """Means (batch, d), and the rows of `MomentRows` (3, batch).

    Args:
        products: of `product`, shape (batch, at least d).
        sums: of `Weighed`, shape (3, batch).
        queries: in digits.
        snr: shape (batch,).
        top: what log weights were relative to, shape (batch,).
        mean: μ, shape (d,).
        known: constants.
    """
    total, square, lost = SumRows(*sums)
    means = products[:, : len(mean)] * (known.step / total)[:, None] + known.base
    shift2 = (means - mean).square().sum(dim=1)
    bound = rounding.digits_bound(
        total, square, lost, shift2, queries.size, queries.rest, snr,
        known.radius, known.mean_norm, known.half_reach, known.others, known.levels_rest, known.rounding,
    )  # fmt: skip
    log_total = top + (total / known.full).log() + queries.off_centre
    evidence = log_total - queries.norm2 / 2 - known.log_norm
    moments = MomentRows(trace=(square / total - shift2).clamp(min=0), evidence=evidence, bound=bound)
    return means, torch.stack(moments)


def tiles(largest: Tensor, queries: Asked, norms: Tensor, below: float, most: int) -> Tiles:
    """The tiles that can matter.

    No log weight in a tile is above its `largest` by more than the error and `rest · ‖y′‖`, and one of them is not below it by more than that:
    tiles further than `below` under another one, each off as far as it may be, hold none that matters.

    Args:
        largest: of every tile, as `screen` gives them, shape (batch, tiles).
        queries: as they were screened; where `others` is 0 nothing need be known of tiles.
        norms: at least the largest `‖y′‖` of each tile, float32, shape (tiles,).
        below: see there.
        most: tiles that a query may have.
    """
    best, chosen = largest.max(dim=1)
    mass = (largest - best[:, None]).exp().sum(dim=1).double()
    off = (queries.rest[:, None] * norms).float() * (1 + 1e-6)
    limit = (largest - off).amax(dim=1).double() - 2 * queries.error - below
    hits = ~(largest + off < limit[:, None])
    order = hits.float().scatter_(1, chosen[:, None], 2.0)
    index = order.sort(dim=1, descending=True, stable=True).indices[:, :most].int()
    index = torch.nn.functional.pad(index, (0, max(0, most - index.shape[1])))
    count = hits.sum(dim=1)
    return Tiles(best.double(), mass, count.double(), index, (count > most).sum(dim=0, keepdim=True).int())


def near(
    z: Tensor, points: Tensor, log_weights: Tensor, queries: Asked, largest: Tensor, tiles: Tiles, norms: Tensor,
    snr: Tensor, below: float, tile: int, few: int, keep: int,
) -> Near:  # fmt: skip
    """Mean and trace from the atoms of the tiles that can matter, by differences to one of the best tile, in float64.

    Of these tiles those matter that are not `below` the heaviest atom of the best tile, which is known exactly here (`rounding.tile_limit`).

    Args:
        z: shape (batch, d).
        points: shape (n, d), float64 or bytes.
        log_weights: shape (n,).
        queries: as they were screened.
        largest: of every tile, as `screen` gives them, shape (batch, tiles).
        tiles: those that can matter.
        norms: at least the largest `‖y′‖` of each tile, float32, shape (tiles,).
        snr: shape (batch,).
        below: how far below the largest log weight an atom does not matter.
        tile: atoms in a tile.
        few: tiles that a query may have where half of the batch has too many, for it is then weighed by all atoms anyway.
        keep: tiles that a query may have after that.
    """
    most = tiles.index.shape[1] if 2 * int(tiles.crowded) < len(z) else few
    limits = [
        partial(rounding.tile_limit, norm2=norm.square(), offset=offset, error=error, below=below)
        for norm, offset, error in zip(queries.norm, queries.offset, queries.error, strict=True)
    ]
    each = zip(z, snr.sqrt(), tiles.count, limits, largest + queries.rest[:, None] * norms, strict=True)
    means, numbers = zip(
        *(
            _near(*query, index, points, log_weights, tile, most, keep)
            for query, index in zip(each, tiles.index, strict=True)
        ),
        strict=True,
    )
    return Near(torch.stack(means), **NearRows(*torch.stack(numbers, dim=1))._asdict())


def _near(
    z: Tensor, root: Tensor, count: Tensor, limit: Callable[[Tensor], Tensor], upper: Tensor, index: Tensor,
    points: Tensor, log_weights: Tensor, tile: int, most: int, keep: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One query's mean and the numbers of `NearRows`."""
    unknown = torch.zeros_like(z), torch.full((len(NearRows._fields),), torch.inf, dtype=torch.float64, device=z.device)
    if int(count) > most:
        return unknown
    inside, index = torch.arange(tile, device=z.device), index[: int(count)]
    # the screen may take padding for the best where all log weights are off its scale
    best = (index[0] * tile + inside).clamp(max=len(points) - 1)
    density = log_weights[best] - (z - root * decoded(points[best])).square().sum(dim=1) / 2
    score, reference = density.max(), best[density.argmax()]
    kept = ~(upper[index] < limit(score))
    kept[0] = True
    if int(kept.sum()) > keep:
        return unknown
    atoms = (index[kept, None] * tile + inside).flatten()
    atoms = atoms[atoms < len(points)]
    base = decoded(points[reference])
    apart = decoded(points[atoms]) - base
    logits = root * ((z - root * (base + apart / 2)) * apart).sum(dim=1) + (log_weights[atoms] - log_weights[reference])
    logits = logits[kept := logits > rounding.NEVER]
    apart, log_total = apart[kept], logits.logsumexp(dim=0)
    weights = (logits - log_total).exp()
    offset, second = weights @ apart, weights @ apart.square().sum(dim=1)
    shift2, distance = offset.square().sum(), (2 * (log_weights[reference] - score)).clamp(min=0).sqrt()
    variance, log_weight = (second - shift2).clamp(min=0), (weights @ logits.square()).sqrt()
    numbers = NearRows(
        distance=distance,
        log_sum=score + log_total,
        apart=second.sqrt(),
        variance=variance,
        shift=shift2.sqrt(),
        log_weight=log_weight,
    )
    return base + offset, torch.stack(numbers)

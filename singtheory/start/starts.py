r"""Where a sampler starts at time t: noise, mean, moment-matched and exact starts, and where the flow carries them (C5 to C7).

Each start is a function of standard noise `x_1 ~ N(0, I)` alone, besides statistics of the data:

    noise     x = x_1                                                        what samplers do
    mean      x = α μ + σ x_1                                                SingDiffusion; best centred on data of KL order (C5, C6)
    matched   x = α μ + σ x_1 + Σ_k (√(α² s_k² + σ²) − σ) ⟨x_1, φ_k⟩ φ_k     mean and variance of `q_t` along each φ_k (C7)
    exact     x = α x_0 + σ x_1                                              the law `q_t` itself; needs data

`φ_k` are orthonormal directions and `s_k` the data's standard deviations along them (`principal_components`). For Gaussian data
`flow_end` is the mean and variance with which each start arrives at t = 0. `quantile_end` says the same for any law in one
dimension, Gaussian or not.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.law import Atoms, Law
from singtheory.numerics import check_coordinates, check_noise

Number = Tensor | float

DENSE = 2048
"""Up to this many points or dimensions, whichever is fewer, principal components come from all eigenvalues."""
_BY_SINGULAR_VALUES = 1024
"""Up to this many they come from singular values, which keep the small ones: beyond, from a Gram matrix in a third of the time."""
_EPS = 2.0**-52
_OVERSAMPLING, _POWER_STEPS = 24, 12
_CHUNK = 256
_SHARES = 1e-6
"""How far the sum of weights may be from one: they may have been rounded to float32."""


def noise_start(noise: Tensor) -> Tensor:
    """`x_1` as it is: right at t = 1 with `α_1 = 0` only, and there for no data but centred ones (C5)."""
    return noise


def mean_start(noise: Tensor, mean: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """`α μ + σ x_1`, SingDiffusion's start: right mean, variance short of `α² Σ` (C5, C7).

    Args:
        noise: `x_1`, shape (batch, ...).
        mean: `μ`, or `μ(c)` for each sample; the shape of one sample or of `noise`.
        alpha: `α_t`.
        sigma: `σ_t`.
    """
    return alpha * mean + sigma * noise


def exact_start(noise: Tensor, data: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """`α x_0 + σ x_1`, noised data of the shape of `noise`: a draw of `q_t` itself."""
    return alpha * data + sigma * noise


def guided_mean(cond: Tensor, uncond: Tensor, guidance: float) -> Tensor:
    """`ȳ_w = c − (1 − 1/w) u`: normalised guidance of the average image, bounded for all w (C8).

    Right where the unconditional average is zero; where it is not, and the prompt says little (`c ≈ u`), it shrinks the image by `1/w`.

    Args:
        cond: `c`, the average image for the prompt, shape (batch, ...).
        uncond: `u`, the average image without it, of a shape that broadcasts.
        guidance: `w`, at least 1.

    Raises:
        InputError: for w below 1 or not finite.
    """
    if not 1 <= guidance < float("inf"):
        raise InputError(f"guidance {guidance}: normalised guidance needs a finite weight of at least 1")
    return formula.normalised_guidance(cond, uncond, guidance)


@dataclass(frozen=True)
class Components:
    """Directions along which data vary, with the standard deviation along each.

    Attributes:
        basis: `φ_k`, orthonormal, shape (k, ...), each of the shape of one sample.
        std: `s_k`, not negative, shape (k,), or (batch, k) for one a sample.
    """

    basis: Tensor
    std: Tensor

    @classmethod
    def orthonormal(cls, basis: Tensor, std: Tensor) -> Self:
        """Components of directions and deviations that were checked before, now elsewhere or in another order: to look again is to wait for their device."""
        components = object.__new__(cls)
        vars(components).update(basis=basis, std=std)
        return components

    def __post_init__(self) -> None:
        rows = self.basis.flatten(1)
        if self.std.shape[-1] != len(rows) or not bool((self.std >= 0).all()):
            raise InputError(
                f"std of shape {tuple(self.std.shape)}: need {len(rows)} that are not negative, one a direction"
            )
        excess = rows @ rows.mT - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
        if not bool((excess.abs() < 1e-3).all()):  # half-precision checkpoints keep three digits
            raise InputError("basis: the directions must be orthonormal")


def matched_start(noise: Tensor, mean: Tensor, components: Components, alpha: Number, sigma: Number) -> Tensor:
    """`α μ + σ x_1 + Σ_k (√(α² s_k² + σ²) − σ) ⟨x_1, φ_k⟩ φ_k`: mean and variance exact along every `φ_k` (C7); right for every law (F4).

    Args:
        noise: `x_1`, shape (batch, ...).
        mean: `μ`, the shape of one sample or of `noise`.
        components: `φ_k` and `s_k`.
        alpha: `α_t`.
        sigma: `σ_t`.
    """
    rows = components.basis.flatten(1)
    if rows.shape[1] != noise[0].numel():
        raise InputError(f"basis of {rows.shape[1]} entries a direction: the noise has {noise[0].numel()} a sample")
    wider = formula.widening(alpha, sigma, components.std**2, torch)
    spread = (wider * (noise.flatten(1) @ rows.mT)) @ rows
    return mean_start(noise, mean, alpha, sigma) + spread.reshape(noise.shape)


def flow_end(
    start_mean: Number, start_var: Number, alpha: Number, sigma: Number, mean: Number, eigenvalue: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance at t = 0 along eigenvectors of Σ, for Gaussian data and a start `N(m, s²)` at t (C7).

    `μ + √(λ/(α²λ+σ²)) (m − αμ)` and `λ s²/(α²λ+σ²)`.

    Args:
        start_mean: `m` along each eigenvector, shape (k,) or a number.
        start_var: `s²` along each, shape (k,) or a number.
        alpha: `α_t`.
        sigma: `σ_t > 0`.
        mean: `μ` along each eigenvector, shape (k,) or a number.
        eigenvalue: `λ`, shape (k,).
    """
    end_mean = formula.flow_end_mean(mean, eigenvalue, start_mean, alpha, sigma, torch)
    return end_mean, formula.flow_end_var(eigenvalue, start_var, alpha, sigma)


def sde_end(
    start_mean: Number, start_var: Number, alpha: Number, sigma: Number, mean: Number, eigenvalue: Tensor
) -> tuple[Tensor, Tensor]:
    """`flow_end` where the reverse SDE carries the start, as ancestral samplers do: it draws `x_0 | x_t`; arguments as `flow_end`."""
    end_mean = formula.sde_end_mean(mean, eigenvalue, start_mean, alpha, sigma)
    return end_mean, formula.sde_end_var(eigenvalue, start_var, alpha, sigma)


def spread_ratio(alpha: Number, sigma: Number, eigenvalue: Tensor, start_std: Number = 1.0) -> Tensor:
    """`s/√(α²λ + σ²)`: final over true standard deviation along an eigenvector of Σ, from a start of standard deviation s (C7)."""
    return start_std / formula.marginal_var(alpha, sigma, eigenvalue) ** 0.5


def quantile_end(start: Tensor, values: Tensor, weights: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """Where the flow carries one-dimensional starts at t, for data of any law: `F_0⁻¹(F_t(x))`, shape (batch,).

    In one dimension the flow keeps the order of points and carries `q_t` to `π`, so it keeps quantiles; for Gaussian data that is
    C7. In d dimensions it holds along a direction in which the data vary independently of the rest.

    The atom that comes is the quantile of a start, and of weights, that are off by a few roundings: `x − αy` of each atom by 2⁻⁵⁰ of `|x| + |αy|`, each
    weight by 1e-13 of itself. Where a boundary between two atoms lies nearer to x than that, either of them may come.

    Args:
        start: x at t, shape (batch,).
        values: atoms of the law on the line, shape (n,).
        weights: their weights, sum one, shape (n,).
        alpha: `α_t`.
        sigma: `σ_t > 0`.

    Raises:
        InputError: for other shapes, weights that are none, and numbers beyond the domain (`singtheory.numerics.domain`).
    """
    start, values, weights, alpha, sigma = (
        torch.as_tensor(numbers, dtype=torch.float64) for numbers in (start, values, weights, alpha, sigma)
    )
    _check_line(start, values, weights)
    for name, numbers in (("start", start), ("values", values)):
        check_coordinates(name, numbers)
    check_noise("sigma", sigma)
    order = values.argsort()
    ordered, ordered_weights = values[order], weights[order]
    ranks = [
        _quantile_ranks((rows[:, None] - alpha * ordered) / sigma, ordered_weights) for rows in start.split(_CHUNK)
    ]
    return ordered[torch.cat(ranks)]


def _check_line(start: Tensor, values: Tensor, weights: Tensor) -> None:
    """Raise `InputError` unless starts (batch,) and atoms (n,) lie on a line and the weights (n,) are shares of one."""
    if start.ndim != 1:
        raise InputError(f"start of shape {tuple(start.shape)}: need (batch,), one number a sample")
    if values.ndim != 1 or not len(values) or weights.shape != values.shape:
        raise InputError(
            f"values of shape {tuple(values.shape)}, weights of shape {tuple(weights.shape)}: need one of each an atom"
        )
    if not (bool((weights >= 0).all()) and abs(float(weights.sum()) - 1) < _SHARES):
        raise InputError("weights: must not be negative and have the sum one; divide them by their sum")


def _quantile_ranks(distance: Tensor, weights: Tensor) -> Tensor:
    """The first i with `F_t(x) ≤ Σ_{j≤i} w_j`, from distances `(x − α y_j)/σ` (batch, n) to atoms in increasing order.

    The two sides are compared without what they share, as the mass above x of the atoms up to i with the mass below x of the
    others: between far clusters `F_t` is flat to the last digit, and these tails are not. They are compared by their logarithms, for beyond 38
    standard deviations the tails themselves are zero.
    """
    log_weights = weights.log()
    above = (torch.special.log_ndtr(-distance) + log_weights).logcumsumexp(dim=1)
    below = (torch.special.log_ndtr(distance) + log_weights).flip(1).logcumsumexp(dim=1).flip(1)
    return (above[:, :-1] < below[:, 1:]).sum(dim=1)


def quantile_spread(
    start_mean: Number, start_std: Number, values: Tensor, alpha: Number, sigma: Number, nodes: int = 2049
) -> Tensor:
    """Standard deviation of `quantile_end` from a start `N(m, s²)` over the data's, for equal weights; shape ().

    Args:
        start_mean: `m`.
        start_std: `s`.
        values: data on the line, shape (n,).
        alpha: `α_t`.
        sigma: `σ_t > 0`.
        nodes: of the trapezoidal rule over eight standard deviations either side.

    Raises:
        InputError: for data that are all equal, which have no spread, and as `quantile_end`.
    """
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim != 1 or not len(values):
        raise InputError(f"values of shape {tuple(values.shape)}: need (n,), numbers on a line")
    if not bool((values != values[0]).any()):
        raise InputError(f"values: all are {float(values[0]):g}, so there is no spread to keep; give different ones")
    u = torch.linspace(-8, 8, nodes, dtype=torch.float64, device=values.device)
    density = torch.softmax(-(u**2) / 2, dim=0)
    quantiles = quantile_end(start_mean + start_std * u, values, torch.full_like(values, 1 / len(values)), alpha, sigma)
    return (density @ (quantiles - density @ quantiles) ** 2).sqrt() / values.std(correction=0)


def principal_components(law: Law, rank: int, dense: int = DENSE) -> Components:
    """The `rank` eigenvectors of Σ with the largest eigenvalues, in decreasing order.

    Args:
        law: the data.
        rank: how many, at most the number of directions in which the data vary.
        dense: up to this many points or dimensions all eigenvalues are computed; beyond, a randomised search with a fixed seed
            (Halko, Martinsson and Tropp 2011, arXiv 0909.4061).

    Raises:
        InputError: for a rank below 1 or above the number of directions in which the data vary.
    """
    if rank < 1:
        raise InputError(f"rank {rank}: need at least one direction")
    if law.finite:
        atoms = law.atoms()
        deviations = _deviations(atoms)
        find = _dense_components if min(deviations.shape) <= dense else _randomised_components
        basis, variances, least = find(deviations, min(rank, min(deviations.shape)))
        least = max(least, _rounding(atoms, deviations))
    else:
        basis, variances = _top_eigenpairs(law.cov, rank)
        least = law.dim * _EPS * float(variances[0])
    varying = int((variances > least).sum())
    if varying < rank:
        raise InputError(f"rank {rank}: the data vary in {varying} directions only")
    return Components(basis, variances.sqrt())


def principal_axes(law: Law) -> Tensor:
    """All eigenvectors of Σ as rows (d, d), in decreasing order, those in which the data do not vary among them: an orthonormal basis."""
    return _top_eigenpairs(law.cov, law.dim)[0]


def all_components(law: Atoms) -> Components:
    """Every direction in which the data vary, in decreasing order of variance; at most as many as points or dimensions.

    The time grows with the cube of the smaller of the two: 4,000 take half a minute on two cores.
    """
    return components_with_errors(law)[0]


def components_with_errors(law: Atoms) -> tuple[Components, Tensor]:
    """`all_components`, and at least what rounding took of the variance along each, and along any direction left out: shape (k + 1,)."""
    deviations = _deviations(law)
    basis, variances, least = _dense_components(deviations, min(deviations.shape))
    rounded = _rounding(law, deviations)
    cut = max(least, rounded)
    varying = int((variances > cut).sum())
    std = variances[:varying].sqrt()
    largest = torch.cat([std, std.new_full((1,), cut**0.5)])
    # `‖(A + E)φ‖²` is off by `2‖Aφ‖‖E‖ + ‖E‖²`; a Gram matrix by `least` beside what the deviations are
    by_gram = min(deviations.shape) > _BY_SINGULAR_VALUES
    off = rounded**0.5 + (0.0 if by_gram else least**0.5)
    lost = 2 * largest * off + off**2 + (least if by_gram else 0.0)
    lost[-1] += cut
    return Components(basis[:varying], std), lost


def _deviations(law: Atoms) -> Tensor:
    """A of shape (n, d) with `Σ = AᵀA`."""
    return law.weights.sqrt()[:, None] * law.deviations()


def _rounding(law: Atoms, deviations: Tensor) -> float:
    """What the rounding of deviations (n, d) may add to a variance: of differences to the heaviest point, wherever the data lie and whatever has no weight."""
    heaviest = int(law.weights.argmax())
    apart2 = deviations.square().sum() + deviations[heaviest].square().sum() / law.weights[heaviest]
    return len(law.points) * (4 * _EPS) ** 2 * float(apart2)


def _top_eigenpairs(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Eigenvectors as rows (rank, d) and eigenvalues (rank,) of a symmetric matrix, largest first."""
    eigenvalues, columns = torch.linalg.eigh(matrix)
    return columns.mT.flip(0)[:rank], eigenvalues.flip(0)[:rank].clamp(min=0)


def _dense_components(deviations: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """Directions (rank, d) and variances (rank,) of A (n, d), largest first, and what rounding may have made of a variance that is zero."""
    find = _by_singular_values if min(deviations.shape) <= _BY_SINGULAR_VALUES else _by_gram_matrix
    return find(deviations, rank)


def _by_singular_values(deviations: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """From the triangle of A or Aᵀ: standard deviations are off by `(n + d) ε` of the largest, so that columns of very different units keep theirs."""
    tall = deviations if deviations.shape[0] >= deviations.shape[1] else deviations.mT
    q, r = torch.linalg.qr(tall, mode="r" if tall is deviations else "reduced")
    _, singular, rows = torch.linalg.svd(r if tall is deviations else r.mT, full_matrices=False)
    rows = rows if tall is deviations else rows @ q.mT
    variances = singular.square()
    return rows[:rank], variances[:rank], (sum(deviations.shape) * _EPS) ** 2 * float(variances[0])


def _by_gram_matrix(deviations: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """From the smaller of `AᵀA` and `AAᵀ`, which share their eigenvalues but zero: variances are off by `(n + d) ε` of the largest."""
    if deviations.shape[1] <= deviations.shape[0]:
        rows, variances = _top_eigenpairs(deviations.mT @ deviations, rank)
    else:
        left, variances = _top_eigenpairs(deviations @ deviations.mT, rank)
        rows = torch.nn.functional.normalize(left @ deviations)
    return rows, variances, sum(deviations.shape) * _EPS * float(variances[0])


def _randomised_components(deviations: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """From a randomised low-rank factorisation of A (n, d), the same for every call; otherwise as `_dense_components`."""
    sketch = min(rank + _OVERSAMPLING, *deviations.shape)
    with torch.random.fork_rng(devices=[deviations.device] if deviations.is_cuda else []):
        torch.manual_seed(0)
        _, singular, columns = torch.svd_lowrank(deviations, q=sketch, niter=_POWER_STEPS)
    variances = singular[:rank] ** 2
    return columns.mT[:rank], variances, (sum(deviations.shape) * _EPS) ** 2 * float(variances[0])

r"""Laws of the data `x_0`: weighted atoms, Gaussian mixtures, Gaussians, each with its exact posterior.

Every law answers one question exactly: given `z = x_t/σ_t = √γ x_0 + n` and `γ`, what is the law of `x_0`? `law.posterior(z, snr)`
is that law, and its mean is the denoiser `x̂(x_t, t) = E[x_0 | x_t]`. The posterior depends on `(z, γ)` alone (docs/derivations/a.md,
notation), which is why no schedule appears here.

All tensors are float64 on one device; `d` is the dimension of the data.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.engine import DOUBLE_TOL, SINGLE_TOL, Points, Shard, ShardEngine, agree, engine_of
from singtheory.errors import InputError
from singtheory.law.checks import Array, as_bytes, as_finite, as_nonnegative, as_numbers, as_weights, check_numbers
from singtheory.law.posterior import AtomsPosterior, Posterior


class LineParts(NamedTuple):
    """The Gaussians or points that a law on a line is a mixture of, on the CPU.

    Attributes:
        centres: shape (k,).
        variances: 0 for points, shape (k,).
        weights: shape (k,).
    """

    centres: Tensor
    variances: Tensor
    weights: Tensor


class Law(ABC):
    """The law `π` of the data in `d` dimensions."""

    dim: int
    finite: ClassVar[bool] = False
    """Whether it is one of finitely many points."""
    gaussian: ClassVar[bool] = False
    """Whether it is one Gaussian."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """`μ`, shape (d,)."""

    @property
    @abstractmethod
    def cov(self) -> Tensor:
        """`Σ`, shape (d, d)."""

    @property
    @abstractmethod
    def cov_error(self) -> float:
        """At least the norm of what rounding took of `cov`."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the law's tensors live; queries must live there too."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent draws of `x_0`, shape (n, d)."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """The log density at `x` (batch, d), shape (batch,). Raises `InputError` for a law without one."""

    @abstractmethod
    def line_parts(self) -> LineParts:
        """What a law on a line is a mixture of. Raises `InputError` for one in more dimensions."""

    def atoms(self) -> "Atoms":
        """The law itself, for what needs finite data. Raises `InputError` for a law with a density."""
        raise InputError(f"{type(self).__name__}: has a density, and finite data are needed; give points drawn from it")

    def _on_line(self) -> None:
        """Raise `InputError` in more dimensions than one."""
        if self.dim != 1:
            raise InputError(f"data in {self.dim} dimensions: quadrature is for data on a line")

    @abstractmethod
    def _posterior(self, z: Tensor, snr: Tensor) -> Posterior:
        """The posterior for checked queries: `z` (batch, d), `snr` (batch,)."""

    def posterior(self, z: Array, snr: Array) -> Posterior:
        """The law of `x_0` given `√γ x_0 + n = z`.

        Args:
            z: `x_t/σ_t`, shape (d,) or (batch, d), finite.
            snr: `γ_t ≥ 0`, 0 or from 1e-80 to 1e80, a number or shape (batch,).

        Raises:
            InputError: for queries of another width, NaN, a negative or infinite snr (at t = 0 the posterior is `δ_x`), and beyond the domain (`singtheory.numerics.domain`).
        """
        return self._posterior(*self._checked(z, snr))

    def rows(self, name: str, x: Tensor) -> Tensor:
        """`x` as rows (batch, d), of which (d,) is one. Raises `InputError` for another width: a single number would be taken for every coordinate."""
        rows = torch.atleast_2d(x)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise InputError(
                f"{name} of shape {tuple(rows.shape)}: the data has dimension {self.dim}, need (batch, {self.dim})"
            )
        return rows

    def _checked(self, z: Array, snr: Array) -> tuple[Tensor, Tensor]:
        """Queries as tensors, one snr a query. Raises `InputError` as `posterior`."""
        queries = self._shaped(z, snr)
        check_numbers(*queries)
        return queries

    def _shaped(self, z: Array, snr: Array) -> tuple[Tensor, Tensor]:
        """Queries in shape, as `_checked` gives them, without a look at the numbers, for which one would wait for a GPU."""
        z, snr = self.rows("query", as_numbers("query z", z, self.device)), as_numbers("snr", snr, self.device)
        if snr.ndim > 1 or (snr.ndim == 1 and len(snr) not in (1, len(z))):
            raise InputError(f"snr of shape {tuple(snr.shape)} for {len(z)} queries: give one number or one a query")
        return z, snr.expand(len(z))


@final
class Atoms(Law):
    """Finite data: points `y_i` with weights `w_i`.

    >>> law = Atoms([[-1.0], [1.0]], weights=[1, 3])
    >>> law.mean.item(), law.cov.item()
    (0.5, 0.75)
    >>> law.posterior([0.0], snr=0.0).mean.item()
    0.5

    Args:
        points: shape (n, d), finite, in the domain (`singtheory.numerics.domain`): none beyond 1e30, and those that have weight equal or 1e-30 apart.
        weights: shape (n,), not negative, positive sum (they are normalised), none below 1e-300 of the largest but 0; uniform when not given.

    Raises:
        InputError: for empty, non-finite or wrongly shaped data, for weights that are none, and beyond the domain.
    """

    finite = True

    def __init__(self, points: Array, weights: Array | None = None) -> None:
        points = as_finite("points", points, 2)
        weights = as_weights(weights, len(points), points.device)
        numerics.check_points("points", points, weights)
        self._hold(Points(points, weights))

    @classmethod
    def stored(cls, points: Points) -> "Atoms":
        """The law of points as they lie, such as in a mapped file; they are read block by block, and must be finite and in the domain, which is not checked."""
        law = cls.__new__(cls)
        law._hold(points)
        return law

    @classmethod
    def of_bytes(cls, images: Array, weights: Array | None = None) -> "Atoms":
        """The law of 8-bit data `x/127.5 − 1`, held as bytes where they lie: on a GPU three bytes a number in all, on a CPU one.

        Args:
            images: uint8, shape (n, ...); each is a point.
            weights: as of `Atoms`.

        Raises:
            InputError: for data that are empty or no bytes, and for weights that are none.
        """
        stored = as_bytes("images", images)
        return cls.stored(Points(stored, as_weights(weights, len(stored), stored.device)))

    @classmethod
    def sharded(cls, points: Array, weights: Array | None = None) -> "Atoms":
        """The law of all processes' points together, of which each gives its own: `torch.distributed` joins them.

        The mean, and of posteriors, asked alike on every process, mean, trace, evidence and bound, are of the whole; all else is of one's own part.

        Args:
            points: shape (n, d), finite; n may differ.
            weights: shape (n,), not negative, of which only the size relative to others' counts; 1 each when not given.

        Raises:
            InputError: as `Atoms`, and on every process alike where none are joined, a part is empty or widths differ.
        """

        def checked() -> Tensor:
            numbers = as_finite("points", points, 2)
            numerics.check_coordinates("points", numbers)
            return numbers

        return cls._sharded(checked, weights, points)

    @classmethod
    def sharded_bytes(cls, images: Array, weights: Array | None = None) -> "Atoms":
        """The law of all processes' 8-bit data together, see `sharded`, held as `of_bytes` holds them.

        Args:
            images: uint8, shape (n, ...); n may differ.
            weights: as of `sharded`.

        Raises:
            InputError: as `of_bytes` and `sharded`.
        """
        return cls._sharded(lambda: as_bytes("images", images), weights, images)

    @classmethod
    def _sharded(cls, checked: Callable[[], Tensor], weights: Array | None, part: Array) -> "Atoms":
        """The law of all processes' points, of which these are checked here."""
        try:
            points = checked()
            weights = as_nonnegative(
                torch.ones(len(points)) if weights is None else weights, len(points), points.device
            )
        except InputError as error:
            with suppress(InputError):  # the others would wait for this part
                agree(0, 0, part.device if isinstance(part, Tensor) else "cpu")
            raise error from None
        agree(len(points), points.shape[1], points.device)
        law = cls.__new__(cls)
        law._points = Shard(points, weights)
        law.dim, law._engine = law._points.dim, ShardEngine(law._points)
        return law

    def _hold(self, points: Points) -> None:
        self._points, self.dim = points, points.dim
        self._engine = engine_of(points)

    @property
    def points(self) -> Tensor:
        """`y_i` in float64, shape (n, d); a mapped file is read whole."""
        return self._points.whole

    @property
    def weights(self) -> Tensor:
        """`w_i`, shape (n,)."""
        return self._points.weights

    @property
    def device(self) -> torch.device:
        """Where posteriors are computed."""
        return self._points.device

    def to(self, device: torch.device | str) -> "Atoms":
        """This law on another device; what is held as bytes stays so. A mapped file is read whole."""
        held, weights = self._points, self.weights.to(device)
        if held.stored.dtype == torch.uint8:
            held.check()
            return Atoms.of_bytes(held.stored.to(device, copy=held.file is not None), weights)
        return Atoms.stored(Points(self.points.to(device), weights))

    def subset(self, rows: Tensor) -> "Atoms":
        """The points of one class or prompt: numbers (m,) or a mask (n,), with their weights normalised.

        Part of data that were accepted is accepted: points of it may lie nearer than 1e-30, as those on which a posterior of the whole collapses.

        Raises:
            InputError: for an empty choice, and one whose weights are all zero.
        """
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        if not len(rows):
            raise InputError("subset: empty; choose at least one point")
        weights = as_weights(self.weights[rows.to(self.device)], len(rows), self.device)
        return Atoms.stored(Points(self._points.take(rows), weights))

    def posterior(self, z: Array, snr: Array, tol: float | None = None) -> AtomsPosterior:
        """The law of `x_0` given `√γ x_0 + n = z`, its mean with a proven bound on its error.

        Args:
            z: `x_t/σ_t`, shape (d,) or (batch, d), finite.
            snr: `γ_t ≥ 0`, finite, a number or shape (batch,).
            tol: what the error of the mean must not exceed, relative to `√Σ w_i‖y_i‖²`. Without it 1e-12 is aimed at, on a GPU 1e-6,
                and `error_bound` tells what was reached.

        Raises:
            InputError: as `Law.posterior`, and for a `tol` that is not positive or below the least bound of the arithmetic.
        """
        if tol is not None and not tol > 0:
            raise InputError(f"tol {tol}: must be positive; it is relative to the size of the data")
        queries = self._shaped(z, snr)
        posterior = self._posterior(*queries) if tol is None else AtomsPosterior(self._engine, *queries, tol)
        if not posterior.start():  # a GPU looks at the numbers in the pass that it makes anyway
            check_numbers(*queries)
        if tol is not None:
            posterior.check_reached()
        return posterior

    @cached_property
    def mean(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`μ = Σ w_i y_i`, shape (d,)."""
        return self._points.mean

    @cached_property
    def cov(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`Σ = Σ_i w_i (y_i − μ)(y_i − μ)ᵀ`, shape (d, d)."""
        centred = self.deviations()
        return (centred * self.weights[:, None]).mT @ centred

    @property
    def cov_error(self) -> float:
        """From the rounding of the deviations, a few units of the largest, and from that of a sum of n products."""
        apart2 = self.deviations().square().sum(dim=1)
        trace, off = float(self.weights @ apart2), 8 * formula.DOUBLE * float(apart2.max()) ** 0.5
        return 2 * off * trace**0.5 + off**2 + (len(self.points) + 8) * formula.DOUBLE * trace

    def deviations(self) -> Tensor:
        """`y_i − μ`, shape (n, d): from differences to the heaviest point, for the mean itself is rounded to the digits of where the data lie."""
        moved = self.points - self.points[int(self.weights.argmax())]
        return moved - self.weights @ moved

    @cached_property
    def diameter(self) -> float:
        """D, the largest distance between two points of positive weight: exact up to 5,000 of them but for rounding, an upper bound beyond."""
        support = self.points[self.weights > 0]
        if len(support) <= 5000:
            return numerics.diameter(support)
        apart = support - support[0]  # any centre gives a bound, and a near one a good one
        return 2 * float(numerics.distances(apart.mean(dim=0, keepdim=True), apart).max()) * (1 + 1e-12)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` points drawn with replacement by weight; of a mapped file these alone are read."""
        return self._points.take(numerics.choose(self.weights, n, generator))

    def log_prob(self, x: Tensor) -> Tensor:
        """Raises `InputError`: points have no density."""
        raise InputError("Atoms: finite data have no density; give a Gaussian or a mixture of Gaussians")

    def line_parts(self) -> LineParts:
        """The points, of variance 0."""
        self._on_line()
        weights = self.weights.cpu()
        return LineParts(self.points[:, 0].cpu(), torch.zeros_like(weights), weights)

    def atoms(self) -> "Atoms":
        """This law itself, which has finitely many points."""
        return self

    def _posterior(self, z: Tensor, snr: Tensor) -> AtomsPosterior:
        return AtomsPosterior(self._engine, z, snr, SINGLE_TOL if self.device.type == "cuda" else DOUBLE_TOL)

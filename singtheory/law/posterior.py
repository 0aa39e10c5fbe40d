r"""Exact posteriors `π(x_0 | z, γ)`, `z = x_t/σ_t = √γ x_0 + n`: the exact denoiser and everything around it.

All weights are computed in log space. A posterior is itself a law over `x_0`, one for each query of the batch; `posterior[i]` is
query i alone. Its mean is the denoiser `x̂`, `cov` is `C`, and `log_ratio` gives `log dP/dQ` of the exact reverse kernel against
its plug-in Gaussian in the coordinate `u = (x_s − a x_t − b x̂)/c`, where `P` is the law of `√g ξ + n` and `Q` is `N(0, I)` (A4).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import ClassVar, NamedTuple, Self, final

import torch
from torch import Tensor

from singtheory.engine import (
    DOUBLE_TOL,
    CovarianceAlong,
    Draws,
    Engine,
    Entropy,
    Nearest,
    Points,
    PosteriorMoments,
    Started,
    Statistic,
    Uncertified,
    check_reached,
)
from singtheory.errors import InputError
from singtheory.law import logits
from singtheory.numerics import block_rows, check_precisions, row_squares


class Parts(NamedTuple):
    """What the posterior of one query is a mixture of: k Gaussians, or k points of positive weight.

    Attributes:
        log_p: log weights, shape (k,).
        log_p_error: bounds on their errors, shape (k,).
        places: means of the parts but for a common shift, shape (k, d).
        spectrum: eigenvalues of each covariance, shape (k, d); None for points.
        basis: its eigenvectors as columns, shape (k, d, d); None for points.
        spectrum_error: of a single part at least the error of each eigenvalue; of several `−E ≤ C_j' − C_j ≤ E` for E diagonal in the basis; shape (k, d). None
            where it is rounding alone, as the next.
        place_error: at least the Euclidean error of each of `places` but for a common shift, shape (k,).
    """

    log_p: Tensor
    log_p_error: Tensor
    places: Tensor
    spectrum: Tensor | None = None
    basis: Tensor | None = None
    spectrum_error: Tensor | None = None
    place_error: Tensor | None = None


class Posterior(ABC):
    """One posterior law a query; `batch` queries in `d` dimensions."""

    mean: Tensor
    """The denoiser `x̂ = E[x_0 | z]`, shape (batch, d)."""
    log_evidence: Uncertified
    """The log density of `z`, shape (batch,); its rounding is not bounded."""
    finite: ClassVar[bool] = False
    """Whether it is one of finitely many points."""
    gaussian: ClassVar[bool] = False
    """Whether it is one Gaussian a query."""

    @property
    @abstractmethod
    def trace_cov(self) -> Uncertified:
        """`tr C`, shape (batch,); its rounding is not bounded (`divergence.Components` has a trace whose rounding is)."""

    @property
    @abstractmethod
    def cov(self) -> Tensor:
        """`C = Cov[x_0 | z]`, shape (batch, d, d)."""

    @abstractmethod
    def __getitem__(self, query: int) -> Self:
        """The posterior of one query, as a batch of one."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of `x_0` a query, shape (batch, n, d)."""

    @abstractmethod
    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log dP/dQ` at `u` (batch, n, d): P the law of `√g ξ + n`, Q = N(0, I) (A4); shape (batch, n). Raises `InputError` for a gap beyond the domain."""

    @abstractmethod
    def parts(self) -> Parts:
        """What the posterior of the first query is a mixture of; parts of no weight are left out."""

    def atoms(self) -> "AtomsPosterior":
        """The posterior itself, for what needs finite data. Raises `InputError` for one with a density."""
        raise InputError(f"{type(self).__name__}: has a density, and a posterior of finite data is needed")

    def __len__(self) -> int:
        return len(self.mean)

    def __iter__(self) -> Iterator[Self]:
        """One query after the other; of a single one itself, which knows what has been made of it."""
        return iter((self,)) if len(self) == 1 else (self[i] for i in range(len(self)))

    @cached_property
    def eigenvalues(self) -> Tensor:
        """The eigenvalues `λ` of `C`, ascending and not negative, shape (batch, d)."""
        return torch.linalg.eigvalsh(self.cov).clamp(min=0)


@final
class AtomsPosterior(Posterior):
    """Posterior weights over shared points.

    Mean, trace and evidence come from the engine, with a bound on the error of the mean and without the weights of all points ever
    being held; these are there for those who ask for them.

    Args:
        engine: of the points.
        z: queries, shape (batch, d).
        snr: shape (batch,).
        tol: the error of the mean that is aimed at, relative to `√Σ w_i‖y_i‖²`.
    """

    finite = True

    def __init__(self, engine: Engine, z: Tensor, snr: Tensor, tol: float) -> None:
        self.engine, self.z, self.snr, self.tol = engine, z, snr, tol
        self._started: Started | None = None
        self._reached: Callable[[], bool] = bool
        self._whole: tuple[AtomsPosterior, slice] | None = None

    @classmethod
    def of(cls, points: Tensor, log_weights: Tensor) -> "AtomsPosterior":
        """One query's, around weights (n,) that are known already."""
        nowhere = torch.zeros(1, points.shape[1], dtype=torch.float64, device=points.device)
        return cls(Engine(Points(points, log_weights.exp())), nowhere, nowhere[:, 0], DOUBLE_TOL)

    def start(self) -> bool:
        """Let a GPU begin before the answer is asked for; whether it has seen that all numbers of the queries are finite and snr at least 0."""
        self._started = self.engine.start(self.z, self.snr, self.tol)
        return self._started.checked

    @cached_property
    def _found(self) -> PosteriorMoments:
        if self._whole is not None:
            posterior, rows = self._whole
            return posterior._found.of(rows)
        started, self._started = self._started or self.engine.start(self.z, self.snr, self.tol), None
        self._reached = started.reached
        return started.finish()

    @property
    def mean(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The denoiser `x̂`, shape (batch, d)."""
        return self._found.mean

    @property
    def error_bound(self) -> Tensor:
        """At least the Euclidean error of the mean, and of nothing else, through rounding and what was left out; shape (batch,)."""
        return self._found.error_bound

    def check_reached(self) -> None:
        """Raise `InputError` where an error cannot be bounded by what is aimed at; bounds that a GPU has looked at are not waited for again."""
        bound = self.error_bound
        if not self._reached():
            check_reached(bound, self.engine.points, self.tol)

    def atoms(self) -> "AtomsPosterior":
        """This posterior itself, which has finitely many points."""
        return self

    @property
    def log_evidence(self) -> Uncertified:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The log density of `z`, shape (batch,); its error is not bounded."""
        return self._found.log_evidence

    @property
    def trace_cov(self) -> Uncertified:
        """`Σ p_i ‖y_i − x̂‖²`, shape (batch,); its error is not bounded."""
        return self._found.trace_cov

    def tell(self, *statistics: Statistic) -> None:
        """Let statistics see all points that matter, in one pass in which mean, trace and evidence are found too."""
        self._found = self.engine.tell(self.z, self.snr, self.tol, statistics)

    @cached_property
    def points(self) -> Tensor:
        """The points in float64, shape (n, d)."""
        return self.engine.points.whole

    @cached_property
    def log_weights(self) -> Tensor:
        """Normalised, shape (batch, n)."""
        return self._logits[0]

    @property
    def log_weight_error(self) -> Tensor:
        """At least what rounding took from or added to each of `log_weights`, shape (batch, n)."""
        return self._logits[1]

    @cached_property
    def _logits(self) -> tuple[Tensor, Tensor]:
        if self._whole is not None:
            posterior, rows = self._whole
            return posterior._logits[0][rows], posterior._logits[1][rows]
        return logits.log_weights(self.engine.points, self.z, self.snr)

    @cached_property
    def weights(self) -> Tensor:
        """Posterior weights, shape (batch, n)."""
        return self.log_weights.exp()

    @property
    def cov(self) -> Tensor:
        """`Σ p_i ξ_i ξ_iᵀ`, shape (batch, d, d)."""
        return torch.stack([(xi * p[:, None]).mT @ xi for xi, p in zip(self.deviations(), self.weights, strict=True)])

    def cov_along(self, directions: Tensor) -> Uncertified:
        """`Vᵀ C V` along directions V, shape (d, k), such as a few principal components; shape (batch, k, k); its error is not bounded."""
        covariance = CovarianceAlong(self.engine.points, directions.to(torch.float64))
        self.tell(covariance)
        return covariance.value()

    @cached_property
    def entropy(self) -> Uncertified:
        """`−Σ p_i log p_i` in nats, shape (batch,); its error is not bounded."""
        entropy = Entropy()
        self.tell(entropy)
        return entropy.value()

    def nearest(self, k: int = 1) -> Tensor:
        """Numbers of the `k` points of the largest weight, the nearest ones where prior weights are equal (D1); shape (batch, k)."""
        nearest = Nearest(k)
        self.tell(nearest)
        return nearest.value()

    def deviations(self) -> Iterator[Tensor]:
        """`ξ_i = y_i − x̂` of each query in turn, shape (n, d): from differences to the heaviest point, which keep their digits wherever the data lie."""
        for weights in self.weights:
            moved = self.points - self.points[int(weights.argmax())]
            yield moved.sub_(weights @ moved)

    def parts(self) -> Parts:
        """The points of positive weight, of the first query."""
        log_p, error = self.log_weights[0], self.log_weight_error[0]
        kept = log_p > -torch.inf
        if bool(kept.all()):
            return Parts(log_p, error, self.points)
        return Parts(log_p[kept], error[kept], self.points[kept])

    def __getitem__(self, query: int) -> Self:
        rows = row_of(query, len(self))
        one = type(self)(self.engine, self.z[rows], self.snr[rows], self.tol)
        one._whole = (self, rows)
        return one

    def __len__(self) -> int:
        return len(self.z)

    def sample_indices(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` indices of points a query, drawn by posterior weight, shape (batch, n)."""
        draws = Draws(n, generator)
        self.tell(draws)
        return draws.value()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` points a query."""
        indices = self.sample_indices(n, generator)
        return self.engine.points.take(indices.flatten()).unflatten(0, indices.shape)

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log Σ_j p_j exp(√g⟨ξ_j, u⟩ − ½ g‖ξ_j‖²)`, shape (batch, n)."""
        return self._reduce(u, gap, _log_of_sum)[0]

    def conditional_entropy(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """The entropy of `x_0` once `u` is known too, in [0, log n] nats; shape (batch, n)."""
        return self._reduce(u, gap, _entropy)[0]

    def ratio_and_entropy(self, u: Tensor, gap: Tensor | float) -> tuple[Tensor, Tensor]:
        """`log_ratio` and `conditional_entropy`, from one product with the points."""
        log_ratio, entropy = self._reduce(u, gap, _log_of_sum, _entropy)
        return log_ratio, entropy

    def _reduce(self, u: Tensor, gap: Tensor | float, *reduce: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Each `reduce` over the points of `log p_j + √g⟨ξ_j, u⟩ − ½ g‖ξ_j‖²`, a bounded number of rows at a time."""
        check_precisions("gap", gap)
        u = u.to(torch.float64)
        gap = torch.as_tensor(gap, dtype=torch.float64, device=u.device).expand(len(self))
        rows = block_rows(len(self.points), u.device)
        values = []
        for xi, log_p, u_query, g in zip(self.deviations(), self.log_weights, u, gap, strict=True):
            offset = log_p - g / 2 * row_squares(xi)
            scaled = xi.mul_(g.sqrt()).mT
            terms = ((part @ scaled).add_(offset) for part in u_query.split(rows))
            values.append(
                [torch.cat(column) for column in zip(*([f(part) for f in reduce] for part in terms), strict=True)]
            )
        return [torch.stack(column) for column in zip(*values, strict=True)]


def _log_of_sum(terms: Tensor) -> Tensor:
    return torch.logsumexp(terms, dim=1)


def _entropy(terms: Tensor) -> Tensor:
    return torch.special.entr(torch.softmax(terms, dim=1)).sum(dim=1)


def row_of(query: int, count: int) -> slice:
    """One query as a batch of one. Raises `IndexError` where there is none, which also ends a loop over a posterior."""
    if not -count <= query < count:
        raise IndexError(f"query {query} of {count}")
    return slice(query % count, query % count + 1)

"""What paths of many steps cost laws on a line, by quadrature over `z = √γ x_0 + n` at every γ: of the plug-in, the matched and an averaged kernel.

The sums are those of the kernels' exact divergences, not of their leading orders: with `I = ½∫mmse` the information between the ends,

    plug-in    Σ ½ g E C − I          KL(P‖Q) of every step (B4)
    matched    Σ E ½ log(1 + gC) − I  KL(P‖M) (B5)
    averaged   Σ ½ log(1 + g E C) − I KL from the Gaussian of variance 1 + g E C, the same wherever x_t is
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from proofs_checks.harness.outcome import rounding
from singtheory import Atoms, Law

KERNELS = ("plug-in", "matched", "averaged")
_A_UNIT, _REACH = 16, 10.0
"""Nodes of the trapezoidal rule in a standard deviation of the noise, and how far they reach beyond the data, in such."""
_OPERATIONS = 64
_TOGETHER = 2**22
"""Numbers held at once."""


@dataclass(frozen=True)
class Level:
    """Means over z at one γ.

    Attributes:
        trace: `E C`, the mmse.
        norm2: `E C²`.
        skewness2: `E κ²`.
        apart2: `E(C − E C)²`.
        information: `I(x_0; z)`, nats.
        entropy: of the density of z, whose rounding the information has.
    """

    trace: float
    norm2: float
    skewness2: float
    apart2: float
    information: float
    entropy: float


@dataclass(frozen=True, eq=False)
class Line:
    """A law on a line as bumps `N(c, v)`, v = 0 for atoms.

    Attributes:
        centres: c, shape (k,).
        variances: v, shape (k,).
        weights: shape (k,).
    """

    centres: Tensor
    variances: Tensor
    weights: Tensor

    @classmethod
    def of(cls, law: Law) -> "Line":
        """A law in one dimension, from its heaviest part: its costs do not change when it is moved, and a distant origin takes digits."""
        centres, variances, weights = law.line_parts()
        return cls(centres - centres[weights.argmax()], variances, weights)

    @lru_cache(maxsize=2**12)  # noqa: B019 few laws live as long as the process, and chains ask for the same γ again
    def posterior(self, snr: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Nodes' masses `q(z) dz`, `log q`, C and κ there, each (nodes,)."""
        root, spread = math.sqrt(snr), 1 + snr * self.variances
        z = self._nodes(root, spread)
        parts = [self._moments(some, root, spread) for some in z.split(max(1, _TOGETHER // len(self.weights)))]
        log_q, cov, kappa = (torch.cat(columns) for columns in zip(*parts, strict=True))
        return log_q.exp() / _A_UNIT, log_q, cov, kappa

    def _nodes(self, root: float, spread: Tensor) -> Tensor:
        """Whole multiples of the step where any part has density: between far parts there are none."""
        reach = _REACH * spread.sqrt()
        low, order = (root * self.centres - reach).sort()
        high = (root * self.centres + reach)[order].cummax(dim=0).values
        parted = (low[1:] > high[:-1]).nonzero()[:, 0]
        first, last = torch.cat([low[:1], low[parted + 1]]), torch.cat([high[parted], high[-1:]])
        windows = zip((first * _A_UNIT).floor().tolist(), (last * _A_UNIT).ceil().tolist(), strict=True)
        return torch.cat([torch.arange(int(a), int(b) + 1, dtype=torch.float64) for a, b in windows]) / _A_UNIT

    def _moments(self, z: Tensor, root: float, spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        off = z[:, None] - root * self.centres
        log_p = self.weights.log() - (off.square() / spread + (2 * math.pi * spread).log()) / 2
        log_q = log_p.logsumexp(dim=1)
        p = (log_p - log_q[:, None]).exp()
        within = self.variances / spread
        heaviest = self.centres[p.argmax(dim=1)][:, None]  # from there deviations keep their digits
        place = (self.centres - heaviest) + root * within * off
        moved = place - (p * place).sum(dim=1, keepdim=True)
        cov = (p * (within + moved.square())).sum(dim=1)
        return log_q, cov, (p * (moved**3 + 3 * moved * within)).sum(dim=1)

    @lru_cache(maxsize=2**14)  # noqa: B019
    def level(self, snr: float) -> Level:
        """At one γ."""
        mass, log_q, cov, kappa = self.posterior(snr)
        trace, entropy = float(mass @ cov), -float(mass @ log_q)
        return Level(
            trace,
            float(mass @ cov.square()),
            float(mass @ kappa.square()),
            float(mass @ (cov - trace).square()),
            entropy - math.log(2 * math.pi * math.e) / 2,
            entropy,
        )

    @lru_cache(maxsize=2**14)  # noqa: B019
    def log_gain(self, snr: float, gap: float) -> float:
        """`E ½ log(1 + gC)`."""
        mass, _, cov, _ = self.posterior(snr)
        return float(mass @ torch.log1p(gap * cov)) / 2


@lru_cache(maxsize=4)
def along_widest(law: Atoms) -> Atoms:
    """The law along its direction of largest variance."""
    _, vectors = torch.linalg.eigh(law.cov)
    return Atoms((law.deviations() @ vectors[:, -1])[:, None], law.weights)


@lru_cache(maxsize=16)
def line_of(law: Law) -> Line:
    """One line for a claim and all of its twins, so that they share what is computed."""
    return Line.of(law)


def path_cost(line: Line, kernel: str, snr: tuple[float, ...]) -> float:
    """The sum over the steps of a chain between increasing γ, in nats."""
    pairs = list(itertools.pairwise(snr))
    known = line.level(snr[-1]).information - line.level(snr[0]).information
    if kernel == "plug-in":
        terms = [(high - low) * line.level(low).trace / 2 for low, high in pairs]
    elif kernel == "matched":
        terms = [line.log_gain(low, high - low) for low, high in pairs]
    else:
        terms = [math.log1p((high - low) * line.level(low).trace) / 2 for low, high in pairs]
    return math.fsum(terms) - known


def cost_rounding(line: Line, snr: tuple[float, ...]) -> float:
    """What float64 may change in `path_cost`."""
    first, last = line.level(snr[0]), line.level(snr[-1])
    return rounding(_OPERATIONS, first.entropy, last.entropy, 2.0, (snr[-1] - snr[0]) * first.trace / 2)

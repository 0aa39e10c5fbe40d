"""Claims D1 to D4 on data that no claim was tuned on, the numbers of their false twins, and the small laws against their use."""

import math

import pytest
import torch

from proofs_checks.claims.d import __init__
from proofs_checks.claims.d.d1_d2_atoms import neighbours
from proofs_checks.harness.context import Context
from proofs_checks.instances.counterexample import uniform_score
from proofs_checks.instances.excerpt import ATOMS, COORDINATES, excerpt
from proofs_checks.instances.laws import BUMPS, GOLDEN, TRI
from singtheory import Atoms, Cosine, Gaussian, RectifiedFlow, VarianceExploding, limit
from singtheory.data.sources import Data
from tests.proofs_checks.claims.holding import assert_holds

assert __init__
IDS = [f"D{k}" for k in range(1, 5)]


def drawn(n: int, d: int) -> torch.Tensor:
    return torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) ** 2


DATA = {
    "one dimension": Atoms(drawn(40, 1)),
    "one point": Atoms([[0.0, 1.0, 2.0]]),
    "two points": Atoms([[-1.0, -2.0], [1.0, 2.0]]),
    "a tiny scale": Atoms(1e-3 * drawn(20, 3)),
    "duplicates": Atoms([[0.0, 1.0], [0.0, 1.0], [2.0, -1.0], [2.0, -1.0], [0.5, 0.5]]),
    "weights with zeros": Atoms([[0.0, 1.0], [5.0, 1.0], [2.0, -1.0]], [0.3, 0.0, 0.7]),
    "far off the origin": Atoms(100 + drawn(20, 2)),
    "a constant coordinate": Atoms(torch.cat([drawn(20, 2), torch.full((20, 1), 0.7, dtype=torch.float64)], dim=1)),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("id", IDS)
def test_claim_holds_on_other_data(id, data):
    assert_holds(id, DATA[data], data)


def test_neighbours_skip_duplicates_and_weightless_points():
    law = Atoms([[0.0], [0.0], [1.0], [0.1]], [0.3, 0.3, 0.4, 0.0])
    assert list(neighbours(law, 4)) == [(0, 2), (1, 2), (2, 0)]


def test_excerpt_leaves_small_data_alone_and_thins_large():
    small = Data(GOLDEN, "golden", None)
    assert excerpt(Context(small, 0, 1e-6)) == ("golden", GOLDEN)
    points = torch.arange(2.0 * ATOMS, dtype=torch.float64)[:, None] + torch.zeros(COORDINATES + 5, dtype=torch.float64)
    name, law = excerpt(Context(Data(Atoms(points), "big", None), 0, 1e-6))
    assert law.points.shape == (ATOMS, COORDINATES)
    assert f"{ATOMS} of {2 * ATOMS} points" in name
    assert float(law.points[0, 0]) == 0
    assert float(law.points[-1, 0]) == 2 * ATOMS - 1


def test_zero_weight_atom_is_never_nearest():
    """D1."""
    law, x = Atoms([[0.0], [1.0]], [0.0, 1.0]), torch.tensor([[0.1]], dtype=torch.float64)
    alpha, sigma = (torch.tensor(v, dtype=torch.float64) for v in (0.9, 0.4))
    assert limit.nearest_atom(law, x, alpha).tolist() == [1]
    assert float(limit.nearest_atom_weight(law, x, alpha, sigma)) == 1


def test_three_tied_atoms():
    """D1 at the centre of the circle through the three atoms of `tri`, where all are equally near."""
    y = TRI.points
    centre = torch.linalg.solve(2 * (y[1:] - y[0]), y[1:].square().sum(dim=1) - y[0].square().sum())
    schedule, t = Cosine(), Cosine().time_of_snr(1e5)
    actual = TRI.posterior(centre[None] / schedule.sigma(t), schedule.snr(t)).weights[0]
    assert actual.tolist() == pytest.approx(limit.vp_tie_weights(TRI, [0, 1, 2]).tolist(), rel=1e-5)
    assert float((actual - TRI.weights).abs().max()) > 0.02


def test_noise_is_unbounded_at_a_point():
    """D2: 30 at x = 0.5, σ = 0.01."""
    at = limit.predictions(GOLDEN, Cosine(), torch.tensor([[0.5]], dtype=torch.float64), Cosine().time_of_snr(1e4))
    assert float(at.epsilon) == pytest.approx(30, rel=1e-3)


def test_tv_to_a_point_is_the_weight_of_the_others():
    """D3."""
    posterior = GOLDEN.posterior([0.5], 2.0)
    point, off = (Gaussian([m], [[0.0]]) for m in (0.2, 0.3))
    assert limit.tv_to_gaussian(posterior, point) == pytest.approx(1 - float(posterior.weights[0, 1]))
    assert limit.tv_to_gaussian(posterior, off) == 1
    assert limit.tv_to_gaussian(posterior, Gaussian([0.2], [[1e-9]])) == 1


def test_uniform_score_at_the_edge():
    """D4: 798 at σ = 0.001, and nothing inside."""
    schedule = RectifiedFlow()
    at_edge = uniform_score(schedule, torch.tensor([[1.0]], dtype=torch.float64), 0.001)
    # α = 1 − t moves the edge by one σ here; VP does not
    vp = uniform_score(Cosine(), torch.tensor([[1.0], [0.2]], dtype=torch.float64), 2 / math.pi * math.asin(0.001))
    assert float(at_edge) < -1000
    assert float(vp[0]) == pytest.approx(-798, rel=1e-3)
    assert float(vp[1]) == 0


def test_data_score_of_a_mixture_by_differences():
    """D4."""
    x = torch.tensor([[0.3]], dtype=torch.float64)
    densities = [
        sum(w * c.log_prob(x + h).exp() for w, c in zip(BUMPS.weights, BUMPS.components, strict=True))
        for h in (1e-5, -1e-5)
    ]
    slope = float((densities[0].log() - densities[1].log()) / 2e-5)
    assert float(limit.data_score(BUMPS, x)) == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize(
    ("schedule", "expected"), [(Cosine(), -0.6), (RectifiedFlow(), -math.inf), (VarianceExploding(), 0.0)]
)
def test_foot_score(schedule, expected):
    """D4."""
    assert float(limit.foot_score(schedule, torch.tensor(1.2, dtype=torch.float64))) == pytest.approx(expected)
    assert float(limit.foot_score(schedule, torch.tensor(0.0, dtype=torch.float64))) == 0

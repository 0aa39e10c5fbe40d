"""The limits at both ends, query by query: D1, D3, D4."""

import itertools
import random
from fractions import Fraction

import mpmath as mp
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singtheory import Atoms, Cosine, Gaussian, GaussianMixture, InputError, LinearVP, Power, RectifiedFlow, limit
from singtheory.start import mismatch, starts
from tests.support import reference_posterior
from tests.support.devices import DevicesGiven
from tests.support.strategies import examples, queries, wild_atoms, wild_snrs


def test_nearest_weights_are_per_query():
    law = Atoms([[-1.0], [0.5], [2.0]], [0.5, 0.3, 0.2])
    x_t, alpha, sigma = torch.tensor([[-0.6], [0.4], [1.9]], dtype=torch.float64), torch.tensor(0.9), torch.tensor(0.4)
    actual = limit.nearest_atom_weight(law, x_t, alpha, sigma)
    expected = law.posterior(x_t / sigma, (alpha / sigma) ** 2).weights.amax(dim=1)
    torch.testing.assert_close(actual, expected.to(actual.dtype), rtol=1e-6, atol=0)


def test_score_of_a_mixture_is_that_of_its_density():
    law = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.05]], [[0.2]]])
    x, step = torch.tensor([[0.1], [-0.9], [1.4]], dtype=torch.float64), 1e-5

    def log_density(at):
        parts = torch.stack([part.log_prob(at) for part in law.components], dim=-1)
        return torch.logsumexp(parts + law.weights.log(), dim=-1)

    expected = (log_density(x + step) - log_density(x - step)) / (2 * step)
    torch.testing.assert_close(limit.data_score(law, x)[:, 0], expected, rtol=1e-7, atol=1e-7)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


FAR = Atoms([[1e8, 1e8], [1e8 + 1, 1e8], [1e8, 1e8 + 3]], [0.5, 0.25, 0.25])
"""Products of rows know nothing of distances of one here."""


def test_atoms_far_from_the_origin_are_told_apart():
    x, one = tensor([1e8 + 0.9, 1e8], [1e8, 1e8 + 2.0], [1e8 + 0.1, 1e8 + 0.1]), torch.tensor(1.0, dtype=torch.float64)
    many = Atoms(FAR.points.repeat(20, 1))  # from 25 rows on torch takes products where it may choose
    assert (limit.nearest_atom(many, x, one) % 3).tolist() == [1, 2, 0]
    actual = limit.rivals(FAR, x, one)
    torch.testing.assert_close(actual.margins[0], tensor(0.81 - 0.01, 0.0, 9.81 - 0.01), rtol=1e-6, atol=0)
    assert actual.nearest.tolist() == [1, 2, 0] and actual.prior_ratios[0].tolist() == [2.0, 1.0, 1.0]


@pytest.mark.parametrize("x", [1e10, 1e17, 1e30, -1e17])
def test_the_nearest_atom_far_from_all_of_them(x):
    """Squares of distances lose what they differ by: `2xy − y²` for an atom y."""
    law = Atoms([[0.0], [1.0], [0.5]])
    at, one = torch.tensor([[x]], dtype=torch.float64), torch.ones((), dtype=torch.float64)
    actual = limit.rivals(law, at, one)
    nearest = 1 if x > 0 else 0
    assert actual.nearest.tolist() == limit.nearest_atom(law, at, one).tolist() == [nearest]
    y = law.points[:, 0]
    right = (y[nearest] - y) * (2 * x - y[nearest] - y)
    assert actual.margins[0].tolist() == pytest.approx(right.tolist(), rel=1e-14)
    assert float(limit.nearest_atom_weight(law, at, one, one)) == 1.0


def test_an_atom_without_weight_is_nearest_to_nothing():
    law = Atoms([[0.0], [1.0], [3.0]], [0.5, 0.0, 0.5])
    x, one = tensor([1.0], [0.9], [2.9]), torch.tensor(1.0, dtype=torch.float64)
    assert limit.nearest_atom(law, x, one).tolist() == [0, 0, 2]
    assert limit.nearest_atom_weight(law, x, one, torch.tensor(0.1, dtype=torch.float64))[0] == pytest.approx(
        1.0, abs=1e-12
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6, 1e12])
def test_the_denoiser_near_the_end_is_that_of_any_scale(scale):
    """Atoms ±s with weights ½ have the denoiser s tanh(αsx/σ²): at γ = 10⁻¹³ and s = 10⁶ it is far from its series."""
    law, x = Atoms([[-scale], [scale]]), tensor([1.0], [-2.5])
    for snr in (1e-30, 1e-20, 0.99e-12, 1e-8):
        t = Cosine().time_of_snr(snr)
        alpha, sigma = Cosine().alpha(t), Cosine().sigma(t)
        actual = limit.denoiser(law, Cosine(), x, t)
        torch.testing.assert_close(
            actual, scale * torch.tanh(alpha * scale * x / sigma**2), rtol=1e-9, atol=1e-12 * scale
        )


@given(st.data(), wild_atoms(dims=(1, 2)), wild_snrs())
@settings(deadline=None, max_examples=examples(30))
def test_the_denoiser_is_the_posterior_mean(data, law, snr):
    """Against mpmath, within the bound; z is rounded once."""
    t = RectifiedFlow().time_of_snr(snr)
    alpha, sigma = RectifiedFlow().alpha(t), RectifiedFlow().sigma(t)
    assume(float(sigma) > 0)
    row = data.draw(st.integers(0, len(law.points) - 1))
    x = alpha * law.points[row : row + 1] + sigma * data.draw(queries(law.dim))
    posterior = law.posterior(x / sigma, (alpha / sigma) ** 2)
    mean, _, _ = reference_posterior.posterior(law, (x / sigma)[0].tolist(), float((alpha / sigma) ** 2))
    off = limit.denoiser(law, RectifiedFlow(), x, t)[0] - reference_posterior.as_tensor(mean)
    rounding = 4e-16 * float(law.points.abs().max()) * law.dim
    assert float(off.norm()) <= float(posterior.error_bound) + rounding


@pytest.mark.parametrize(
    ("schedule", "s", "r", "exact"),
    [
        (Power(1e4), 0.5, 0.9, 1e4 * 1.6094379124341003),  # p log((1 − s)/(1 − r)), only alpha_r underflows
        (Power(1e6), 0.5, 0.9, 1e6 * 1.6094379124341003),  # both do
        (LinearVP(1.0, 1e5), 0.5, 0.75, 0.125 + 99999 / 4 * 0.3125),
        (Power(1e6), 0.5, 0.5, 0.0),
        (Cosine(), 1.0, 1.0, 0.0),
        (Power(1e6), 0.5, 1.0, float("inf")),
        (LinearVP(1.0, 1e5), 0.75, 1.0, 0.125 + 99999 / 4 * 0.4375),
    ],
)
def test_the_rate_integral_where_alpha_underflows(schedule, s, r, exact):
    assert float(limit.sde_rate_integral(schedule, s, r)) == pytest.approx(exact, rel=1e-14, abs=0)


def test_a_schedule_that_only_underflows_is_not_singular():
    assert limit.sde_growth(LinearVP(1.0, 1e5), 16.0) == 1 / 16
    assert limit.sde_growth(Power(1e6), 16.0) == 1.0


def test_tensors_are_made_where_the_law_is():
    """Every factory of torch that is called by a function of the law is told the device."""
    law = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.05]], [[0.2]]])
    gaussian = Gaussian([0.0], [[1.0]])
    moments = mismatch.Moments.of(Atoms([[0.0, 1.0], [1.0, 0.0]]))
    values = tensor(0.0, 1.0, 2.0)
    with DevicesGiven():
        for one in (law, gaussian):
            limit.data_score(one, torch.zeros(2, 1, dtype=torch.float64, device=one.device))
        mismatch.initial_mismatch(moments, mismatch.from_noise(moments), 0.6, 0.8)
        starts.quantile_spread(0.0, 1.0, values, 0.6, 0.8, nodes=33)


def test_the_watch_over_devices_sees_a_tensor_without_one():
    with pytest.raises(AssertionError, match="zeros"), DevicesGiven():
        torch.zeros(3)


@pytest.mark.gpu
def test_limits_and_starts_on_a_gpu():
    device = torch.device("cuda")
    law = Gaussian(torch.tensor([0.3], device=device), torch.tensor([[0.7]], device=device))
    x = torch.zeros(2, 1, dtype=torch.float64, device=device)
    assert limit.data_score(law, x).device.type == "cuda"
    atoms = Atoms(torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64, device=device))
    moments = mismatch.Moments.of(atoms)
    on_cpu = mismatch.Moments.of(atoms.to("cpu"))
    assert mismatch.initial_mismatch(moments, mismatch.from_noise(moments), 0.6, 0.8).high == pytest.approx(
        mismatch.initial_mismatch(on_cpu, mismatch.from_noise(on_cpu), 0.6, 0.8).high
    )
    values = torch.arange(3, dtype=torch.float64, device=device)
    assert starts.quantile_spread(0.0, 1.0, values, 0.6, 0.8, nodes=33).device.type == "cuda"


@pytest.mark.parametrize("law", [Atoms([[-1.0], [1.0]]), Gaussian([0.0], [[1.0]])])
def test_a_time_whose_ratio_overflows_is_not_taken_for_zero(law):
    """Atoms ±1 pull x = 0.3 to 1 at any t > 0; at t = 1e-160 the answer was x itself."""
    x, flow = torch.tensor([[0.3]], dtype=torch.float64), RectifiedFlow()
    assert float(limit.denoiser(law, flow, x, 0.0)) == 0.3
    for reading in (limit.denoiser, limit.predictions, limit.score, limit.ode_drift):
        with pytest.raises(InputError, match="time 1e-160"):
            reading(law, flow, x, 1e-160)
    expected = 1.0 if isinstance(law, Atoms) else 0.3
    assert float(limit.denoiser(law, flow, x, 1e-39)) == pytest.approx(expected, rel=1e-12)


def _tie_weights(points: list[list[float]], priors: list[float]) -> list[float]:
    """`∝ w e^{‖y‖²/4}` from exact squares."""
    with mp.workdps(900):
        size = [
            mp.log(w) + mp.fsum(mp.mpf(x) ** 2 for x in y) / 4 if w else mp.ninf
            for y, w in zip(points, priors, strict=True)
        ]
        shares = [mp.exp(s - max(size)) for s in size]
        return [float(share / mp.fsum(shares)) for share in shares]


@pytest.mark.parametrize(
    ("points", "priors"),
    [
        ([[-5e29], [5e29]], [1.0, 3.0]),
        ([[1e8, 1.0], [1e8, 2.0]], [1.0, 1.0]),  # of equal squares 1e16 nothing is left
        ([[3e29, 4e29], [5e29, 0.0], [0.0, 5e29]], [1.0, 2.0, 3.0]),
        ([[1e30, 1.0], [1e30, 3.0]], [1.0, 1.0]),
        ([[1e30, 5e29], [1e30, -5e29]], [1.0, 1.0]),
        ([[1.0], [2.0], [1e30]], [1.0, 1.0, 0.0]),
        ([[0.0, 0.0], [1e15, 0.0], [1e29, 0.0], [0.0, 1e29]], [1.0, 1.0, 1e-300, 1.0]),
        ([[1e9 + 1], [-1e9]], [1e-300, 1.0]),
    ],
)
def test_weights_of_tied_points_at_any_scale(points, priors):
    law = Atoms(points, priors)
    actual = limit.vp_tie_weights(law, list(range(len(points)))).tolist()
    assert actual == pytest.approx(_tie_weights(points, law.weights.tolist()), rel=1e-12, abs=1e-300)


SIGNS = tuple(itertools.product((1, -1), repeat=3))


@pytest.mark.parametrize("vector", [(0.00827, -6.7448, 0.8527), (-0.44553, 0.002354, 82.1635), (0.1, 0.2, 0.7)])
@pytest.mark.parametrize("alpha", [0.20995480637147712, 0.926506623785866, 1.0])
def test_the_nearest_of_equally_near_atoms_is_any_of_them(vector, alpha):
    orders = itertools.permutations(vector)
    law = Atoms([[s * y for s, y in zip(signs, v, strict=True)] for v in orders for signs in SIGNS])
    origin, alpha = torch.zeros(1, 3, dtype=torch.float64), torch.tensor(alpha, dtype=torch.float64)
    actual = limit.rivals(law, origin, alpha)
    assert bool(((actual.margins >= 0) & (actual.margins <= 1e-28 * max(vector) ** 2)).all())
    weight = limit.nearest_atom_weight(law, origin, alpha, torch.tensor(max(vector), dtype=torch.float64))
    assert float(weight) == pytest.approx(1 / 48, rel=1e-12)


def test_the_nearest_atom_of_the_largest_data():
    one = torch.ones((), dtype=torch.float64)
    line, plane = Atoms([[-1e29], [2e29], [1e29]]), Atoms([[3e29, 4e29], [5e29, 0.0], [0.0, 5e29]])
    assert limit.nearest_atom(line, tensor([0.9e29]), one).tolist() == [2]
    assert limit.rivals(line, tensor([0.9e29]), one).margins[0].tolist() == pytest.approx([3.6e58, 1.2e58, 0.0])
    assert limit.nearest_atom(plane, tensor([0.0, 4e29]), one).tolist() == [2]
    # e^{−(1.1² − 0.1²)/2σ²}, as at σ = 1
    small = limit.nearest_atom_weight(Atoms([[-1.0], [2.0], [1.0]]), tensor([0.9]), one, one)
    assert limit.nearest_atom_weight(line, tensor([0.9e29]), one, 1e29 * one).tolist() == pytest.approx(small.tolist())


@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_what_single_precision_says_is_what_its_numbers_say(kind):
    """`x_t/σ` in fewer digits is another posterior's, or overflows; a drop of precision is no other law."""
    law, schedule, x = (
        Atoms([[0.0, 1.0], [1.0, 0.0], [3.0, -2.0]], [0.2, 0.5, 0.3]),
        Cosine(),
        torch.tensor([[0.5, 0.47], [2.0, -1.1]]),
    )
    x = x.to(kind)
    alpha, sigma = torch.tensor(0.1, dtype=torch.float64), torch.tensor(0.99, dtype=torch.float64)
    smooth = GaussianMixture([0.5, 0.5], [[0.0, 1.0], [1.0, 2.0]], torch.eye(2).expand(2, 2, 2))
    asked = {
        "score": lambda x: limit.score(law, schedule, x, 0.5),
        "denoiser": lambda x: limit.denoiser(law, schedule, x, 1e-5),
        "denoiser at 0": lambda x: limit.denoiser(law, schedule, x, 0.0),
        "series": lambda x: limit.denoiser_series(law, x, alpha, sigma),
        "error of the series": lambda x: limit.denoiser_series_error(law, x, alpha, sigma),
        "terminal drift": lambda x: limit.terminal_drift(law, schedule, x),
        "weight": lambda x: limit.nearest_atom_weight(law, x, alpha, sigma),
        "score of the data": lambda x: limit.data_score(smooth, x),
        "log density": smooth.log_prob,
        "log ratio": lambda x: law.posterior(x[0], 1.0).log_ratio(x[None], 2.0),
        "log ratio of a mixture": lambda x: smooth.posterior(x[0], 1.0).log_ratio(x[None], 2.0),
        "covariance along": lambda x: law.posterior(x[0], 1.0).cov_along(x.mT),
    }
    for name, of in asked.items():
        actual, expected = of(x), of(x.double())
        assert actual.dtype == torch.float64 and torch.equal(actual, expected), name


@pytest.mark.parametrize("seed", range(20))
def test_the_nearest_atom_and_its_margins_are_those_of_exact_fractions(seed):
    """At x far along a line on which atoms are nearly level, which floats do not tell apart: from `Fraction`s of the floats."""
    draw = random.Random(seed)
    far, dim = 10.0 ** draw.uniform(8, 20), draw.choice([2, 3, 5])
    points = [[draw.gauss(0, 1)] * 2 + [draw.gauss(0, 1) for _ in range(dim - 2)] for _ in range(4)]
    points = [[draw.choice([1.0, 2.0]), *point[1:]] if seed % 2 else point for point in points]
    x = [far * draw.choice([1, -1]), *(draw.gauss(0, 1) for _ in range(dim - 1))]
    if seed % 2 == 0:
        x[1] = -x[0]
    alpha = draw.uniform(0.01, 1)
    squares = [
        sum((Fraction(c) - Fraction(alpha) * Fraction(y)) ** 2 for c, y in zip(x, point, strict=True))
        for point in points
    ]
    actual = limit.rivals(
        Atoms(points), torch.tensor([x], dtype=torch.float64), torch.tensor(alpha, dtype=torch.float64)
    )
    nearest = int(actual.nearest[0])
    assert squares[nearest] == min(squares)
    expected = [float(square - squares[nearest]) for square in squares]
    assert actual.margins[0].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_tied_atoms_are_tied_and_the_search_for_the_nearest_ends(seed):
    """Permutations of some numbers seen from the diagonal: rounding made each look nearer than the one before, in a circle."""
    draw = random.Random(seed)
    points = list(itertools.permutations([draw.random() for _ in range(4)]))
    x = torch.full((1, 4), 10.0 ** draw.uniform(0, 25), dtype=torch.float64)
    alpha = torch.tensor(draw.uniform(0.01, 1), dtype=torch.float64)
    assert not bool(limit.rivals(Atoms(points), x, alpha).margins.any())
    nearer = [*points, tuple(c + float(x[0, 0]) * 2.0**-40 for c in points[0])]
    assert limit.nearest_atom(Atoms(nearer), x, alpha).tolist() == [24]

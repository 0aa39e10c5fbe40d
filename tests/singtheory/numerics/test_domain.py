"""The domain of numbers: its ends are taken at every door, and what lies beyond is refused in one line with a remedy."""

import math

import numpy as np
import pytest
import torch

from singtheory import (
    Atoms,
    Cosine,
    Gaussian,
    GaussianMixture,
    InputError,
    RectifiedFlow,
    ReverseKernel,
    divergence,
    limit,
)
from singtheory import bound as bounds
from singtheory.data import sources
from singtheory.grid import ended, even_angles, karras
from singtheory.mmse import (
    exact_curve,
    expected_trace,
    kl_by_covariance,
    kl_by_information,
    line_mmse,
    sample_curve,
)
from singtheory.numerics import (
    LENGTHS,
    PRECISIONS,
    check_coordinates,
    check_length,
    check_noise,
    check_precisions,
    check_shares,
)
from singtheory.response import spread_kept
from singtheory.start import Moments, from_noise, initial_mismatch, quantile_end

F64 = torch.float64
TWO = Atoms([[-1.0], [1.0]])
ONE = torch.ones((), dtype=F64)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def posterior(law=TWO):
    return law.posterior([0.3], 1.0)


BEYOND = {
    "a point": lambda: Atoms([[0.0], [1.01e30]]),
    "a point without weight": lambda: Atoms([[0.0], [1.0], [1e31]], [1, 1, 0]),
    "points that hardly differ": lambda: Atoms([[0.0], [0.9e-30]]),
    "those with weight hardly differ": lambda: Atoms([[0.0], [1e-31], [1.0]], [1, 1, 0]),
    "a weight": lambda: Atoms([[0.0], [1.0]], [1.0, 0.9e-300]),
    "a weight that underflows beside the largest": lambda: Atoms([[0.0], [1.0]], [1e200, 1e-200]),
    "a mean": lambda: Gaussian([-1e31], [[1.0]]),
    "a variance": lambda: Gaussian([0.0], [[1.1e60]]),
    "a small variance": lambda: Gaussian([0.0, 0.0], 0.9e-60 * torch.eye(2, dtype=F64)),
    "a component's mean": lambda: GaussianMixture([1, 1], [[0.0], [1e31]], [[[1.0]], [[1.0]]]),
    "a component's variance": lambda: GaussianMixture([1, 1], [[0.0], [1.0]], [[[1.0]], [[1e-70]]]),
    "components that are points": lambda: GaussianMixture([1, 1], [[0.0], [1e-31]], torch.zeros(2, 1, 1)),
    "a component's weight": lambda: GaussianMixture([1, 1e-301], [[0.0], [1.0]], torch.ones(2, 1, 1)),
    "snr": lambda: TWO.posterior([0.0], 1.01e80),
    "one small snr of many": lambda: TWO.posterior([[0.0], [0.0]], [0.0, 0.9e-80]),
    "snr with a tolerance": lambda: TWO.posterior([0.0], 1e81, tol=1e-6),
    "snr of a Gaussian": lambda: Gaussian([0.0], [[1.0]]).posterior([0.0], 1e81),
    "a query": lambda: TWO.posterior([1e71], 1.0),
    "x_t": lambda: limit.nearest_atom(TWO, tensor(1e31)[None], ONE),
    "x_t of a series": lambda: limit.denoiser_series(TWO, tensor(1e31)[None], ONE, ONE),
    "sigma": lambda: limit.nearest_atom_weight(TWO, tensor(1.0)[None], ONE, 1e-41 * ONE),
    "sigma of a denoiser": lambda: limit.denoiser_direct(TWO, tensor(1.0)[None], ONE, 1e-41 * ONE),
    "gap of KL's lower bound": lambda: limit.kl_atoms_lower(posterior(), 1e81),
    "snr of the terminal bound": lambda: limit.kl_terminal_bound(TWO, 1e81),
    "t that is nearly 0": lambda: limit.denoiser(TWO, RectifiedFlow(), tensor(0.3)[None], 1e-41),
    "s that is nearly 0": lambda: ReverseKernel(TWO, RectifiedFlow(), 0.5, 1e-41),
    "gap of a quadrature": lambda: divergence.kl_quadrature(posterior(), 1e81),
    "gap of TV": lambda: divergence.tv_exact(posterior(), 0.9e-80),
    "gap of W2": lambda: divergence.w2_exact(posterior(), 1e81),
    "gap of draws": lambda: divergence.kl_monte_carlo(posterior(), 1e81, 100, None, 0.9),
    "gap of a ratio": lambda: posterior().log_ratio(torch.zeros(1, 1, 1, dtype=F64), 1e81),
    "gap of a Gaussian's ratio": lambda: (
        Gaussian([0.0], [[1.0]]).posterior([0.0], 1.0).log_ratio(torch.zeros(1, 1, 1, dtype=F64), 1e81)
    ),
    **{f"gap of {of.name}": lambda of=of: of.evaluate(posterior(), 1e81) for of in bounds.LADDER},
    "gap of B10 at one β": lambda: bounds.kl_family_at(posterior(), 1e-81, 0.75),
    "gap of B11's integral": lambda: kl_by_covariance(posterior(), 1e81),
    "gap of B4's integral": lambda: kl_by_information(posterior(), 1e81),
    "gap of a mean trace": lambda: expected_trace(posterior(), 1e81),
    "snr of a line's mmse": lambda: line_mmse(TWO, tensor(1e81)),
    "snr of a curve": lambda: exact_curve(TWO)(tensor(0.0, 1e81)),
    "snr of a curve's interval": lambda: exact_curve(TWO).interval(tensor(1e-81)),
    "snr of a Gaussian curve": lambda: exact_curve(Gaussian([0.0], [[1.0]])).information(tensor(1e81)),
    "snr of a step": lambda: exact_curve(TWO).discretisation(tensor(0.0, 1e81)),
    "snr of draws": lambda: sample_curve(TWO, 1e81, torch.Generator()),
    "an eigenvalue": lambda: spread_kept(RectifiedFlow(), [1.0, 0.5], [1.0, 1e61]),
    "a small eigenvalue": lambda: spread_kept(RectifiedFlow(), [1.0, 0.5], [1e-61]),
    "snr of a grid": lambda: karras(RectifiedFlow(), 3, 1.0, 1e81),
    "snr of an even grid": lambda: even_angles(RectifiedFlow(), 3, 1e-81, 1.0, 1.0),
    "snr at which a grid ends": lambda: ended(RectifiedFlow(), tensor(1.0, 0.5), 1e81),
    "x of a density": lambda: Gaussian([0.0], [[1.0]]).log_prob(tensor(1e31)[None]),
    "values that the flow reaches": lambda: quantile_end(tensor(0.0), tensor(0.0, 1e31), tensor(0.5, 0.5), 1.0, 1.0),
    "sigma of a flow": lambda: quantile_end(tensor(0.0), tensor(0.0, 1.0), tensor(0.5, 0.5), 1.0, 1e-41),
    "sigma of a start": lambda: initial_mismatch(Moments.of(TWO), from_noise(Moments.of(TWO)), 1.0, 1e-41),
}


@pytest.mark.parametrize("door", BEYOND)
def test_what_lies_beyond_is_refused_in_one_line_with_a_remedy(door):
    with pytest.raises(InputError) as error:
        BEYOND[door]()
    message = str(error.value)
    assert "\n" not in message and "nan" not in message
    assert any(
        remedy in message
        for remedy in ("divide the data by a number s", "take 0, or data in a unit", "set it to 0", "or at least 1e-40")
    ), message


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_at_the_ends_of_the_domain_every_number_is_one(length, precision):
    """The products of the largest, and of the smallest, numbers: no infinity, no NaN, and what is positive stays so."""
    law = Atoms([[0.0], [length], [length / 2]], [1.0, 1.0, 1e-300])
    seen = law.posterior([0.0], 0.0)
    assert float(seen.mean) == pytest.approx(length / 2) and float(seen.trace_cov) == pytest.approx(length**2 / 4)
    for name, value in bounds.evaluate_ladder(seen, precision).items():
        assert not math.isnan(float(value)), name
    spread = precision * length**2
    kl, tv = divergence.kl_quadrature(seen, precision), divergence.tv_exact(seen, precision)
    most = min(spread**2 / 64, math.log(2) if spread > 1e9 else math.inf, spread / 8)
    if spread > 1e9:  # far apart: ½ g tr C − H
        assert float(kl) == pytest.approx(spread / 8 - math.log(2), rel=1e-9) and float(tv) == pytest.approx(1.0)
    else:  # B6
        assert float(kl.low) <= most * (1 + 1e-9) and float(kl.high) >= most * (1 - 1e-9) and float(kl) > 0
    for value in (
        law.posterior([0.3], precision),
        Gaussian([length], [[0.99 * length**2 if length > 1 else 1e-60]]).posterior([0.3], precision),
    ):
        assert bool(value.mean.isfinite().all() & value.trace_cov.isfinite().all())
    curve = exact_curve(law)
    low, high = curve.interval(tensor(0.0, precision))
    assert bool((low <= high).all() & high.isfinite().all())
    low, high = curve.discretisation_interval(tensor(0.0, precision))
    assert 0 <= low <= high < math.inf


def test_zero_is_in_the_domain():
    assert float(Atoms([[0.0], [0.0]]).posterior([0.0], 0.0).mean) == 0.0
    assert float(Gaussian([0.0], [[0.0]]).posterior([1.0], 1.0).trace_cov) == 0.0
    check_length("D", 0.0)
    check_precisions("gap", torch.zeros(2))
    check_noise("sigma", 0.0)


def test_the_ends_belong_to_the_domain():
    for end in (1e-30, 1e30):
        check_length("D", end)
        assert float(Atoms([[0.0], [end]]).diameter) == pytest.approx(end)
    for end in (1e-80, 1e80):
        check_precisions("gap", end)
        check_precisions("gap", tensor(0.0, end))
    check_shares(tensor(1.0, 1e-300, 0.0))
    law = Atoms([[0.0], [1.0], [2.0]], [3.0, 2.9, 3e-300])
    torch.testing.assert_close(
        law.to("cpu").weights, law.weights, rtol=1e-15, atol=0
    )  # normalised again, the share may round


def test_an_end_that_was_rounded_to_float32_belongs_to_it():
    """As data, and as the variances and precisions of a network's numbers."""
    for end in LENGTHS:
        rounded = torch.tensor([[0.0], [end]], dtype=torch.float32)
        assert float(Atoms(rounded).diameter) == pytest.approx(end, rel=1e-6)
    check_precisions("gap", torch.tensor([1e-30, 1e30], dtype=torch.float32))
    with pytest.raises(InputError, match=r"1e\+30"):
        Atoms([[0.0], [1.00001e30]])


def test_numbers_that_carry_a_gradient_are_looked_at_without_it():
    """To read one as a float would warn."""
    x = torch.ones(1, 2, dtype=F64, requires_grad=True)
    check_coordinates("x", x)
    for check in (check_precisions, check_noise):
        check("it", x)
        check("it", x[0, 0])


def test_nan_is_not_in_the_domain():
    for check in (check_length, check_precisions, check_noise):
        with pytest.raises(InputError):
            check("it", math.nan)
    with pytest.raises(InputError):
        check_precisions("it", tensor(1.0, math.nan))


def test_a_mapped_file_is_looked_at(tmp_path):
    for name, points in {"far": [[0.0], [1e31]], "near": [[0.0], [1e-31]]}.items():
        np.save(tmp_path / f"{name}.npy", np.array(points))
        for load in (sources.mapped, sources.npy_file):
            with pytest.raises(InputError, match=f"{name}.npy: points.*divide the data"):
                load(tmp_path / f"{name}.npy")
    np.save(tmp_path / "good.npy", np.array([[0.0], [1e-29]]))
    assert float(sources.mapped(tmp_path / "good.npy").law.diameter) == pytest.approx(1e-29)


def test_steps_of_every_schedule_within_float64s_times_lie_inside():
    """From the last float before 1 to 1e-39."""
    law = Atoms([[-1.0], [1.0]])
    for schedule in (Cosine(), RectifiedFlow()):
        for t, s in ((1 - 2.0**-53, 1 - 2.0**-52), (1.0, 0.5), (0.5, 1e-39)):
            assert float(ReverseKernel(law, schedule, t, s).at([0.3]).kl().high) >= 0


def test_a_law_in_its_span_or_about_an_atom_is_no_new_door():
    """A rotation takes a coordinate as far as the norm: beyond the end that was checked."""
    from singtheory.law import in_span

    points = torch.zeros(3, 10, dtype=F64)
    points[0], points[1] = 9e29, -1e29
    span = in_span(Atoms(points))
    assert span is not None and float(span.law.points.abs().max()) > 1e30
    curve = sample_curve(Atoms(points), 1e-60, torch.Generator().manual_seed(0), 64, 3)
    assert bool(curve.interval(tensor(0.0, 1e-60))[1].isfinite().all())


def test_numbers_that_are_differentiated_are_looked_at_without_a_warning():
    x = tensor(0.3).requires_grad_()
    (slope,) = torch.autograd.grad(limit.score(Gaussian([0.0], [[1.0]]), Cosine(), x[None], 0.5).sum(), x)
    assert float(slope) == pytest.approx(-1.0, rel=1e-12)
    for check in (check_precisions, check_noise):
        check("x", x)
        check("x", x[0])
    check_shares(x)

"""What diagnose says of flow-matching models."""

import pytest
import torch

from singdiffusion.base.checkpoint import Checkpoint
from singdiffusion.commands.console import flow_table
from singdiffusion.evaluation.data_statistics import read
from singdiffusion.evaluation.diagnose_flow import LAMBDAS
from singdiffusion.evaluation.diagnosis import diagnose
from singdiffusion.evaluation.findings import verdict
from singdiffusion.response import respond
from singtheory import Atoms, InputError
from singtheory.data import Data


def flow_of(steps, name="FlowMatchEulerDiscreteScheduler", **config):
    actual = diagnose(Checkpoint("flow", {"_class_name": name, **config}, None), steps)
    assert actual.flow and not actual.options and actual.flows is not None
    return actual, actual.flows


def test_a_flow_has_no_gap_and_a_first_step_that_narrows():
    """By hand: shift 1 and 4 steps go from σ = 1 to 0.667, where the first step keeps `1/√(1 + γλ)`, of λ = 1700 0.0485 (F2)."""
    actual, flow = flow_of(4)
    gap, grid, kept = verdict(actual)
    assert "no gap" in gap.sentence and not gap.code
    assert "sigma 1 to 0.667" in grid.sentence
    assert flow.now.first[0] == pytest.approx((1 + (0.333 / 0.667) ** 2 * 1700) ** -0.5, rel=1e-4)
    assert "first step matched 100%" in kept.sentence and "attach(pipe)" in kept.code[-1]


def test_the_options_of_a_flow_are_the_cosine_law():
    """Euler: a product of cosines; matched without the first; corrected only the last step is short (F1)."""
    _, flow = flow_of(10, shift=3.0)
    scheduler = Checkpoint("flow", {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, None).scheduler()
    scheduler.set_timesteps(10)
    lam = torch.tensor(flow.eigenvalues, dtype=torch.float64)
    sigmas = scheduler.sigmas.double()[:, None]
    angles = torch.atan2((1 - sigmas) * lam.sqrt(), sigmas)
    cosines = torch.cos(angles.diff(dim=0))
    by_name = {option.name: torch.tensor(option.end, dtype=torch.float64) for option in flow.options}
    torch.testing.assert_close(by_name["as it is"], cosines.prod(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(by_name["first step matched"], cosines[1:].prod(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(by_name["all but the last corrected"], cosines[-1], rtol=1e-4, atol=1e-5)
    assert by_name.keys() == {*by_name} | {"twice the steps", "twice the shift"}


def test_a_flow_that_shifts_by_tokens_and_one_that_draws_noise():
    _, flow = flow_of(4, use_dynamic_shifting=True)
    assert flow.mu == pytest.approx(1.15) and flow.configured_shift is None
    _, flow = flow_of(4, stochastic_sampling=True)
    assert all("corrected" not in option.name for option in flow.options)
    assert flow.options[1].first == pytest.approx([1.0] * len(flow.eigenvalues), rel=1e-4)


def test_a_flow_that_starts_below_1_is_told():
    solver = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "num_train_timesteps": 20}
    actual, flow = flow_of(10, "DPMSolverMultistepScheduler", **solver)
    assert flow.sigma == pytest.approx(0.95)
    assert [option.name for option in flow.options] == ["as it is", "twice the steps", "twice the shift"]
    scheduler = Checkpoint("flow", {"_class_name": "DPMSolverMultistepScheduler", **solver}, None).scheduler()
    expected = respond(scheduler, flow.eigenvalues, 10).kept.tolist()
    assert flow.now.end == pytest.approx(expected, rel=1e-4)
    assert "starts at sigma 0.95, where noise lacks 0.05" in verdict(actual)[0].sentence


def test_a_flow_of_distilled_models_gets_no_advice():
    actual, _ = flow_of(4, "FlowMatchLCMScheduler")
    assert "learned their steps" in verdict(actual)[-1].sentence
    assert not any(finding.code for finding in verdict(actual))


@pytest.mark.parametrize("pixels", [torch.zeros(1, 192), torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(1, 96)])
def test_data_whose_brightness_does_not_vary_have_no_share_of_it(pixels):
    """One picture, and two of one brightness: there were NaN in the tables and in the sentence."""
    reading = read(Data(Atoms(pixels.double()), "pictures", (8, 8, 3)))
    checkpoint = Checkpoint("flow", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, None)
    actual = diagnose(checkpoint, 4, reading=reading)
    assert actual.flows is not None and actual.flows.reading is None
    assert actual.flows.eigenvalues == LAMBDAS
    table = flow_table(actual, actual.flows)
    assert [column.header for column in table.columns][2] == "1700"
    for finding in verdict(actual):
        assert "nan" not in finding.sentence


@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_a_shift_that_is_not_positive_is_refused(shift):
    with pytest.raises(InputError, match=f"shift {shift}: must be positive"):
        flow_of(4, shift=shift)

"""KL and mmse by quadrature over posteriors, on atoms that no even rule over their range would see."""

import pytest
import torch
from torch.overrides import TorchFunctionMode

from singtheory import Atoms
from singtheory.mmse import exact_curve, expected_trace, kl_by_covariance, kl_by_information, line_mmse
from singtheory.mmse.information import _NUMBERS, expected_square
from tests.support import reference

LAWS = {
    "near": ([0.0, 1.0], [0.5, 0.5]),
    "a rare far atom": ([0.0, 1.0, 150.0], [1.0, 1.0, 1e-6]),
    "a light atom, very far": ([0.0, 1.0, 1e6], [1.0, 1.0, 1e-9]),
    "a weight that underflows with its tail": ([0.0, 1.0, 3000.0], [1.0, 0.5, 1e-300]),
    "no weight": ([-5.0, 0.0, 1.0], [0.0, 1.0, 0.5]),
}


@pytest.mark.parametrize("name", LAWS)
def test_kl_by_both_identities(name):
    y, weights = LAWS[name]
    law = Atoms([[v] for v in y], weights)
    p = reference.posterior(y, law.weights.tolist(), 0.0, 0.0)
    for gap in (0.3, 3.0):
        expected = pytest.approx(float(reference.kl(y, p, gap)), rel=1e-9)
        assert kl_by_information(law.posterior([0.0], 0.0), gap) == expected
        assert kl_by_covariance(law.posterior([0.0], 0.0), gap) == expected


@pytest.mark.parametrize("name", LAWS)
def test_line_mmse_is_that_of_the_certified_rule(name):
    y, weights = LAWS[name]
    law, snr = Atoms([[v] for v in y], weights), torch.tensor([0.0, 1e-3, 1.0, 36.0, 400.0], dtype=torch.float64)
    for ours, certified in zip(line_mmse(law, snr), exact_curve(law)(snr), strict=True):
        torch.testing.assert_close(ours, certified, rtol=1e-6, atol=0)
    posterior, (level, slope) = law.posterior([0.0], 0.0), exact_curve(law)(snr[2:3])
    assert expected_trace(posterior, 1.0) == pytest.approx(float(level), rel=1e-9)
    assert expected_square(posterior, 1.0) == pytest.approx(-float(slope), rel=1e-9)


class _Largest(TorchFunctionMode):
    """Records how many numbers the largest tensor has."""

    numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_many_atoms_far_apart_take_no_more_memory_than_a_block():
    """Each has nodes of its own, so that nodes times atoms grow as the square of their number."""
    law, snr = Atoms(torch.arange(40)[:, None]), torch.tensor([1.0, 25.0, 1e4], dtype=torch.float64)
    with _Largest() as largest:
        level, slope = line_mmse(law, snr)
    assert largest.numbers <= _NUMBERS
    for ours, certified in zip((level, slope), exact_curve(law)(snr), strict=True):
        torch.testing.assert_close(ours, certified, rtol=1e-9, atol=1e-300)

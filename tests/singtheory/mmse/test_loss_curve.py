"""Loss curves of trained denoisers: read, refused, and turned into the network's part of the budget."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs_checks.instances.laws import GOLDEN
from singtheory import InputError, budget
from singtheory.mmse.exact import exact_curve
from singtheory.mmse.loss_curve import LossCurve, read_loss_curve
from singtheory.mmse.sampled import sample_curve
from singtheory.start.mismatch import Mismatch
from tests.support.strategies import examples

CURVE = exact_curve(GOLDEN)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def loss_above(nodes: torch.Tensor, excess: torch.Tensor) -> LossCurve:
    return LossCurve(nodes, CURVE(nodes)[0] + excess)


@given(st.floats(0.01, 20), st.floats(0, 2), st.floats(0, 2))
@settings(deadline=None, max_examples=examples(20))
def test_the_error_is_what_the_loss_has_above_the_mmse_and_linear_in_log_snr(snr, low, high):
    loss = loss_above(tensor(0.01, 20.0), tensor(low, high))
    fraction = np.log(snr / 0.01) / np.log(20 / 0.01)
    actual = loss.error2(CURVE, tensor(snr))
    assert float(actual.value) == pytest.approx(
        low + fraction * (high - low), abs=1e-12 if 0.01 * (1 + 1e-9) < snr < 20 * (1 - 1e-9) else 3e-10
    )
    between = all(abs(snr - node) > 1e-9 * node for node in (0.01, 20.0))  # what misses a node by a rounding is at it
    least, most = sorted((low, high)) if between else (float(actual.value),) * 2
    assert float(actual.low) == pytest.approx(least, abs=1e-12) and float(actual.high) == pytest.approx(most, abs=1e-12)
    assert actual.confidence == (0.0 if between else 1.0) and ("interpolated" in actual.method) == between


def test_nothing_is_claimed_of_an_error_between_nodes():
    """An error that rises and falls between two nodes is not seen: the interval is that of an assumption, and says so; at the nodes it is the mmse's."""
    loss = loss_above(tensor(0.1, 4.0), tensor(0.3, 0.2))
    actual = loss.error2(CURVE, tensor(0.1, 1.0, 4.0))
    assert actual.confidence == 0 and actual.low[1] == pytest.approx(0.2) and actual.high[1] == pytest.approx(0.3)
    at_nodes = loss.error2(CURVE, tensor(0.1, 4.0))
    assert at_nodes.confidence == 1 and bool((at_nodes.high - at_nodes.low < 1e-12).all())
    assert at_nodes.value.tolist() == pytest.approx([0.3, 0.2], rel=1e-12)


def test_from_no_signal_on_it_is_linear_in_snr():
    actual = loss_above(tensor(0.0, 2.0, 8.0), tensor(1.0, 3.0, 4.0)).error2(CURVE, tensor(0.0, 0.5, 2.0, 4.0))
    assert actual.value.tolist() == pytest.approx([1.0, 1.5, 3.0, 3.5])


def test_the_network_term_is_half_the_gap_times_the_error():
    snr = tensor(0.1, 1.0, 5.0)
    errors = loss_above(tensor(0.1, 1.0), tensor(0.3, 0.2)).error2(CURVE, snr[:-1])
    actual = budget.budget(CURVE, snr, Mismatch(0, 0), errors)
    assert actual.network.steps.tolist() == pytest.approx([0.9 * 0.3 / 2, 4 * 0.2 / 2])


def test_a_sampled_curve_widens_the_error():
    curve = sample_curve(GOLDEN, 8.0, torch.Generator().manual_seed(0), 400, 16)
    actual = loss_above(tensor(0.1, 4.0), tensor(0.3, 0.2)).error2(curve, tensor(0.1, 1.0, 4.0))
    truth = loss_above(tensor(0.1, 4.0), tensor(0.3, 0.2)).error2(CURVE, tensor(0.1, 1.0, 4.0)).value
    assert bool((actual.low <= truth).all() and (truth <= actual.high).all() and (actual.low < actual.high).all())


def test_the_loss_of_the_exact_denoiser_is_possible_and_less_is_not():
    nodes = tensor(0.1, 1.0, 4.0)
    assert float(loss_above(nodes, tensor(0, 0, 0)).error2(CURVE, tensor(0.5)).value) == 0
    with pytest.raises(InputError, match="impossible"):
        loss_above(nodes, tensor(0, -1e-6, 0)).error2(CURVE, tensor(0.5))


@pytest.mark.parametrize("snr", [0.05, 4.5, 0.0])
def test_a_curve_that_is_too_short_is_refused(snr):
    with pytest.raises(InputError, match="measure the loss there too"):
        loss_above(tensor(0.1, 4.0), tensor(0.1, 0.1)).error2(CURVE, tensor(snr))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"snr": [1.0, 2.0]}, "holds \\['snr'\\]"),
        ({"gamma": [1.0, 2.0], "mse": [1.0, 2.0]}, "snr=..., mse=..."),
        ({"snr": [1.0, np.nan], "mse": [1.0, 2.0]}, "snr: holds NaN"),
        ({"snr": [1.0, 2.0], "mse": [1.0, np.nan]}, "mse: holds NaN"),
        ({"snr": [1.0, np.inf], "mse": [1.0, 2.0]}, "snr: holds NaN"),
        ({"snr": [2.0, 1.0], "mse": [1.0, 2.0]}, "sort both"),
        ({"snr": [1.0, 1.0], "mse": [1.0, 2.0]}, "sort both"),
        ({"snr": [-1.0, 1.0], "mse": [1.0, 2.0]}, "snr: the smallest is -1"),
        ({"snr": [1.0, 2.0], "mse": [1.0, -2.0]}, "mse: the smallest is -2"),
        ({"snr": [1.0, 2.0, 3.0], "mse": [1.0, 2.0]}, "of one length"),
        ({"snr": [1.0], "mse": [1.0]}, "two of one length or more"),
        ({"snr": [[1.0, 2.0]], "mse": [1.0, 2.0]}, "lists of numbers"),
        ({"snr": ["a", "b"], "mse": [1.0, 2.0]}, "save real numbers"),
        ({"snr": np.array([1.0, None], dtype=object), "mse": [1.0, 2.0]}, "never loaded"),
    ],
)
def test_bad_files_are_named(arrays, words, tmp_path):
    path = tmp_path / "loss.npz"
    np.savez(path, allow_pickle=True, **{name: np.asarray(values) for name, values in arrays.items()})
    with pytest.raises(InputError, match=words) as error:
        read_loss_curve(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", pickle.dumps({"snr": [1.0]})])
def test_files_that_are_none_are_refused(content, tmp_path):
    (tmp_path / "loss.npz").write_bytes(content)
    with pytest.raises(InputError, match="never loaded"):
        read_loss_curve(tmp_path / "loss.npz")
    with pytest.raises(InputError, match="missing"):
        read_loss_curve(tmp_path / "missing.npz")


@pytest.mark.parametrize("miss", [1 - 1e-12, 1.0, 1 + 1e-12])
def test_a_node_that_is_missed_by_a_rounding_needs_no_other(miss):
    """The nodes on either side hold losses that no denoiser has, and are not looked at."""
    nodes = tensor(0.5, 2.0, 8.0)
    loss = LossCurve(nodes, CURVE(nodes)[0] * tensor(0.5, 1.25, 0.5))
    actual = loss.error2(CURVE, tensor(2.0 * miss))
    assert float(actual.value) == pytest.approx(float(CURVE(tensor(2.0))[0]) / 4, rel=1e-9)
    assert actual.confidence == 1
    with pytest.raises(InputError, match="impossible"):
        loss.error2(CURVE, tensor(2.1))

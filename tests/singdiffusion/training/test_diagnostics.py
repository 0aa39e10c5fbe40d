"""Measurements of networks of which everything is known."""

import math
from dataclasses import replace

import pytest
import torch

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.model import Average
from singdiffusion.training import diagnostics
from singdiffusion.training.batches import Data
from singdiffusion.training.cache import Cache
from singdiffusion.training.diagnostics import frequent, measure
from tests.singdiffusion.support.runs import cached, settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measure")
    chosen = settings(cached(folder / "c", 300), folder / "o")
    return Data(Cache.open(chosen.cache), chosen, torch.device("cpu"))


class Known:
    """The class means times a factor, and a share of the noise."""

    def __init__(self, data, factor=1.0, leak=0.0):
        rows = frequent(data.cache)
        self.means = torch.stack(
            [data.cache.x_0((data.cache.caption == row).nonzero()[:, 0]).mean(dim=0) for row in rows]
        )
        self.factor, self.leak = factor, leak

    def __call__(self, condition, x_1):
        return Average(self.factor * self.means + self.leak * x_1)


def test_the_closed_form_is_at_distance_zero(data):
    rows, exact = frequent(data.cache), Known(data)
    actual = measure(exact, data, rows)
    assert actual.distance == pytest.approx(0, abs=1e-6) and actual.dependence == pytest.approx(0, abs=1e-6)
    alpha2 = 0.0760**2
    norm2 = exact.means.flatten(1).square().sum(dim=1).mean()
    assert actual.gain == pytest.approx(float(norm2) * alpha2 / (1 - alpha2) / 2, rel=2e-3)  # SD's first of 50 steps
    assert measure(Known(data, 1.1), data, rows).distance == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("most", [4096, 7])
def test_without_conditions_the_closed_form_is_the_mean_of_all(tmp_path, monkeypatch, most):
    """Or of examples evenly chosen, where there are many: data come in an order."""
    monkeypatch.setattr(diagnostics, "_SAMPLE", most)
    chosen = settings(cached(tmp_path / "c", 60), tmp_path / "o", condition="none")
    data = Data(Cache.open(chosen.cache), chosen, torch.device("cpu"))
    rows = frequent(data.cache)
    every = data.cache.x_0(torch.arange(60))[:: -(-60 // most)].mean(dim=0).expand(len(rows), -1, -1, -1)
    assert measure(lambda *_: Average(every), data, rows).distance == pytest.approx(0, abs=1e-6)
    assert measure(lambda *_: Average(1.1 * every), data, rows).distance == pytest.approx(0.1, rel=1e-5)


def test_losses_are_those_under_the_noise_of_the_run(data):
    """Of a spread of deviation 1 about a mean of 0, from the examples that are measured."""
    torch.manual_seed(0)
    network = AverageDecoder(
        data.cache.encoding.size, {"kind": "classes", "names": data.names, "width": 8}, frequencies=2
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    x_0 = data.cache.x_0(diagnostics.fixed(data.cache))
    along2 = torch.einsum("bchw,kchw->bk", x_0, network.spread.basis(*x_0.shape[2:])).square()
    results = {}
    for noise in (0.0, 5.0):
        answer = Data(data.cache, replace(data.settings, noise=noise), data.device)
        results[noise] = diagnostics.losses(network, answer).spread
        expected = ((along2 + noise**2) / (1 + noise**2) + math.log(1 + noise**2)).mean() / 2
        assert float(results[noise]) == pytest.approx(float(expected), rel=1e-4)
    assert float(results[0.0]) != pytest.approx(float(results[5.0]), rel=0.1)


def test_dependence_is_the_share_of_the_noise(data):
    rows, leaking = frequent(data.cache), Known(data, leak=0.5)
    expected = 0.5 * (leaking.means.numel() / leaking.means.square().sum()) ** 0.5
    assert measure(leaking, data, rows).dependence == pytest.approx(float(expected), rel=0.1)


def test_captions_with_the_most_examples_come_first(data):
    rows = frequent(data.cache)
    counts = data.cache.caption.bincount(minlength=len(data.cache.captions))[rows]
    assert counts.tolist() == sorted(counts.tolist(), reverse=True) and 0 not in counts and len(rows) == 10

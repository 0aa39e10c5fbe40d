"""What is minimised, at its minimum: the mean and the deviations of the data, in closed form."""

import copy

import pytest
import torch

from singdiffusion.average.decoder import AverageDecoder
from singdiffusion.average.spread import FLOOR
from singdiffusion.training.objective import Losses, Objective


@pytest.fixture(scope="module")
def fitted():
    """A decoder of two classes with brightness spreads of 2 and 0.5, trained on all of the data at every step."""
    torch.manual_seed(0)
    names, generator = ["wide", "narrow"], torch.Generator().manual_seed(1)
    labels = torch.arange(400) % 2
    scale = torch.tensor([2.0, 0.5])[labels][:, None, None, None]
    data = 0.1 * torch.randn(400, 1, 4, 4, generator=generator) + labels[:, None, None, None]
    data += scale * torch.randn(400, 1, 1, 1, generator=generator)
    network = AverageDecoder((1, 4, 4), {"kind": "classes", "width": 16, "names": names}, 32, 1, 4, frequencies=2)
    objective = Objective(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        losses = objective(labels, torch.zeros_like(data), data)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        schedule.step()
    return network, data, labels, Losses(*(part.detach() for part in losses))


@torch.no_grad()
def test_the_mean_is_the_datas(fitted):
    network, data, labels, losses = fitted
    actual = network(["wide", "narrow"], torch.zeros(2, 1, 4, 4)).mean
    exact = torch.stack([data[labels == k].mean(dim=0) for k in range(2)])
    assert float((actual - exact).norm() / exact.norm()) < 0.02
    residual = torch.cat([data[labels == k] - exact[k] for k in range(2)]).square().mean()
    assert float(losses.mean) == pytest.approx(float(residual), rel=0.01)


@torch.no_grad()
def test_the_spread_is_the_datas_along_every_direction(fitted):
    network, data, labels, losses = fitted
    actual = network(["wide", "narrow"], torch.zeros(2, 1, 4, 4))
    basis = network.spread.basis(4, 4)
    rows = [torch.einsum("bchw,kchw->bk", data[labels == k] - actual.mean[k], basis) for k in range(2)]
    exact = torch.stack([along.square().mean(dim=0).sqrt() for along in rows])
    torch.testing.assert_close(actual.std, exact, rtol=0.03, atol=0)
    assert exact[0, 0] > 3.5 * exact[1, 0]
    best = torch.cat([(a.square() / s**2 + 2 * s.log()) / 2 for a, s in zip(rows, exact, strict=True)]).mean()
    assert float(losses.spread) == pytest.approx(float(best), abs=0.005)


def test_the_spread_teaches_the_mean_nothing():
    network = AverageDecoder((1, 4, 4), {"kind": "classes", "width": 16, "names": ["a"]}, 32, 1, 4, frequencies=2)
    x_0 = torch.randn(3, 1, 4, 4)
    Objective(network)(torch.zeros(3, dtype=torch.long), torch.zeros_like(x_0), x_0).spread.backward()
    moved = {name for name, value in network.named_parameters() if value.grad is not None and bool(value.grad.any())}
    assert moved and all(name.startswith("spread.") for name in moved)


@pytest.mark.parametrize("noise", [0.0, 0.5, 10.0])
@torch.no_grad()
def test_the_best_spread_is_the_datas_whatever_the_noise(fitted, noise):
    network, data, labels = copy.deepcopy(fitted[0]), *fitted[1:3]
    judged, head = Objective(network, noise), network.spread.head[-1]
    basis, means = network.spread.basis(4, 4), torch.stack([data[labels == k].mean(dim=0) for k in range(2)])
    network.mean = lambda tokens, x_1: means[:1].expand(len(x_1), -1, -1, -1)
    wide = data[labels == 0]
    best = torch.einsum("bchw,kchw->bk", wide - means[0], basis).square().mean(dim=0)

    def loss(factor):
        head.weight.zero_()
        head.bias.copy_((factor * best).log())
        return float(judged(torch.zeros(len(wide), dtype=torch.long), torch.zeros_like(wide), wide).spread)

    assert loss(1.0) < min(loss(0.9), loss(1.1))
    exact = ((best + noise**2).log() + 1).mean() / 2
    assert loss(1.0) == pytest.approx(float(exact), abs=1e-4)


@pytest.mark.parametrize(("noise", "times"), [(0.0, 1.0), (10.0, (200 / 300) ** 2 / (0.02 / 100.02) ** 2)])
def test_noise_lets_wide_deviations_outweigh_narrow_ones(noise, times):
    """The gradient by `log s²` where `s² = a²/2`, `(s²/(s² + τ²))²/2`, for a deviation of 20 and one of 0.2."""
    network = AverageDecoder((1, 4, 4), {"kind": "classes", "width": 16, "names": ["a"]}, 32, 1, 4, frequencies=2)
    network = network.double()  # in single precision the small gradients are differences of numbers that agree
    basis, head = network.spread.basis(4, 4), network.spread.head[-1]
    scale = torch.tensor([20.0, 0.2, 0.2, 0.2], dtype=torch.float64)
    x_0 = torch.einsum("k,kchw->chw", scale, basis)[None]
    network.mean = lambda tokens, x_1: torch.zeros_like(x_1)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_((scale**2 / 2 - FLOOR).log())
    Objective(network, noise)(torch.zeros(1, dtype=torch.long), torch.zeros_like(x_0), x_0).spread.backward()
    variance = scale**2 / 2
    exact = -(variance - FLOOR) * variance / (variance + noise**2) ** 2 / 2 / len(scale)
    torch.testing.assert_close(head.bias.grad, exact, rtol=2e-6, atol=0)
    assert float(head.bias.grad[0] / head.bias.grad[1]) == pytest.approx(times, rel=1e-4)

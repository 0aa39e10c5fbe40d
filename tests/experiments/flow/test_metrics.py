"""What is measured of a flow's pictures: distances as elsewhere, and influences that tell what more samples do."""

import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.metrics import Judge, Law, high_frequencies
from docs.experiments.metric.distances import frechet


def normal(n, d, seed, std=1.0):
    return std * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_distance_is_that_of_the_other_page():
    one, other = normal(300, 4, 0, 2.0), normal(500, 4, 1) + 0.3
    assert Law.of(other).distance(one).value == pytest.approx(frechet(one, other), rel=1e-9)
    assert Law.of(one).distance(one).value == pytest.approx(0, abs=1e-9)


def test_the_influence_predicts_the_error():
    """Of repeated draws: the standard deviation of the distance is that of the influence over √n."""
    law, n = Law.of(normal(4000, 3, 0)), 400
    scale = torch.tensor([0.3, 1.0, 1.5], dtype=torch.float64)
    distances = [law.distance(normal(n, 3, seed + 10) * scale + 0.2) for seed in range(200)]
    values = torch.tensor([one.value for one in distances])
    predicted = torch.stack([one.influence.std() for one in distances]).mean() / n**0.5
    assert float(values.std()) == pytest.approx(float(predicted), rel=0.2)
    assert all(abs(float(one.influence.mean())) < 1e-12 for one in distances)


def test_the_influence_is_a_derivative():
    law, points = Law.of(normal(500, 3, 0)), normal(400, 3, 1, 0.5)
    distance = law.distance(points)
    more = torch.cat([points, points, points[:1].expand(2, -1)])  # weight of one sample from 1/n to almost 2/n
    change = law.distance(more).value - law.distance(torch.cat([points, points])).value
    assert change == pytest.approx(float(distance.influence[0]) * 2 / len(more), rel=0.1, abs=1e-4)


def test_high_frequencies_by_hand():
    side = 16
    board = (torch.arange(side)[:, None] + torch.arange(side)) % 2 * 2.0 - 1
    flat = torch.ones(side, side)
    energy = high_frequencies(torch.stack([board, flat])[:, None])
    assert energy.tolist() == pytest.approx([side**2, 0], abs=1e-3)
    noise = torch.randn(200, 1, side, side, generator=torch.Generator().manual_seed(0))
    share = high_frequencies(noise).mean() / noise.square().sum(dim=(1, 2, 3)).mean()
    high = (torch.fft.fftfreq(side).abs() > 0.25).double()
    assert float(share) == pytest.approx(1 - float((1 - high).mean()) ** 2, rel=0.02)


def test_the_data_are_their_own_and_prompts_are_told_apart():
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([10, 240]).repeat(40)[:, None, None, None]
    images = (levels + torch.randint(-9, 10, (80, 1, 8, 8), generator=generator)).to(torch.uint8)
    data = Captioned.of(images, ["black", "white"] * 40)
    judge = Judge(data, Moments.of(data, "cpu"), None, {"corner": lambda x: x.flatten(1)[:, :3]}, "cpu")
    numbers, arrays = judge.captions(data.x_0(), ["black", "white"] * 40)
    assert numbers["corner"] == pytest.approx(0, abs=1e-6) and numbers["high frequencies"] == pytest.approx(1)
    assert set(arrays) == set(judge.laws) and all(array.shape == (80,) for array in arrays.values())
    black, levels = judge.prompt(data.x_0(data.rows("black")), "black")
    assert black["w1"] == pytest.approx(0, abs=1e-6) and black["ratio"] == pytest.approx(1)
    white, _ = judge.prompt(data.x_0(data.rows("white")), "black")
    assert white["bias"] == pytest.approx(230, abs=3) and levels.shape == (40,)

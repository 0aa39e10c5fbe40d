"""Distances: against scipy, against closed forms, and planted copies are found."""

import pytest
import torch
from scipy.stats import wasserstein_distance

from docs.experiments.data.captioned import Captioned
from docs.experiments.data.openmoji import BACKGROUNDS
from docs.experiments.metric.adherence import Classifier, backgrounds, said
from docs.experiments.metric.distances import Reduced, frechet, kernel_distance, nearest, wasserstein


def normal(n, d, seed, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_wasserstein_is_scipys():
    one, other = normal(50, 1, 0)[:, 0], normal(31, 1, 1, 0.5, 2.0)[:, 0]
    assert wasserstein(one, other) == pytest.approx(wasserstein_distance(one.numpy(), other.numpy()))
    assert wasserstein(one, one) == 0
    assert wasserstein(torch.tensor([1.0, 1.0]), torch.tensor([3.0])) == 2


def test_frechet_of_gaussians():
    one, other = normal(20_000, 3, 0), normal(20_000, 3, 1, 1.0, 2.0)
    assert frechet(one, other) == pytest.approx(3 * 1 + 3 * (2 - 1) ** 2, rel=0.03)
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_is_unbiased():
    distances = torch.tensor([kernel_distance(normal(40, 2, 2 * k), normal(40, 2, 2 * k + 1)) for k in range(300)])
    assert abs(float(distances.mean())) < 4 * float(distances.std()) / 300**0.5
    assert kernel_distance(normal(200, 2, 0), normal(200, 2, 1, 1.0)) > 1


def test_features_are_reduced_to_where_the_data_vary():
    data = normal(500, 1, 0, std=5.0) * torch.tensor([[3.0, 4.0, 0.0]]) / 5 + 0.01 * normal(500, 3, 1)
    reduced = Reduced(data, 1)
    assert reduced.share > 0.999
    assert abs(reduced.axes[:, 0]).tolist() == pytest.approx([0.6, 0.8, 0.0], abs=1e-3)


def test_a_planted_copy_is_found():
    data = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.stack([data[7] + 0.01, -data[3]])
    distance, row = nearest(images, data.flatten(1))
    assert row[0] == 7 and distance[0] == pytest.approx(0.01, rel=1e-3) and distance[1] > 0.3


def test_what_a_caption_says():
    assert said("red apple on a black background") == ("red apple", "black")
    assert said("solid black background") == ("nothing", "black")
    assert said("red apple") == ("red apple", "any")


def test_the_classifier_counts_what_the_prompt_names(tmp_path):
    colours = torch.tensor([list(bytes.fromhex(colour[1:])) for colour in BACKGROUNDS.values()], dtype=torch.uint8)
    images = colours[:, :, None, None].expand(-1, 3, 32, 32).contiguous()
    captions = [f"solid {name} background" for name in BACKGROUNDS]
    assert backgrounds(images).tolist() == list(range(10))
    data = Captioned.of(images, captions)
    classifier = Classifier.new(data)
    assert classifier.objects == ["nothing"]
    shares = classifier.adherence(data.x_0(), "solid black background")
    assert shares["object"] == 1 and 0 <= shares["background"] <= 1
    assert set(classifier.adherence(data.x_0(), "nothing")) == {"object"}
    ground, _ = classifier.scores(data.x_0())
    assert classifier.shares(data.x_0(), captions)["background"] == pytest.approx(
        float((ground == torch.arange(10)).double().mean())
    )
    classifier.save(tmp_path / "classifier.safetensors")
    again = Classifier.load(tmp_path / "classifier.safetensors")
    assert torch.equal(again.scores(data.x_0())[0], ground)

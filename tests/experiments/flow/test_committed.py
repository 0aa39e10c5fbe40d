"""A second run needs no training: the committed models load by the names that the measurement reads, and fit each other."""

import torch

from docs.experiments.flow.committed import committed
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.model import PREDICTION, Flow
from docs.experiments.flow.ways import WAYS
from docs.experiments.metric.adherence import Classifier
from docs.experiments.model.draw import Drawer
from docs.experiments.model.tars import unpacked
from singdiffusion.average.registry import load_average


def test_the_committed_models_draw_and_are_judged(tmp_path):
    folder = committed(tmp_path)
    model = Flow.load(unpacked(folder / "flow.tar", tmp_path))
    trained = load_average(unpacked(folder / "average.tar", tmp_path), dtype=torch.float32).eval()
    assert model.prediction == PREDICTION
    none = Moments(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3072), torch.zeros(1), torch.zeros(3072))  # not asked for
    flows, prompts = Flows(Drawer(model, "cpu", 4), trained, none), ["solid black background"] * 4
    x_1 = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images, counts = flows(WAYS["UniPC matched, trained mean"], x_1, prompts, 1.0, 3)
    assert counts["evaluations"] == 2
    assert float(images.clamp(-1, 1).mean()) < -0.9
    judged = Classifier.load(folder / "classifier.safetensors").adherence(images.clamp(-1, 1), prompts[0])
    assert judged["background"] == 1

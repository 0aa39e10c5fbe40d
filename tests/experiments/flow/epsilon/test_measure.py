"""The measurement of an ε model at a tiny size, cell by cell and seed by seed."""

import json
import sys

import pytest
import torch
from torch import nn

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.epsilon import measure
from docs.experiments.flow.epsilon.ways import CORRECTED, MATCHED
from docs.experiments.flow.keep import keep
from docs.experiments.flow.page.results import Results
from docs.experiments.flow.page.verdicts import verdicts
from docs.experiments.metric.adherence import Classifier
from docs.experiments.model import denoiser
from singdiffusion.average import Average

SIDE, RANK = 16, 4
PROMPTS = ("solid black background", "logo")


class Trained(nn.Module):
    """A grey mean with some directions of one pixel each."""

    def forward(self, condition, x_1):
        basis = torch.eye(RANK, 3 * SIDE**2).reshape(RANK, 3, SIDE, SIDE)
        return Average(torch.zeros_like(x_1), basis, torch.ones(len(x_1), RANK))


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return Captioned.of(images, [PROMPTS[k % 2] for k in range(40)])


def test_a_tiny_run_writes_both_seeds_and_is_kept_with_its_differences(data, tmp_path, monkeypatch):
    packed, out = tmp_path / "data.npz.xz", tmp_path / "out"
    data.save(packed)
    model = denoiser.Denoiser.new(data, denoiser.DIGITS)
    monkeypatch.setattr(denoiser.Denoiser, "load", classmethod(lambda cls, folder: model))
    monkeypatch.setattr(measure, "load_average", lambda folder, dtype: Trained())
    monkeypatch.setattr(Classifier, "load", classmethod(lambda cls, path: Classifier.new(data)))
    monkeypatch.setitem(measure.PLANS, "few", (((MATCHED[0], CORRECTED[1]), (2,), (1.0, 3.0)),))
    arguments = (
        f"--data {packed} --out {out} --samples 6 --each 3 --batch 8 --device cpu --seeds 3,4 --plan few --bfloat16"
    )
    monkeypatch.setattr(sys, "argv", ["measure", *arguments.split()])
    measure.main()
    for seed in (3, 4):
        content = json.loads((out / f"seed-{seed}" / "flow-epsilon.json").read_text())
        assert (
            content["seed"] == seed
            and len(content["cells"]) == 4
            and "failed" not in content
            and content["network"] == "bfloat16"
        )
        assert {(cell["way"], cell["guidance"]) for cell in content["cells"]} == {
            (way.name, w) for way in (MATCHED[0], CORRECTED[1]) for w in (1.0, 3.0)
        }
        assert content["kinds"] == {PROMPTS[0]: "fixed", PROMPTS[1]: "open"} and set(content["amounts"]) == {
            "captions",
            "each prompt",
        }
    keep([out / "seed-3"], data, tmp_path / "kept")
    rows = verdicts(Results.read(tmp_path / "kept"), [CORRECTED[1].name], [MATCHED[0].name], ["the classifier"])
    assert len(rows) == 2 and all(row.half > 0 for row in rows)

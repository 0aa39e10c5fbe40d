"""The stage on a processor: a matched first step widens what a prompt leaves open, and the exact denoiser follows the law."""

import json

import pytest
import torch

from docs.experiments.flow import small as flow_small
from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.draw import Moments
from docs.experiments.script.result import HEAD, Result, origin


def test_it_runs_and_tells_every_cell(tmp_path):
    torch.set_num_threads(1)
    result = Result(tmp_path / "digits.json", origin("docs.experiments.flow.small", "cpu", 0))
    flow_small.run(result, 2, 8, (3,), 0)
    content = json.loads(result.path.read_text())
    prompts = (*flow_small.FIXED, *flow_small.OPEN)
    keys = {(one["way"], one["prompt"], one["budget"]) for one in content["cells"]}
    assert keys == {(way.name, prompt, 3) for way in flow_small.WAYS for prompt in prompts}
    assert set(HEAD) <= set(content) and len(content["predicted"]) == len(prompts)


def test_captions_tell_the_background_alone():
    data = flow_small.pictures()
    assert set(flow_small.FIXED) | set(flow_small.OPEN) < set(data.captions) and len(data.captions) == 4
    dark, bright = (data.brightness[data.rows(prompt)].double().mean() for prompt in flow_small.FIXED)
    assert dark < 60 < 190 < bright
    assert len(data.rows(flow_small.OPEN[0])) == len(data) / 2


def test_the_exact_denoiser_follows_the_law_with_many_steps():
    """Both keep everything in the limit; the digits are no Gaussian, so they meet only there."""
    own = flow_small.of_prompt(flow_small.pictures(), flow_small.FIXED[0])
    x_1 = torch.randn(256, *own.size, generator=torch.Generator().manual_seed(0))
    prediction = flow_small.predicted(own, Moments.of(own, "cpu"), x_1, 60)
    assert prediction["law"] == pytest.approx([1.0] * flow_small.COMPONENTS, abs=0.05)
    assert prediction["exact"] == pytest.approx(prediction["law"], abs=0.2)


def test_the_committed_run_is_told_with_its_origin():
    content = json.loads((FOLDER / "digits.json").read_text(encoding="utf-8"))
    assert set(HEAD) <= set(content) and "flow_small" in content["command"]
    cells = {(one["way"], one["prompt"], one["budget"]): one for one in content["cells"]}
    for (way, prompt, budget), one in cells.items():
        mended = cells.get((f"{way}, matched", prompt, budget))
        if mended is not None and one["kind"] == "open":
            assert one["ratio"] < mended["ratio"] < 1.15

"""What is taken for granted of ComfyUI is recorded, and a change of it is noticed."""

import copy

import pytest

from tests.singdiffusion.comfyui import contract, doubles


@pytest.mark.parametrize("name", list(doubles.SPOKEN))
def test_a_double_has_the_parameters_of_what_it_stands_for(name):
    assert contract.parameters(doubles.SPOKEN[name]) == contract.recorded()["calls"][name]


def test_all_that_is_recorded_has_a_double():
    apart = {"comfy.k_diffusion.sampling.sample_euler"}  # of which only the name counts
    assert set(contract.CALLS) - apart == set(doubles.SPOKEN)
    assert set(contract.recorded()["calls"]) == set(contract.CALLS)
    assert contract.recorded()["constants"]["comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE"] == "sampler_sample"


def test_a_changed_comfyui_is_noticed_and_one_with_more_is_not():
    record = contract.recorded()
    assert contract.changes(record, record) == []
    more = copy.deepcopy(record)
    more["calls"]["comfy.samplers.KSAMPLER.sample"].append("new=")
    more["nodes"]["RandomNoise"]["sockets"]["new"] = "INT"
    assert contract.changes(record, more) == []
    for path, value in (
        (("calls", "comfy.samplers.KSAMPLER.sample"), ["self", "model_wrap", "noise", "sigmas"]),
        (("calls", "comfy.model_patcher.ModelPatcher.clone"), ["self", "deep"]),
        (("constants", "comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE"), "sample"),
        (("nodes", "SamplerCustomAdvanced"), {"sockets": {}, "gives": ["LATENT"]}),
    ):
        other = copy.deepcopy(record)
        other[path[0]][path[1]] = value
        assert len(contract.changes(record, other)) == 1
    gone = copy.deepcopy(record)
    del gone["calls"]["comfy.samplers.CFGGuider.outer_predict_noise"]
    assert len(contract.changes(record, gone)) == 1

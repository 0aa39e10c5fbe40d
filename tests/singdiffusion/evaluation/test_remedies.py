"""What diagnose expects to arrive, beside the law of the steps, and remedies that bring what they say."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from singdiffusion.base import encode, vae_factor
from singdiffusion.base.checkpoint import Checkpoint
from singdiffusion.cli import app
from singdiffusion.evaluation.data_statistics import read
from singdiffusion.evaluation.data_table import table_of
from singdiffusion.evaluation.diagnosis import diagnose
from singdiffusion.evaluation.findings import verdict
from singdiffusion.evaluation.picture_data import load
from singdiffusion.evaluation.remedies import ENOUGH, expected
from singdiffusion.response import kept, mended_kept, respond
from singtheory import Atoms, RectifiedFlow
from singtheory.data.sources import Data
from singtheory.errors import InputError
from singtheory.response import spread_kept
from singtheory.schedule.schedules import STABLE_DIFFUSION
from tests.singdiffusion.support import tiny, tiny_flow

FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
DDIM = {"_class_name": "DDIMScheduler", "clip_sample": False} | STABLE_DIFFUSION
SOLVED = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
STDS = [30.0, 10.0, 1.0, 0.1]


def points():
    """Points whose covariance has the squares of `STDS` for eigenvalues."""
    rows = torch.diag(torch.tensor(STDS, dtype=torch.float64)) * (2 * len(STDS)) ** 0.5 / 2**0.5
    return Data(Atoms(torch.cat([rows, -rows])), "points", None)


def diagnosed(config, steps=10, data=None):
    return expected(Checkpoint("config", config, None), steps, {}, read(data or points()))


def live(config):
    return Checkpoint("config", config, None).scheduler()


LAM = [std**2 for std in STDS]


def test_what_arrives_is_the_response_along_each_direction():
    answer = diagnosed(DDIM)
    response = respond(live(DDIM), LAM, 10)
    assert answer.arrivals[0].kept == pytest.approx(float(response.kept[0]))
    assert answer.arrivals[1].start == pytest.approx(float(response.start[0]))
    rest = torch.tensor(LAM[1:], dtype=torch.float64)
    kept = float((rest @ response.kept[1:].square() / rest.sum()).sqrt())
    assert answer.arrivals[2].kept == pytest.approx(kept)
    assert sum(arrival.share for arrival in answer.arrivals[1:]) == pytest.approx(1)
    for arrival in answer.arrivals:
        assert arrival.start * arrival.solver * arrival.end == pytest.approx(arrival.kept)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("count", [0, 2, 4])
def test_matched_and_corrected_steps_of_a_flow_are_the_law(corrected, count):
    scheduler = live(FLOW)
    scheduler.set_timesteps(10)
    matched = torch.arange(4) < count
    law = spread_kept(RectifiedFlow(), scheduler.sigmas.double(), LAM, start="mean")
    if count:
        law = spread_kept(
            RectifiedFlow(), scheduler.sigmas.double(), LAM, start="matched", matched=count, corrected=corrected
        )
    brought = kept(scheduler, torch.tensor(LAM), matched=matched, corrected=corrected).end
    torch.testing.assert_close(brought, law, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "kind", ["UniPCMultistepScheduler", "DPMSolverMultistepScheduler", "FlowMatchHeunDiscreteScheduler"]
)
def test_remedies_of_a_flow_are_those_of_its_own_table(kind):
    """Both run the scheduler with the first step that an attached module mends."""
    shift = {"shift": 3.0} if "Heun" in kind else {"flow_shift": 3.0}
    config = {"_class_name": kind, "use_flow_sigmas": True, "prediction_type": "flow_prediction"} | shift
    data = read(points())
    answer = diagnose(Checkpoint("config", config, None), 6, reading=data)
    assert answer.flows is not None and answer.expected is not None
    shown = {option.name: option.end[0] for option in answer.flows.options}
    brought = {remedy.name: remedy.kept[0] for remedy in answer.expected.remedies}
    assert brought["first step matched, rank 8"] == pytest.approx(shown["first step matched"], rel=1e-6)
    assert brought["steps corrected, rank 8"] == pytest.approx(shown["all but the last corrected"], rel=1e-6)
    assert brought["12 steps"] == pytest.approx(shown["twice the steps"], rel=1e-4)


def test_a_matched_start_mends_the_start_alone():
    response = respond(live(DDIM), LAM, 10)
    brought = mended_kept(live(DDIM), LAM, 10, torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(brought, response.kept / response.start, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    "config",
    [DDIM, FLOW, {"_class_name": "EDMEulerScheduler"}, DDIM | {"_class_name": "EulerAncestralDiscreteScheduler"}],
    ids=lambda config: config["_class_name"],
)
def test_every_remedy_brings_what_its_code_brings(config):
    """The last line of code is carried out on a scheduler in a pipeline's place, which then runs."""
    answer = diagnosed(config)
    tried = 0
    for remedy in answer.remedies:
        *imports, line = remedy.code
        if not line.startswith("pipe.scheduler"):
            continue

        class pipe:  # noqa: N801
            scheduler = live(config)

        exec("\n".join([*imports, line]), {"pipe": pipe})
        kept = respond(pipe.scheduler, LAM, 10).kept
        assert remedy.kept[1] == pytest.approx(float(kept[0]), rel=1e-4)
        tried += 1
    assert tried
    names = [remedy.name for remedy in answer.remedies]
    assert "20 steps" in names
    assert ("steps corrected, rank 8" in names) == (config is FLOW)


@pytest.mark.parametrize("shift", [None, 0.06])
def test_modules_that_are_advised_fit_a_vae_with_and_without_a_shift(tmp_path, shift):
    """The lines run as they are printed, with `pipe` for the pipeline alone."""
    pipe, source, data = tiny_flow.sd3(), str(tmp_path / "pipe"), str(tmp_path / "pictures.npy")
    pipe.vae.register_to_config(shift_factor=shift)
    pipe.save_pretrained(source)
    side = pipe.transformer.config.sample_size * vae_factor(pipe.vae)
    images = np.random.default_rng(0).integers(0, 256, (20, side, side, 3), dtype=np.uint8)
    np.save(data, images)
    checkpoint = Checkpoint.find(source)
    reading = read(load(data, checkpoint), pipe.vae)
    advised = [remedy.code for remedy in expected(checkpoint, 10, {}, reading).remedies if "attach" in remedy.code[-1]]
    assert len(advised) == 3
    for code in advised:
        names: dict[str, Any] = {"pipe": tiny_flow.sd3()}
        names["pipe"].vae.register_to_config(shift_factor=shift)
        exec("\n".join(code), names)
        assert names["module"].space.shift_factor == (shift or 0)
    latents = encode(pipe.vae, torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    torch.testing.assert_close(names["module"].means[0], latents.mean(dim=0))


def test_a_table_of_points_has_the_shape_of_the_network(tmp_path):
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "pipe")
    latents = torch.randn(20, *tiny.LATENTS, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "latents.npy", latents.flatten(1).numpy())
    table = table_of(str(tmp_path / "pipe"), str(tmp_path / "latents.npy"), rank=1)
    torch.testing.assert_close(table.means[0], latents.mean(dim=0))
    np.save(tmp_path / "other.npy", latents.flatten(1).numpy()[:, 1:])
    with pytest.raises(InputError, match="points of 255 numbers"):
        table_of(str(tmp_path / "pipe"), str(tmp_path / "other.npy"))


def test_the_verdict_names_the_start_and_what_mends_it():
    sentence = diagnosed(DDIM).sentence()
    assert "most is lost by the start" in sentence
    assert "Matched start, rank 1 brings" in sentence
    assert diagnosed(DDIM).worst.kept < ENOUGH


def test_the_verdict_says_where_nothing_is_to_mend():
    small = Data(Atoms(torch.tensor([[-1.0], [1.0]], dtype=torch.float64)), "points", None)
    assert "nothing is to mend" in diagnosed(DDIM, 100, small).sentence()


def test_a_scheduler_that_clips_is_told_with_the_reason():
    answer = diagnosed(DDIM | {"clip_sample": True})
    assert answer.arrivals == () and "clip_sample cuts" in answer.sentence()


@pytest.mark.parametrize("flag", ["clip_sample", "thresholding"])
def test_what_cuts_pictures_off_comes_with_the_line_that_leaves_it_out(flag):
    diagnosis = diagnose(Checkpoint("config", DDIM | {flag: True}, None), 10, reading=read(points()))
    (advice,) = [finding for finding in verdict(diagnosis) if "cannot be computed" in finding.sentence]

    class pipe:  # noqa: N801
        scheduler = live(DDIM | {flag: True})

    exec("\n".join(advice.code), {"pipe": pipe})
    assert not pipe.scheduler.config[flag]
    torch.testing.assert_close(respond(pipe.scheduler, LAM, 10).kept, respond(live(DDIM), LAM, 10).kept)


@pytest.mark.parametrize("config", [FLOW, DDIM], ids=["flow", "noise"])
@pytest.mark.parametrize("pictures", [True, False])
def test_the_command_fits_eighty_columns_and_begins_with_the_verdict(tmp_path, config, pictures):
    (tmp_path / "scheduler_config.json").write_text(json.dumps(config))
    stds = np.geomspace(30, 0.1, 192)
    noise = np.random.default_rng(0).normal(size=(400, 192)) * stds
    images = np.clip(noise + 128, 0, 255).astype(np.uint8).reshape(-1, 8, 8, 3)
    np.save(tmp_path / "data.npy", images if pictures else noise)
    arguments = ["diagnose", str(tmp_path / "scheduler_config.json"), "--data", str(tmp_path / "data.npy")]
    result = CliRunner().invoke(app, [*arguments, "--steps", "4"])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if not line.endswith("(loading)")]
    assert lines[0].startswith("Of the spread of")
    tables = lines[lines.index("") :]
    assert max(len(line) for line in tables if " = " not in line and "(" not in line) <= 80
    assert not any("\u2026" in line for line in tables)  # no cell is cut


def test_many_eigenvalues_are_read_off_between_nodes():
    stds = torch.logspace(1, -1, 150, dtype=torch.float64)
    rows = torch.diag(stds) * 150**0.5
    answer = diagnosed(FLOW, 10, Data(Atoms(torch.cat([rows, -rows])), "points", None))
    lam = stds.square()
    kept = respond(live(FLOW), lam, 10).kept
    for arrival, part in zip(
        answer.arrivals[1:], (slice(0, 1), slice(1, 8), slice(8, 64), slice(64, 150)), strict=True
    ):
        exact = float((lam[part] @ kept[part].square() / lam[part].sum()).sqrt())
        assert arrival.kept == pytest.approx(exact, abs=1e-3)


def test_a_diagnosis_of_a_flow_says_what_its_steps_lose():
    diagnosis = diagnose(Checkpoint("config", FLOW, None), 4, reading=read(points()))
    sentences = " ".join(finding.sentence for finding in verdict(diagnosis))
    assert "most is lost by the steps" in sentences
    assert diagnosis.to_json()["expected"]["remedies"][0]["name"] == "8 steps"


def test_a_flow_that_shifts_by_tokens_has_a_response_and_remedies(tmp_path):
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True, "max_shift": 1.3}
    diagnosis = diagnose(Checkpoint("config", config, None), 6, reading=read(points()))
    answer = diagnosis.expected
    assert answer is not None and answer.refusal is None and diagnosis.flows is not None
    response = respond(live(config), LAM, 6, mu=1.3).kept
    assert answer.arrivals[1].kept == pytest.approx(float(response[0]))
    shown = {option.name: option.end[0] for option in diagnosis.flows.options}
    brought = {remedy.name: remedy.kept for remedy in answer.remedies}
    assert brought["first step matched, rank 8"][0] == pytest.approx(shown["first step matched"], rel=1e-6)
    assert brought["12 steps"][0] == pytest.approx(shown["twice the steps"], rel=1e-4)
    solver = Checkpoint("config", config | {"_class_name": "UniPCMultistepScheduler"} | SOLVED, None).scheduler()
    assert brought["UniPC"][1] == pytest.approx(float(respond(solver, LAM, 6, mu=1.3).kept[0]))
    assert "DPM++" not in brought  # whose set_timesteps takes no noise levels, which such pipelines hand over
    (tmp_path / "scheduler_config.json").write_text(json.dumps(config))
    arguments = ["response", str(tmp_path / "scheduler_config.json"), "--eigenvalues", "900", "--steps", "6"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"{float(response[0]):.0%} arrives" in result.output


def test_distilled_models_get_no_advice_from_data_either():
    diagnosis = diagnose(
        Checkpoint("config", {"_class_name": "FlowMatchLCMScheduler"}, None), 4, reading=read(points())
    )
    assert any("learned their steps" in finding.sentence for finding in verdict(diagnosis))
    assert not any(finding.code for finding in verdict(diagnosis))


def stored(folder, pipeline, scheduler, transformer=None):
    """A folder of a pipeline without weights."""
    for name, content in {
        "model_index.json": {"_class_name": pipeline, "scheduler": ["diffusers", scheduler["_class_name"]]},
        "scheduler/scheduler_config.json": scheduler,
        "transformer/config.json": transformer or {},
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return Checkpoint.find(str(folder))


@pytest.mark.parametrize("pipeline, offered", [("FluxPipeline", False), ("WanPipeline", True), (None, True)])
def test_solvers_are_advised_to_pipelines_that_can_run_them(tmp_path, pipeline, offered):
    shifted = FLOW | {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    where = Checkpoint("config", shifted, None) if pipeline is None else stored(tmp_path / "p", pipeline, shifted)
    answer = expected(where, 10, {}, read(points()))
    assert ("DPM++" in {remedy.name for remedy in answer.remedies}) == offered


@pytest.mark.parametrize(
    "name, transformer",
    [
        ("sdxl-turbo", {}),
        ("plain", {"_class_name": "FluxTransformer2DModel", "guidance_embeds": False}),
    ],
)
@pytest.mark.parametrize("scheduler", [FLOW, DDIM])
def test_models_that_are_distilled_by_name_or_by_network_get_no_remedies(tmp_path, name, transformer, scheduler):
    checkpoint = stored(tmp_path / name, "FluxPipeline", scheduler, transformer)
    answer = expected(checkpoint, 4, {}, read(points()))
    assert answer.remedies == () and answer.learned and "nothing is advised" in answer.sentence()
    diagnosis = diagnose(checkpoint, 4, reading=read(points()))
    if diagnosis.flows is not None:
        assert [option.name for option in diagnosis.flows.options] == ["as it is"]


def test_without_data_a_flow_is_asked_for_them():
    diagnosis = diagnose(Checkpoint("config", FLOW, None), 4)
    assert diagnosis.expected is None
    assert any("give --data" in finding.sentence for finding in verdict(diagnosis))


def test_the_command_shows_the_table_and_writes_it(tmp_path):
    (tmp_path / "scheduler_config.json").write_text(json.dumps(FLOW))
    np.save(tmp_path / "points.npy", points().law.points.numpy())
    out = tmp_path / "out.json"
    arguments = ["diagnose", str(tmp_path / "scheduler_config.json"), "--data", str(tmp_path / "points.npy")]
    result = CliRunner().invoke(app, [*arguments, "--steps", "4", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "first step matched" in result.output and "by the steps" in result.output
    written = json.loads(out.read_text())
    assert {"arrivals", "bands", "remedies", "calls", "refusal"} == set(written["expected"])
    assert any("Of the spread" in finding["sentence"] for finding in written["findings"])

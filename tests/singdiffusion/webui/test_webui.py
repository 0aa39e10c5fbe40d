"""The extension for A1111's web UI and Forge: what it asks, what it is answered, and how it is installed."""

import importlib.util
import io
import json
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from diffusers import EulerDiscreteScheduler
from safetensors.torch import save_file
from typer.testing import CliRunner

from singdiffusion.average import AverageDecoder, AverageTable
from singdiffusion.cli import app
from singdiffusion.start import SingDiffusion, initial_latents
from singdiffusion.webui import install, started
from singdiffusion.webui.__main__ import main
from singdiffusion.webui.start import scheduler_of
from singtheory.errors import InputError

PROMPT = "black"
SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def trained() -> torch.Tensor:
    bars = EulerDiscreteScheduler(**SD_BETAS).alphas_cumprod.double()
    return ((1 - bars) / bars).sqrt()


@pytest.fixture
def table(tmp_path):
    generator = torch.Generator().manual_seed(0)
    pictures = {name: torch.randn(30, 4, 8, 8, generator=generator) - 1 for name in (PROMPT, "")}
    made = AverageTable.from_images(pictures, rank=2, scaling_factor=0.18215)
    made.save_pretrained(tmp_path / "table")
    return tmp_path / "table"


def settings(path, **other):
    arguments = {"path": str(path), "rule": "normalised", "start": "widest", "cfg": 3.0, "sigma": float(trained()[999])}
    return arguments | {"scale": 0.18215, "prompts": [PROMPT] * 2, "negative_prompts": [""] * 2} | other


def noise(batch=2):
    return torch.randn(batch, 4, 8, 8, generator=torch.Generator().manual_seed(4))


def expected(path, x_1, timesteps, cfg=3.0):
    average = SingDiffusion.from_pretrained(path).average([PROMPT] * len(x_1), [""] * len(x_1), x_1, cfg)
    scheduler = EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(timesteps=timesteps)
    return initial_latents(average.mean, x_1, scheduler, spread=average.spread) * scheduler.init_noise_sigma


@pytest.mark.parametrize("index", [999, 801])
def test_the_answer_is_the_start_of_the_library(table, index):
    arguments = {"noise": noise(), "trained": trained().float()}
    actual = started(arguments, settings(table, sigma=float(trained()[index])))
    torch.testing.assert_close(actual, expected(table, noise(), [index, 0]), rtol=2e-4, atol=2e-4)


def test_a_grid_may_begin_between_the_sigmas_of_training():
    sigma = float(trained()[900] * trained()[901]) ** 0.5
    scheduler = scheduler_of(trained().float(), sigma)
    assert float(scheduler.sigmas[0]) == pytest.approx(sigma, rel=1e-5)
    assert float(scheduler.timesteps[0]) == pytest.approx(900.5, abs=0.1)


def test_token_states_reach_a_network_that_reads_them(tmp_path):
    torch.manual_seed(0)
    decoder = AverageDecoder((4, 8, 8), {"kind": "text", "width": 16}, width=32, layers=1, scaling_factor=0.18215)
    decoder.save_pretrained(tmp_path / "decoder")
    c, uc = torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    arguments = {"noise": noise(), "trained": trained().float(), "c": c, "uc": uc}
    actual = started(arguments, settings(tmp_path / "decoder"))
    average = SingDiffusion.from_pretrained(tmp_path / "decoder").average(c, uc, noise(), 3.0)
    scheduler = scheduler_of(trained(), float(trained()[999]))
    assert torch.allclose(
        actual, initial_latents(average.mean, noise(), scheduler) * scheduler.init_noise_sigma, atol=1e-3
    )
    with pytest.raises(InputError, match="1 conditions for 2 pictures"):
        started(arguments | {"c": c[:1]}, settings(tmp_path / "decoder"))


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"path": " "}, "no folder"),
        ({"scale": 0.13}, "scaling factor"),
        ({"rule": "other"}, "guidance rule"),
        ({"prompts": ["cat"] * 2}, "cat"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(table, other, word):
    with pytest.raises(InputError, match=word):
        started({"noise": noise(), "trained": trained().float()}, settings(table) | other)


@pytest.fixture
def requests(table, tmp_path):
    """A request that is right, the lines that ask it around one that is missing, and where the answer goes."""
    request, answer = tmp_path / "request", tmp_path / "answer"
    save_file({"noise": noise(), "trained": trained().float()}, request, {"settings": json.dumps(settings(table))})
    lines = "".join(json.dumps([str(one), str(answer)]) + "\n" for one in (request, tmp_path / "missing", request))
    return lines, answer


def assert_answered(said, answer):
    assert said[0] == said[2] == "ok" and "missing" in said[1] and len(said) == 3
    assert answer.is_file()


def test_requests_are_answered_line_by_line(requests, monkeypatch, capsys):
    lines, answer = requests
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    main()
    assert_answered(capsys.readouterr().out.splitlines(), answer)


@pytest.mark.slow  # a process of its own loads the libraries again
def test_the_process_answers_line_by_line(requests):
    lines, answer = requests
    program = [sys.executable, "-m", "singdiffusion.webui"]
    said = subprocess.run(program, input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    assert_answered(said, answer)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The installed file, loaded as a web UI does, with doubles of gradio and of its `modules`; it asks this process."""
    (tmp_path / "extensions").mkdir()
    file = install(tmp_path) / "scripts" / "singular_start.py"
    assert f"PYTHON = {sys.executable!r}" in file.read_text(encoding="utf-8")
    shared, opts = ModuleType("modules.shared"), SimpleNamespace(sgm_noise_multiplier=False)
    shared.opts = opts
    modules = ModuleType("modules")
    modules.scripts = SimpleNamespace(Script=object, AlwaysVisible=object())
    for name, double in {"gradio": ModuleType("gradio"), "modules": modules, "modules.shared": shared}.items():
        monkeypatch.setitem(sys.modules, name, double)
    spec = importlib.util.spec_from_file_location("singular_start", file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setattr(loaded.WORKER, "ask", started)
    return loaded


class Sigmas:
    """A sampler of sigmas."""

    model_wrap = SimpleNamespace(sigmas=trained().float())

    def get_sigmas(self, p, steps):
        return self.model_wrap.sigmas[[999, 500, 0]]


class Timesteps:
    """A sampler of timesteps."""

    def get_timesteps(self, p, steps):
        return torch.tensor([1, 401, 801])


def processing(sampler, cfg=3.0):
    bars = EulerDiscreteScheduler(**SD_BETAS).alphas_cumprod
    model = SimpleNamespace(alphas_cumprod=bars, scale_factor=0.18215)
    prompts = {"prompts": [PROMPT] * 2, "negative_prompts": [""] * 2}
    return SimpleNamespace(
        sampler=sampler, steps=3, cfg_scale=cfg, sd_model=model, extra_generation_params={}, **prompts
    )


@pytest.mark.parametrize(
    ("sampler", "index", "multiplied"),
    [(Sigmas(), 999, False), (Sigmas(), 999, True), (Timesteps(), 801, False)],
    ids=["sigmas", "SGM noise multiplier", "timesteps"],
)
def test_the_script_exchanges_the_noise_in_its_place(script, table, sampler, index, multiplied):
    script.opts.sgm_noise_multiplier = multiplied
    p, x, sigma = processing(sampler), noise(), float(trained()[index])
    factor = (1 + sigma**2) ** 0.5 if multiplied or index == 801 else sigma
    script.SingularStart().process_before_every_sampling(
        p, True, str(table), "normalised", "widest", x=x, noise=x, c=None, uc=None
    )
    torch.testing.assert_close(x * factor, expected(table, noise(), [index, 0]), rtol=2e-4, atol=2e-4)
    assert p.extra_generation_params == {"Singular start": "widest, normalised"}


def test_the_script_leaves_alone_what_is_not_to_be_mended(script, table, capsys):
    arguments = (True, str(table), "normalised", "widest")
    run = script.SingularStart().process_before_every_sampling
    for p, args in (
        (processing(Sigmas()), (False, *arguments[1:])),
        (SimpleNamespace(is_hr_pass=True, **vars(processing(Sigmas()))), arguments),
        (processing(SimpleNamespace(model_wrap=SimpleNamespace(sigmas=torch.linspace(0.001, 1, 1000)))), arguments),
    ):
        x = noise()
        run(p, *args, x=x, noise=x)
        assert torch.equal(x, noise()) and p.extra_generation_params == {}
    assert "matches a flow" in capsys.readouterr().out


def test_what_is_wrong_is_said_and_the_noise_stays(script, table, capsys, monkeypatch):
    def refuses(*_):
        raise RuntimeError("average image: no folder is given")

    monkeypatch.setattr(script.WORKER, "ask", refuses)
    p, x = processing(Sigmas()), noise()
    script.SingularStart().process_before_every_sampling(p, True, "", "normalised", "widest", x=x, noise=x)
    assert torch.equal(x, noise()) and p.extra_generation_params == {}
    assert "no folder is given; drawn without it" in capsys.readouterr().out


def test_conditions_are_found_as_the_web_ui_keeps_them(script):
    states = torch.randn(2, 7, 16)
    scheduled = [[SimpleNamespace(end_at_step=5, cond=one)] for one in states]
    assert torch.equal(script.token_states(scheduled), states)
    multiple = SimpleNamespace(batch=[[SimpleNamespace(schedules=each, weight=1.0)] for each in scheduled])
    assert torch.equal(script.token_states(multiple), states)
    large = [[SimpleNamespace(end_at_step=5, cond={"crossattn": one, "vector": one[0]})] for one in states]
    assert torch.equal(script.token_states(large), states)
    assert script.token_states(None) is None


def test_the_command_installs_and_refuses(tmp_path):
    assert CliRunner().invoke(app, ["webui", "install", str(tmp_path)]).exit_code == 2
    (tmp_path / "extensions").mkdir()
    for _ in range(2):
        result = CliRunner().invoke(app, ["webui", "install", str(tmp_path)])
        assert result.exit_code == 0, result.output
    target = tmp_path / "extensions" / "singdiffusion"
    assert sorted(path.name for path in target.iterdir()) == ["installed.json", "scripts"]

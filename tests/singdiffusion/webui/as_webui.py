"""A web UI's own functions, taken from its sources as they stand, around the extension: run by path, with a Python that has gradio and torch.

    python tests/singdiffusion/webui/as_webui.py WEBUI K_DIFFUSION SCRIPT OUT SETTINGS

`StableDiffusionProcessingTxt2Img.sample`, `ScriptRunner.process_before_every_sampling`, the base class of scripts, the samplers with their grids of sigmas, and
k-diffusion's steps are the web UI's; the options are doubles, and so are the network and the prompts in the first comparison. In the second, for A1111's, the network
is a U-Net of Stable Diffusion's kind, which the web UI's own denoiser guides by token states; its folder and those are in the settings.
"""

import __future__

import argparse
import ast
import collections
import dataclasses
import importlib.machinery
import importlib.util
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from safetensors.torch import load_file, save_file


def taken(file: Path, names: list[str], space: dict) -> dict:
    """Functions and classes of a file, and methods as `Class.method`, compiled as they stand into a namespace."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    chosen = []
    for name in names:
        kind, _, method = name.partition(".")
        node = nodes[kind]
        if method:
            node = next(part for part in node.body if getattr(part, "name", "") == method)
        chosen.append(node)
    exec(compile(ast.Module(chosen, []), str(file), "exec", __future__.annotations.compiler_flag), space)
    return space


def module(name: str, **names) -> ModuleType:
    """A module of that name that holds these names."""
    actual = ModuleType(name)
    actual.__spec__ = importlib.machinery.ModuleSpec(name, None)  # which diffusers looks at
    vars(actual).update(names)
    sys.modules[name] = actual
    return actual


class Options:
    """Every option off, or 0, but for those that are given."""

    def __init__(self, **arguments) -> None:
        vars(self).update(arguments)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return 0


class Network(torch.nn.Module):
    """What the samplers ask: a denoised picture for sigmas, or the noise for timesteps."""

    def __init__(self, sampler, bars: torch.Tensor, predictor=None) -> None:
        super().__init__()
        sigmas = ((1 - bars) / bars).sqrt()
        outer = SimpleNamespace(alphas_cumprod=bars, forge_objects=SimpleNamespace(unet=None))
        self.inner_model = SimpleNamespace(sigmas=sigmas, inner_model=outer, predictor=predictor)
        self.first, self.padded_cond_uncond, self.padded_cond_uncond_v0 = None, False, False

    def forward(self, x, sigma, **_):
        if self.first is None:
            self.first = x.clone()
        return 0.2 + 0.1 * x / (1 + sigma.view(-1, 1, 1, 1) ** 2).sqrt()


class Model:
    """A U-Net, asked as the web UI asks its models."""

    parameterization, cond_stage_key = "eps", "txt"

    def __init__(self, unet, bars: torch.Tensor) -> None:
        self.unet, self.alphas_cumprod = unet, bars
        self.model = SimpleNamespace(conditioning_key="crossattn")

    @torch.no_grad()
    def apply_model(self, x, t, cond):
        return self.unet(x, t, torch.cat(cond["c_crossattn"], 1)).sample


def guided(webui: Path, space: dict, model: Model) -> tuple:
    """The web UI's own denoiser around a U-Net, and what it takes for the conditions of prompts."""
    import k_diffusion.external  # noqa: F401 by its whole name

    entry = collections.namedtuple("ScheduledPromptConditioning", ["end_at_step", "cond"])
    prompts = {"torch": torch, "ScheduledPromptConditioning": entry}
    names = ["ComposableScheduledPromptConditioning", "MulticondLearnedConditioning", "DictWithShape"]
    names += ["reconstruct_cond_batch", "stack_conds", "reconstruct_multicond_batch"]
    taken(webui / "modules" / "prompt_parser.py", names, prompts)
    callbacks = ["CFGDenoiserParams", "CFGDenoisedParams", "AfterCFGCallbackParams"]
    taken(webui / "modules" / "script_callbacks.py", callbacks, space)
    space |= dict.fromkeys(("cfg_denoiser_callback", "cfg_denoised_callback", "cfg_after_cfg_callback"), lambda _: None)
    space["sd_samplers_common"].apply_refiner = lambda *_: False
    space["sd_samplers_common"].store_latent = lambda _: None
    space["prompt_parser"] = SimpleNamespace(**prompts)
    vars(space["shared"]).update(sd_model=model)
    names = ["catenate_conds", "subscript_cond", "CFGDenoiser"]
    taken(webui / "modules" / "sd_samplers_cfg_denoiser.py", names, space)
    space["sd_samplers_cfg_denoiser"] = SimpleNamespace(CFGDenoiser=space["CFGDenoiser"])
    taken(webui / "modules" / "sd_samplers_kdiffusion.py", ["CFGDenoiserKDiffusion"], space)

    class Watched(space["CFGDenoiserKDiffusion"]):
        first = None

        def forward(self, x, sigma, *args, **kwargs):
            self.first = x.clone() if self.first is None else self.first
            return super().forward(x, sigma, *args, **kwargs)

    space["CFGDenoiserKDiffusion"] = Watched

    def conditions(c: torch.Tensor, uc: torch.Tensor) -> tuple:
        each = [[prompts["ComposableScheduledPromptConditioning"]([entry(10**6, one)])] for one in c]
        return prompts["MulticondLearnedConditioning"]((len(c),), each), [[entry(10**6, one)] for one in uc]

    return space, conditions


def k_diffusion_of(folder: Path) -> None:
    """The file `sampling.py` of k-diffusion as a package, with the function of `utils.py` that it uses."""
    package = module("k_diffusion")
    package.__path__ = [str(folder)]
    package.utils = module("k_diffusion.utils", **taken(folder / "utils.py", ["append_dims"], {}))
    package.sampling = importlib.import_module("k_diffusion.sampling")
    package.external = importlib.import_module("k_diffusion.external")


def scripts_of(webui: Path) -> SimpleNamespace:
    """The web UI's base class of scripts and its runner's call before sampling."""
    import gradio

    errors = SimpleNamespace(report=_raise)
    space = {"gr": gradio, "errors": errors, "re": __import__("re"), "os": __import__("os"), "inspect": inspect}
    taken(webui / "modules" / "scripts.py", ["Script", "ScriptRunner.process_before_every_sampling"], space)
    return SimpleNamespace(**space, AlwaysVisible=object())


def _raise(message, **_):
    raise RuntimeError(message) from sys.exc_info()[1]


def samplers_of(webui: Path, opts: Options, bars: torch.Tensor) -> dict:
    """The web UI's sampler classes: of sigmas and of timesteps."""
    import k_diffusion.sampling

    devices = SimpleNamespace(cpu=torch.device("cpu"), device=torch.device("cpu"))
    state = SimpleNamespace(sampling_step=0, sampling_steps=0, interrupted=False, skipped=False)
    sd_model = SimpleNamespace(model=SimpleNamespace(conditioning_key="crossattn"), alphas_cumprod=bars)
    shared = SimpleNamespace(opts=opts, state=state, sd_model=sd_model, total_tqdm=SimpleNamespace(update=lambda: None))
    space = {
        "torch": torch,
        "inspect": inspect,
        "opts": opts,
        "shared": shared,
        "state": state,
        "k_diffusion": k_diffusion,
    }
    space |= {"store_latent": lambda _: None, "devices": devices, "sampler_extra_params": {}}
    common = taken(
        webui / "modules" / "sd_samplers_common.py", ["InterruptedException", "TorchHijack", "Sampler"], dict(space)
    )
    held = SimpleNamespace(**common)
    space["sd_samplers_common"] = held
    grids = {"torch": torch, "k_diffusion": k_diffusion, "dataclasses": dataclasses, "shared": shared}
    taken(webui / "modules" / "sd_schedulers.py", ["Scheduler"], grids)
    karras = grids["Scheduler"]("karras", "Karras", k_diffusion.sampling.get_sigmas_karras, default_rho=7.0)
    space["sd_schedulers"] = SimpleNamespace(schedulers_map={"Karras": karras, "karras": karras})
    predictor = None
    if (webui / "backend" / "modules" / "k_prediction.py").is_file():
        predictor = importlib.import_module("backend.modules.k_prediction").Prediction(prediction_type="epsilon")
        space |= {"sampling_prepare": lambda *_, **__: None, "sampling_cleanup": lambda *_: None}
    space["CFGDenoiserKDiffusion"] = space["CFGDenoiserTimesteps"] = lambda sampler: Network(sampler, bars, predictor)
    taken(webui / "modules" / "sd_samplers_kdiffusion.py", ["KDiffusionSampler"], space)
    taken(webui / "modules" / "sd_samplers_timesteps.py", ["CompVisSampler"], space)
    numbers = {"torch": torch, "tqdm": __import__("tqdm"), "np": __import__("numpy"), "k_diffusion": k_diffusion}
    numbers["float64"] = lambda x: torch.float64
    taken(webui / "modules" / "sd_samplers_timesteps_impl.py", ["ddim"], numbers)
    return space | {"ddim": numbers["ddim"]}


def drawn(
    webui: Path, script, kinds: dict, name: str, x_1: torch.Tensor, settings: dict, on: bool, conditions=(None, None)
) -> tuple:
    """What the web UI's own text to image makes of noise, and where its network began."""
    sampler = (
        kinds["CompVisSampler"](kinds["ddim"], None)
        if name == "DDIM"
        else kinds["KDiffusionSampler"](f"sample_{name}", None)
    )
    sampler.config = SimpleNamespace(options={"scheduler": "karras"}, total_steps=lambda steps: steps)
    bars = kinds["shared"].sd_model.alphas_cumprod
    space = {
        "sd_samplers": SimpleNamespace(create_sampler=lambda *_: sampler),
        "torch": torch,
        "apply_token_merging": lambda *_: None,
    }
    taken(webui / "modules" / "processing.py", ["StableDiffusionProcessingTxt2Img.sample"], space)
    runner = SimpleNamespace(ordered_scripts=lambda _: [script])
    call = script.runner_call
    runner.process_before_every_sampling = lambda *args, **kwargs: call(runner, *(args or (kwargs.pop("p"),)), **kwargs)
    p = SimpleNamespace(
        sampler_name=name,
        scheduler="Karras",
        steps=settings["steps"],
        cfg_scale=settings["cfg"],
        prompts=settings["prompts"],
        negative_prompts=settings["negative_prompts"],
        sd_model=SimpleNamespace(
            alphas_cumprod=bars,
            scale_factor=settings["scale"],
            forge_objects=None,
            forge_objects_after_applying_lora=SimpleNamespace(shallow_copy=lambda: None),
        ),
        script_args=[on, settings["path"], settings["rule"], settings["start"]],
        extra_generation_params={},
        rng=SimpleNamespace(next=lambda: x_1.clone()),
        scripts=runner,
        firstpass_image=None,
        enable_hr=False,
        is_hr_pass=False,
        modified_noise=None,
        eta=None,
        sampler_noise_scheduler_override=None,
        get_token_merging_ratio=lambda: 0,
        txt2img_image_conditioning=lambda x: x.new_zeros(len(x), 5, 1, 1),
        **{"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"), "s_noise": 1.0},
    )
    samples = space["sample"](p, *conditions, [0], [0], 0, p.prompts)
    return samples, sampler.model_wrap_cfg.first, p.extra_generation_params


def main(webui: Path, k_diffusion: Path, file: Path, out: Path, settings: dict) -> None:
    """Write what each sampler makes of the same noise, with the extension and without it, and where it began."""
    sys.path.insert(0, str(webui))
    k_diffusion_of(k_diffusion)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bars = torch.cumprod(1 - betas, dim=0).float()
    actual = scripts_of(webui)
    for name in [name for name in sys.modules if name == "modules" or name.startswith("modules.")]:
        del sys.modules[name]
    results = {}
    for multiplied in (False, True):
        opts = Options(sgm_noise_multiplier=multiplied)
        module("modules", scripts=actual, shared=module("modules.shared", opts=opts))
        spec = importlib.util.spec_from_file_location("singular_start", file)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        import gradio

        script = loaded.SingularStart()
        with gradio.Blocks():
            controls = script.ui(False)
        assert [control.value for control in controls] == [False, "", "normalised", "widest"]
        assert script.show(True) is False and script.show(False) is actual.AlwaysVisible
        script.args_from, script.args_to = 0, len(controls)
        script.runner_call = actual.process_before_every_sampling
        kinds = samplers_of(webui, opts, bars)
        x_1 = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(9))
        results["noise"] = x_1
        for name in ("euler", "dpmpp_2m", "DDIM"):
            for on in (True, False):
                samples, first, notes = drawn(webui, script, kinds, name, x_1, settings, on)
                assert bool(notes.get("Singular start")) == on
                key = f"{name}/{int(multiplied)}/{'with' if on else 'without'}"
                results |= {f"{key}/samples": samples.float().contiguous(), f"{key}/first": first.float().contiguous()}
        if "unet" in settings and not multiplied:
            results |= of_unet(webui, script, kinds, bars, x_1, settings)
    save_file(results, out)


def of_unet(webui: Path, script, kinds: dict, bars: torch.Tensor, x_1: torch.Tensor, settings: dict) -> dict:
    """What the web UI draws with a U-Net, with the extension and without it."""
    from diffusers import UNet2DConditionModel

    states = load_file(settings["states"])
    unet = UNet2DConditionModel.from_pretrained(settings["unet"]).eval()
    kinds, conditions = guided(webui, dict(kinds), Model(unet, bars))
    taken(
        webui / "modules" / "sd_samplers_kdiffusion.py", ["KDiffusionSampler"], kinds
    )  # which looks up the denoiser there
    results = {}
    for name in ("euler", "heun"):
        for on in (True, False):
            asked = conditions(states["c"], states["uc"])
            samples, first, _ = drawn(webui, script, kinds, name, x_1, settings, on, asked)
            key = f"unet/{name}/{'with' if on else 'without'}"
            results |= {f"{key}/samples": samples.float().contiguous(), f"{key}/first": first.float().contiguous()}
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in inspect.signature(main).parameters:
        parser.add_argument(name, type=json.loads if name == "settings" else Path)
    main(**vars(parser.parse_args()))

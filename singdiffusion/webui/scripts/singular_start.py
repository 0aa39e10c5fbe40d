"""An extension for Stable Diffusion web UI (A1111) and Forge: pictures begin at the singular start instead of at noise.

Copied by `singdiffusion webui install FOLDER` to extensions/singdiffusion/scripts. The web UI's own Python is often too old for the package singdiffusion, so this
file imports nothing of it: a process of another Python, in which the package is installed, computes the start and answers line by line.
"""

import json
import os
import subprocess
import tempfile

import gradio as gr
import torch
from modules import scripts
from safetensors.torch import load_file, save_file

try:
    from modules.shared import opts
except ImportError:
    opts = None

PYTHON = "python3"
"""The Python in which singdiffusion is installed; `singdiffusion webui install` writes its own."""
RULES = ["normalised", "convex", "plain", "none"]
STARTS = ["widest", "matched", "mean"]


class Worker:
    """`python -m singdiffusion.webui`, kept running: the path of a request goes in, "ok" or an error comes out."""

    def __init__(self):
        self.process = None

    def ask(self, tensors, settings):
        """The start, in units `y + sigma n`, for noise and settings; raises RuntimeError with the line that the process says."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [PYTHON, "-m", "singdiffusion.webui"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        with tempfile.TemporaryDirectory() as folder:
            request, answer = os.path.join(folder, "request.safetensors"), os.path.join(folder, "answer.safetensors")
            save_file(tensors, request, metadata={"settings": json.dumps(settings)})
            self.process.stdin.write(json.dumps([request, answer]) + "\n")
            self.process.stdin.flush()
            said = self.process.stdout.readline().strip()
            if said != "ok":
                raise RuntimeError(said or f"{PYTHON} -m singdiffusion.webui ended; is the package installed there?")
            return load_file(answer)["start"]


WORKER = Worker()


class SingularStart(scripts.Script):
    """The panel, and what is done before sampling."""

    def title(self):
        """The name of the panel."""
        return "Singular start"

    def show(self, is_img2img):
        """Text to image alone: image to image begins at a noised image, where nothing is to mend."""
        return False if is_img2img else scripts.AlwaysVisible

    def ui(self, is_img2img):
        """What one can set."""
        with gr.Accordion("Singular start", open=False):
            enabled = gr.Checkbox(label="Begin at the average image of the prompt", value=False)
            path = gr.Textbox(label="Average image: its folder or hub id", value="")
            rule = gr.Dropdown(label="How guidance acts on it", choices=RULES, value=RULES[0])
            start = gr.Dropdown(label="Start", choices=STARTS, value=STARTS[0])
        return [enabled, path, rule, start]

    def process_before_every_sampling(self, p, enabled, path, rule, start, *args, **kwargs):
        """Exchanges the first noise, in its place, for the start; not for the second pass of hires fix."""
        if not enabled or getattr(p, "is_hr_pass", False):
            return
        x = kwargs["x"]
        grid = sigmas_of(p)
        if grid is None:
            print("Singular start: this model matches a flow, or its sampler shows no sigmas; left as it is")
            return
        sigma, trained, factor = grid
        tensors = {"noise": x.detach().float().cpu().contiguous(), "trained": trained.float().cpu().contiguous()}
        for name in ("c", "uc"):
            states = token_states(kwargs.get(name))
            if states is not None:
                tensors[name] = states.float().cpu().contiguous()
        settings = {
            "path": path,
            "rule": rule,
            "start": start,
            "cfg": max(1.0, float(p.cfg_scale)),
            "sigma": sigma,
            "scale": scale_of(p.sd_model),
            "prompts": list(p.prompts),
            "negative_prompts": list(p.negative_prompts),
        }
        try:
            begun = WORKER.ask(tensors, settings) / factor
        except (RuntimeError, OSError) as error:
            print(f"Singular start: {error}; drawn without it")
            return
        x.copy_(begun.to(x))
        p.extra_generation_params["Singular start"] = f"{start}, {rule}"


def sigmas_of(p):
    """The first sigma, those of training, and by what the noise is multiplied before the first step; None for flows."""
    sampler = p.sampler
    if hasattr(sampler, "get_timesteps"):  # DDIM, PLMS, UniPC: latents are alpha y + sigma n
        bars = p.sd_model.alphas_cumprod.detach().double().cpu()
        trained = ((1 - bars) / bars).sqrt()
        sigma = float(trained[int(sampler.get_timesteps(p, p.steps)[-1])])
        return sigma, trained, (1 + sigma**2) ** 0.5
    trained = getattr(getattr(sampler, "model_wrap", None), "sigmas", None)
    if trained is None or float(trained.max()) <= 1.0001:
        return None
    sigma = float(sampler.get_sigmas(p, p.steps)[0])
    full = opts is not None and bool(opts.sgm_noise_multiplier)
    return sigma, trained.detach(), (1 + sigma**2) ** 0.5 if full else sigma


def token_states(conditioning):
    """What the prompts were encoded to, (batch, tokens, width); None where it is not one condition for each."""
    batch = getattr(conditioning, "batch", conditioning)
    try:
        first = [each[0].schedules[0].cond if hasattr(each[0], "schedules") else each[0].cond for each in batch]
        first = [each["crossattn"] if isinstance(each, dict) else each for each in first]
        return torch.stack(first)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError):
        return None


def scale_of(model):
    """The scaling factor of the latents; None where the model does not say."""
    factor = getattr(model, "scale_factor", None)
    if factor is None:
        vae = getattr(getattr(model, "forge_objects", None), "vae", None)
        factor = getattr(getattr(vae, "first_stage_model", None), "scaling_factor", None)
    return None if factor is None else float(factor)

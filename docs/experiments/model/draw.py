"""Sampling in large batches: what a pipeline of diffusers computes, for many prompts and weights of guidance at once.

The latents, the scheduler's steps and the guidance are in float32; the network alone runs in half precision on a GPU.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from docs.experiments.model.denoiser import Denoiser, scheduler_config
from docs.experiments.model.fit import say
from singtheory.errors import unknown_name

SAMPLERS = {
    "DDIM": (DDIMScheduler, {}),
    "DDIM trailing": (DDIMScheduler, {"timestep_spacing": "trailing"}),
    "Euler": (EulerDiscreteScheduler, {}),
    "DPM++": (DPMSolverMultistepScheduler, {}),
    "DPM++ trailing": (DPMSolverMultistepScheduler, {"timestep_spacing": "trailing"}),
    "UniPC": (UniPCMultistepScheduler, {}),
    "UniPC trailing": (UniPCMultistepScheduler, {"timestep_spacing": "trailing"}),
    "PNDM": (PNDMScheduler, {"skip_prk_steps": True}),
}
"""Schedulers of diffusers, made from the model's own configuration."""


def sampler(model: Denoiser, name: str = "DDIM", steps: int = 50, device: str = "cpu") -> Any:
    """A scheduler with its timesteps set. Raises `InputError` for an unknown name."""
    return _configured(name, scheduler_config(model.prediction, model.zero_snr), steps, device)


def plain_sampler(name: str, steps: int) -> Any:
    """A scheduler of ε models with Stable Diffusion's betas, with its timesteps set: levels and timesteps are those of every such model."""
    return _configured(name, scheduler_config(), steps, "cpu")


def _configured(name: str, config: dict[str, Any], steps: int, device: str) -> Any:
    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    kind, options = SAMPLERS[name]
    scheduler: Any = kind.from_config(config | options)
    scheduler.set_timesteps(steps, device=device)
    return scheduler


class Drawer:
    """A model on a device, ready to draw.

    Args:
        model: the network; it is moved and cast.
        device: `cpu` or `cuda`.
        batch: images that the network sees at once, twice the samples where there is guidance.
        compiled: whether the network is compiled, for batches of exactly that size.
        dtype: of the network; if None half precision on a GPU, and float32 elsewhere.
    """

    def __init__(
        self,
        model: Denoiser,
        device: str,
        batch: int = 4096,
        compiled: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.model, self.device, self.batch, self.compiled = model, device, batch, compiled
        self.dtype = dtype or (torch.float16 if device == "cuda" else torch.float32)
        unet: Any = model.unet.to(device, self.dtype).eval()
        unet = unet.to(memory_format=torch.channels_last)
        self.unet = torch.compile(unet, dynamic=False) if compiled else unet
        self._states: dict[str, Tensor] = {}

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Token states, one an image, float32 on the device; each prompt is encoded once."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._states]
        for first in range(0, len(new), 1024):
            some = new[first : first + 1024]
            states = self.model.encoder(some, torch.device(self.device), torch.float32)
            self._states |= dict(zip(some, states, strict=True))
        return torch.stack([self._states[prompt] for prompt in prompts])

    @torch.no_grad()
    def predict(self, x: Tensor, t: Any, states: Tensor) -> Tensor:
        """What the network gives for latents, a timestep and token states, float32."""
        n, missing = len(x), self.batch - len(x) if self.compiled else 0
        x, states = x.to(self.dtype), states.to(self.dtype)
        if missing > 0:  # one size is compiled once
            x, states = (torch.cat([a, a[:1].expand(missing, *a.shape[1:])]) for a in (x, states))
        x = x.contiguous(memory_format=torch.channels_last)
        t = torch.as_tensor(t, dtype=torch.float32, device=self.device).expand(len(x))
        return self.unet(x, t, states).sample[:n].float()

    @torch.no_grad()
    def __call__(
        self, latents: Tensor, prompts: Sequence[str], guidance: Tensor | float, name: str = "DDIM", steps: int = 50
    ) -> Tensor:
        """Images from first latents, both (n, channels, height, width).

        Args:
            latents: as a pipeline has them after `prepare_latents`.
            prompts: one an image.
            guidance: w, one for all or one an image; where all are 1 nothing is computed twice.
            name: of the sampler.
            steps: of it.
        """
        weights = torch.as_tensor(guidance, dtype=torch.float32, device=self.device).expand(len(latents))
        images, most = [], self.batch // 2 if bool((weights != 1).any()) else self.batch
        for first in range(0, len(latents), most):
            part = slice(first, first + most)
            images.append(self._drawn(latents[part], self.encode(prompts[part]), weights[part], name, steps))
        return torch.cat(images)

    def _drawn(self, x: Tensor, states: Tensor, guidance: Tensor, name: str, steps: int) -> Tensor:
        scheduler = sampler(self.model, name, steps, self.device)
        guided = bool((guidance != 1).any())
        weights = guidance[:, None, None, None]
        both = torch.cat([self.encode([""]).expand_as(states), states]).to(self.dtype) if guided else states
        x = x.float()
        for t in scheduler.timesteps:
            seen = scheduler.scale_model_input(x, t)
            if guided:
                without, with_prompt = self.predict(torch.cat([seen, seen]), t, both).chunk(2)
                output = without + weights * (with_prompt - without)
            else:
                output = self.predict(seen, t, both)
            x = scheduler.step(output, t, x, return_dict=False)[0]
        return x


def states_of(drawer: Drawer, prompts: Sequence[str], guidance: float) -> tuple[Tensor, Tensor | None]:
    """Token states of the prompts, and of no prompt, of the same shape, where guidance needs them: not at weight 1."""
    states = drawer.encode(prompts)
    return states, drawer.encode([""]).expand_as(states) if guidance != 1 else None


def faster(eager: Drawer, compiled: Drawer) -> Drawer:
    """The compiled one if it runs, gives the same pictures and is faster; both drawers are of one model and batch."""
    took: dict[str, float] = {}
    x = torch.randn(eager.batch, eager.model.unet.config.in_channels, *2 * [eager.model.unet.config.sample_size])
    x, states, answers = x.to(eager.device), eager.encode([""] * eager.batch), {}
    for name, drawer in {"eager": eager, "compiled": compiled}.items():
        try:
            answers[name] = drawer.predict(x, 500, states)
            since = time.perf_counter()
            for _ in range(3):
                answers[name] = drawer.predict(x, 500, states)
            float(answers[name].sum())
            took[name] = (time.perf_counter() - since) / 3
        except Exception as error:  # compilers raise what they like
            say(name, "failed:", type(error).__name__, str(error).splitlines()[:1])
            took[name] = float("inf")
    off = float((answers["eager"] - answers.get("compiled", answers["eager"])).abs().max())
    say("seconds a batch:", took, "largest difference", off)
    return eager if took["compiled"] >= took["eager"] or not off < 0.1 else compiled

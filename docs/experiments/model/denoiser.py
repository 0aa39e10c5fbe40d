"""The ladder's text-to-image models: a small U-Net and a `CLIPTextModel` on pixels, in the layout of Stable Diffusion's pipelines."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn

from docs.experiments.data.captioned import Captioned
from docs.experiments.model.vocabulary import encoder_of
from singdiffusion.base import TextEncoder
from singdiffusion.pixels import PixelSpace
from singtheory import formula
from singtheory.errors import InputError
from singtheory.schedule import STABLE_DIFFUSION, Discrete

PREDICTIONS = ("epsilon", "v_prediction", "sample")
"""What a network is trained to give: ε, v or x, in the words of diffusers."""


@dataclass(frozen=True)
class Sizes:
    """How large a model is.

    Attributes:
        blocks: channels at each resolution, a half of the one before.
        heads: of attention at each.
        groups: of the normalisations.
        text: width of the token states.
    """

    blocks: tuple[int, ...]
    heads: tuple[int, ...]
    groups: int
    text: int


LARGE = Sizes((64, 96, 144), (2, 3, 3), 16, 192)
"""The demonstrator: 6.6 million weights, and 1.1 million of its text encoder."""
SMALL = Sizes((32, 48, 64), (2, 2, 2), 8, 192)
"""The twins of the three predictions, which read the demonstrator's token states."""
PLAIN = Sizes((32, 48, 64), (2, 2, 2), 8, 64)
"""Fashion-MNIST, whose captions are ten."""
TINY = Sizes((16, 32, 32), (1, 1, 1), 8, 64)
"""To try a script out."""
DIGITS = Sizes((12, 24), (1, 1), 4, 64)
"""The digits, on a CPU."""


def scheduler_config(prediction: str = "epsilon", zero_snr: bool = False) -> dict[str, Any]:
    """Stable Diffusion's, but for the last step, which lands on t = 0 itself.

    Stable Diffusion's own last step leaves noise of 0.029 in the image, which no VAE removes here, and which on true black is 1.5 levels.
    """
    return {
        **STABLE_DIFFUSION,
        "prediction_type": prediction,
        "rescale_betas_zero_snr": zero_snr,
        "set_alpha_to_one": True,
        "clip_sample": False,
    }


@dataclass
class Denoiser:
    """A U-Net with the text encoder whose states it reads.

    Attributes:
        unet: of diffusers.
        encoder: a transformers text encoder with its tokenizer.
        prediction: one of `PREDICTIONS`.
        zero_snr: whether its schedule ends at `ᾱ = 0`.
    """

    unet: Any
    encoder: TextEncoder
    prediction: str = "epsilon"
    zero_snr: bool = False

    @classmethod
    def new(
        cls,
        data: Captioned,
        sizes: Sizes,
        prediction: str = "epsilon",
        zero_snr: bool = False,
        encoder: TextEncoder | None = None,
        seed: int = 0,
    ) -> Self:
        """With random weights.

        Args:
            data: whose captions' words are the vocabulary, and whose size the images have.
            sizes: of the network.
            prediction: one of `PREDICTIONS`.
            zero_snr: whether the schedule ends at `ᾱ = 0`.
            encoder: a trained one to be read; a new one if None.
            seed: of the weights.
        """
        channels, side, _ = data.size
        attention = [k > 0 for k in range(len(sizes.blocks))]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            unet = UNet2DConditionModel(
                sample_size=side,
                in_channels=channels,
                out_channels=channels,
                block_out_channels=sizes.blocks,
                layers_per_block=1,
                cross_attention_dim=sizes.text,
                attention_head_dim=sizes.heads,  # pyright: ignore[reportArgumentType] annotated for one
                norm_num_groups=sizes.groups,
                down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
                up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
            )
        return cls(unet, encoder or encoder_of(data.captions, sizes.text, seed=seed), prediction, zero_snr)

    @property
    def text(self) -> nn.Module:
        """The model of the text encoder."""
        return self.encoder.parts[0]

    def ids(self, captions: list[str]) -> Tensor:
        """Tokens of captions, shape (m, length), as pipelines make them."""
        model, tokenizer = self.encoder.parts
        length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
        return tokenizer(
            captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids

    @property
    def schedule(self) -> Discrete:
        """The schedule of its noise."""
        return Discrete.from_config(scheduler_config(self.prediction, self.zero_snr))

    def alphas_sigmas(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """`α` and `σ` at the timesteps of training, each (T,), float32."""
        scheduler: Any = DDIMScheduler.from_config(scheduler_config(self.prediction, self.zero_snr))
        bars = scheduler.alphas_cumprod.double()
        return bars.sqrt().float().to(device), (1 - bars).sqrt().float().to(device)

    def target(self, x_0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network is to give for `α x_0 + σ noise` (C2)."""
        if self.prediction == "v_prediction":
            return formula.v_of(noise, x_0, alpha, sigma)
        return noise if self.prediction == "epsilon" else x_0

    def denoised(self, x_t: Tensor, output: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """`x̂` from what the network gave (C2)."""
        if self.prediction == "v_prediction":
            return formula.denoiser_of_v(output, x_t, alpha, sigma)
        return formula.denoiser_of_epsilon(output, x_t, alpha, sigma) if self.prediction == "epsilon" else output

    def pipeline(self, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
        """A copy as a pipeline of diffusers, whose latents are pixels."""
        unet, text = (copy.deepcopy(part).to("cpu", dtype).eval() for part in (self.unet, self.text))
        space: Any = PixelSpace(self.unet.config.in_channels)
        parts: dict[str, Any] = {
            "vae": space.to(dtype),
            "text_encoder": text,
            "unet": unet,
            "scheduler": DDIMScheduler.from_config(scheduler_config(self.prediction, self.zero_snr)),
            "safety_checker": None,
            "feature_extractor": None,
        }
        pipe: Any = StableDiffusionPipeline(tokenizer=self.encoder.parts[1], requires_safety_checker=False, **parts)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def save(self, folder: Path, card: str) -> None:
        """Write a pipeline's folder, float16 safetensors with a model card."""
        self.pipeline(torch.float16).save_pretrained(str(folder), safe_serialization=True)
        (folder / "README.md").write_text(card, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From a pipeline's folder that `save` wrote, in float32. Raises `InputError` for another."""
        try:
            pipe = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: holds no pipeline ({error})") from None
        config = pipe.scheduler.config
        encoder = TextEncoder.of(pipe.text_encoder.eval(), pipe.tokenizer)
        return cls(pipe.unet.eval(), encoder, config.prediction_type, bool(config.get("rescale_betas_zero_snr")))


def weights(module: nn.Module) -> int:
    """How many."""
    return sum(weight.numel() for weight in module.parameters())

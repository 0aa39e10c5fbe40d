"""`python -m tests.benchmarks.start.flow_step`: what the first step of a flow costs once it is mended, beside one guided step, in a real pipeline.

`StableDiffusion3Pipeline` with a transformer of Stable Diffusion 3 medium's size and random weights; its text encoders are exchanged for given token
states. What the pipeline calls around a step is timed with the card waited for before and after, so that nothing of the cost hides behind the
network; each mended call is compared with the plain one of its round, and the result is the median over rounds. Eager, compiled and offloaded, each
first step is held against the formula in float64. The result is `flow_step.json`, written after each part; `test_flow_step.py` runs the same at a tiny
size on the CPU.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor

from singdiffusion.average.table import AverageTable
from singdiffusion.start.pipeline import SingDiffusion
from singtheory.system import write_json
from tests.benchmarks.origin import origin
from tests.support.out_file import asked

RESULT = Path(__file__).parent / "flow_step.json"
SD3_MEDIUM = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "out_channels": 16,
    "pos_embed_max_size": 192,
}
SCALING = {"scaling_factor": 1.5305, "shift_factor": 0.0609}
"""Of the latents of its VAE."""
BATCH, GUIDANCE, TOKENS, RANK, SHIFT, STEPS = 4, 7.0, 333, 16, 3.0, 2
WATCHED = ("encode_prompt", "prepare_latents", "set_timesteps", "step")


class Given(StableDiffusion3Pipeline):
    """Stable Diffusion 3 with token states in the place of its text encoders."""

    states: tuple[Tensor, Tensor, Tensor, Tensor]

    def encode_prompt(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, prompt: Any, prompt_2: Any = None, prompt_3: Any = None, negative_prompt: Any = None, **_: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The given ones, whatever the prompt."""
        return self.states


def pipeline(config: dict[str, Any], device: str, dtype: torch.dtype, tokens: int = TOKENS) -> Given:
    """With random weights."""
    torch.manual_seed(0)
    with torch.device(device):
        network = SD3Transformer2DModel(**config).to(dtype).eval()
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=config["in_channels"],
        norm_num_groups=2,
        **SCALING,
    )
    nothing: Any = None
    pipe = Given(
        network, FlowMatchEulerDiscreteScheduler(shift=SHIFT), vae, nothing, nothing, nothing, nothing, nothing, nothing
    )
    pipe.set_progress_bar_config(disable=True)
    wide, pooled = (BATCH, tokens, config["joint_attention_dim"]), (BATCH, config["pooled_projection_dim"])
    pipe.states = tuple(torch.randn(size, device=device, dtype=dtype) for size in (wide, wide, pooled, pooled))  # pyright: ignore[reportAttributeAccessIssue]
    return pipe.to(device)


def spread_of(config: dict[str, Any], device: str, rank: int = RANK) -> tuple[Tensor, Tensor]:
    """Random orthonormal directions of its latents, with deviations as brightness has them."""
    size = (config["in_channels"], config["sample_size"], config["sample_size"])
    rows = torch.randn(rank, size[0] * size[1] * size[2], generator=torch.Generator().manual_seed(1))
    basis = torch.linalg.qr(rows.mT.to(device))[0].mT.reshape(rank, *size).contiguous()
    return basis, torch.linspace(100, 5, rank, device=device)


def table_of(config: dict[str, Any], device: str, rank: int = RANK) -> AverageTable:
    """Average images and deviations of so many prompts, of random latents."""
    size = (config["in_channels"], config["sample_size"], config["sample_size"])
    generator = torch.Generator().manual_seed(2)
    images = {name: 2 * torch.randn(rank, *size, generator=generator) for name in prompts()}
    return AverageTable.from_images(images, rank=rank, **SCALING).to(device)


def prompts() -> list[str]:
    """One an image."""
    return [f"prompt {k}" for k in range(BATCH)]


def waited(device: str) -> float:
    """The time once the device has done all it was asked."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class _Timed:
    """A method under watch; a copy of its owner has its own, unwatched."""

    def __init__(self, watch: "Watch", name: str, call: Callable[..., Any]) -> None:
        self.watch, self.name, self.call = watch, name, call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        since = waited(self.watch.device)
        result = self.call(*args, **kwargs)
        self.watch.note(self.name, since, args, result)
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.call, memo)


class Watch:
    """Durations of the watched calls of one run of a pipeline, in seconds, and what its first step was given and gave.

    Attributes:
        took: by name, each in order.
        ended: when each step ended.
        first: `x_1`, the network's output, and the result.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.took: dict[str, list[float]] = {name: [] for name in WATCHED}
        self.ended: list[float] = []
        self.first: tuple[Tensor, Tensor, Tensor] | None = None

    @contextmanager
    def over(self, pipe: Given) -> Iterator[None]:
        """Watch a pipeline and its scheduler; what stood in their methods' places stands there again after."""
        places = [(pipe, "encode_prompt"), (pipe, "prepare_latents"), (pipe.scheduler, "set_timesteps")]
        places.append((pipe.scheduler, "step"))
        before = [vars(owner).get(name) for owner, name in places]
        for owner, name in places:
            setattr(owner, name, _Timed(self, name, getattr(owner, name)))
        try:
            yield
        finally:
            for (owner, name), one in zip(places, before, strict=True):
                delattr(owner, name) if one is None else setattr(owner, name, one)

    def note(self, name: str, since: float, args: Sequence[Any], result: Any) -> None:
        """A call that began at a time, once its device is done."""
        now = waited(self.device)
        self.took[name].append(now - since)
        if name == "step":
            self.ended.append(now)
            if self.first is None:
                output, _, x_1 = args[:3]
                self.first = (x_1.clone(), output.clone(), result[0].clone())


def called(pipe: Given, device: str, steps: int = STEPS) -> tuple[Tensor, Watch]:
    """One run; its latents and what was seen."""
    watch = Watch(device)
    with watch.over(pipe):
        generator = torch.Generator(device).manual_seed(0)
        latents = pipe(
            prompts(), num_inference_steps=steps, guidance_scale=GUIDANCE, generator=generator, output_type="latent"
        )
    return latents.images, watch


def expected(watch: Watch, pipe: Given, mean: Tensor | None, spread: tuple[Tensor, Tensor]) -> Tensor:
    """`α_s m + σ_s x_1 + Σ_k (√(α_s² λ_k + σ_s²) − σ_s) ⟨x_1, φ_k⟩ φ_k` in float64."""
    assert watch.first is not None
    x_1, output = (part.double() for part in watch.first[:2])
    sigma = float(pipe.scheduler.sigmas[1])
    basis, std = (part.double() for part in spread)
    m = x_1 - output if mean is None else mean.double()
    wider = ((1 - sigma) ** 2 * std**2 + sigma**2).sqrt() - sigma
    along = wider * (x_1.flatten(1) @ basis.flatten(1).mT)
    return (1 - sigma) * m + sigma * x_1 + (along @ basis.flatten(1)).reshape(x_1.shape)


def error(watch: Watch, pipe: Given, mean: Tensor | None, spread: tuple[Tensor, Tensor]) -> float:
    """The largest error of the first step over the largest of its values."""
    assert watch.first is not None
    right = expected(watch, pipe, mean, spread)
    return float((watch.first[2].double() - right).abs().max() / right.abs().max())


def costs(pipe: Given, ways: dict[str, SingDiffusion | None], device: str, repeats: int) -> dict[str, Any]:
    """Milliseconds by way: of the calls around the network up to the first step's end, of that step, and of an ordinary whole step."""
    seen: dict[str, list[Watch]] = {name: [] for name in ways}
    for round_ in range(repeats + 2):
        for name, sing in ways.items():
            if sing is not None:
                sing.attach(pipe)
            watch = called(pipe, device)[1]
            if sing is not None:
                sing.detach(pipe)
            if round_ >= 2:
                seen[name].append(watch)

    whole = _milliseconds(watch.ended[1] - watch.ended[0] for watch in seen["plain"])
    actual: dict[str, Any] = {"one guided step": whole}
    for name, watches in seen.items():
        actual[name] = {part: _milliseconds(one.took[part][0] for one in watches) for part in WATCHED}
        if name != "plain":
            actual[name] |= _added(watches, seen["plain"], whole)
    return actual


def _added(watches: list[Watch], plain: list[Watch], whole: float) -> dict[str, Any]:
    """Milliseconds more than the plain call of the same round took: of all watched calls, of the step, of those before it, and of each round."""
    each = [
        {part: mine.took[part][0] - other.took[part][0] for part in WATCHED}
        for mine, other in zip(watches, plain, strict=True)
    ]
    added, step = _milliseconds(sum(one.values()) for one in each), _milliseconds(one["step"] for one in each)
    return {
        "added": added,
        "added by the step": step,
        "added before the step": _milliseconds(sum(one.values()) - one["step"] for one in each),
        "added in each round": [1000 * sum(one.values()) for one in each],
        "of a guided step": added / whole,
        "of a guided step, the step alone": step / whole,
    }


def _milliseconds(seconds: Iterable[float]) -> float:
    """Their median."""
    return 1000 * statistics.median(seconds)


def memory(pipe: Given, config: dict[str, Any], device: str) -> dict[str, int]:
    """Bytes on the card: at most during a call without and with the first step mended, and what is held after it beside the basis."""

    def peak() -> int:
        torch.cuda.reset_peak_memory_stats()
        called(pipe, device)
        return torch.cuda.max_memory_allocated()

    plain, before = peak(), torch.cuda.memory_allocated()
    spread = spread_of(config, device)
    torch.cuda.synchronize()
    basis = sum(part.numel() * part.element_size() for part in spread)
    sing = SingDiffusion(spread=spread)
    sing.attach(pipe)
    mended = peak()
    held = torch.cuda.memory_allocated() - before
    sing.detach(pipe)
    return {
        "basis": basis,
        "peak plain": plain,
        "peak mended": mended,
        "held": held,
        "held beside the basis": held - basis,
    }


def rightness(pipe: Given, spread: tuple[Tensor, Tensor], table: AverageTable, device: str) -> dict[str, Any]:
    """Errors of the first step, around either mean, and whether detaching gives the plain pipeline back bit for bit."""
    plain = called(pipe, device)[0]
    sing = SingDiffusion(spread=spread)
    with sing.attached(pipe):
        watch = called(pipe, device)[1]
    actual: dict[str, Any] = {"network": error(watch, pipe, None, spread)}
    rows = SingDiffusion(table)
    with rows.attached(pipe):
        watch = called(pipe, device)[1]
    assert watch.first is not None
    average = rows.average(prompts(), [""] * BATCH, watch.first[0].float(), GUIDANCE)
    assert average.spread is not None
    actual["table"] = error(watch, pipe, average.mean, average.spread)
    actual["the same bits once detached"] = bool((called(pipe, device)[0] == plain).all())
    return actual


def main() -> None:
    """On the GPU, in bfloat16. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    result: dict[str, Any] = origin("tests.benchmarks.start.flow_step", "cuda")
    result["setting"] = (
        f"Stable Diffusion 3 medium's size, bfloat16, batch {BATCH}, 1024×1024, guidance {GUIDANCE:g}, {TOKENS} tokens, rank {RANK}"
    )

    def add(name: str, value: Any) -> None:
        result[name] = value
        write_json(out, result)
        print(name, value, flush=True)

    with torch.no_grad():
        for part in (_eager, _compiled, _offloaded):
            try:
                part(add)
            except (RuntimeError, ValueError) as failure:  # one part must not take the others with it
                add(f"failed: {part.__name__}", str(failure).splitlines()[0])
            torch.cuda.empty_cache()


def _made() -> tuple[Given, dict[str, SingDiffusion | None], tuple[Tensor, Tensor], AverageTable]:
    """The pipeline at its real size, the ways to call it, the spread and the table."""
    pipe = pipeline(SD3_MEDIUM, "cuda", torch.bfloat16)
    spread, table = spread_of(SD3_MEDIUM, "cuda"), table_of(SD3_MEDIUM, "cuda")
    return (
        pipe,
        {"plain": None, "network": SingDiffusion(spread=spread), "table": SingDiffusion(table)},
        spread,
        table,
    )


def _eager(add: Callable[[str, Any], None]) -> None:
    add("memory", memory(pipeline(SD3_MEDIUM, "cuda", torch.bfloat16), SD3_MEDIUM, "cuda"))
    pipe, ways, spread, table = _made()
    add("error", rightness(pipe, spread, table, "cuda"))
    add("milliseconds", costs(pipe, ways, "cuda", repeats=8))


def _compiled(add: Callable[[str, Any], None]) -> None:
    pipe, ways, spread, table = _made()
    for block in pipe.transformer.transformer_blocks:
        block.compile()
    since = time.perf_counter()
    add("error, compiled", rightness(pipe, spread, table, "cuda"))
    add("seconds of compiling and four calls", time.perf_counter() - since)
    add("milliseconds, compiled", costs(pipe, ways, "cuda", repeats=5))


def _offloaded(add: Callable[[str, Any], None]) -> None:
    pipe, _, spread, table = _made()
    pipe.enable_model_cpu_offload()
    add("error, model offload", rightness(pipe, spread, table, "cuda"))
    pipe.remove_all_hooks()
    pipe.enable_sequential_cpu_offload()
    add("error, sequential offload", rightness(pipe, spread, table, "cuda"))


if __name__ == "__main__":
    main()

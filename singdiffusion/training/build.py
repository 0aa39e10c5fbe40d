"""From settings and a cache to the average image that is going to be trained, or that needs no training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from singdiffusion.average import (
    MODELS,
    AverageDecoder,
    AverageModel,
    AverageNetwork,
    AverageStatistics,
    AverageTable,
    AverageUNet,
    low_frequencies,
)
from singdiffusion.base import (
    Checkpoint,
    PipelineText,
    SingleFile,
    Space,
    is_single_file,
    latent_scale,
    same_encoders,
    vae_fingerprint,
)
from singdiffusion.system import find_folder, first_sentence
from singdiffusion.training.batches import check_condition, class_names
from singdiffusion.training.cache import Cache, Outline
from singdiffusion.training.settings import TrainSettings
from singtheory.errors import InputError

_SAMPLE, _FEW = 4096, 512
Maker = TypeVar("Maker")


def build_network(settings: TrainSettings, cache: Cache) -> AverageNetwork:
    """The untrained network of a run, the same for the same seed.

    Raises:
        InputError: as `untrained`, and for data that are not finite.
    """
    network = untrained(settings, cache)
    if network.spread is not None:
        chunks = cache.chunks(cache.sample(_SAMPLE))
        points = torch.cat([low_frequencies(some.double(), settings.frequencies) for some in chunks])
        _check_finite(points, cache)
        network.spread.fit(points)
    return network.train()


def untrained(settings: TrainSettings, cache: Outline) -> AverageNetwork:
    """The network for what a cache is going to hold, before anything of the data is known to it.

    Raises:
        InputError: for settings that make none, and for a base of other latents or another text encoder than the cache's.
    """
    check_condition(settings, cache)
    torch.manual_seed(settings.seed)
    return _maker(settings, _NETWORKS)(settings, cache)


def closed_form(settings: TrainSettings, cache: Cache) -> AverageModel:
    """A model of a cache that needs no training, such as its statistics; its rank is at most what the data vary in.

    Raises:
        InputError: for data that are not finite, and for a model that nobody makes from a cache.
    """
    make = _maker(settings, _CLOSED_FORMS)
    x_0 = cache.x_0(cache.sample(_FEW))
    _check_finite(x_0, cache)
    return make(settings, cache, x_0)


def _statistics(settings: TrainSettings, cache: Cache, x_0: Tensor) -> AverageModel:
    frequencies = max(1, settings.frequencies)
    rank = min(settings.rank, _directions(x_0 - x_0.mean(dim=0)), cache.encoding.channels * frequencies**2)
    chunks = cache.chunks(torch.arange(len(cache)))
    return AverageStatistics.from_chunks(chunks, frequencies=frequencies, rank=rank, **_scale(cache))


def _table(settings: TrainSettings, cache: Cache, x_0: Tensor) -> AverageModel:
    groups, captions = cache.groups(), cache.caption[cache.sample(_FEW)].tolist()
    means = {row: cache.mean(groups[row]) for row in captions}
    rank = min(settings.rank, _directions(x_0 - torch.stack([means[row] for row in captions])))
    return AverageTable.from_images(_Images(cache, groups), rank=rank, **_scale(cache))


def _scale(cache: Cache) -> dict[str, Any]:
    return {"scaling_factor": cache.encoding.scaling_factor, "shift_factor": cache.encoding.shift_factor}


_CLOSED_FORMS: dict[type[AverageModel], Callable[[TrainSettings, Cache, Tensor], AverageModel]] = {
    AverageStatistics: _statistics,
    AverageTable: _table,
}
"""How each model without training is made, with a sample `x_0` of the cache in which directions are counted."""


def _check_finite(values: Tensor, cache: Cache) -> None:
    """Raise `InputError` for values of a cache of which no algebra can be done."""
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"{cache.folder}: holds NaN or infinity; make the cache anew")


class _Images(Mapping[str, Tensor]):
    """The examples of each caption, read when they are asked for."""

    def __init__(self, cache: Cache, groups: Sequence[Tensor]) -> None:
        self._cache = cache
        self._rows = {caption: rows for caption, rows in zip(cache.captions, groups, strict=True) if len(rows)}

    def __getitem__(self, caption: str) -> Tensor:
        return self._cache.x_0(self._rows[caption])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _directions(deviations: Tensor) -> int:
    """The number of directions in which the rows vary."""
    return int(torch.linalg.matrix_rank(deviations.flatten(1).double(), rtol=1e-5))


def needs_training(settings: TrainSettings) -> bool:
    """Whether the model is a network, and not a closed form."""
    return MODELS[settings.model].trained_by_steps


def _condition(settings: TrainSettings, cache: Outline) -> dict[str, Any]:
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "text": lambda: {"width": cache.token_width, **_skipped(settings, cache)},
        "classes": lambda: {"names": class_names(cache), "width": settings.width},
        "image": lambda: {"size": [cache.encoding.channels, settings.small, settings.small], "width": settings.width},
        "none": lambda: {"width": settings.width},
    }
    return {"kind": settings.condition} | kinds[settings.condition]()


def _skipped(settings: TrainSettings, cache: Outline) -> dict[str, int]:
    """The layers of the text encoder that are left out, if any. Raises `InputError` where settings and cache differ."""
    skip = cache.encoding.clip_skip
    if settings.clip_skip not in (None, skip):
        raise InputError(
            f"clip_skip {settings.clip_skip}: {cache.folder} was made with {skip}; set clip_skip to {skip}, or make the cache with "
            f"--clip-skip {settings.clip_skip}"
        )
    return {"clip_skip": skip} if skip else {}


def _shared(settings: TrainSettings, cache: Outline) -> dict[str, Any]:
    return {
        "frequencies": settings.frequencies,
        "spread_width": settings.spread_width,
        "spread_layers": settings.spread_layers,
        "condition": _condition(settings, cache),
    }


def _space(settings: TrainSettings, cache: Outline) -> Space:
    encoding, text = cache.encoding, settings.condition == "text"
    width, encoder = (cache.token_width, cache.encoding.text_encoder) if text else (None, None)
    return Space(encoding.channels, encoding.scaling_factor, encoding.shift_factor, width, encoder)


def _decoder(settings: TrainSettings, cache: Outline) -> AverageNetwork:
    space = _space(settings, cache)
    return AverageDecoder(
        cache.encoding.size,
        width=settings.width,
        layers=settings.layers,
        grid=settings.grid,
        scaling_factor=space.scaling_factor,
        shift_factor=space.shift_factor,
        text_encoder=space.text_encoder,
        **_shared(settings, cache),
    )


def _unet(settings: TrainSettings, cache: Outline) -> AverageNetwork:
    space = _space(settings, cache)
    shared: dict[str, Any] = _shared(settings, cache) | {"size": cache.encoding.size[1:]}
    if settings.base is None:
        width = shared["condition"]["width"]
        network = AverageUNet(
            dict(settings.unet or {}) | {"cross_attention_dim": width},
            space.scaling_factor,
            space.shift_factor,
            space.text_encoder,
            **shared,
        )
    else:
        network = AverageUNet.from_unet(_pretrained(settings.base, settings.base_config), space=space, **shared)
        _check_base(settings.base, settings.base_config, network, space, cache)
    if network.channels != space.channels:
        raise InputError(f"U-Net of {network.channels} channels: the cache's images have {space.channels}")
    return network


_NETWORKS: dict[type[AverageModel], Callable[[TrainSettings, Outline], AverageNetwork]] = {
    AverageDecoder: _decoder,
    AverageUNet: _unet,
}
"""How each network is made from settings; the names that they have there are `average.MODELS`."""


def _maker(settings: TrainSettings, makers: Mapping[type[AverageModel], Maker]) -> Maker:
    """Raises `InputError` for a registered model that is not made here."""
    kind = MODELS[settings.model]
    if kind not in makers:
        made = ", ".join(name for name, other in MODELS.items() if other in {*_NETWORKS, *_CLOSED_FORMS})
        raise InputError(f"model {settings.model}: is not made from a cache; take one of {made}")
    return makers[kind]


def _pretrained(base: str, config: str | None) -> UNet2DConditionModel:
    if is_single_file(base):
        return SingleFile(base, config).network("unet")
    folder = find_folder(base, ["unet/*.json", "unet/*.safetensors"])
    try:
        return UNet2DConditionModel.from_pretrained(Path(folder) / "unet", use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{base}: no U-Net can be loaded from it ({first_sentence(error)})") from None


def _check_base(base: str, config: str | None, network: AverageNetwork, space: Space, cache: Outline) -> None:
    """Raise `InputError` unless the pretrained U-Net reads what the cache holds."""
    if space.text_width is not None and network.conditioning.width != space.text_width:
        raise InputError(
            f"{base}: reads token states of width {network.conditioning.width}, the cache holds {space.text_width}; "
            "make the cache with its text encoder"
        )
    encoder = None if space.text_encoder is None else PipelineText.stored(base, config).fingerprint
    if encoder is not None and not same_encoders(encoder, str(space.text_encoder)):
        raise InputError(f"{base}: its text encoder is not the one that made {cache.folder}; make the cache with it")
    if cache.encoding.vae is None:
        return
    vae = Checkpoint.find(base, config).autoencoder()
    if vae is not None and (vae_fingerprint(vae), latent_scale(vae)[0]) != (
        cache.encoding.vae,
        cache.encoding.scaling_factor,
    ):
        raise InputError(f"{base}: its VAE is not the one that made {cache.folder}; make the cache with it")

"""What lies at a path or hub id: a scheduler, and the networks beside it. Nothing is unpickled."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import diffusers
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from singdiffusion.base.scheduler import Scheduler
from singdiffusion.base.single_file import SingleFile, is_single_file
from singdiffusion.system import find_folder, first_sentence, read_config, read_object, told_in_one_line
from singtheory.errors import InputError, unknown_name

_CONFIG = "scheduler_config.json"
_WANTED = (_CONFIG, f"scheduler/{_CONFIG}", "vae/config.json", "vae/*.safetensors", "unet/config.json")
"""What is fetched from the hub: not the weights of the U-Net, which are read where they have been fetched already."""


@dataclass(frozen=True)
class Checkpoint:
    """A scheduler's configuration and the folder of the pipeline around it.

    Attributes:
        name: as given.
        config: of the scheduler.
        folder: of the pipeline, or None for a scheduler alone.
        single: the one file in which the networks lie, or None.
    """

    name: str
    config: dict[str, Any]
    folder: Path | None
    single: SingleFile | None = None

    @classmethod
    def find(cls, source: str, config: str | None = None) -> Self:
        """At a `scheduler_config.json`, in the folder of a scheduler or pipeline, under a hub id, or of a checkpoint of one file.

        Args:
            source: path or hub id.
            config: of one file: folder or hub id of a pipeline of the same kind, whose weights are not needed.

        Raises:
            InputError: where there is none, or no JSON object in it.
        """
        if is_single_file(source):
            single = SingleFile(source, config)
            return cls(source, single.scheduler_config(), single.folder, single)
        if config is not None:
            raise InputError(f"config {config}: goes with a checkpoint of one file; {source} has its own")
        if os.path.isfile(source):  # which, unlike Path, is false for names that no system accepts
            return cls(source, read_object(Path(source)), _pipeline_around(Path(source)))
        folder = find_folder(source, _WANTED)
        for file in (folder / "scheduler" / _CONFIG, folder / _CONFIG):
            if file.is_file():
                return cls(source, read_object(file), _pipeline_around(file))
        raise InputError(f"{source}: holds no scheduler/{_CONFIG} and no {_CONFIG}; give the folder of a pipeline")

    def scheduler(self, **settings: Any) -> Scheduler:
        """The live scheduler, `settings` put over the configuration. Raises `InputError` for an unknown class or nonsense in it."""
        name = self.config.get("_class_name")
        if not isinstance(name, str):
            raise InputError(f"{self.name}: has no _class_name; give the scheduler_config.json that diffusers saved")
        try:
            scheduler = scheduler_class(name).from_config(self.config | settings)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        except Exception as error:  # whatever arithmetic with a string or a missing number raises
            raise InputError(f"{self.name}: {name} cannot be made of it ({first_sentence(error)})") from None
        _check_length(self.name, scheduler)
        return scheduler

    def autoencoder(self) -> Any:
        """The pipeline's `AutoencoderKL` or `AutoencoderTiny` of RGB images in float32, or None where there is none or its weights are no safetensors."""
        vae = self.network("vae")
        fits = isinstance(vae, AutoencoderKL | AutoencoderTiny) and vae.config["in_channels"] == 3
        return vae if fits else None

    @property
    def on_pixels(self) -> bool:
        """Whether the pipeline works on pixels: `PixelSpace` stands in the place of its VAE."""
        return self.folder is not None and _is_pixel_space(self.folder / "vae")

    @property
    def sample_size(self) -> int | None:
        """Side of the `x_0` that the pipeline draws by default, or None where its network names no single one."""
        size = (self.config_of("unet") or self.config_of("transformer")).get("sample_size")
        return size if isinstance(size, int) and size > 0 else None

    def has(self, part: str) -> bool:
        """Whether the pipeline has a part of that name, readable or not; `PixelSpace` changes nothing and counts as none."""
        return self.folder is not None and (self.folder / part).is_dir() and not _is_pixel_space(self.folder / part)

    def config_of(self, part: str) -> dict[str, Any]:
        """The configuration of a network of the pipeline, empty where there is none."""
        folder = None if self.folder is None else self.folder / part
        return {} if folder is None or not (folder / "config.json").is_file() else read_config(folder)

    @property
    def pipeline_class(self) -> type[Any] | None:
        """The class of the pipeline, or None where diffusers knows none of that name or none is stated."""
        index = None if self.folder is None else self.folder / "model_index.json"
        name = None if index is None or not index.is_file() else read_object(index).get("_class_name")
        return getattr(diffusers, name, None) if isinstance(name, str) else None

    def network(self, part: str) -> Any:
        """The pipeline's `vae` or `unet` in float32, or None where its weights are not there as safetensors, and for `PixelSpace`.

        Raises:
            InputError: for weights that are damaged or do not fit their configuration.
        """
        if self.single is not None:
            return self.single.network(part)
        folder = None if self.folder is None else self.folder / part
        if folder is None or not any(folder.glob("diffusion_pytorch_model*.safetensors")) or _is_pixel_space(folder):
            return None
        variant = variant_of(folder)
        kind = getattr(diffusers, str(read_config(folder).get("_class_name")), None)
        if kind is None:
            raise InputError(f"{folder}/config.json: its _class_name is no model of diffusers; copy it again")
        with told_in_one_line(f"{folder}: cannot be loaded", "copy it again"):
            return kind.from_pretrained(folder, use_safetensors=True, variant=variant).float().eval()


def scheduler_class(name: str) -> type[Any]:
    """A scheduler of diffusers by the name of its class. Raises `InputError` with the nearest names."""
    known = [key for key in dir(diffusers) if key.endswith("Scheduler")]
    kind = getattr(diffusers, name, None) if name in known else None
    missing = getattr(kind, "_backends", None)  # diffusers puts a dummy in the place of what cannot be imported
    if missing:
        raise InputError(f"{name}: needs {', '.join(missing)}, not all installed; install them with pip")
    if not (isinstance(kind, type) and issubclass(kind, SchedulerMixin)):
        raise unknown_name("scheduler", name, known)
    return kind


def _pipeline_around(file: Path) -> Path | None:
    """The folder of the pipeline in which a scheduler lies, or None."""
    folder = file.absolute().parent.parent
    return folder if file.absolute().parent.name == "scheduler" else None


def _is_pixel_space(folder: Path) -> bool:
    """Whether the part is the package's `PixelSpace`, which stands in the place of a VAE."""
    return (folder / "config.json").is_file() and read_config(folder).get("_class_name") == "PixelSpace"


def _check_length(name: str, scheduler: Scheduler) -> None:
    """Raise `InputError` where there are fewer or more betas than steps of training."""
    bars, steps = getattr(scheduler, "alphas_cumprod", None), scheduler.config.get("num_train_timesteps")
    if bars is not None and len(bars) != steps:
        raise InputError(
            f"{name}: num_train_timesteps is {steps}, but there are {len(bars)} betas; correct one of them"
        )


def variant_of(folder: Path, stem: str = "diffusion_pytorch_model") -> str | None:
    """The variant of a model's weights in `folder` to load: None for plain ones if there are any, or else such as `fp16`."""
    names = sorted(file.name for file in folder.glob(f"{stem}*.safetensors"))
    if not names or any(name.count(".") == 1 for name in names):
        return None
    return names[0].split(".")[1].split("-")[0]

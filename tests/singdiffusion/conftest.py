"""What several tests share: code planted in a checkpoint, and a cache of the digits."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from tests.singdiffusion.support import published, tiny
from tests.singdiffusion.support.runs import cached


@dataclass(frozen=True)
class Planted:
    """Code in a pickle that makes a folder when it is run."""

    mark: Path

    def __reduce__(self):
        return Path.mkdir, (self.mark,)

    def write(self, file: Path) -> None:
        torch.save({"conv_in.weight": torch.zeros(1), "planted": self}, file)

    def was_run(self) -> bool:
        return self.mark.exists()


@pytest.fixture(autouse=True)
def begun_anew():
    """Accelerate holds a process to the precision of its first run."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def planted(tmp_path):
    """A pickle with code, known to run where it is loaded without care."""
    planted = Planted(tmp_path / "code was run")
    planted.write(tmp_path / "careless.bin")
    torch.load(tmp_path / "careless.bin", weights_only=False)
    assert planted.was_run()
    planted.mark.rmdir()
    return planted


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory):
    """The digits with their classes as captions."""
    return cached(tmp_path_factory.mktemp("digits") / "cache")


@pytest.fixture
def folders(tmp_path):
    """A published checkpoint beside its pipeline."""
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "base")
    published.write(tmp_path / "published", pipe.unet)
    return tmp_path

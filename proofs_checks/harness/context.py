"""What one run of the checks shares: the data, the seed, the error probability of each statistical check, the device."""

import hashlib
from dataclasses import dataclass, replace

import torch

from singtheory.data import Data


@dataclass(frozen=True)
class Context:
    """The circumstances of a run.

    Attributes:
        data: the real data.
        seed: of the whole run.
        error: the error probability that each statistical check may use; the run's total is split evenly.
        full: whether the run takes the long checks.
        device: where the sums over many draws and all atoms are computed; `data` itself stays on the CPU.
        scope: names the claim and check, so that each draws its own numbers whatever else runs.
    """

    data: Data
    seed: int
    error: float
    full: bool = False
    device: str = "cpu"
    scope: str = ""

    @property
    def confidence(self) -> float:
        """The confidence of all intervals of one check together."""
        return 1 - self.error

    def within(self, scope: str) -> "Context":
        """These circumstances for one check."""
        return replace(self, scope=scope)

    def generator(self) -> torch.Generator:
        """A generator of this check's own, the same in every run with the same seed."""
        digest = hashlib.sha256(f"{self.seed}/{self.scope}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

"""What a run leaves behind in JSON: where it ran, and what each claim's checks found."""

import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

from proofs_checks.harness import ClaimResult
from singtheory.data import Data


def provenance(seed: int, device: str) -> dict[str, Any]:
    """`version`, `seed`, `command` and `device`, which every JSON carries."""
    command = " ".join(["singtheory", *sys.argv[1:]])
    return {
        "version": version("singdiffusion"),
        "seed": seed,
        "command": command,
        "device": device_name(device),
    }


def device_name(device: str) -> str:
    """The processor in words."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def describe_data(data: Data) -> dict[str, Any]:
    """Name and size of the data."""
    points, dim = data.law.points.shape
    return {"name": data.name, "points": points, "dim": dim}


def describe_claim(result: ClaimResult) -> dict[str, Any]:
    """One entry of the list `claims` of `singtheory verify --json`."""
    return {
        "id": result.claim.id,
        "title": result.claim.title,
        "verdict": result.verdict,
        "methods": [
            {
                "method": r.check.method,
                "scope": r.check.scope,
                "verdict": r.outcome.verdict,
                "measured": r.outcome.measured,
                "bound": r.outcome.bound,
                "margin": r.outcome.margin,
                "where": r.outcome.where,
            }
            for r in result.checks
        ],
        "false_twins": [
            {
                "name": t.name,
                "verdict": t.outcome.verdict,
                "measured": t.outcome.measured,
                "bound": t.outcome.bound,
                "where": t.outcome.where,
            }
            for t in result.twins
        ],
        "seconds": round(result.seconds, 3),
    }

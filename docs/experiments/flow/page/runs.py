"""What made the flow demonstrator's results, and what is missing, in words."""

from collections.abc import Iterable
from typing import Any

from docs.experiments.flow.blocks import BLOCKS, BUDGETS, GUIDANCES, plan
from docs.experiments.flow.page.results import Results
from docs.experiments.flow.page.tables import listed
from docs.experiments.script.result import present
from singdiffusion.flow_demonstrator import AVERAGE, PIPELINE


def runs_text(results: Results) -> str:
    """Device, versions and commands."""
    return run_lines(results.content)


def run_lines(content: dict[str, Any]) -> str:
    """Every run that made a record, the newest last."""
    return "\n".join(map(run_line, [*content.get("earlier", []), content]))


def run_line(content: dict[str, Any]) -> str:
    """One run as an item: its command, seed, device and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return f"- `{present(content['command'])}`, seed {content['seed']}, on one {content['device']}; {versions}"


def module_share() -> float:
    """Weights of the flow demonstrator's average image and spread over those of its network, by their files; both are in half precision."""
    module, network = (folder / "diffusion_pytorch_model.safetensors" for folder in (AVERAGE, PIPELINE / "unet"))
    return module.stat().st_size / network.stat().st_size


def missing_text(results: Results) -> str:
    """Cells and parts that were not reached."""
    wanted = _planned()
    there = wanted & set(results.cells)
    lines = [
        f"{len(there)} of {len(wanted)} planned cells were drawn. At guidance 1 rivals that change the guidance and unguided means are not counted, because they equal other ways there."
    ]
    for guidance in GUIDANCES:
        counts = [f"{_at(there, guidance, b)} of {_at(wanted, guidance, b)} at {b}" for b in BUDGETS]
        lines.append(f"At guidance {guidance:g}, ways by number of evaluations: {', '.join(counts)}.")
    return "\n".join(f"- {line}" for line in lines)


def partly_text(results: Results) -> str:
    """With which numbers of evaluations a part of the planned ways was drawn, after a list of what is there; nothing where all were."""
    lacking = {budget for _, _, budget in _planned() - set(results.cells)}
    return (
        f"; with {listed([str(budget) for budget in sorted(lacking)])} evaluations a part of the ways was drawn"
        if lacking
        else ""
    )


def _planned() -> set[tuple[str, float, int]]:
    """The cells of all blocks, as the results name them."""
    return {(way.name, guidance, budget) for way, guidance, budget in plan(True, BLOCKS)}


def _at(cells: Iterable[tuple[str, float, int]], guidance: float, budget: int) -> int:
    return sum(cell[1:] == (guidance, budget) for cell in cells)

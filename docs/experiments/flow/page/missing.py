"""What was planned and not drawn at other sizes, in latents and from the ε models: counted from the committed cells and the plans of the measurements."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from docs.experiments.flow import resolution
from docs.experiments.flow.blocks import plan
from docs.experiments.flow.epsilon.measure import ALL
from docs.experiments.flow.epsilon.measure import plan as epsilon_plan
from docs.experiments.flow.latent import measure as latent
from docs.experiments.flow.page import epsilon as epsilon_page
from docs.experiments.flow.page import latent as latent_page
from docs.experiments.flow.page import resolution as resolution_page
from docs.experiments.flow.page.results import Results
from docs.experiments.flow.page.tables import listed

Key = tuple[str, float, int]
"""Way, guidance and number of evaluations."""


class Part(NamedTuple):
    """Measurements that were planned together.

    Attributes:
        name: of them.
        planned: their cells.
        runs: what was drawn, the first run first.
    """

    name: str
    planned: frozenset[Key]
    runs: tuple[Results, ...]


def parts() -> list[Part]:
    """All but the flow at 32×32 and Fashion-MNIST."""
    latents = (*latent.FIRST, *latent.SECOND, *latent.RANKS, *latent.OTHERS)
    return [
        Part(
            "At 64×64",
            _keys(plan(True, resolution.BLOCKS)),
            (resolution_page.read(), resolution_page.read_second()),
        ),
        Part(
            "In latents",
            _keys(plan(False, latents)),
            tuple(filter(None, (latent_page.read(), latent_page.read_second()))),
        ),
        Part(
            "The ε twin in latents",
            _keys(plan(False, latent.TWINS)),
            (latent_page.read(latent_page.LATENT / "epsilon"),),
        ),
        Part(
            "The ε demonstrator",
            _keys(cell for block in ALL for cell in epsilon_plan(block)),
            (epsilon_page.read(), epsilon_page.read("second")),
        ),
    ]


def _keys(cells: Iterable[tuple[object, float, int]]) -> frozenset[Key]:
    return frozenset((str(getattr(way, "name", way)), guidance, budget) for way, guidance, budget in cells)


def text(part: Part) -> str:
    """How many of its planned cells each run has, and where the first lacks some."""
    there = [len(part.planned & set(run.cells)) for run in part.runs]
    left = Counter((guidance, budget) for _, guidance, budget in part.planned - set(part.runs[0].cells))
    counts = " and, with a second seed, ".join(map(str, there))
    where = []
    for guidance in sorted({guidance for guidance, _ in left}):
        numbers = [f"{number} at {budget}" for (weight, budget), number in sorted(left.items()) if weight == guidance]
        where.append(f"{listed(numbers)} with guidance {guidance:g}")
    lacks = f"The first run lacks, by evaluations, {'; '.join(where)}." if where else "The first run has all."
    return f"{part.name}: {counts} of {len(part.planned)} planned cells. {lacks}{_failed(part.runs[0])}"


def _failed(results: Results) -> str:
    """Cells of the run whose pictures were not finite."""
    failed = results.content.get("failed", [])
    ways = listed(list(dict.fromkeys(way for way, *_ in failed))) if failed else ""
    return f" Of these {len(failed)} were tried and gave no finite pictures: {ways}, for its last step divides by what it keeps, which is 0 along directions that do not vary." if failed else ""  # fmt: skip


def missing_text() -> str:
    """Every part, as items."""
    return "\n".join(f"- {text(part)}" for part in parts())

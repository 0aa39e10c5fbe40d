"""The product's defaults, with what decides each, from the committed results."""

from docs.experiments.flow.page.results import DEFAULT, MAIN, METRICS, NETWORK, SAME_GRID, Results, changes
from docs.experiments.flow.page.tables import listed


def defaults_text(results: Results) -> str:
    """Mean, rank and corrected, with what decides each."""
    return "\n".join(f"- {one}" for one in (_mean(results), _rank(results), _corrected(results), _spare(results)))


def _four(results: Results, way: str, guidance: float, metric: str = MAIN[0]) -> str:
    return f"{results.value(way, guidance, 4, metric):.2f}"


def _mean(results: Results) -> str:
    return (
        f"**`mean`: the module's where it knows prompts, else the network's.** At 4 evaluations {_four(results, SAME_GRID, 1.0)} beside {_four(results, NETWORK, 1.0)} in {MAIN[0]} at guidance 1. At guidance 3 it is "
        f"{_four(results, SAME_GRID, 3.0)} beside {_four(results, NETWORK, 3.0)}, and it saves an evaluation. The network's mean without guidance does about as well there "
        f"({_four(results, 'UniPC matched, unguided mean', 3.0)})."
    )


def _rank(results: Results) -> str:
    values = [_four(results, f"UniPC matched, rank {k}", 1.0) for k in (1, 16)]
    more = [_four(results, f"UniPC matched, statistics, rank {k}", 1.0) for k in (1, 16, 64)]
    return (
        f"**Rank: what the module has.** Of the trained spread rank 1, 16 and all give {values[0]}, {values[1]} and {_four(results, NETWORK, 1.0)} at guidance 1. Rank 1, 16 and 64 of the spread of all pictures, the same for every prompt, give "
        f"{listed(more)}. The first direction, brightness, is most of it. More ranks cost no evaluation. With prompts the spread of all pictures is no better choice: at guidance 3 it gives "
        f"{_four(results, 'UniPC matched, statistics, rank 64', 3.0)}, and it widens prompts that fix the brightness."
    )


def _corrected(results: Results) -> str:
    rows = []
    for guidance in (1.0, 3.0):
        plain, mended = (
            _four(results, way, guidance) for way in ("Euler matched, trained mean", "Euler corrected, trained mean")
        )
        rows.append(f"{plain} to {mended} at guidance {guidance:g}")
    full = _four(results, "Euler corrected, statistics, all directions", 1.0)
    return (
        f"**`corrected`: off.** Along the trained directions it brings Euler from {listed(rows)} at 4 evaluations, and a better solver brings more. With all directions of all pictures "
        f"Euler reaches {full} at guidance 1: where no better solver can be had and the data's statistics are known, it is worth asking for. Pixel by pixel it is no good ({_four(results, 'Euler corrected, pixels', 1.0)})."
    )


def _spare(results: Results) -> str:
    rows = changes(results, [DEFAULT], METRICS)
    worse = sum(one.verdict == "worse" for one in rows)
    held = [sum(one.verdict == "worse" for one in changes(results, [way], METRICS)) for way in (SAME_GRID, NETWORK)]
    return (
        f"**The evaluation that a module's mean saves is well spent on one more step**: {_four(results, DEFAULT, 1.0)} beside {_four(results, SAME_GRID, 1.0)} in {MAIN[0]}, {_four(results, DEFAULT, 1.0, MAIN[1])} beside "
        f"{_four(results, SAME_GRID, 1.0, MAIN[1])} in {MAIN[1]}, at as many evaluations as the rivals. Beside UniPC it is then worse beyond the interval in {worse or 'none'} of {len(rows)} cells. It takes a loop of one's own that leaves the call at t = 1 out: a pipeline of diffusers asks the network there all the same, and on its grid the trained mean is worse in {held[0] or 'none'}, the network's own in {held[1] or 'none'}."
    )

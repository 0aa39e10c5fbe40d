"""What made the flow demonstrator's results, and what is missing, in words."""

from docs.experiments.flow.page.results import MAIN, UNCOUNTED, Results
from docs.experiments.flow.ways import CORE, OURS, RIVALS
from docs.experiments.script.result import present


def runs_text(results: Results) -> str:
    """Device, versions and commands."""
    runs = [*results.content.get("earlier", []), results.content]
    return "\n".join(
        f"- `{present(one['command'])}`, seed {one['seed']}, on one {one['device']}; {', '.join(f'{name} {version}' for name, version in one['versions'].items())}"
        for one in runs
    )


def redrawn_text(second: Results) -> str:
    """Where the rivals that do not count in the first run lead all others in the second."""
    ahead, places = [], 0
    for guidance, budget in second.pairs:
        for metric in MAIN:
            best = second.best(UNCOUNTED, guidance, budget, metric)
            rivals = [way for way in second.drawn(guidance, budget, False) if way not in UNCOUNTED]
            other = second.best(rivals, guidance, budget, metric)
            mine = second.best(second.drawn(guidance, budget, True), guidance, budget, metric)
            if best is None or other is None or mine is None:
                continue
            places += 1
            if best.value < min(other.value, mine.value):
                ahead.append(f"{best.way}, {metric}, guidance {guidance:g}, {budget} evaluations")
    return f"There they are ahead of every other way in {len(ahead)} of {places} places{': ' if ahead else ''}{'; '.join(ahead)}."


def missing_text(results: Results) -> str:
    """Cells and parts that were not reached."""
    wanted = {
        (way.name, w, n) for w in (1.0, 3.0) for way in (*CORE, *RIVALS, *OURS) for n in (4, 6, 8, 10, 20, 28, 50)
    }
    there = {(way, w, n) for way, w, n in results.cells if w in (1.0, 3.0)}
    lines = [f"{len(there)} cells were drawn of {len(wanted)} (some of which are none: guidance rivals at guidance 1)."]
    for guidance in (1.0, 3.0):
        counts = [f"{sum((w, n) == (guidance, b) for _, w, n in there)} at {b}" for b in (4, 6, 8, 10, 20, 28, 50)]
        lines.append(f"At guidance {guidance:g}, ways by number of evaluations: {', '.join(counts)}.")
    return "\n".join(f"- {line}" for line in lines)

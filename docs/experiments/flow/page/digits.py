"""What the digits, drawn as a flow on a processor, say on the flow page."""

from typing import Any

from docs.experiments.flow.page.tables import folded, table


def digits_text(small: dict[str, Any]) -> str:
    """The stage on a processor."""
    cells = {(one["way"], one["prompt"], one["budget"]): one for one in small["cells"]}
    body, nearer, opened, moved = [], 0, 0, 0.0
    for (way, prompt, budget), one in cells.items():
        mended = cells.get((f"{way}, matched", prompt, budget))
        if mended is None:
            continue
        if one["kind"] == "open":
            opened += 1
            nearer += abs(mended["ratio"] - 1) < abs(one["ratio"] - 1)
            spread = f"{one['ratio']:.2f} → {mended['ratio']:.2f}"
        else:
            moved = max(moved, abs(mended["bias"] - one["bias"]))
            spread = ""
        body.append(
            [
                f"{prompt}: {way}, {budget}",
                f"{one['bias']:+.1f} → {mended['bias']:+.1f}",
                spread,
                f"{one['w1']:.1f} → {mended['w1']:.1f}",
            ]
        )
    head = ["prompt: solver, evaluations", "bias, levels", "spread ratio", "W₁, levels"]
    made = small["training"]
    return (
        f"`python -m docs.experiments.flow.small --out DIR` trains {made['weights']:,} weights for {made['steps']} steps on digits of 16×16 and draws them, in {small['processor seconds']:.0f} s of one core "
        f"({small['device']}). Around the network's own mean, with the spread of the prompt's own pictures, the spread ratio comes nearer to 1 in {nearer} of {opened} cells whose prompt leaves the background open. The bias of the others "
        f"moves by {moved:.1f} levels at most.\n\n{folded('All cells, without → with the first step matched', table(head, body))}"
    )

"""`python -m tests.benchmarks.engine.posterior_table`: the table of docs/guides/exact-posteriors.md from the committed results."""

import json
from pathlib import Path
from typing import Any

import typer

from proofs_checks.report.generated_tables import with_tables
from singtheory.system.files import write_bytes

FOLDER = Path(__file__).parent
PAGE = "docs/guides/exact-posteriors.md"


def _read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def table() -> str:
    """As Markdown: a row a γ, and below it what grew and what was held against float64."""
    gpu, cpu, growth = _read("posterior_gpu.json"), _read("posterior_cpu.json"), _read("growth.json")
    lines = [
        "",
        "| γ | float32 / ours | its error, ours (bound) | float64 / ours at 1e-12 | ours / two bf16 products | GoldDiff / ours, its error | float64 / ours on two cores |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for on_gpu, on_cpu in zip(gpu["rows"], cpu["rows"], strict=True):
        times, error, bound = on_gpu["times"], on_gpu["error"], on_gpu["bound"]
        lines.append(
            f"| {on_gpu['gamma']:g} | {times['float32 / ours, 1e-6']:.1f} "
            f"| {error['float32']:.0e}, {error['ours, 1e-6']:.0e} ({bound['ours, 1e-6']:.0e}) "
            f"| {times['float64 / ours, 1e-12']:.1f} | {times['ours, 1e-6 / two products']:.1f} "
            f"| {times['GoldDiff / ours, 1e-6']:.0f}, {error['screen of GoldDiff']:.0e} "
            f"| {on_cpu['times']['float64 / ours, 1e-12']:.1f} |"
        )
    held, rows = gpu["held against float64"], growth["rows"]
    more = ""
    if few := gpu.get("held against float64, few points"):
        more = f"; {few['queries']:,} over {few['points']:,} of the points: {few['violations']}"
    exponents = ", ".join(f"{name} {value:.2f}" for name, value in growth["exponents"].items())
    lines += [
        "",
        f"*Medians of ratios within a round, GoldDiff's from three rounds of its own; calls of one shape and one γ, recorded before; {gpu['points']:,} points of Fashion-MNIST in {gpu['dim']} dimensions; {gpu['queries']:,} queries on one {gpu['device']}, "
        f"{cpu['queries']} on the CPU. Errors are relative to √Σ w‖y‖² and against ours at 1e-12, so 0 where both tolerances take the same way. {held['queries']:,} random queries at all γ by two tolerances: {held['violations']} beyond their bound, "
        f"the largest error at 1e-6 {held['largest error / bound']['1e-06']:.2f} of it (at 1e-12 the reference is no more exact than ours){more}. In a mapped file of 10⁴ to 10⁶ images the time grows as N^p with p = {exponents}, "
        f"and at most {max(row['peak memory, GB'] for row in rows):.1f} GB are held beside the file. `{gpu['command']}`, `{cpu['command']}`, `{growth['command']}`, "
        "then `python -m tests.benchmarks.engine.posterior_table`.*",
        "",
    ]
    return "\n".join(lines)


def main(root: Path = Path()) -> None:
    """Rewrite the guide's table of exact posteriors below `root`."""
    page = (root / PAGE).read_text(encoding="utf-8")
    write_bytes(root / PAGE, with_tables(page, {"posteriors": table()}, PAGE).encode())


if __name__ == "__main__":
    typer.run(main)

"""`python -m proofs_checks.conjectures`: the two conjectures beside B12, certified for every law on two points of a box.

`KL ≤ ½ log(1 + χ²)` and `KL ≤ ½ E_ξ log E_ξ' e^{g⟨ξ,ξ'⟩}` are proved for no class of laws but what is said here, and are not claims: a
certificate over two-point laws and the golden atoms is what there is. The result is committed in `results/conjectures.json`.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from proofs_checks.certificates import GOLDEN_ATOMS, GOLDEN_GAPS
from proofs_checks.console import progress
from singtheory import InputError, interval, line, rung, two_point
from singtheory.files import check_folder, write_json
from singtheory.gap_range import GapRange
from singtheory.provenance import provenance

RESULT = Path(__file__).parent / "results" / "conjectures.json"
CONJECTURES = {
    "KL <= log(1 + chi2)/2": rung.plain("half_chi2", True, line.half_chi2),
    "KL <= E log E exp(g <xi, xi'>)/2": rung.plain("half_cumulant", True, line.half_cumulant),
}
"""Each stronger than B2, and the second than the first (Jensen)."""


def main(out: Annotated[Path, typer.Option(help="The JSON to write.")] = RESULT) -> None:
    """Certify both on the whole box of two-point laws and on the golden atoms."""
    try:
        check_folder(out.parent)
        found = {}
        with progress() as bar:
            for name, conjecture in CONJECTURES.items():
                task = bar.add_task(name, total=1.0)
                whole = two_point.certify_two_points(
                    conjecture, two_point.WHOLE, lambda share, t=task: bar.update(t, completed=share)
                )
                golden = GapRange(*GOLDEN_ATOMS).certify(conjecture, GOLDEN_GAPS)
                found[name] = {"two points": asdict(whole), "golden atoms": asdict(golden)}
        boxes = {
            "two points (e^2, p)": interval.describe(two_point.WHOLE),
            "golden gaps": interval.describe((GOLDEN_GAPS,)),
        }
        command = "python -m proofs_checks.conjectures"
        write_json(out, provenance(command, 0, "cpu") | {"boxes": boxes, "conjectures": found})
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    for name, parts in found.items():
        for where, certificate in parts.items():
            typer.echo(f"{name} on {where}: {certificate['verdict']}, {certificate['boxes']} boxes")


if __name__ == "__main__":
    typer.run(main)

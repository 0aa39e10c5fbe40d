"""`python -m proofs_checks.report.conjectures --out FILE`: the two conjectures beside B12, certified for every law on two points of a box.

`KL ≤ ½ log(1 + χ²)` and `KL ≤ ½ E_ξ log E_ξ' e^{g⟨ξ,ξ'⟩}` are proved for no class of laws but what is said here, and are not claims: a
certificate over two-point laws and the golden atoms is what there is. The result is committed in `results/conjectures.json`.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from proofs_checks.measurements.certificates import GOLDEN_ATOMS, GOLDEN_GAPS
from proofs_checks.terminal.arguments import errors_in_one_line
from proofs_checks.terminal.console import progress
from singtheory import certify
from singtheory.certify import GapRange
from singtheory.formula import line
from singtheory.system import check_file, provenance, write_json

CONJECTURES = {
    "KL <= log(1 + chi2)/2": certify.plain("half_chi2", True, line.half_chi2),
    "KL <= E log E exp(g <xi, xi'>)/2": certify.plain("half_cumulant", True, line.half_cumulant),
}
"""Each stronger than B2, and the second than the first (Jensen)."""


def main(out: Annotated[Path, typer.Option(help="The JSON to write.")]) -> None:
    """Certify both on the whole box of two-point laws and on the golden atoms."""
    with errors_in_one_line():
        check_file(out)
        results = {}
        with progress() as bar:
            for name, conjecture in CONJECTURES.items():
                task = bar.add_task(name, total=1.0)
                whole = certify.certify_two_points(
                    conjecture, certify.WHOLE, lambda share, t=task: bar.update(t, completed=share)
                )
                golden = GapRange(*GOLDEN_ATOMS).certify(conjecture, GOLDEN_GAPS)
                results[name] = {"two points": asdict(whole), "golden atoms": asdict(golden)}
        boxes = {
            "two points (e^2, p)": certify.describe(certify.WHOLE),
            "golden gaps": certify.describe((GOLDEN_GAPS,)),
        }
        command = "python -m proofs_checks.report.conjectures"
        write_json(out, provenance(command, 0, "cpu") | {"boxes": boxes, "conjectures": results})
    for name, parts in results.items():
        for where, certificate in parts.items():
            typer.echo(f"{name} on {where}: {certificate['verdict']}, {certificate['boxes']} boxes")


if __name__ == "__main__":
    typer.run(main)

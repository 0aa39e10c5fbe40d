"""What a run leaves behind in JSON: the data, and what each claim's checks found."""

from typing import Any

from proofs_checks.harness.harness import ClaimResult
from proofs_checks.harness.proof import formal_statements
from singtheory.data import Data


def describe_data(data: Data) -> dict[str, Any]:
    """Name and size of the data, and the width of their span if that is what was worked in."""
    about = {"name": data.name, "points": len(data.law.points), "dim": data.dim}
    return about if data.span is None else about | {"span": data.law.dim}


def describe_claim(result: ClaimResult) -> dict[str, Any]:
    """One entry of the list `claims` of `singtheory verify --json`.

    `proof` is `formal` or `symbolic` where the verdict is `proved`, else null; `formal` says what Coq has proved of the statement, all or part.
    """
    return {
        "id": result.claim.id,
        "title": result.claim.title,
        "verdict": result.verdict,
        "proof": result.proof,
        "formal": _formal(result.claim.id),
        "methods": [
            {
                "method": r.check.method,
                "scope": r.check.scope,
                "verdict": r.outcome.verdict,
                "measured": r.outcome.measured,
                "relation": r.outcome.relation,
                "bound": r.outcome.bound,
                "margin": r.outcome.margin,
                "where": r.outcome.where,
                "remedy": r.outcome.remedy,
            }
            for r in result.checks
        ],
        "false_twins": [
            {
                "name": t.name,
                "verdict": t.outcome.verdict,
                "measured": t.outcome.measured,
                "relation": t.outcome.relation,
                "bound": t.outcome.bound,
                "where": t.outcome.where,
            }
            for t in result.twins
        ],
        "seconds": round(result.seconds, 3),
    }


def _formal(statement: str) -> dict[str, Any] | None:
    """What Coq has proved of a statement, or None."""
    proof = formal_statements().get(statement)
    return proof and {name: proof[name] for name in ("whole", "laws", "covers", "missing", "theorems")}

"""What proves a claim: Coq the whole statement (`formal`), sympy the whole statement (`symbolic`), or no machine all of it."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Literal

from proofs_checks.formal import formal_proofs
from proofs_checks.harness.claim import Claim, Verdict

Proof = Literal["formal", "symbolic"]
WORDS = ("proved: formal", "proved: symbolic", "supported")
"""How a claim that holds is spoken of, from the strongest."""
_ORDER = (*WORDS[:2], "proved", WORDS[2])
"""`proved` alone is a result of an older version."""


@lru_cache(maxsize=1)
def formal_statements() -> dict[str, dict[str, Any]]:
    """What Coq has proved, by statement id, read once a process; empty if the record does not belong to these sources and formulas."""
    return formal_proofs()


def proof_of(claim: Claim, symbolic: bool | None = None) -> Proof | None:
    """What proves the whole statement, the strongest first, or None.

    Args:
        claim: the claim.
        symbolic: whether its symbolic check has proved the whole statement in this run; when not given, whether it has such a check.
    """
    if formal_statements().get(claim.id, {}).get("whole"):
        return "formal"
    return "symbolic" if (claim.whole if symbolic is None else symbolic) else None


def stated(verdict: Verdict | str, proof: str | None) -> str:
    """A claim's verdict in the words of tables and pages: `proved: formal`, `proved: symbolic`, `supported`, …"""
    return f"{verdict}: {proof}" if verdict == "proved" and proof else str(verdict)


def counted(verdicts: Collection[str]) -> str:
    """How many there are of each, the strongest first, such as `24 proved: formal, 2 proved: symbolic, 18 supported`."""
    order = sorted(dict.fromkeys(verdicts), key=lambda word: _ORDER.index(word) if word in _ORDER else len(_ORDER))
    return ", ".join(f"{sum(verdict == word for verdict in verdicts)} {word}" for word in order)

r"""A claim: one statement of the theory, made executable.

A check is a function of the sides of a statement. The true sides come from `singtheory`; a false twin is the same check with one side
replaced, and a check that accepts its twin is broken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from proofs_checks.harness.context import Context

Verdict = Literal["proved", "supported", "refuted", "undecided", "vacuous"]
"""The verdict of a check; a claim as a whole is never `vacuous`."""
Method = Literal["symbolic", "interval", "quadrature", "monte-carlo", "exact"]
Relation = Literal["≤", "≥", "="]
Sides = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What one run of a check found.

    Attributes:
        verdict: `refuted`: the two sides contradict each other beyond their intervals; `undecided`: this effort did not decide on
            these data; `vacuous`: the data have no instance of the statement (one distinct point, no tie, …), which is no failure.
        measured: the value at the tightest instance, None where there is none.
        bound: what it is compared with there.
        margin: how far inside: the distance to refutation in the unit that the check states; negative if refuted.
        where: the instance that the three numbers belong to.
        relation: the statement is `measured relation bound`; None where no two numbers are compared.
        remedy: of an undecided outcome, what would decide it.
    """

    verdict: Verdict
    measured: float | None = None
    bound: float | None = None
    margin: float | None = None
    where: str = ""
    relation: Relation | None = None
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One independent way to decide a statement.

    Attributes:
        method: how.
        scope: which part of the statement, on which laws; `whole` only if it covers every part.
        run: maps the sides and the context of a run to an outcome.
        whole: whether a `proved` outcome proves the whole statement: every part, limit and dimension, any number of points and of steps.
    """

    method: Method
    scope: str
    run: Callable[[Sides, Context], Outcome]
    whole: bool = False


@dataclass(frozen=True)
class Claim:
    """A statement with its checks.

    Attributes:
        id: the id, such as `B3`.
        title: a few words.
        statement: prose with LaTeX between dollar signs.
        source: where it comes from.
        assumptions: under which it holds.
        derivation: a short proof, prose with LaTeX between dollar signs.
        sides: the true sides of the statement, by name, taken from singtheory.
        checks: independent methods; at least one.
        false_twins: by name, the sides that a twin replaces; at least two.
        constant: the numbers that the statement stands on and how sharp they are, prose with LaTeX between dollar signs; empty where it has none.
    """

    id: str
    title: str
    statement: str
    source: str
    assumptions: str
    derivation: str
    sides: Sides
    checks: tuple[Check, ...]
    false_twins: Mapping[str, Sides] = field(default_factory=dict)
    constant: str = ""

    @property
    def page(self) -> str:
        """Where the repository derives it in small steps, such as `docs/derivations/b.md#b3`."""
        return f"docs/derivations/{self.id[0].lower()}.md#{self.id.lower()}"

    @property
    def whole(self) -> bool:
        """Whether a check covers the whole statement; else only a formal proof can make the verdict `proved` (`proofs_checks.harness.proof`)."""
        return any(check.whole for check in self.checks)

    def __post_init__(self) -> None:
        if not self.checks or len(self.false_twins) < 2:
            raise ValueError(f"claim {self.id}: needs a check and at least two false twins")
        for name, replaced in self.false_twins.items():
            if not replaced or not set(replaced) <= set(self.sides):
                raise ValueError(f"claim {self.id}: twin {name!r} replaces {sorted(replaced)}, not sides of the claim")


REGISTRY: dict[str, Claim] = {}
"""Every claim by id, filled by the modules `proofs_checks.claims.a`, `claims.b`, …"""


def register(claim: Claim) -> Claim:
    """Add a claim to the registry. Raises `ValueError` if its id is taken."""
    if claim.id in REGISTRY:
        raise ValueError(f"claim {claim.id} is registered twice")
    REGISTRY[claim.id] = claim
    return claim

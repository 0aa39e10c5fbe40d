"""Runs claims: every check, then every false twin against the same checks."""

import fnmatch
import importlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proofs_checks.harness.claim import REGISTRY, Check, Claim, Outcome, Sides, Verdict
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import no_instance
from proofs_checks.harness.proof import Proof, proof_of, stated
from singtheory.errors import DomainError, unknown_name

GROUPS = ("a", "b", "c", "d", "e", "f")
"""The folders of `proofs_checks.claims` that register claims, one for each group of the theory."""

_LOG = logging.getLogger(__name__)


class _Read(Mapping[str, Any]):
    """The sides of a statement, which note what a check takes of them."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return self._sides[name]

    def __iter__(self) -> Iterator[str]:
        self.names.update(self._sides)
        return iter(self._sides)

    def __len__(self) -> int:
        return len(self._sides)


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome, and the names of the sides that it has read."""

    check: Check
    outcome: Outcome
    read: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TwinResult:
    """What became of a false twin; the outcome is that of the check that refuted it, or else of the last one."""

    name: str
    outcome: Outcome


@dataclass(frozen=True)
class ClaimResult:
    """A claim after its run; `proof` says what proves the whole statement where the verdict is `proved`."""

    claim: Claim
    verdict: Verdict
    checks: tuple[CheckResult, ...]
    twins: tuple[TwinResult, ...]
    seconds: float
    proof: Proof | None = None

    @property
    def stated(self) -> str:
        """The verdict in the words of tables and pages: `proved: formal`, `proved: symbolic`, `supported`, …"""
        return stated(self.verdict, self.proof)

    @property
    def holds(self) -> bool:
        """Whether the claim stands and every false twin fell."""
        return self.verdict in ("proved", "supported") and all(t.outcome.verdict == "refuted" for t in self.twins)


def exit_status(results: Iterable[ClaimResult]) -> int:
    """0 if every claim stands and every false twin fell, 1 if a claim is refuted, else 3: something was not decided."""
    results = list(results)
    if any(result.verdict == "refuted" for result in results):
        return 1
    return 0 if all(result.holds for result in results) else 3


def load_claims() -> dict[str, Claim]:
    """Import every group and return the claims by id, in the order of the theory."""
    for group in GROUPS:
        importlib.import_module(f"proofs_checks.claims.{group}")
    return dict(sorted(REGISTRY.items(), key=lambda item: (item[0][0], int(item[0][1:]))))


def select(claims: Iterable[Claim], pattern: str) -> list[Claim]:
    """The claims whose id matches a comma-separated list of shell patterns. Raises `InputError` for one that matches none."""
    claims = list(claims)
    chosen: dict[str, Claim] = {}
    for part in pattern.split(","):
        matching = [claim for claim in claims if fnmatch.fnmatchcase(claim.id.lower(), part.strip().lower())]
        if not matching:
            raise unknown_name("claim", part.strip(), [claim.id for claim in claims])
        chosen |= {claim.id: claim for claim in matching}
    return [claim for claim in claims if claim.id in chosen]


def statistical_checks(claims: Iterable[Claim]) -> int:
    """Among how many checks the error probability of a run is split."""
    return sum(check.method == "monte-carlo" for claim in claims for check in claim.checks)


def run_claim(claim: Claim, context: Context, step: Callable[[str], None] = lambda _: None) -> ClaimResult:
    """All checks of a claim and all its twins; `step` is called with the name of each before it runs."""
    start = time.perf_counter()
    results = []
    for index, check in enumerate(claim.checks):
        step(f"{claim.id} {check.method}")
        sides = _Read(claim.sides)
        outcome = _run(claim, check, sides, context.within(f"{claim.id}/{index}"))
        results.append(CheckResult(check, outcome, frozenset(sides.names)))
    twins = []
    for name, replaced in claim.false_twins.items():
        step(f"{claim.id} twin: {name}")
        twins.append(TwinResult(name, _run_twin(claim, results, replaced, context)))
    proof = proof_of(claim, any(r.check.whole and r.outcome.verdict == "proved" for r in results))
    verdict = _verdict(results, proof)
    seconds = time.perf_counter() - start
    return ClaimResult(claim, verdict, tuple(results), tuple(twins), seconds, proof if verdict == "proved" else None)


def steps(claim: Claim) -> int:
    """How often `run_claim` calls its `step`."""
    return len(claim.checks) + len(claim.false_twins)


def _run(claim: Claim, check: Check, sides: Sides, context: Context) -> Outcome:
    """A check that raises is undecided, with its message: the run goes on. Where the data's own scales lead beyond the domain of numbers there is no instance of it."""
    try:
        return check.run(sides, context)
    except DomainError as error:
        return no_instance(f"the scales of {context.data.name} lead beyond the domain of numbers: {error}")
    except Exception as error:  # whatever a claim's code raises must not take the other claims with it
        _LOG.debug("claim %s raised", claim.id, exc_info=True)
        return Outcome(
            "undecided", where=f"{type(error).__name__}: {error}", remedy="a mend of the check: please report it"
        )


def _run_twin(claim: Claim, results: list[CheckResult], replaced: Sides, context: Context) -> Outcome:
    """Every check until one refutes the twin; a check that read none of the sides that the twin replaces finds what it found before."""
    outcome = Outcome("undecided", where="no check")
    for index, result in enumerate(results):
        if result.read.isdisjoint(replaced):
            outcome = result.outcome
        else:
            outcome = _run(claim, result.check, {**claim.sides, **replaced}, context.within(f"{claim.id}/{index}"))
        if outcome.verdict == "refuted":
            break
    return outcome


def _verdict(results: list[CheckResult], proof: Proof | None) -> Verdict:
    """Refuted or undecided if any check is, undecided if all are vacuous; proved if there is a proof of the whole statement."""
    verdicts = [result.outcome.verdict for result in results]
    for failure in ("refuted", "undecided"):
        if failure in verdicts:
            return failure
    if set(verdicts) == {"vacuous"}:
        return "undecided"
    return "proved" if proof else "supported"

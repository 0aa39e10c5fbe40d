"""What is taken at once by one of two processes: the claims of a letter, or a part of the report."""

import itertools
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proofs_checks.harness.claim import Claim
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import CheckResult, ClaimResult, load_claims, run_claim, steps
from proofs_checks.harness.part import Part, Step, made

Send = Callable[[Any], None]


class Order(Protocol):
    """What a second process is sent."""

    def carry_out(self, context: Context, send: Send) -> None:
        """Send the name of each step before it is done, and each result."""
        ...


class Unit(Protocol):
    """One of them."""

    @property
    def work(self) -> int:
        """How long it takes, in checks and twins."""
        ...

    @property
    def order(self) -> Order:
        """For a second process."""
        ...

    def here(self, context: Context, step: Step) -> Iterator[tuple[str, Any]]:
        """The results by their keys, worked in this process."""
        ...

    def there(self, answer: Callable[[], Any]) -> Iterator[tuple[str, Any]]:
        """The outcome from a second process, which answers with one after another."""
        ...

    def left(self, done: Mapping[str, Any]) -> "Unit | None":
        """What is not done."""
        ...


def units_of(claims: Sequence[Claim], parts: Sequence[Part]) -> list[Unit]:
    """The claims of each letter and then the parts, each those with the most to do first: who interrupts the drawing can read the claims."""
    groups = [_Group(tuple(group)) for _, group in itertools.groupby(claims, key=lambda claim: claim.id[0])]
    drawings = [_Drawing(part) for part in parts]
    kinds: list[list[Unit]] = [[*groups], [*drawings]]
    return [unit for kind in kinds for unit in sorted(kind, key=lambda unit: unit.work, reverse=True)]


@dataclass(frozen=True)
class _Group:
    """Claims that share what they measure."""

    claims: tuple[Claim, ...]

    @property
    def work(self) -> int:
        return sum(steps(claim) for claim in self.claims)

    @property
    def order(self) -> "_Ids":
        return _Ids(tuple(claim.id for claim in self.claims))

    def here(self, context: Context, step: Step) -> Iterator[tuple[str, Any]]:
        for claim in self.claims:
            yield claim.id, run_claim(claim, context, step)

    def there(self, answer: Callable[[], Any]) -> Iterator[tuple[str, Any]]:
        for claim in self.claims:
            yield claim.id, _with_claim(claim, answer())

    def left(self, done: Mapping[str, Any]) -> "_Group | None":
        left = tuple(claim for claim in self.claims if claim.id not in done)
        return _Group(left) if left else None


@dataclass(frozen=True)
class _Ids:
    """Claims by their ids: they hold functions, so that the other process loads them itself."""

    ids: tuple[str, ...]

    def carry_out(self, context: Context, send: Send) -> None:
        claims = load_claims()
        for id in self.ids:
            send(_without_claim(run_claim(claims[id], context, send)))


@dataclass(frozen=True)
class _Drawing:
    """A part of the report; it is its own order."""

    part: Part

    @property
    def work(self) -> int:
        return self.part.work

    @property
    def order(self) -> "_Drawing":
        return self

    def here(self, context: Context, step: Step) -> Iterator[tuple[str, Any]]:
        yield self.part.name, made(self.part, context, step)

    def there(self, answer: Callable[[], Any]) -> Iterator[tuple[str, Any]]:
        (result,) = answer()
        yield self.part.name, result

    def left(self, done: Mapping[str, Any]) -> "_Drawing | None":
        return None if self.part.name in done else self

    def carry_out(self, context: Context, send: Send) -> None:
        send((_sendable(made(self.part, context, send)),))  # in a tuple, for a string is a step


def _sendable(value: Any) -> Any:
    """The value itself; for an exception that cannot be sent, such as one that is not made of its message, another that says what it said."""
    if not isinstance(value, Exception):
        return value
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:  # pickling raises what it likes
        other = RuntimeError(f"{type(value).__name__}: {value}")
        for note in value.__notes__:
            other.add_note(note)
        return other
    return value


def _without_claim(result: ClaimResult) -> dict[str, Any]:
    """What can be sent: outcomes, and by its place in the claim each check."""
    checks = [(checked.outcome, checked.read) for checked in result.checks]
    return {
        "verdict": result.verdict,
        "checks": checks,
        "twins": result.twins,
        "seconds": result.seconds,
        "proof": result.proof,
    }


def _with_claim(claim: Claim, sent: dict[str, Any]) -> ClaimResult:
    """The result as `run_claim` would have returned it here."""
    checked = zip(claim.checks, sent["checks"], strict=True)
    checks = tuple(CheckResult(check, outcome, read) for check, (outcome, read) in checked)
    return ClaimResult(claim, sent["verdict"], checks, sent["twins"], sent["seconds"], sent["proof"])

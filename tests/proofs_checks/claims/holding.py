"""A claim's checks on data that are not the package's own."""

from proofs_checks.harness.claim import REGISTRY
from proofs_checks.harness.context import Context
from singtheory import Atoms
from singtheory.data.sources import Data


def assert_holds(id: str, law: Atoms, name: str) -> None:
    """No check of the claim that asks the data refutes it, or is left undecided by them."""
    context = Context(Data(law, name, None), seed=3, error=1e-8)
    for k, check in enumerate(REGISTRY[id].checks):
        if check.method != "symbolic":
            outcome = check.run(REGISTRY[id].sides, context.within(f"{id}/{k}"))
            assert outcome.verdict in ("supported", "proved", "vacuous"), outcome

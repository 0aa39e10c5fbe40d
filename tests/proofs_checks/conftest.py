"""The circumstances in which the tests run claims: digits, seed 0, the error probability of a real run."""

import pytest

from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import load_claims, statistical_checks
from singtheory.data import sources


@pytest.fixture(scope="session")
def context() -> Context:
    return Context(sources.load("digits"), seed=0, error=1e-6 / statistical_checks(load_claims().values()))

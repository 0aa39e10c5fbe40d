"""Every claim holds on digits, every false twin falls, and a side that is off by one per cent is refuted."""

import pytest

from proofs_checks.harness.harness import load_claims, run_claim

CLAIMS = load_claims()
NOT_NUMBERS = {
    ("A4", "step"),  # kernels and schedules are no numbers to scale; their coefficients are A2's and A3's
    ("A5", "step"),
    ("A5", "schedule"),
    ("B4", "draws"),  # an estimator whose interval is wider than one per cent
    ("E3", "orders"),  # nor are orders, and a density's scale says nothing
    ("E3", "density"),
    ("F8", "even"),  # grids and denoisers are no numbers either
    ("F8", "nats"),
    ("F10", "denoiser"),
}
SIDES = [(id, side) for id, claim in CLAIMS.items() for side in claim.sides if (id, side) not in NOT_NUMBERS]


@pytest.mark.parametrize("id", CLAIMS)
def test_claim_holds(id, context):
    result = run_claim(CLAIMS[id], context)
    failed = [c for c in result.checks if c.outcome.verdict in ("refuted", "undecided")]
    standing = [t for t in result.twins if t.outcome.verdict != "refuted"]
    assert result.holds, (failed, standing)


def scaled(function, factor):
    return lambda *args: function(*args) * factor


@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize(("id", "side"), SIDES)
def test_one_per_cent_is_refuted(id, side, factor, context):
    claim = CLAIMS[id]
    sides = {**claim.sides, side: scaled(claim.sides[side], factor)}
    outcomes = [check.run(sides, context.within(f"{id}/{k}")) for k, check in enumerate(claim.checks)]
    assert "refuted" in [outcome.verdict for outcome in outcomes]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("id", [id for id, c in CLAIMS.items() if any(k.method == "monte-carlo" for k in c.checks)])
def test_another_seed_gives_the_same_verdict(id, seed, context):
    from dataclasses import replace

    claim = CLAIMS[id]
    for k, check in enumerate(claim.checks):
        if check.method == "monte-carlo":
            outcome = check.run(claim.sides, replace(context, seed=seed).within(f"{id}/{k}"))
            assert outcome.verdict == "supported", outcome

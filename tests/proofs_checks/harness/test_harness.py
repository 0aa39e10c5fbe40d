"""The harness must catch checks that are broken, not only claims that are false."""

import dataclasses

import pytest

from proofs_checks.harness import proof
from proofs_checks.harness.claim import Check, Claim, Outcome
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import exit_status, load_claims, run_claim, select, statistical_checks, steps
from proofs_checks.harness.outcome import at_most
from singtheory import InputError, formula, numerics
from tests.support.statements import STATEMENTS


def at_most_side(sides, _: Context) -> Outcome:
    return at_most(1.0, sides["bound"](), "one")


def claim_with(run, *, bound: float = 2.0, whole: bool = False, method: str = "exact") -> Claim:
    """A claim `1 ≤ bound` with two twins that are false: bounds of 0.9 and 0.5."""
    return Claim(
        id="T1",
        title="one is small",
        statement="$1 \\le b$",
        source="here",
        assumptions="none",
        derivation="none",
        sides={"bound": lambda: bound},
        checks=(Check(method, "whole", run, whole=whole),),
        false_twins={"0.9": {"bound": lambda: 0.9}, "0.5": {"bound": lambda: 0.5}},
    )


def always(verdict):
    return lambda sides, context: Outcome(verdict, 1.0, 1.0, 0.0, "always")


def test_sound_check_holds(context):
    result = run_claim(claim_with(at_most_side), context)
    assert result.verdict == "supported"
    assert result.holds
    assert [twin.outcome.verdict for twin in result.twins] == ["refuted", "refuted"]


def test_check_that_accepts_everything_is_caught(context):
    result = run_claim(claim_with(always("supported")), context)
    assert result.verdict == "supported"
    assert not result.holds


def test_check_that_refutes_everything_is_caught(context):
    result = run_claim(claim_with(always("refuted")), context)
    assert result.verdict == "refuted"
    assert not result.holds


def test_check_that_never_decides_is_caught(context):
    result = run_claim(claim_with(always("undecided")), context)
    assert result.verdict == "undecided"
    assert not result.holds


def test_false_claim_is_refuted(context):
    result = run_claim(claim_with(at_most_side, bound=0.99), context)
    assert result.verdict == "refuted"
    assert not result.holds


def test_check_that_raises_is_undecided_with_its_message(context):
    def raises(sides, _):
        raise ArithmeticError("no such number")

    result = run_claim(claim_with(raises), context)
    assert result.verdict == "undecided"
    assert result.checks[0].outcome.where == "ArithmeticError: no such number"
    assert not result.holds


def test_a_check_whose_numbers_leave_the_domain_has_no_instance(context):
    def leaves(sides, _):
        numerics.check_precisions("snr", 1e99)

    (result,) = run_claim(claim_with(leaves), context).checks
    assert result.outcome.verdict == "vacuous" and "domain" in result.outcome.where


def test_one_undecided_check_outweighs_a_proof(context):
    claim = claim_with(always("proved"), whole=True)
    claim = dataclasses.replace(claim, checks=(*claim.checks, Check("exact", "part", always("undecided"))))
    assert run_claim(claim, context).verdict == "undecided"


def test_a_check_without_an_instance_decides_nothing(context):
    claim = claim_with(at_most_side)
    both = dataclasses.replace(claim, checks=(*claim.checks, Check("exact", "data", always("vacuous"))))
    assert run_claim(both, context).verdict == "supported"
    assert run_claim(claim_with(always("vacuous")), context).verdict == "undecided"


def test_exit_status_tells_refuted_from_undecided(context):
    holds, unsure, fails = (
        run_claim(c, context)
        for c in (claim_with(at_most_side), claim_with(always("undecided")), claim_with(at_most_side, bound=0.99))
    )
    standing = run_claim(claim_with(always("supported")), context)
    assert [exit_status(r) for r in ([holds], [holds, unsure], [unsure, fails], [standing])] == [0, 3, 1, 3]


def test_proved_only_by_a_check_of_the_whole_statement(context):
    def proves(sides, context):
        outcome = at_most_side(sides, context)
        return dataclasses.replace(outcome, verdict="proved") if outcome.verdict == "supported" else outcome

    actual = run_claim(claim_with(proves, whole=True), context)
    assert (actual.verdict, actual.proof, actual.stated) == ("proved", "symbolic", "proved: symbolic")
    actual = run_claim(claim_with(proves, whole=False), context)
    assert (actual.verdict, actual.proof, actual.stated) == ("supported", None, "supported")


def test_a_formal_proof_of_the_whole_statement_is_the_strongest_word(context, monkeypatch):
    monkeypatch.setattr(proof, "formal_statements", lambda: {"T1": {"whole": True}})
    actual = run_claim(claim_with(at_most_side), context)
    assert (actual.verdict, actual.proof, actual.stated) == ("proved", "formal", "proved: formal")
    assert actual.holds
    for verdict in ("refuted", "undecided", "vacuous"):  # a proof does not outvote a check
        actual = run_claim(claim_with(always(verdict)), context)
        assert actual.verdict == actual.stated == ("refuted" if verdict == "refuted" else "undecided")
        assert actual.proof is None
    monkeypatch.setattr(proof, "formal_statements", lambda: {"T1": {"whole": False}})
    assert run_claim(claim_with(at_most_side), context).stated == "supported"


@pytest.fixture
def planted_constant(monkeypatch):
    """The bound of B3 with another constant than the one that Coq proves."""
    proof.formal_statements.cache_clear()
    monkeypatch.setattr(formula, "kl_trace_bound", lambda gap, trace: gap * trace / 3)
    monkeypatch.setattr(formula.kl_trace_bound, "__module__", "singtheory.formula.gaussian_error")
    yield
    proof.formal_statements.cache_clear()


def test_verify_says_formal_only_where_the_record_belongs_to_the_formulas(context, planted_constant):
    """D2 is proved by Coq and has no symbolic check; with a constant changed that no proof has seen nothing is formal any more."""
    claims = load_claims()
    assert proof.formal_statements() == {}
    assert {proof.proof_of(claim) for claim in claims.values()} == {"symbolic", None}
    assert run_claim(claims["A1"], context).stated == "proved: symbolic"


def test_counts_of_verdicts_stand_in_the_order_of_their_strength():
    said = ["supported", "proved: symbolic", "proved: formal", "supported", "refuted"]
    assert proof.counted(said) == "1 proved: formal, 1 proved: symbolic, 2 supported, 1 refuted"


def test_steps_are_announced(context):
    names: list[str] = []
    claim = claim_with(at_most_side)
    run_claim(claim, context, names.append)
    assert len(names) == steps(claim) == 3


def test_claim_needs_two_twins_and_real_sides():
    claim = claim_with(at_most_side)
    with pytest.raises(ValueError, match="two false twins"):
        dataclasses.replace(claim, false_twins={"one": {"bound": lambda: 0.5}})
    with pytest.raises(ValueError, match="not sides"):
        dataclasses.replace(claim, false_twins={"a": {"bond": lambda: 0.5}, "b": {"bound": lambda: 0.4}})


def test_every_check_draws_its_own_numbers(context):
    one, again, other = context.within("B3/0"), context.within("B3/0"), context.within("B3/1")
    assert one.generator().initial_seed() == again.generator().initial_seed()
    assert one.generator().initial_seed() != other.generator().initial_seed()
    assert one.generator().initial_seed() != dataclasses.replace(one, seed=1).generator().initial_seed()


def test_select_by_pattern():
    claims = load_claims().values()
    assert [claim.id for claim in select(claims, "b9,a*")] == [*(one for one in STATEMENTS if one[0] == "A"), "B9"]
    with pytest.raises(InputError, match=r"unknown claim 'B99': did you mean .*B9"):
        select(claims, "A1,B99")


def test_statistical_checks_share_the_error():
    assert statistical_checks([claim_with(at_most_side, method="monte-carlo"), claim_with(at_most_side)]) == 1


def test_registry_holds_the_statements_of_this_release():
    assert sorted(load_claims()) == sorted(STATEMENTS)


def test_a_twin_shares_the_checks_that_read_none_of_its_sides(context):
    """The first check reads `other` alone: it is run for the claim, and again for the twin that replaces what it reads."""
    runs: list[float] = []

    def reads_other(sides, _):
        runs.append(sides["other"])
        return at_most(1.0, sides["other"], "other")

    claim = claim_with(at_most_side)
    claim = dataclasses.replace(
        claim,
        sides={**claim.sides, "other": 2.0},
        checks=(Check("exact", "other", reads_other), *claim.checks),
        false_twins={"bound": {"bound": lambda: 0.5}, "other": {"other": 0.5}},
    )
    result = run_claim(claim, context)
    assert result.holds
    assert runs == [2.0, 0.5]
    assert [check.read for check in result.checks] == [{"other"}, {"bound"}]


def test_a_check_that_goes_through_all_sides_is_run_again(context):
    runs: list[dict] = []

    def reads_all(sides, _):
        runs.append(dict(sides))
        return at_most(1.0, sides["bound"](), "all")

    assert run_claim(claim_with(reads_all), context).holds
    assert len(runs) == 3

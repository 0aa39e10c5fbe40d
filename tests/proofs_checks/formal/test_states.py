"""The recorded proof states: read rightly from what Coq prints, complete, and of the proofs that are here."""

import json
import shutil
from pathlib import Path

import pytest

from proofs_checks.formal import FOLDER, digests, prove, sources, states

SHOWN = """2 goals (ID 7)

  x : R
  H : 0 < x
  ============================
  forall y : R,
  y = x

goal 2 (ID 9) is:
 x = 0

"""


def test_sentences_end_at_periods_that_end_them():
    text = "From A Require Import B. (* a. comment (* in. it *) *)\nLemma f : 0.5 * x.1 = y.\nProof. - lra.\n  + { nra. } Qed."
    assert list(states.sentences(text)) == [
        "From A Require Import B.",
        "Lemma f : 0.5 * x.1 = y.",
        "Proof.",
        "- lra.",
        "+ { nra.",
        "} Qed.",
    ]


def test_goals_are_asked_for_in_theorems_alone():
    text = (
        "Lemma help : True.\nProof. exact I. Qed.\nTheorem A1_all : True.\nProof. exact I. Qed.\n"
        "Theorem A1_twin_none : True.\nProof. exact I. Qed.\n"
    )
    arguments, asks = states.asked(text)
    assert asks == [("A1_all", "exact I."), ("A1_all", ""), ("A1_twin_none", "")]
    assert arguments.count("Show.") == 1 and arguments.count("Check @") == 2


def test_a_step_shows_what_is_new_and_what_is_left():
    step, hypotheses = states.shown("intros\n x H.", SHOWN, ())
    assert step == states.Step("intros x H.", "x : R\nH : 0 < x\n⊢ forall y : R,\n  y = x", 2)
    step, _ = states.shown("clear.", SHOWN, hypotheses)
    assert step.shown == "⊢ forall y : R,\n  y = x"
    step, kept = states.shown("lra.", "No more goals.\n", hypotheses)
    assert (step.goals, kept) == (0, hypotheses) and "nothing is left" in step.shown


def test_a_statement_is_read_from_what_check_prints():
    assert (
        states.statement("A1_all\n     : forall x : R,\n       0 < x ->\n       x <> 0\n")
        == "forall x : R,\n0 < x ->\nx <> 0"
    )


def test_the_record_has_every_theorem_as_it_is_now():
    """After a change to a proof: python -m proofs_checks.formal.states."""
    actual = states.states()
    names = {name for pairs in prove.theorems().values() for _, name in pairs}
    assert names == set(actual)
    for name, entry in actual.items():
        assert entry["statement"], name
        assert bool(entry["steps"]) == (prove.TWIN not in name), name


def test_states_of_a_changed_file_are_not_shown(tmp_path: Path):
    for path in sources():
        shutil.copy(path, tmp_path)
    with (tmp_path / "A.v").open("a") as file:
        file.write("\n")
    left = {entry["file"] for entry in states.states(folder=tmp_path).values()}
    assert "A.v" not in left and "B.v" in left
    assert states.states(tmp_path / "none.json") == {}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("coqtop") is None, reason="Coq is not installed")
def test_coq_shows_what_the_record_says(tmp_path: Path):
    """On the files that build in seconds."""
    for path in ("foundation/Base.v", "foundation/Formulas.v", "a/A.v"):
        shutil.copy(FOLDER / path, tmp_path)
    prove.build(tmp_path)
    committed = json.loads(states.STATES.read_text(encoding="utf-8"))
    assert {name: committed["sha256"][name] for name in digests(tmp_path)} == digests(tmp_path)
    for name, entry in states.recorded(tmp_path, "A").items():
        assert entry == committed["theorems"][name]

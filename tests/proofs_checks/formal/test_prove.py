import json
import shutil
from pathlib import Path

import pytest
import sympy

from proofs_checks import formal
from proofs_checks.formal import prove, ties
from singtheory import formula

needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="Coq is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the development, to be tampered with."""
    for path in formal.sources():
        shutil.copy(path, tmp_path)
    return tmp_path


# --- the formulas ----------------------------------------------------------------------------------------------------


def test_the_committed_formulas_are_those_that_are_run():
    assert ties.PATH.read_text(encoding="utf-8") == ties.definitions()


def test_every_public_formula_is_translated_or_said_to_be_left_out():
    translated = {name for name, _ in ties.functions()}
    assert not translated & set(ties.LEFT_OUT)
    assert set(ties.LEFT_OUT) <= set(vars(formula))
    assert len(translated) > 70


def test_a_changed_constant_changes_the_formulas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formula, "kl_trace_bound", lambda gap, trace: gap * trace / 3)
    monkeypatch.setattr(formula.kl_trace_bound, "__module__", "singtheory.formula.gaussian_error")
    monkeypatch.setattr(formula.kl_trace_bound, "__doc__", "planted")
    assert "((gap * trace) / 3)" in ties.definitions()
    assert formal.formal_proofs() == {}


x, y = sympy.symbols("x y", real=True)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (x - y, "(x + ((- 1) * y))"),
        (x / y, "(x / y)"),
        (-x / (2 * y**2), "(((- 1) * x) / (2 * (y ^ 2)))"),
        (sympy.Rational(-2, 3) * x, "((((- 1) * 2) * x) / 3)"),
        (sympy.Rational(1, 2), "(1 / 2)"),
        (1 / x, "(/ x)"),
        (sympy.sqrt(x), "(sqrt x)"),
        (1 / sympy.sqrt(x), "(/ (sqrt x))"),
        (x ** (y / 2), "(Rpower x (y / 2))"),
        (sympy.log(x) + sympy.exp(y), "((exp y) + (ln x))"),
        (sympy.erf(x) * sympy.pi, "(PI * (erf x))"),
        (abs(x), "(Rabs x)"),
    ],
)
def test_expressions_in_the_syntax_of_coq(expression: sympy.Expr, expected: str):
    assert ties.coq(expression) == expected


def test_what_has_no_translation_is_an_error():
    with pytest.raises(TypeError, match="no Coq for"):
        ties.coq(sympy.sin(x))
    with pytest.raises(TypeError, match="no Coq for"):
        ties.coq(sympy.Float(0.1))


# --- the sources -----------------------------------------------------------------------------------------------------


def test_no_proof_is_left_open():
    assert prove.left_open() == []


@pytest.mark.parametrize("word", ["Admitted.", "Axiom easy : False.", "admit."])
def test_an_open_proof_is_found_and_a_comment_is_none(folder: Path, word: str):
    (folder / "Planted.v").write_text(f"(* no Axiom (* nor Admitted *) here *)\n{word}\n")
    assert prove.left_open(folder) == [f"Planted.v: {word.split()[0].rstrip('.')}"]
    with pytest.raises(prove.ProofError, match="left open"):
        prove.prove(folder)


def test_theorems_and_coverage_name_the_same_statements(folder: Path):
    prove.check_names(prove.theorems(), prove.COVERAGE)
    (folder / "Planted.v").write_text("Theorem F99_new : True. Proof. exact I. Qed.\n")
    with pytest.raises(prove.ProofError, match="F99"):
        prove.check_names(prove.theorems(folder), prove.COVERAGE)


def test_what_is_not_whole_says_what_is_missing():
    for covered in prove.COVERAGE.values():
        assert covered.covers
        assert covered.whole or covered.missing


def test_every_formal_statement_has_a_disproved_twin():
    without = {
        statement for statement, names in prove.theorems().items() if not any("_twin" in name for _, name in names)
    }
    assert without == {prove.NUMBERS}


def test_files_are_checked_after_those_that_they_need():
    needs = prove.dependencies(formal.FOLDER)
    assert needs["Base"] == set() and {"Base", "Formulas"} <= needs["A"]


def test_axioms_are_read_from_what_coq_prints():
    printed = "Axioms:\nUint63.sub_spec\n  : forall x y, True\nPrimInt63.int : Set\nClassical_Prop.classic : forall P : Prop, P \\/ ~ P\n"
    assert prove.axioms(printed) == ["Classical_Prop.classic", prove.MACHINE]
    assert prove.axioms("Closed under the global context\n") == []


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_committed_record_belongs_to_the_sources():
    actual = formal.formal_proofs()
    assert set(actual) == set(prove.COVERAGE)
    assert sum(entry["whole"] for statement, entry in actual.items() if statement != prove.NUMBERS) >= 33
    assert sum(entry["whole"] and entry["laws"] for entry in actual.values()) >= 22
    for statement, entry in actual.items():
        assert entry["theorems"], statement
        for used in (*entry["theorems"].values(), *entry["twins"].values()):
            assert set(used) <= {*prove.ALLOWED, prove.MACHINE}


def test_the_committed_record_has_every_theorem_and_twin_with_its_axioms():
    recorded = {
        name for entry in formal.formal_proofs().values() for kind in ("theorems", "twins") for name in entry[kind]
    }
    assert recorded == {name for pairs in prove.theorems().values() for _, name in pairs}


def test_the_record_in_words_has_each_theorem_with_its_axioms_on_a_line():
    lines = prove.table(json.loads(formal.RECORD.read_text(encoding="utf-8"))).splitlines()
    for statement, entry in formal.formal_proofs().items():
        for name, used in (*entry["theorems"].items(), *entry["twins"].items()):
            assert f"    {name}: {', '.join(used) or 'no axioms'}" in lines, statement


def test_a_changed_proof_makes_the_record_void(folder: Path):
    assert formal.formal_proofs(folder=folder)
    with (folder / "A.v").open("a") as file:
        file.write("\n")
    assert formal.formal_proofs(folder=folder) == {}


def test_a_formula_that_takes_no_symbols_makes_the_record_void(monkeypatch: pytest.MonkeyPatch):
    """It ended `verify` in a traceback."""

    def kl_trace_bound(gap, trace):
        return float(gap) * trace / 2

    kl_trace_bound.__module__ = "singtheory.formula.gaussian_error"
    monkeypatch.setattr(formula, "kl_trace_bound", kl_trace_bound)
    assert formal.formal_proofs() == {}


def test_a_file_that_changes_while_coq_works_is_not_recorded_as_proved(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def build(_: Path) -> None:
        with (folder / "A.v").open("a") as file:
            file.write("\n")

    before = formal.digests(folder)
    monkeypatch.setattr(prove, "build", build)
    monkeypatch.setattr(
        prove, "assumptions", lambda _, names: {name: [] for pairs in names.values() for _, name in pairs}
    )
    assert prove.prove(folder)["sha256"] == before != formal.digests(folder)


def test_two_files_of_one_name_are_refused(folder: Path):
    """Coq sees one flat library: the second would take the place of the first, and that would not be checked."""
    (folder / "other").mkdir()
    shutil.copy(folder / "A.v", folder / "other")
    with pytest.raises(prove.ProofError, match=r"^A\.v: there are two"):
        prove.prove(folder)


def test_every_group_of_claims_has_its_folder_of_proofs():
    folders = {path.parent.name for path in formal.sources()}
    assert folders == {"foundation", *"abcdef"}
    for path in formal.sources():
        group = path.stem.removeprefix("Twins_").split("_")[0].lower()
        assert path.parent.name == (group if group in folders else "foundation"), path


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON"])
def test_a_missing_or_broken_record_proves_nothing(tmp_path: Path, content: str):
    assert formal.formal_proofs(tmp_path / "none.json") == {}
    (tmp_path / "record.json").write_text(content)
    assert formal.formal_proofs(tmp_path / "record.json") == {}


def test_without_coq_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert prove.main() == 2
    assert capsys.readouterr().err == prove.INSTALL + "\n"


# --- Coq itself ------------------------------------------------------------------------------------------------------


@needs_coq
@pytest.mark.slow
def test_coq_proves_what_the_record_says():
    assert prove.prove() == json.loads(formal.RECORD.read_text(encoding="utf-8"))


@needs_coq
@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("((gap * trace) / 2)", "((gap * trace) / 3)"),
        ("((sqrt chi2) / 2)", "((sqrt chi2) / 3)"),
        ("(prior_ratio * (exp (norm2_difference / 4)))", "(prior_ratio * (exp (norm2_difference / 2)))"),
    ],
)
def test_a_planted_constant_fails_the_proof(right: str, wrong: str):
    text = ties.definitions()
    assert right in text
    with pytest.raises(prove.ProofError, match=r"\.v"):
        prove.prove(formulas=text.replace(right, wrong))


@needs_coq
def test_each_theorem_is_counted_with_its_own_axioms(tmp_path: Path):
    (tmp_path / "Planted.v").write_text(
        "From Coq Require Import Classical FunctionalExtensionality.\n"
        "Theorem A1_plain : 1 + 1 = 2. Proof. reflexivity. Qed.\n"
        "Theorem A1_middle : forall P, P \\/ ~ P. Proof. exact classic. Qed.\n"
        "Theorem A2_equal (f g : nat -> nat) : (forall n, f n = g n) -> f = g.\n"
        "Proof. apply functional_extensionality. Qed.\n",
        encoding="utf-8",
    )
    prove.build(tmp_path)
    assert prove.assumptions(tmp_path, prove.theorems(tmp_path)) == {
        "A1_plain": [],
        "A1_middle": ["Classical_Prop.classic"],
        "A2_equal": ["FunctionalExtensionality.functional_extensionality_dep"],
    }


@needs_coq
@pytest.mark.slow
def test_enclosed_numbers_are_counted_together_as_they_are_one_by_one(tmp_path: Path):
    (tmp_path / "Planted.v").write_text(
        "From Coq Require Import Reals Lra.\nFrom Interval Require Import Tactic.\nLocal Open Scope R_scope.\n"
        "Theorem A1_number : 3 < PI. Proof. interval. Qed.\n"
        "Theorem A1_other : exp 1 < 3. Proof. interval. Qed.\n"
        "Theorem A1_through : 2 < PI. Proof. pose proof A1_number; lra. Qed.\n"
        "Theorem A2_plain (x : R) : 0 < x -> 0 < x + x. Proof. lra. Qed.\n",
        encoding="utf-8",
    )
    prove.build(tmp_path)
    names = prove.theorems(tmp_path)
    questions = {
        name: f"Print Assumptions Singdiffusion.Planted.{name}." for pairs in names.values() for _, name in pairs
    }
    one_by_one = {name: prove.axioms(text) for name, text in prove.asked(tmp_path, ["Planted"], questions).items()}
    assert prove.assumptions(tmp_path, names) == one_by_one
    assert prove.MACHINE in one_by_one["A1_through"] and prove.MACHINE not in one_by_one["A2_plain"]


@needs_coq
def test_a_planted_constant_in_the_bridge_fails_its_file(tmp_path: Path):
    for name in ("foundation/Base.v", "a/A.v"):
        shutil.copy(formal.FOLDER / name, tmp_path)
    text = ties.definitions()
    right = text[text.index("Definition transition_var") :].split("\n\n")[0]
    wrong = right.replace("^ 2", "^ 3")
    assert right != wrong
    (tmp_path / "Formulas.v").write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises(prove.ProofError, match=r"^A\.v"):
        prove.build(tmp_path)

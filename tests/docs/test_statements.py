"""Every statement of the theory resolves to a page, a claim and a function."""

import ast
import importlib
import re

import pytest

from docs.book.formal import summary, theorem
from docs.book.source import STATEMENT, definitions, naming
from docs.book.statement import claim_module, counted, linked, verdict
from proofs_checks.harness.harness import load_claims
from proofs_checks.harness.proof import formal_statements
from tests.docs.conftest import CELL, DOCS, ROOT
from tests.support.statements import STATEMENTS


def section(statement: str) -> str:
    """The part of a derivation's page between its heading and the next."""
    text = (DOCS / "derivations" / f"{statement[0].lower()}.md").read_text(encoding="utf-8")
    match = re.search(
        rf"^\({statement.lower()}\)=\n(## .*?)(?=^\([a-z][a-z0-9-]*\)=\n|\Z)", text, flags=re.DOTALL | re.MULTILINE
    )
    assert match, f"{statement}: no labelled heading"
    return match[1]


def test_every_statement_has_a_claim():
    assert list(load_claims()) == STATEMENTS


@pytest.mark.parametrize("statement", STATEMENTS)
def test_page_has_all_parts(statement):
    claim, text = load_claims()[statement], section(statement)
    assert text.startswith(f"## {statement} {claim.title}\n")
    for part in (
        f":::{{statement}} {statement}\n",
        "**Proof.**",
        f":::{{formal}} {statement}\n",
        f'check("{statement}")',
        "**Where it stops",
        "drawing(",
    ):
        assert part in text, f"{statement}: {part}"


def refuted(text: str) -> bool:
    """Whether what follows "Where it stops" computes something and asserts it, in cells that are not folded away."""
    cells = CELL.findall(text.partition("**Where it stops")[2])
    asserted = [cell for cell in cells if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell)))]
    return any("drawing(" not in cell for cell in asserted)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_page_refutes_what_an_assumption_is_needed_for(statement):
    text = section(statement)
    assert refuted(text), f"{statement}: no cell asserts that the statement is false without an assumption"
    # B1 and B9 need none, and B2 only in its last part; their cells show what is lost elsewhere
    assert ("No assumption can be dropped" in text) == (statement in ("B1", "B9"))


def test_a_cell_that_only_prints_refutes_nothing():
    page = "```{code-cell}\nassert True\n```\n\n**Where it stops: there.**\n\n```{code-cell}\nprint(1)\n```\n"
    assert not refuted(page)
    assert refuted(page.replace("print(1)", "for k in (1, 2):\n    assert k"))


def test_golden_values_are_computed():
    text = (DOCS / "derivations" / "b.md").read_text(encoding="utf-8")
    assert "## Golden values" in text and "GapRange(" in text
    # no digit of a golden value is typed into any page
    assert not any("0.00970277" in page.read_text(encoding="utf-8") for page in (DOCS / "derivations").glob("*.md"))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_resolves_to_functions(statement):
    actual = naming(statement)
    assert actual, f"{statement}: no function of singtheory or singdiffusion names it"
    computed = [d for d in actual if d.path.startswith("singtheory/")]
    assert computed, f"{statement}: nothing in singtheory computes it"
    module, name = computed[0].name, []
    while not (ROOT / f"{module.replace('.', '/')}.py").exists():
        module, _, last = module.rpartition(".")
        name.insert(0, last)
    of = importlib.import_module(module)
    for part in name:
        of = getattr(of, part)
    assert statement in of.__doc__


@pytest.mark.parametrize("statement", STATEMENTS)
def test_claim_names_page_and_module(statement):
    claim = load_claims()[statement]
    path, anchor = claim.page.split("#")
    assert f"({anchor})=\n" in (ROOT / path).read_text(encoding="utf-8")
    assert claim_module(statement).startswith(f"proofs_checks.claims.{statement[0].lower()}.{statement[0].lower()}")


def test_sources_are_papers_or_the_page():
    """What a reader can open: a paper with its number, or the page itself; no file of ours that is not in the repository."""
    for claim in load_claims().values():
        named = re.search(r"arXiv \d{4}\.\d{5}|doi 10\.", claim.source)
        assert named or claim.source.startswith("derived on its page"), f"{claim.id}: {claim.source}"
        assert ".md" not in claim.source


def test_counts_are_of_the_claims():
    """One sentence for every page, so that no page can contradict another."""
    claims = load_claims().values()
    verdicts = [verdict(claim) for claim in claims]
    assert counted().startswith(f"Of the {len(claims)} claims ")
    assert set(verdicts) == {"proved: formal", "proved: symbolic", "supported"}
    for word in set(verdicts):
        assert f"{verdicts.count(word)} {word}" in counted()
    for page in ("index.md", "open.md", "claims.md"):
        text = re.sub(
            "<!-- claims -->.*<!-- /claims -->", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL
        )
        assert not re.search(r"\b\d+ (of \d+ )?claims|prove every", text), page


def test_ids_in_docstrings_are_statements():
    """Whatever looks like an id is one, or it would be a link to nowhere."""
    unknown = {d.name: set(d.statements) - set(STATEMENTS) for d in definitions()}
    assert not {name: ids for name, ids in unknown.items() if ids}


def test_ids_become_links_outside_of_code():
    line = linked("`B3` and B3, E*x, B99, B3-like (A1 to A5)", {"B3", "A1", "A5"})
    assert line == r"``B3`` and :ref:`B3 <b3>`, E\*x, B99, B3-like (:ref:`A1 <a1>` to :ref:`A5 <a5>`)"
    assert STATEMENT.findall("SD1, B12, A1:, C2/x, xB3") == ["B12", "A1"]


def test_pages_say_what_coq_proves_and_what_not():
    """From the committed records, so that no page can claim more than the record."""
    whole, part = formal_statements()["B1"], formal_statements()["D3"]
    assert summary(whole, {"B.v"}).startswith(
        "**In Coq** all of the statement is proved, for every finite law in every dimension"
    )
    assert part["missing"] in summary(part, {"B.v"}) and "a part of the statement" in summary(part, {"B.v"})
    code, steps = theorem("A3_gap", {"statement": "a < b", "steps": [["lra.", "⊢ a < b", 2]]})
    assert code.astext() == "Theorem A3_gap :\n  a < b."
    assert "a &lt; b" in steps.astext() and "2 goals" in steps.astext()

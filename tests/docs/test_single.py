"""One statement by itself: what it needs from above is found, its page has its parts, and it runs as a script and as a notebook."""

import builtins
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import nbformat
import pytest
import typer
from docutils import nodes

from docs.book import fold, run, single
from docs.book.check import ClaimError, shown
from docs.book.hover import defined, definitions, mark, symbols, underlined
from docs.book.statement import boxed, displayed
from docs.book.statement_pages import listed
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import load_claims, run_claim
from proofs_checks.harness.outcome import at_most
from singtheory import InputError, data
from tests.docs.conftest import DOCS

LABELS = [statement.lower() for statement in load_claims()]


SECTIONS = [label for group in single.GROUPS for label in single.derivation(single.FOLDER / f"{group}.md").sections]


@pytest.mark.parametrize("label", SECTIONS)
def test_nothing_is_missing(label):
    """Every name that a cell reads is bound by a cell before it, in the script and on the page."""
    script = [single.cells(f"```{{code-cell}}\n\n{code}```\n")[0] for code in single.code(label)]
    for cells in (script, single.cells(single.single_page(label))):
        known = set(dir(builtins))
        for cell in cells:
            assert cell.reads - cell.binds <= known
            known |= cell.binds


@pytest.mark.parametrize("label", SECTIONS)
def test_a_page_says_everything_once(label):
    text = single.page_of(label).sections[label]
    page = single.single_page(label)
    for cell in single.cells(text):
        assert page.count(cell.code) == 1


@pytest.mark.parametrize("label", LABELS)
def test_a_page_has_its_parts(label):
    page = single.single_page(label)
    for part in ("proof", "coq", "check", "stops"):
        assert page.count(f"\n({label}-{part})=\n## ") == 1
    assert page.count(f"\n({label})=\n# {label.upper()} ") == 1
    assert [cell.code for cell in single.cells(page)][-len(single.cells(single.page_of(label).sections[label])) :] == [
        cell.code for cell in single.cells(single.page_of(label).sections[label])
    ]


@pytest.mark.parametrize("label", SECTIONS)
def test_a_page_says_what_its_letters_stand_for(label):
    page = single.single_page(label)
    before, _, after = page.partition("<summary>What the letters stand for</summary>\n\n")
    assert after.startswith("$") and "\n\n</details>\n" in after
    assert "**Proof.**" not in before and "## Proof" not in before  # below the box


@pytest.mark.parametrize("claim", load_claims().values(), ids=lambda claim: claim.id)
def test_a_search_for_a_statement_leads_to_its_page(claim):
    """A main entry of the index is above the modules that have the id in their name."""
    entry = next(line for line in single.single_page(claim.id.lower()).splitlines() if line.startswith(":::{index}"))
    assert f" ! {claim.id}, ! " in entry and len(entry.split(", !")) == 2


PAGE = """# T

```{code-cell}
import math
rows = []
unused = 1
```

(a1)=
## A1 First

```{code-cell}
for k in (1, 2):
    rows.append(k)
figure = 0
```

(a2)=
## A2 Second

```{code-cell}
figure = [math.pi * row for row in rows]
```
"""


def test_what_is_needed_is_found_and_no_more(monkeypatch):
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(PAGE))
    first, second = single.needed("a2")
    assert "import math" in first and "rows.append" in second  # a list that is filled counts as changed
    monkeypatch.setattr(
        single, "page_of", lambda label: single.parts(PAGE.replace("for row in rows", "for row in (1,)"))
    )
    assert len(single.needed("a2")) == 1


def test_a_group_lists_its_statements_at_the_old_anchors():
    text = (DOCS / "derivations" / "b.md").read_text(encoding="utf-8")
    page = listed(text)
    assert "{code-cell}" not in page and page.startswith(single.FRONT[:20])
    for label in ("b1", "b10", "golden-values"):
        assert f'<span id="{label}"></span>{{ref}}`' in page and f"\n/statements/{label}\n" in page
    assert len(page) < len(text) / 10


@pytest.mark.parametrize("claim", load_claims().values(), ids=lambda claim: claim.id)
def test_the_box_leads_to_all_that_is_known(claim):
    box = boxed(claim)
    for part in ("Statement.", "Assumptions.", "Verdict.", "Code.", "Claim.", "Source.", "Change a line"):
        assert f"**{part}" in box
    for link in ("proof", "coq", "check", "stops"):
        assert f"<{claim.id.lower()}-{link}>" in box
    assert re.sub(r"[\s$]", "", displayed(claim.statement)) == re.sub(r"[\s$]", "", claim.statement)


def test_long_relations_stand_alone():
    long = r"KL(P\|Q) \le \tfrac{1}{2} g\, tr\, C + \log\det(I + S)"
    assert displayed(f"If $g > 0$: ${long}$, with $S$.") == f"If $g > 0$:\n\n$$\n{long},\n$$\n\nwith $S$.".replace(
        ":\n", ": \n"
    )


def test_a_statement_runs_by_itself(capsys):
    assert run.run("a1") == (len(single.code("a1")), [])
    shown = capsys.readouterr().out
    assert "Claim A1: proved" in shown and "false twin" in shown and "[figure: " in shown


@pytest.mark.parametrize("label", SECTIONS)
def test_cells_know_their_lines(label):
    page = single.page_of(label)
    assert page.path is not None
    lines = page.path.read_text(encoding="utf-8").splitlines()
    for cell in single.runnable(label):
        own = cell.code.splitlines()
        assert lines[cell.line - 1 : cell.line - 1 + len(own)] == own


BROKEN = """# T

```{code-cell}
def halved(x):
    return x / 0
```

(a1)=
## A1 First

```{code-cell}
y = 1

z = halved(
    y
)
```

(a2)=
## A2 Second

```{code-cell}
y = 2
y = = 3
```
"""


def test_a_line_that_is_no_python_is_named(monkeypatch):
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(BROKEN, single.FOLDER / "a.md"))
    with pytest.raises(InputError, match=r"a\.md:24: 'y = = 3' is no Python"):
        run.run("a2")


def test_every_line_that_breaks_is_named_the_statements_own_first(monkeypatch, capsys):
    """Where a cell above breaks too, what the statement itself shows and breaks comes first; a cell that lacks a name because of them is not run."""
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(TWICE, single.FOLDER / "b.md"))
    count, (own, above) = run.run("b2")
    assert count == 5
    assert (own.place, own.code) == ("docs/derivations/b.md:22", "equal( formula.kl_small_gap(g, x), g * x, )")
    assert own.message[0].startswith("StepError: g**2*x/4 is not g*x: refuted")
    assert len(own.functions) == 1 and own.functions[0].startswith(
        "formula.kl_small_gap (singtheory/formula/gaussian_error.py:"
    )
    assert (above.place, above.code) == ("docs/derivations/b.md:13", "half = 1 / 0")
    assert above.message == ("ZeroDivisionError: division by zero",)
    shown = capsys.readouterr().out
    assert "of another statement" not in shown and "of its own" in shown and "NameError" not in shown


TWICE = """# T

```{code-cell}
from docs.book import equal
from singtheory.formula import gaussian_error as formula
```

(b1)=
## B1 First

```{code-cell}
print("of another statement")
half = 1 / 0
```

(b2)=
## B2 Second

```{code-cell}
import sympy
g, x = sympy.symbols("g x", positive=True)
equal(
    formula.kl_small_gap(g, x),
    g * x,
)
```

```{code-cell}
print("of its own")
```

```{code-cell}
print(half)
```
"""


def test_a_name_that_a_later_cell_binds_again_is_there(monkeypatch, capsys):
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(TWICE, single.FOLDER / "b.md"))
    text = "```{code-cell}\nhalf = 1 / 0\n```\n\n```{code-cell}\nhalf = 0.5\n```\n\n```{code-cell}\nprint(half)\n```\n"
    monkeypatch.setattr(single, "needed_cells", lambda label: [])
    monkeypatch.setattr(single, "own_cells", lambda page, label: single.cells(text, path=page.path))
    count, failures = run.run("b2")
    assert count == 3 and len(failures) == 1 and "0.5" in capsys.readouterr().out


def test_a_line_of_a_function_that_a_cell_calls_is_named_where_it_is_called(monkeypatch):
    monkeypatch.setattr(single, "page_of", lambda label: single.parts(BROKEN, single.FOLDER / "a.md"))
    _, (only,) = run.run("a1")
    assert (only.place, only.code) == ("docs/derivations/a.md:14", "z = halved( y )")


def test_a_claim_that_fails_names_its_checks_and_what_they_compare(monkeypatch):
    claim = load_claims()["B10"]
    check = replace(claim.checks[0], run=lambda sides, _: at_most(float(sides["best"] is not None), 0.5, "somewhere"))
    broken = replace(claim, checks=(check,))
    with pytest.raises(ClaimError) as raised:
        shown(run_claim(broken, Context(data.load("digits"), seed=0, error=1e-6)))
    first, last = raised.value.lines
    assert first.startswith(
        f"B10 refuted: {check.scope}; measured 1, must be ≤ 0.5, at somewhere (check: tests/docs/test_single.py:"
    )
    assert last.startswith("compares best: kl_family (singtheory/bound/ladder.py:")


def test_what_a_loop_gives_a_value_first_is_not_needed_from_above():
    (cell,) = single.cells(
        "```{code-cell}\n\nfor k, (a, b) in rows:\n    c = a + k\n    print(c, [d for d in b], e)\n    e = c\n```\n"
    )
    assert cell.reads == {"rows", "e", "print"}


def test_a_terminal_shows_words_and_no_markup():
    table = run.HTML("<p>B9&#39;s bound</p><table><tr><td>a &lt; b</td><td>yes</td></tr></table>")
    assert run._PLAIN[run.HTML](table) == "B9's bound\na < b yes"
    assert run._PLAIN[run.Markdown](run.Markdown("by [C6](#c6) and [all](../x.md)")) == "by C6 and all"


def test_files_are_written_and_bad_input_is_one_line(tmp_path, capsys):
    run.main("B10", tmp_path / "b10.py")
    compile((tmp_path / "b10.py").read_text(encoding="utf-8"), "b10.py", "exec")
    run.main("b10", tmp_path / "b10.ipynb")
    cells = json.loads((tmp_path / "b10.ipynb").read_text(encoding="utf-8"))["cells"]
    assert sum(cell["cell_type"] == "code" for cell in cells) == len(single.code("b10"))
    assert run.notebook("b10") == run.notebook("b10")
    capsys.readouterr()
    for statement, out in (("B99", None), ("B10", tmp_path / "b10.txt")):
        with pytest.raises(typer.Exit) as end:
            run.main(statement, out)
        error = capsys.readouterr().err
        assert end.value.exit_code == 2 and len(error.splitlines()) == 1


@pytest.mark.parametrize("label", SECTIONS)
def test_a_notebook_for_download_is_one(label):
    nbformat.validate(nbformat.reads(run.notebook(label).decode(), as_version=4))


def test_words_of_the_glossary_are_marked_once():
    assert {
        "removable",
        "nats",
        "VP",
        "SNR",
        "gap",
        "ladder",
        "false twin",
        "certificate",
        "posterior",
        "flow",
        "law",
        "shift",
    } <= set(definitions())
    seen: set[str] = set()
    pieces = underlined("A removable one, in nats, and again removable; the law.", seen)
    shown = "".join(piece.astext() for piece in pieces)
    assert shown.count("<abbr") == 2 and "tabindex" in shown
    assert seen == {"removable", "nats"} and not underlined("removable nats", seen)
    assert not underlined("nanonats, removable-ish", set())


def test_words_that_mean_other_things_too_are_marked_where_they_mean_the_glossarys():
    shown = {
        piece.astext().partition(">")[2].partition("<")[0]
        for piece in underlined("49 levels of any law, its spread; a flow.", set())
    }
    assert {"levels", "law", "spread", "flow"} <= shown
    assert not underlined("CLIP scores", {"CLIP"}) and underlined("the score", set())
    assert not underlined("The cosine law shifts at every level of the flow of time in both directions.", set())


def test_symbols_of_the_glossary_are_marked_once_and_in_plain_words():
    seen: set[str] = set()
    words = defined(r"x_t = \alpha_t x_0 + \sigma_t n", seen)
    assert words.startswith(
        "x₀: data: a picture, or its latents; xₜ: noised data, αₜ x₀ + σₜ n; αₜ: how much of the data"
    )
    assert seen == {"x_0", "x_t", r"\alpha_t", r"\sigma_t"} and defined(r"\alpha_s x_0", seen) == ""
    assert (
        defined(r"\operatorname{tr}\Sigma", seen)
        == "Σ: the covariance of the data; tr: the trace, the sum of variances over all dimensions"
    )
    assert not any(set("\\$_^") & set(words) for _, words in symbols().values())
    page = nodes.document(
        None,
        None,
        "",
        nodes.paragraph("", "", nodes.math(text=r"\gamma_t"), nodes.Text(" and "), nodes.math(text=r"\gamma_s")),
    )
    mark(SimpleNamespace(builder=SimpleNamespace(format="html")), page, "tour")
    assert [type(node).__name__ for node in page[0]] == ["raw", "math", "raw", "Text", "math"]


def test_every_word_has_a_definition_of_one_line():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8").partition("```{glossary}\n")[2].partition("```")[0]
    assert len(definitions()) == len(re.findall(r"^\S", text, re.MULTILINE)) > 25


@pytest.mark.parametrize("words", ["grey pictures", "black background", "washed out", "flux", "brightness"])
def test_what_people_search_for_leads_to_a_guide(words):
    """A main entry of the index counts a hundred in the site's search, a title fifteen."""
    pages = [page.stem for page in (DOCS / "guides").glob("*.md") if f"! {words}" in page.read_text(encoding="utf-8")]
    assert pages


def test_long_tables_of_results_are_folded_once():
    table = nodes.table("", nodes.tgroup("", nodes.thead("", nodes.row("", nodes.entry("", nodes.paragraph("", "N"))))))
    table[0] += nodes.tbody("", *[nodes.row() for _ in range(fold.LONG)])
    page = nodes.document(None, None, "", nodes.section("", table))
    app = SimpleNamespace(builder=SimpleNamespace(format="html"))
    fold.fold(app, page, "guides/x")
    assert len(page[0]) == 1
    fold.fold(app, page, "budget")
    assert [type(node).__name__ for node in page[0]] == ["raw", "table", "raw"]
    assert f"Table: N ({fold.LONG} rows)" in page[0][0].astext()
    fold.fold(app, page, "budget")
    assert len(page[0]) == 3

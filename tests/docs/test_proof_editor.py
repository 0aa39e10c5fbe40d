"""Proofs to edit: the package's own files run the steps where neither torch nor the rest of the package is, and a changed sign fails its step and no other."""

import html
import json
import shutil
import subprocess
import sys

import pytest

from docs.interactive.figure import write_page
from docs.proof_editor.contents import own_files, parts
from docs.proof_editor.piece import editor
from docs.proof_editor.steps import usable
from docs.vendored import NpmError, write_parts
from docs.vendored.site import offer
from tests.docs.browser import PHONE, Tab, colours_of, contrast, needs_browser
from tests.docs.conftest import DOCS, SITE, cells

GROUPS = sorted(path.stem for path in (DOCS / "derivations").glob("*.md"))
LEFT_OUT = {"a": 0, "b": 1, "c": 2, "d": 0, "e": 0, "f": 0}
"""How many cells with `equal` each page has that read numbers, such as integrals, and so cannot be run on symbols alone."""
ALONE = """
import importlib.util, json, sys
from pathlib import Path
sys.meta_path = [one for one in sys.meta_path if "editable" not in repr(one).lower()]
sys.path = [path for path in sys.path if path and not (Path(path) / "singtheory").is_dir()]
root = Path(sys.argv[1])
sys.path.insert(0, str(root))
import steps
steps.install(root)
cells, texts = json.loads(sys.stdin.read())
known = steps.usable(cells, steps.importable)
found = [list(ran) for ran in steps.run(cells, {int(number): text for number, text in texts.items()})]
torch = getattr(sys.modules.get("torch"), "__file__", None)
print("\\n" + json.dumps([[cell.step for cell in known], found, torch]))
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with the files that the page loads, and no others."""
    folder = tmp_path_factory.mktemp("shipped")
    for name, path in own_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def alone(shipped, page, texts):
    """Which cells are steps, and how the steps went, in a process that has these files and sympy."""
    sent = json.dumps([cells(DOCS / "derivations" / f"{page}.md"), texts])
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(shipped)], input=sent, capture_output=True, text=True, check=True, cwd=shipped
    )
    steps, actual, torch = json.loads(done.stdout.splitlines()[-1])
    assert torch is None
    return steps, actual


@pytest.mark.parametrize("page", ["a", "f", *(pytest.param(one, marks=pytest.mark.slow) for one in "bcde")])
def test_the_steps_of_every_page_hold(shipped, page):
    assert set(LEFT_OUT) == set(GROUPS)
    steps, actual = alone(shipped, page, {})
    assert [words for _, holds, words in actual if not holds] == []
    assert [cell for cell, *_ in actual] == [k for k, step in enumerate(steps) if step]
    compared = sum("equal(" in cell for cell in cells(DOCS / "derivations" / f"{page}.md"))
    assert len(actual) == compared - LEFT_OUT[page]


def test_a_changed_sign_fails_its_step_alone(shipped):
    arguments = cells(DOCS / "derivations" / "a.md")
    number = next(k for k, cell in enumerate(arguments) if r"\frac{b^2}{c^2}" in cell)
    changed = arguments[number].replace("b**2 / var", "-(b**2) / var")
    _, actual = alone(shipped, "a", {number: changed})
    ((cell, _, words),) = [one for one in actual if not one[1]]
    assert cell == number and "refuted" in words


def test_a_changed_formula_fails_the_steps_that_use_it(shipped, tmp_path):
    folder = shutil.copytree(shipped, tmp_path / "changed")
    kernels = folder / "singtheory" / "formula" / "transitions.py"
    text = kernels.read_text("utf-8")
    assert "sigma_t**2 - " in text
    kernels.write_text(text.replace("sigma_t**2 - ", "sigma_t**2 + "), "utf-8")
    _, actual = alone(folder, "a", {})
    assert sum(not holds for _, holds, _ in actual) > 3


def test_words_that_are_no_python_fail_their_step(shipped):
    _, actual = alone(shipped, "a", {1: "equal(1, 1"})
    ((cell, _, words),) = [one for one in actual if not one[1]]
    assert cell == 1 and words.startswith("SyntaxError")


def test_what_reads_what_is_absent_is_left_out():
    page = [
        "import math\nimport torch\nfrom docs.book import equal\nsizes = torch.zeros(3)\none = math.sqrt(1)",
        "equal(one, 1)",
        "equal(float(sizes.sum()), 0)",
        "def double(x):\n    twice = 2 * x\n    return twice\nequal(double(one), 2)",
        "one = sizes",
        "equal(one, 1)",
    ]
    actual = usable(page, lambda module, name: module == "math")
    assert [cell.step for cell in actual] == [False, True, False, True, False, False]
    assert actual[0].code == "import math\none = math.sqrt(1)"


def test_the_editor_stands_above_the_proof_of_statements_that_have_cells():
    """The page of a group has none: its statements have pages of their own."""
    cell = '<div class="cell_input"></div><p>text</p>'
    for page, body, there in (
        ("statements/a1", cell, True),
        ("statements/golden-values", "<p>text</p>", False),
        ("derivations/a", "<p>text</p>", False),
        ("guides/diagnose", cell, False),
    ):
        context = {"body": f"<h1>Title</h1>{body}"}
        offer(None, page, "page.html", context, None)  # type: ignore[arg-type]
        assert context["body"].startswith("<h1>Title</h1>") and context["body"].endswith("<p>text</p>")
        assert ('"../_parts/"' in context["body"]) == there
    context = {"body": f"<h1>Title</h1><div>box</div><section>{cell}</section>"}
    offer(None, "statements/a1", "page.html", context, None)  # type: ignore[arg-type]
    head, _, proof = context["body"].partition("../_parts/")
    assert head.startswith("<h1>Title</h1><div>box</div>") and "<section>" in proof


def page_of(folder, name):
    """A derivation's code under its headings, as the site sets it, with the editor."""
    text = (DOCS / "derivations" / f"{name}.md").read_text("utf-8")
    sections = []
    for section in text.split("\n## "):
        path = folder / "section.md"
        path.write_text(section, "utf-8")
        inputs = [
            f'<div class="cell_input"><div class="highlight"><pre>{html.escape(cell)}</pre></div></div>'
            for cell in cells(path)
        ]
        heading = section.splitlines()[0] if sections else "Group"
        sections.append(f"<section><h2>{html.escape(heading)}</h2>{''.join(inputs)}</section>")
    write_page(folder / f"{name}.html", "Proofs", editor("parts/") + "".join(sections))
    return folder / f"{name}.html"


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_says_what_it_lacks_and_is_readable_on_a_phone(browser, tmp_path, scheme):
    with Tab(browser, page_of(tmp_path, "a"), PHONE, scheme) as page:
        page.tab.get_by_role("button", name="Edit and run the proofs").click()
        page.tab.get_by_text("made without npm").wait_for()
        for selector in ("p", "button"):
            for ink, paper in colours_of(page.tab, f"#editor {selector}"):
                assert contrast(ink, paper) >= 4.5
        assert page.tab.evaluate("document.querySelector('#editor').scrollWidth") <= PHONE["width"]
        assert all(address.startswith("file:") for address in page.asked)


@pytest.mark.slow
@needs_browser
def test_a_changed_sign_fails_in_the_browser(browser, tmp_path):
    try:
        write_parts(tmp_path / "parts", parts())
    except NpmError as error:
        pytest.skip(str(error))
    with Tab(browser, page_of(tmp_path, "a")) as page:
        assert len(page.asked) == 1  # nothing loads before it is asked for
        page.tab.get_by_role("button", name="Edit and run the proofs").click()
        assert ran(page).startswith("All 12 steps hold")
        cell = page.tab.get_by_label("A1, cell 1", exact=True)
        cell.fill(cell.input_value().replace("equal(\n    ", "equal(\n    -"))
        page.tab.get_by_role("button", name="Run all steps", exact=True).click()
        assert ran(page) == "1 of 12 steps fails: A1, cell 1."
        assert "refuted" in page.tab.inner_text(".result.failed")
        page.tab.get_by_label("A1, cell 1 as it was").click()
        page.tab.get_by_text("The formulas that the steps use").click()
        page.tab.get_by_label("File").select_option("transitions.py")
        formulas = page.tab.get_by_label("Formulas of that module", exact=True)
        page.tab.wait_for_function("document.querySelector('#editor textarea').value")
        formulas.fill(formulas.input_value().replace("sigma_t**2 - ", "sigma_t**2 + "))
        page.tab.get_by_role("button", name="Run all steps", exact=True).click()
        assert " of 12 steps fail: " in ran(page)
        for selector in ("p", "button", "textarea", "output", "select"):
            for ink, paper in colours_of(page.tab, f":is(#editor, .editing) {selector}"):
                assert contrast(ink, paper) >= 4.5
        assert page.complaints == []
        assert all(address.startswith(("file:", "blob:")) for address in page.asked)


def ran(page):
    """What is said once a run is over."""
    page.tab.wait_for_function("document.querySelector('#editor button').textContent === 'Stop'")
    page.tab.wait_for_function(
        "document.querySelector('#editor button').textContent === 'Run all steps'", timeout=600_000
    )
    return page.tab.inner_text("#editor .told").strip()


@pytest.mark.slow
@needs_browser
def test_it_runs_in_the_built_site(browser):
    if not (SITE / "_parts" / "proofs.js").exists():
        pytest.skip("no site with its parts; build it where npm can be reached with: make docs")
    with Tab(browser, SITE / "statements" / "a1.html") as page:
        page.tab.get_by_role("button", name="Edit and run the proofs").click()
        assert ran(page).startswith("All 2 steps hold")
        assert page.complaints == [] and all(address.startswith(("file:", "blob:")) for address in page.asked)

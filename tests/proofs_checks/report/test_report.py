"""The report: complete, standing alone, loud about failures, whole or not written."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from proofs_checks.harness.claim import Check, Claim, Outcome
from proofs_checks.harness.harness import load_claims, run_claim
from proofs_checks.report.figure import Drawn, Picture, new_figure
from proofs_checks.report.report import humane, write_report
from proofs_checks.report.typeset import typeset
from proofs_checks.terminal import console
from singtheory import InputError
from singtheory.system import files

META = {
    "version": "0.1.0",
    "seed": 0,
    "command": "singtheory verify",
    "device": "a CPU",
    "confidence": 1 - 1e-6,
    "data": {"name": "<digits>", "points": 1797, "dim": 64},
    "brightness": None,
}


def a_picture() -> Picture:
    figure = new_figure(2)
    figure.subplots().plot([0, 1], [1, 0])
    return Picture("line", "A line", "It falls.", "a falling line", figure)


def drawn() -> Drawn:
    return a_picture().drawn()


@pytest.fixture(scope="module")
def results(context):
    claims = load_claims()
    return [run_claim(claims[id], context) for id in ("A1", "A3", "C4")]


@pytest.fixture(scope="module")
def context():
    from proofs_checks.harness.context import Context
    from singtheory.data import sources

    return Context(sources.load("digits"), 0, 1e-7)


class Structure(HTMLParser):
    """Collects tags, their nesting and their addresses."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page: str) -> Structure:
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    return structure


def written(results, pictures, folder) -> str:
    return write_report(results, pictures, META, folder).read_text(encoding="utf-8")


def test_each_claim_names_its_derivation(results, tmp_path):
    page = written(results, [], tmp_path)
    for name in ("docs/derivations/a.md#a1", "docs/derivations/a.md#a3", "docs/derivations/c.md#c4"):
        assert page.count(f"<code>{name}</code>") == 1


def test_page_is_complete_and_stands_alone(results, tmp_path):
    page = written(results, [drawn()], tmp_path / "new")
    structure = parsed(page)
    assert structure.tags.count("script") == 1 and "<script>" in page and "link" not in structure.tags
    site = [f"../docs/_build/html/statements/{result.claim.id.lower()}.html" for result in results]
    outside = [a for a in structure.addresses if not a.startswith(("#", "data:image/svg+xml;base64,"))]
    assert [address for address in outside if address in site] == site
    outside = [address for address in outside if address not in site]
    assert outside == ["https://arxiv.org/abs/2403.08381"]
    assert "&lt;digits&gt;" in page and "<digits>" not in page
    assert 'alt="a falling line"' in page and "It falls." in page
    for result in results:
        assert f'id="{result.claim.id}"' in page and f'href="#{result.claim.id}"' in page
        assert page.count("NOT\u00a0REFUTED") == 0
    assert structure.tags.count("math") > 10
    assert "No check failed, and every twin was refuted." in page


def test_the_list_can_be_filtered_and_sorted(results, tmp_path):
    """By what the script reads: the verdict, the methods and the numbers as they were computed."""
    page = written(results, [], tmp_path)
    for result in results:
        row = page.partition(f'data-claim="{result.claim.id}"')[2].partition("</tr>")[0]
        assert f'data-verdict="{result.stated}"' in row
        assert {item.check.method for item in result.checks} <= set(
            re.findall(r'data-methods="([^"]*)"', row)[0].split()
        )
        assert f'data-value="{console.tightest(result).outcome.margin}"' in row
        assert f"<option>{result.stated}</option>" in page
    assert 'id="tools" hidden' in page and "<noscript>" in page  # without scripts everything is shown
    assert '[data-theme="dark"]' in page and "@media print" in page


def test_names_with_controls_and_strange_letters_are_shown(results, tmp_path):
    name = "\x1b[31m\u202e<b>漢$x_{\udcff"
    picture = a_picture()
    picture.figure.axes[0].set_title(name, parse_math=False)
    meta = {**META, "data": {**META["data"], "name": name}}
    write_report(results, [picture.drawn()], meta, tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "\x1b" not in page and "\u202e" not in page
    assert r"\x1b[31m\u202e&lt;b&gt;漢$x_{\udcff" in page
    assert picture.png().startswith(b"\x89PNG")


def test_failures_cannot_be_missed(results, tmp_path):
    refuted = dataclasses.replace(results[0].checks[0], outcome=Outcome("refuted", 2.0, 1.0, -1.0, "<b>planted</b>"))
    standing = dataclasses.replace(results[0].twins[0], outcome=Outcome("supported", 1.0, 2.0, 0.5, "planted"))
    broken = dataclasses.replace(results[0], verdict="refuted", checks=(refuted,), twins=(standing,))
    page = written([broken, *results[1:]], [], tmp_path)
    assert f"1 of the {len(results)} claims does not hold" in page
    assert 'role="alert"' in page
    assert "NOT\u00a0REFUTED" in page
    assert "failed-claim" in page.split('id="A1"')[0][-80:]
    assert "<b>planted" not in page


def test_same_run_same_bytes(results, tmp_path):
    assert written(results, [drawn()], tmp_path / "a") == written(results, [drawn()], tmp_path / "b")


def test_a_failing_page_leaves_the_old_one(results, tmp_path):
    old = written(results, [], tmp_path)
    claim = dataclasses.replace(results[0].claim, statement="an odd $ sign")
    with pytest.raises(ValueError, match="odd number of dollar signs"):
        write_report([dataclasses.replace(results[0], claim=claim)], [], META, tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == old


def test_unwritable_folder(results, tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(results, [], META, tmp_path / "report")
    with pytest.raises(InputError, match="cannot be written"):
        files.check_folder(tmp_path / "report")


def test_every_claim_is_typeset(context):
    for claim in load_claims().values():
        prose = [claim.statement, claim.source, claim.assumptions, claim.derivation, *claim.false_twins]
        for text in [*prose, *(check.scope for check in claim.checks)]:
            page = typeset(text)
            # a formula may be several pieces between which a line may break
            assert len(re.findall(r"(?<!<wbr>)<math", page)) == text.count("$") // 2
            assert not re.search(r"\\[a-zA-Z]", page), (claim.id, text)


def test_typeset_escapes_prose():
    assert typeset("a < b & $x_t$").startswith("a &lt; b &amp; <math")
    with pytest.raises(ValueError, match="odd"):
        typeset("costs 5 $")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (float("inf"), "∞"), (0.0, "0"), (-1.5, "−1.5"), (0.123456, "0.1235")],
)
def test_humane_numbers(value, shown):
    assert humane(value) == shown


def test_humane_powers_of_ten():
    assert humane(-1.2346e-7) == "−1.235\u202f×\u202f10<sup>−7</sup>"
    assert humane(1e-6) == "10<sup>−6</sup>"
    assert humane(-1e6) == "−10<sup>6</sup>"


def test_picture_is_drawn_the_same_way_each_time():
    one, two = a_picture(), a_picture()
    assert one.svg() == two.svg()
    assert one.png() == two.png()
    assert one.png().startswith(b"\x89PNG") and len(one.png()) > 2000


def test_claim_type_is_what_the_page_expects():
    """The page reads these fields by name; a renamed one must fail here, not in a user's run."""
    assert {"id", "title", "statement", "source", "assumptions", "derivation"} <= set(Claim.__dataclass_fields__)
    assert {"method", "scope"} <= set(Check.__dataclass_fields__)

"""The report in a browser: search, filters, sorting, colours, and what is printed."""

import pytest

from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import load_claims, run_claim
from proofs_checks.report.report import write_report
from singtheory import data
from tests.docs.browser import PHONE, Tab, contrast, needs_browser
from tests.proofs_checks.report.test_report import META, drawn

pytestmark = [pytest.mark.slow, needs_browser]

IDS = ("A1", "A3", "B1", "C4")
SHOWN = "() => [...document.querySelectorAll('#list tbody tr')].filter(row => row.checkVisibility()).map(row => row.dataset.claim)"
SECTIONS = (
    "() => [...document.querySelectorAll('section.claim')].filter(one => one.checkVisibility()).map(one => one.id)"
)
VALUES = "column => [...document.querySelectorAll('#list tbody tr')].map(row => row.cells[column].dataset.value ?? row.cells[column].textContent)"
PAINT = "() => { const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]; }"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    context = Context(data.load("digits"), 0, 1e-7)
    results = [run_claim(load_claims()[id], context) for id in IDS]
    return write_report(results, [drawn()], META, tmp_path_factory.mktemp("report"))


@pytest.fixture
def opened(browser, report):
    with Tab(browser, report) as tab:
        yield tab.tab
        assert tab.complaints == []


def colours(tab):
    return [[int(part) for part in one.strip("rgb()").split(",")] for one in tab.evaluate(PAINT)]


def test_search_leaves_the_claims_that_have_all_words(opened):
    assert opened.evaluate(SHOWN) == list(IDS)
    title = load_claims()["A3"].title
    opened.fill("[name=words]", f"{title} a3")
    assert opened.evaluate(SHOWN) == opened.evaluate(SECTIONS) == ["A3"]
    assert opened.inner_text("#tools output") == f"1 of {len(IDS)} claims"
    opened.fill("[name=words]", "no claim says this")
    assert opened.evaluate(SHOWN) == []
    opened.fill("[name=words]", "")
    assert opened.evaluate(SHOWN) == list(IDS)


def test_filters_agree_with_the_rows(opened):
    for name, attribute in (("verdict", "verdict"), ("method", "methods")):
        for option in opened.eval_on_selector_all(f"[name={name}] option", "all => all.map(one => one.value)"):
            opened.select_option(f"[name={name}]", option)
            rows = opened.eval_on_selector_all(
                "#list tbody tr", f"all => all.map(row => [row.dataset.claim, row.dataset.{attribute}])"
            )
            fits = [
                claim
                for claim, value in rows
                if not option or option == value or (name == "method" and option in value.split())
            ]
            assert opened.evaluate(SHOWN) == fits and fits
    opened.select_option("[name=method]", "")


def test_each_column_sorts_both_ways(opened):
    heads = opened.locator("#list thead th button")
    assert heads.count() == 9
    for column in range(heads.count()):
        heads.nth(column).click()
        up = opened.evaluate(VALUES, column)
        assert heads.nth(column).locator("..").get_attribute("aria-sort") == "ascending"
        heads.nth(column).click()
        down = opened.evaluate(VALUES, column)
        assert sorted(up) == sorted(down) and (up[0], up[-1]) == (down[-1], down[0])
        numbers = [float(one) for one in up if one.replace(".", "", 1).isdigit()]
        assert numbers == sorted(numbers)
    heads.first.click()
    assert opened.evaluate(SHOWN) == list(IDS)


def test_every_number_has_a_direction(opened):
    """An arrow, or a neighbour that says on which side of which number it must lie."""
    heads = opened.eval_on_selector_all("th.n", "all => all.map(head => head.textContent)")
    assert heads
    for name in heads:
        assert name.endswith(("↑", "↓", "→ 1")) or name in {"measured", "must be", "twin says"}, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_the_choice_and_paper_is_white(browser, report, scheme):
    with Tab(browser, report, PHONE, scheme) as tab:
        ink, paper = colours(tab.tab)
        assert (sum(paper) > 600) == (scheme == "light") and contrast(ink, paper) > 7
        for choice in ("dark", "light"):
            tab.tab.select_option("[name=theme]", choice)
            ink, paper = colours(tab.tab)
            assert (sum(paper) > 600) == (choice == "light") and contrast(ink, paper) > 7
        tab.tab.select_option("[name=theme]", "dark")
        tab.tab.emulate_media(media="print")
        assert colours(tab.tab) == [[0, 0, 0], [255, 255, 255]]
        assert not tab.tab.is_visible("#tools")
        assert tab.tab.evaluate(
            "() => [...document.querySelectorAll('details .statement')].every(one => one.getBoundingClientRect().height > 0)"
        )


def test_without_scripts_all_is_shown_and_dark_is_printed_black_on_white(browser, report):
    context = browser.new_context(java_script_enabled=False, color_scheme="dark")
    tab = context.new_page()
    tab.goto(report.as_uri())
    assert not tab.is_visible("#tools") and tab.locator("section.claim:visible").count() == len(IDS)
    pdf = tab.pdf()
    assert pdf.startswith(b"%PDF") and len(pdf) > 10_000
    tab.emulate_media(media="print")
    assert tab.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
    context.close()

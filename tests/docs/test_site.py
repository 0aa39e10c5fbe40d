"""Every page of the site that `make docs` built, in a browser: it complains of nothing, fits a phone and a desk, can be read, is light and not too long."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.browser import PHONE, Tab, contrast, needs_browser
from tests.docs.conftest import SITE

pytestmark = [pytest.mark.slow, needs_browser]

NARROW = PHONE | {"width": 400}
HEAVY = {"interactive/laboratory.html"}
"""Pages that hold a network."""
MOST_BYTES = 1_500_000
TALLEST = 15_000
"""Pixels of a page at 1,280 wide; the indices are lists to search in and may be longer."""
LISTS = {"genindex.html", "py-modindex.html"}
LEAST_CONTRAST = 4.5

TEXTS = """() => {
    const numbers = colour => { const [r, g, b, a = 1] = colour.match(/[0-9.]+/g).map(Number); return [r, g, b, a]; };
    const over = (top, under) => under.slice(0, 3).map((part, k) => top[3] * top[k] + (1 - top[3]) * part);
    const screen = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
    const paperOf = one => {
        const layers = [];
        for (let under = one; under; under = under.parentElement) {
            layers.push(numbers(getComputedStyle(under).backgroundColor));
            if (layers.at(-1)[3] === 1) break;
        }
        return layers.reduceRight((paper, layer) => over(layer, paper), screen);
    };
    const seen = [];
    for (const one of document.querySelectorAll("body *")) {
        if (one.closest("svg, math, script, style, template, noscript, iframe, [hidden], .headerlink, [aria-disabled=true]")) continue;
        if (![...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
        if (!one.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
        const paper = paperOf(one);
        seen.push([over(numbers(getComputedStyle(one).color), paper), paper, one.textContent.trim().slice(0, 40)]);
    }
    return seen;
}"""
"""Colour, paper, with what shines through it, and words of every element that shows text of its own; pictures and formulas are left to their own tests."""


def pages():
    return sorted(SITE.rglob("*.html")) if SITE.exists() else []


@pytest.mark.parametrize("page", pages() or [None], ids=lambda page: page and page.relative_to(SITE).as_posix())
def test_a_page_is_light_fits_a_phone_and_can_be_read(browser, page):
    if page is None:
        pytest.skip("no site; build it with: make docs")
    for scheme in ("light", "dark"):
        with Tab(browser, page, NARROW, scheme) as opened:
            opened.tab.wait_for_load_state("load")
            assert opened.complaints == []
            assert opened.tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
            faint = {
                (words, round(contrast(colour, paper), 2))
                for colour, paper, words in opened.tab.evaluate(TEXTS)
                if contrast(colour, paper) < LEAST_CONTRAST
            }
            assert not faint
            assert page.relative_to(SITE).as_posix() in HEAVY or weight(opened.asked) <= MOST_BYTES


@pytest.mark.parametrize("page", pages() or [None], ids=lambda page: page and page.relative_to(SITE).as_posix())
def test_a_page_is_not_too_long_and_fits_a_desk(browser, page):
    if page is None:
        pytest.skip("no site; build it with: make docs")
    name = page.relative_to(SITE).as_posix()
    with Tab(browser, page, {"width": 1280, "height": 900}) as opened:
        opened.tab.wait_for_load_state("load")
        assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 1280
        if name not in LISTS and not name.startswith("_modules/"):
            assert opened.tab.evaluate("document.documentElement.scrollHeight") <= TALLEST


def weight(addresses):
    """Bytes of the files that a page asked for, each once."""
    files = {Path(unquote(urlsplit(one).path)) for one in addresses if one.startswith("file:")}
    return sum(file.stat().st_size for file in files if file.is_file())

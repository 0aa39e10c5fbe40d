"""Every page of the site that `make docs` built, in a browser: it complains of nothing, fits a phone, can be read and is light."""

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
LEAST_CONTRAST = 4.5

TEXTS = """() => {
    const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
    const clear = colour => numbers(colour)[3] === 0;
    const seen = [];
    for (const one of document.querySelectorAll("body *")) {
        if (one.closest("svg, math, script, style, template, noscript, iframe, [hidden], .headerlink, [aria-disabled=true]")) continue;
        if (![...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
        const style = getComputedStyle(one);
        if (!one.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
        let under = one;
        while (under && clear(getComputedStyle(under).backgroundColor)) under = under.parentElement;
        const paper = under ? getComputedStyle(under).backgroundColor : "rgb(255, 255, 255)";
        seen.push([numbers(style.color).slice(0, 3), numbers(paper).slice(0, 3), one.textContent.trim().slice(0, 40)]);
    }
    return seen;
}"""
"""Colour, paper and words of every element that shows text of its own; pictures and formulas are left to their own tests."""


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


def weight(addresses):
    """Bytes of the files that a page asked for, each once."""
    files = {Path(unquote(urlsplit(one).path)) for one in addresses if one.startswith("file:")}
    return sum(file.stat().st_size for file in files if file.is_file())

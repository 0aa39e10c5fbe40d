"""The search of the site that `make docs` built, in a browser: what people ask leads to guides first, and an id to its statement."""

from urllib.parse import quote

import pytest

from tests.docs.browser import Tab, needs_browser
from tests.docs.conftest import SITE

pytestmark = [pytest.mark.slow, needs_browser]


class Address:
    """A page of the site with a query."""

    def __init__(self, words):
        self.words = words

    def as_uri(self):
        """As `Path.as_uri`."""
        return f"{(SITE / 'search.html').as_uri()}?q={quote(self.words)}"


def results(browser, words):
    """The pages in the order in which they are shown, relative to the site."""
    if not SITE.exists():
        pytest.skip("no site; build it with: make docs")
    with Tab(browser, Address(words)) as opened:
        opened.tab.wait_for_selector("#search-results ul.search li a")
        opened.tab.wait_for_function(
            "document.querySelector('#search-results p.search-summary').textContent.includes('ound')"
        )
        pages = opened.tab.eval_on_selector_all("#search-results ul.search li > a", "all => all.map(one => one.href)")
        assert opened.complaints == []
    return [page.removeprefix(f"{SITE.as_uri()}/") for page in pages]


@pytest.mark.parametrize(
    "words", ["grey pictures", "black background", "washed out", "flux", "brightness", "gray", "sd3", "low contrast"]
)
def test_what_people_ask_leads_to_guides_first(browser, words):
    assert results(browser, words)[0].startswith("guides/")


@pytest.mark.parametrize("statement", ["B10", "C7", "F1"])
def test_an_id_leads_to_its_statement_first(browser, statement):
    assert results(browser, statement)[0].startswith(f"statements/{statement.lower()}.html")

"""Tables between markers of a page."""

import pytest

from proofs_checks.report.generated_tables import with_tables
from singtheory import InputError


def test_tables_replace_the_old_ones():
    page = "a\n<!-- digits -->\nold\n<!-- /digits -->\nb"
    assert with_tables(page, {"digits": "new"}) == "a\n<!-- digits -->\nnew\n<!-- /digits -->\nb"
    with pytest.raises(InputError, match="needs one line <!-- bumps -->"):
        with_tables(page, {"bumps": "new"})

"""`python -m tests.benchmarks.first_picture --out FILE`: how long the laboratory of a site that was built takes for its first picture.

Each time a browser that holds nothing opens the page from its file and presses *Draw* with the choices that the page begins with; the seconds are the page's own.
They include loading the model. The load of the machine is noted before each, for whatever else runs takes a share of its processors.
"""

import os
import re
from pathlib import Path
from typing import Any

from singtheory.system import write_json
from tests.benchmarks.origin import origin
from tests.docs.browser import Tab, chromium
from tests.docs.conftest import SITE
from tests.support.out_file import asked

RESULT = Path(__file__).parent / "first_picture.json"
PAGE = SITE / "interactive" / "laboratory.html"
TIMES = 3
SAID = re.compile(r"The first picture took ([\d.]+) s, all (\d+) ([\d.]+) s")


def once() -> dict[str, float]:
    """Seconds to the first and to all pictures, how many these are, and the load before."""
    load = os.getloadavg()[0]
    with chromium() as browser, Tab(browser, PAGE) as page:
        page.tab.get_by_role("button", name="Draw").click()
        page.tab.wait_for_selector("#laboratory button:not([disabled])", timeout=600_000)
        words = SAID.search(page.tab.inner_text(".told"))
        assert words and page.complaints == []
        return {"load": load, "first picture, s": float(words[1]), "all, s": float(words[3]), "pictures": int(words[2])}


def main() -> None:
    """On the CPU, in Chromium. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    drawn = [once() for _ in range(TIMES)]
    result: dict[str, Any] = origin("tests.benchmarks.first_picture", "cpu", libraries=("playwright",))
    result |= {"processors": os.cpu_count(), "rows": drawn}
    write_json(out, result)
    print(*drawn, sep="\n")


if __name__ == "__main__":
    main()

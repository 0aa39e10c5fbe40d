"""A missing result and a failing claim fail the build, and say why: tried on a small site with the site's own settings."""

import html
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from docs.book import equal, result
from docs.book.check import ClaimError, shown
from docs.book.result import ResultError
from docs.book.step import StepError
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import load_claims, run_claim
from singtheory.data import sources
from tests.docs.conftest import ROOT

HEAD = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# A page\n\n```{code-cell}\n"
PLANTED = """
from dataclasses import replace

from docs.book import check
from proofs_checks.claim import REGISTRY
from proofs_checks.harness.harness import load_claims

claim = load_claims()["A3"]
twin = next(iter(claim.false_twins.values()))
REGISTRY["A3"] = replace(claim, sides={**claim.sides, **twin})
check("A3")
"""
MISSING = """
from docs.book import result

result("tests/benchmarks/not_there.json", "python -m tests.benchmarks.not_there")
"""


def test_missing_result_names_file_and_command(elsewhere):
    assert result("tests/mutation.json", "python -m tests.mutation --out FILE")["seed"]
    with pytest.raises(ResultError, match=r"nothing\.json: missing or damaged; make it with: make nothing"):
        result("nothing.json", "make nothing")


def test_wrong_step_is_refused(capsys):
    import sympy

    x = sympy.Symbol("x", positive=True)
    equal((x + 1) ** 2, x**2 + 2 * x + 1)
    with pytest.raises(StepError, match="refuted"):
        equal((x + 1) ** 2, x**2 + 1)


def test_failing_claim_is_shown_and_stops_the_page(capsys):
    claim = load_claims()["A3"]
    planted = replace(claim, sides={**claim.sides, **next(iter(claim.false_twins.values()))})
    with pytest.raises(ClaimError, match="A3 refuted"):
        shown(run_claim(planted, Context(sources.load("digits"), seed=0, error=1e-6)))
    assert "HTML object" in capsys.readouterr().out  # the table came before the error


def test_surviving_twin_is_named():
    claim = load_claims()["A3"]
    tame = replace(claim, false_twins={"the truth itself": claim.sides, **claim.false_twins})
    with pytest.raises(ClaimError, match="A3 false twin not refuted: the truth itself"):
        shown(run_claim(tame, Context(sources.load("digits"), seed=0, error=1e-6)))


@pytest.mark.slow
def test_build_fails_and_shows_why(tmp_path):
    site, out = tmp_path / "site", tmp_path / "out"
    site.mkdir()
    (site / "index.md").write_text("# Site\n\n```{toctree}\nplanted\nmissing\n```\n", encoding="utf-8")
    (site / "planted.md").write_text(f"{HEAD}{PLANTED}```\n", encoding="utf-8")
    (site / "missing.md").write_text(f"{HEAD}{MISSING}```\n", encoding="utf-8")
    own = (
        (ROOT / "docs" / "conf.py")
        .read_text(encoding="utf-8")
        .replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})")
    )
    (site / "conf.py").write_text(
        f"{own}\nhtml_static_path = []\nbibtex_bibfiles = []\nautosummary_generate = False\n", encoding="utf-8"
    )
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", str(site), str(out)], capture_output=True, text=True, cwd=tmp_path
    )
    assert built.returncode == 1, built.stderr
    assert (
        "tests/benchmarks/not_there.json: missing or damaged; make it with: python -m tests.benchmarks.not_there"
        in built.stderr
    )
    planted, missing = ((out / name).read_text(encoding="utf-8") for name in ("planted.html", "missing.html"))
    assert "ClaimError: A3 refuted" in text_of(planted) and '<tr class="failed">' in planted
    assert "ResultError: tests/benchmarks/not_there.json" in text_of(missing)


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", page))

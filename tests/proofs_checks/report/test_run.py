"""A report has the pictures of the claims that were run, and does not wait for others."""

from types import SimpleNamespace

import pytest

from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import load_claims
from proofs_checks.report import run
from singtheory import data
from singtheory.data import Data

ALL = ["brightness", "least", "ladder", "grid", "limits", "thumbnails", "counterexamples"]


@pytest.mark.parametrize(
    ("claims", "images", "expected"),
    [
        (["B10"], True, ["least", "ladder"]),
        (["A1"], True, []),
        (["C7"], True, ["brightness"]),
        (["C3"], True, ["limits", "thumbnails", "counterexamples"]),
        (["D1"], False, ["limits"]),
        ([], True, []),
        (list(load_claims()), True, ALL),
    ],
)
def test_pictures_are_those_of_the_claims(tmp_path, monkeypatch, claims, images, expected):
    written = {}
    monkeypatch.setattr(run, "_picture", lambda name, *_: name)
    monkeypatch.setattr(run, "measure", lambda *_: pytest.fail("not asked for"))
    monkeypatch.setattr(run, "_quick", lambda *_: {"rows": []})
    monkeypatch.setattr(run, "write_report", lambda _, pictures, meta, *__: written.update(meta, pictures=pictures))
    digits = data.load("digits")
    context = Context(digits if images else Data(digits.law, "points", None), seed=0, error=1e-6)
    results = [SimpleNamespace(claim=SimpleNamespace(id=claim)) for claim in claims]
    run.run_report(results, context, {"seed": 0}, tmp_path / "report")
    assert written["pictures"] == expected
    assert ("brightness" in written) == ("few_steps" in written) == ("brightness" in expected)
    assert (written["left_out"] == 0) == (claims == list(load_claims()))


def test_every_statement_of_a_picture_is_a_claim():
    assert set(ALL) == set(run.ABOUT)
    assert set().union(*run.ABOUT.values()) <= set(load_claims())

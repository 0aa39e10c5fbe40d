"""The parts of a report: those of the claims that were run; each can be sent to another process, says how many steps it takes, and fails without taking the others with it."""

import pickle
from types import SimpleNamespace

import pytest

from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import load_claims
from proofs_checks.harness.part import made
from proofs_checks.report import brightness, run
from proofs_checks.report.run import report_parts, run_report
from singtheory.data import Data, sources
from singtheory.errors import InputError
from tests.proofs_checks.report.test_report import META, drawn

ALL = [
    "quick brightness",
    "few steps",
    "brightness",
    "least",
    "ladder",
    "grid",
    "limits",
    "thumbnails",
    "counterexamples",
]
FAST = ("few steps", "brightness", "thumbnails", "counterexamples")


@pytest.fixture(scope="module")
def context():
    return Context(sources.load("digits"), 0, 1e-7)


def test_parts_can_be_sent(context):
    parts = report_parts(context, load_claims())
    assert [part.name for part in pickle.loads(pickle.dumps(parts))] == [part.name for part in parts] == ALL


@pytest.mark.parametrize(
    ("claims", "images", "expected"),
    [
        (["B10"], True, ["least", "ladder"]),
        (["A1"], True, []),
        (["C7"], True, ["quick brightness", "few steps", "brightness"]),
        (["C3"], True, ["limits", "thumbnails", "counterexamples"]),
        (["D1"], False, ["limits"]),
        ([], True, []),
        (list(load_claims()), True, ALL),
    ],
)
def test_parts_are_those_of_the_claims(context, tmp_path, monkeypatch, claims, images, expected):
    written = {}
    monkeypatch.setattr(run, "write_report", lambda _, pictures, meta, *__: written.update(meta, pictures=pictures))
    points = context if images else Context(Data(context.data.law, "points", None), 0, 1e-7)
    names = [part.name for part in report_parts(points, claims)]
    assert names == expected
    results = [SimpleNamespace(claim=SimpleNamespace(id=claim)) for claim in claims]
    run_report(results, dict.fromkeys(names, None), {"seed": 0}, tmp_path)
    assert ("brightness" in written) == ("few_steps" in written) == ("brightness" in expected)
    assert (written["left_out"] == 0) == (claims == list(load_claims()))


def test_every_statement_of_a_part_is_a_claim():
    assert set(ALL) == set(run.ABOUT)
    assert set().union(*run.ABOUT.values()) <= set(load_claims())


def test_data_that_are_no_images_have_no_thumbnails(context):
    points = Context(Data(context.data.law, "points", None), 0, 1e-7)
    assert "thumbnails" not in [part.name for part in report_parts(points, load_claims())]


@pytest.mark.parametrize("name", FAST)
def test_a_part_takes_the_steps_that_it_says(context, name):
    part = next(part for part in report_parts(context, load_claims()) if part.name == name)
    names: list[str] = []
    result = pickle.loads(pickle.dumps(made(part, context, names.append)))
    assert not isinstance(result, Exception)
    assert len(names) == part.steps
    if name != "few steps":
        assert result.name == name and result.address().startswith("data:image/svg+xml;base64,")


def all_made() -> dict:
    return {"quick brightness": None, "few steps": None, "line": drawn()}


def test_the_report_shows_the_pictures_and_raises_what_a_part_has_met(context, tmp_path):
    page = run_report([], all_made(), META, tmp_path, {"verify.json": b"{}"})
    assert "It falls." in page.read_text(encoding="utf-8")
    before = page.read_bytes()
    with pytest.raises(ZeroDivisionError, match="no width"):
        run_report([], all_made() | {"line": ZeroDivisionError("no width")}, META, tmp_path)
    assert page.read_bytes() == before


def test_a_missing_result_is_one_line(context, tmp_path, monkeypatch):
    monkeypatch.setattr(brightness, "RESULT", tmp_path / "none.json")
    part = next(part for part in run.report_parts(context, load_claims()) if part.name == "brightness")
    result = made(part, context, lambda _: None)
    assert isinstance(result, InputError) and "make it with" in str(result)

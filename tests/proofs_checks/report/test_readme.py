"""The table of claims, the README's count and the picture come from results, or not at all."""

import json
import re
from pathlib import Path

import pytest
import typer

from docs.experiments.flow.page.results import Results as FlowResults
from docs.experiments.flow.page.tables import first_paragraph
from docs.experiments.ladder.page.results import Results
from docs.experiments.ladder.page.tables import fixed_table, spread_table
from proofs_checks.report import readme
from proofs_checks.report.generated_tables import with_tables
from tests.docs import reader
from tests.singdiffusion.support import tiny, tiny_flow

VERIFIED = {
    "command": "singtheory verify",
    "seed": 0,
    "data": {"name": "digits", "points": 1797, "dim": 64},
    "claims": [
        {
            "id": "A1",
            "title": "Composition",
            "verdict": "proved",
            "methods": [{"method": "symbolic"}, {"method": "exact"}, {"method": "exact"}],
            "false_twins": [{"verdict": "refuted"}, {"verdict": "supported"}],
        }
    ],
}


def test_table_row():
    assert "| A1 | Composition | proved | symbolic, exact | 1 of 2 |" in readme.claims_table(VERIFIED)


def test_counts_come_from_the_verdicts():
    claim = VERIFIED["claims"][0]
    claims = [claim, {**claim, "id": "B1", "verdict": "supported"}, {**claim, "id": "B2", "verdict": "supported"}]
    assert "3 claims: 1 proved, 2 supported." in readme.claims_table({**VERIFIED, "claims": claims})


def test_what_proves_a_claim_is_said_and_counted():
    claim = VERIFIED["claims"][0]
    claims = [
        claim | {"proof": "formal"},
        claim | {"proof": "symbolic"},
        claim | {"verdict": "supported", "proof": None},
    ]
    table = readme.claims_table({**VERIFIED, "claims": claims})
    assert "| A1 | Composition | proved: formal |" in table and "| A1 | Composition | proved: symbolic |" in table
    assert "3 claims: 1 proved: formal, 1 proved: symbolic, 1 supported." in table


def furnish(root, result):
    """A result, and the pages that it is written into."""
    (root / "report").mkdir()
    (root / "report" / "verify.json").write_text(result)
    (root / "docs").mkdir()
    (root / readme.PAGE).write_text("head\n<!-- claims -->\nold\n<!-- /claims -->\ntail")
    (root / "README.md").write_text("head\n<!-- counts -->\nold\n<!-- /counts -->\ntail")


def test_main_rewrites_tables_and_picture(tmp_path):
    furnish(tmp_path, json.dumps(VERIFIED))
    readme.main(tmp_path)
    page = (tmp_path / readme.PAGE).read_text(encoding="utf-8")
    assert page.startswith("head\n<!-- claims -->\n| id |") and page.endswith("\n<!-- /claims -->\ntail")
    assert "Composition" in page and "old" not in page
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text == "head\n<!-- counts -->\n1 claims: 1 proved.\n<!-- /counts -->\ntail"
    assert (tmp_path / "docs" / "picture-brightness.png").read_bytes().startswith(b"\x89PNG")


def test_names_cannot_break_the_table():
    row = {**VERIFIED["claims"][0], "title": "a | b <i>x</i> *c* [d](e)\n# f"}
    odd = {
        **VERIFIED,
        "claims": [row],
        "command": "singtheory verify --data 'a`b``c'",
        "data": {"name": "*`x|\n<script>", "points": 1, "dim": 2},
    }
    lines = readme.claims_table(odd).splitlines()
    assert len(lines) == 7
    assert lines[2].startswith(r"| A1 | a \| b \<i\>x\</i\> \*c\* \[d\](e) # f | proved |")
    assert r"\*\`x\| \<script\>" in lines[6] and "``` singtheory verify --data 'a`b``c' ```" in lines[6]


@pytest.mark.parametrize(
    "content", ["{}", "[]", "1", '{"claims": [{}]}', '{"claims": [], "data": 1}', "[" * 100_000, "{"]
)
def test_another_file_in_the_place_of_the_result_is_one_line(content, tmp_path, capsys):
    furnish(tmp_path, content)
    pages = [tmp_path / readme.PAGE, tmp_path / "README.md"]
    before = [page.read_text() for page in pages]
    with pytest.raises(typer.Exit) as exit:
        readme.main(tmp_path)
    error = capsys.readouterr().err
    assert exit.value.exit_code == 2
    assert "verify.json: " in error and "make verify" in error and len(error.splitlines()) == 1
    assert [page.read_text() for page in pages] == before


def test_a_page_without_its_markers_is_one_line_and_nothing_is_written(tmp_path, capsys):
    furnish(tmp_path, json.dumps(VERIFIED))
    (tmp_path / "README.md").write_text("head")
    with pytest.raises(typer.Exit) as exit:
        readme.main(tmp_path)
    error = capsys.readouterr().err
    assert exit.value.exit_code == 2 and "README.md: needs one line" in error and len(error.splitlines()) == 1
    assert "old" in (tmp_path / readme.PAGE).read_text()
    assert not (tmp_path / "docs" / "picture-brightness.png").exists()


def test_missing_result_names_the_command(tmp_path, capsys):
    with pytest.raises(typer.Exit) as exit:
        readme.main(tmp_path)
    assert exit.value.exit_code == 2
    assert "make it with: make verify" in capsys.readouterr().err


def test_code_in_the_readme_runs(capsys, tmp_path, monkeypatch):
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    blocks = [block.code for block in reader.blocks(text) if block.language == "python"]
    assert blocks
    pipe = tiny.stable_diffusion()
    reader.furnish(tmp_path)
    reader.module(pipe, tmp_path / "run" / "model")  # what the text says a reader has
    (tmp_path / "SPREAD").rename(tmp_path / "spread")
    arguments = {"pipe": pipe, "flow": tiny_flow.sd3()}
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), dict(arguments))
    kl, family = capsys.readouterr().out.split("tensor")[1:3]
    assert float(re.search(r"\[([\d.]+)\]", kl)[1]) <= float(re.search(r"\[([\d.]+)\]", family)[1])


def test_the_committed_pages_take_the_tables():
    """Their markers are there, and README is short enough to be read."""
    root = Path(__file__).parents[3]
    text = (root / "README.md").read_text(encoding="utf-8")
    assert with_tables(text, {"counts": "new"}).count("new") >= 1
    assert len(text.splitlines()) <= 110
    with_tables((root / readme.PAGE).read_text(encoding="utf-8"), {"claims": ""})


def test_figures_of_trained_models_are_those_of_the_committed_results():
    """README's three numbers, from the ladder's and the flow's results."""
    root = Path(__file__).parents[3]
    text = (root / "README.md").read_text(encoding="utf-8")
    summary = Results.read().summary
    ladder = f"{fixed_table(summary)}\n{spread_table(summary)}"
    flow = first_paragraph(FlowResults.read())
    black = re.search(r"^\| solid black background \| 1\.5 \| \+([\d.]+) \| \+([\d.]+) ", ladder, re.MULTILINE)
    logo = re.search(r"^\| logo \| 1\.5 \| ([\d.]+) \| [\d.]+ \| [\d.]+ \| ([\d.]+) ", ladder, re.MULTILINE)
    open_prompts = re.search(r"keep at most ([\d.]+) of the data's spread .*?, and ([\d.]+) to", flow)
    for actual in (black, logo, open_prompts):
        assert actual and f"| {actual[1]} | {actual[2]} |" in text

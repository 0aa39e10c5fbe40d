"""The README's table and picture come from results, or not at all."""

import json
import re
from pathlib import Path

import pytest
import typer

from proofs_checks.report import readme
from singtheory import InputError
from tests.docs import reader
from tests.singdiffusion import tiny

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


def test_table_replaces_the_old_one():
    text = f"head\n{readme.OPEN}\nold\n{readme.CLOSE}\ntail"
    assert readme.with_table(text, "new") == f"head\n{readme.OPEN}\nnew\n{readme.CLOSE}\ntail"
    with pytest.raises(InputError, match="needs one line"):
        readme.with_table("head", "new")


def test_main_rewrites_table_and_picture(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "verify.json").write_text(json.dumps(VERIFIED))
    (tmp_path / "README.md").write_text(f"{readme.OPEN}\n{readme.CLOSE}\n")
    readme.main(tmp_path)
    assert "Composition" in (tmp_path / "README.md").read_text(encoding="utf-8")
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
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "verify.json").write_text(content)
    (tmp_path / "README.md").write_text(f"{readme.OPEN}\n{readme.CLOSE}\n")
    with pytest.raises(typer.Exit) as exit:
        readme.main(tmp_path)
    error = capsys.readouterr().err
    assert exit.value.exit_code == 2
    assert "verify.json: " in error and "make verify" in error and len(error.splitlines()) == 1
    assert (tmp_path / "README.md").read_text() == f"{readme.OPEN}\n{readme.CLOSE}\n"


def test_missing_result_names_the_command(tmp_path, capsys):
    with pytest.raises(typer.Exit) as exit:
        readme.main(tmp_path)
    assert exit.value.exit_code == 2
    assert "make it with: make verify" in capsys.readouterr().err


def test_code_in_the_readme_runs(capsys, tmp_path):
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    blocks = [block.code for block in reader.blocks(text) if block.language == "python"]
    assert blocks
    pipe = tiny.stable_diffusion()
    given = {"pipe": pipe, "module": reader.module(pipe, tmp_path / "module")}  # what the text says a reader has
    for block in blocks:
        exec(compile(block, "README.md", "exec"), dict(given))
    kl, family = capsys.readouterr().out.split("tensor")[1:3]
    assert float(re.search(r"\[([\d.]+)\]", kl)[1]) <= float(re.search(r"\[([\d.]+)\]", family)[1])

"""Every block of every guide runs, exactly as it is written; every command of the other pages is one that the programs understand."""

import re
import shutil

import pytest
import torch

from singtheory.data import sources
from tests.docs import reader
from tests.docs.conftest import DOCS, ROOT

PAGES = sorted((DOCS / "guides").glob("*.md"))
COMMANDS_PAGE = DOCS / "commands.md"
TOLD = [ROOT / "README.md", COMMANDS_PAGE, DOCS / "index.md", DOCS / "budget.md", *PAGES]


@pytest.mark.slow  # every command loads the libraries again
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_guide_runs_as_written(page, tmp_path, monkeypatch):
    if "coqc" in page.read_text(encoding="utf-8") and shutil.which("coqc") is None:
        pytest.skip("needs Coq, Debian's package coq")
    reader.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    reader.read(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_python_of_a_guide_runs_as_written(page, tmp_path, monkeypatch):
    reader.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    reader.read(page, tmp_path, skip=("sh",))


@pytest.mark.parametrize("page", TOLD, ids=[page.stem for page in TOLD])
def test_every_command_is_understood(page, tmp_path, monkeypatch):
    """In seconds, what the slow test of the guides finds by running them: commands, options and values that there are not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").touch()
    text = page.read_text(encoding="utf-8")
    actual = [reader.understood(command) for block in reader.blocks(text) for command in reader.commands(block.code)]
    assert len(actual) == len(
        re.findall(r"^(?!python)[^`\n]*(?:\.venv/bin/sing|-m singdiffusion\.cli)", text, flags=re.MULTILINE)
    )


README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    command
    for page in (ROOT / "README.md", COMMANDS_PAGE)
    for block in reader.blocks(page.read_text(encoding="utf-8"))
    # the one that samples with what was trained follows the one that trains
    for command in re.sub(r"\n(.*run/model)", r" && \1", block.code).splitlines()
    if command.startswith(".venv/bin/sing")
]


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS, ids=[line.partition("/bin/")[2].replace("/", ".") for line in COMMANDS])
def test_a_command_of_the_readme_or_of_the_page_of_commands_runs_as_written(line, tmp_path):
    if "fashion-mnist" in line and not sources.FASHION_FOLDER.is_dir():
        pytest.skip("needs Fashion-MNIST, Debian's package dataset-fashion-mnist")
    reader.furnish_for_readme(tmp_path)
    reader.shell(reader.Block("sh", line, 0), ROOT / "README.md", tmp_path)


def test_commands_are_found():
    assert sum(line.count(".venv/bin/sing") for line in COMMANDS) >= 10
    assert sum(" train " in line and " sample " in line for line in COMMANDS) == 1


def test_every_target_of_make_is_there():
    asked = set(re.findall(r"`make (\w+)`", README))
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert asked and asked <= set(targets)


def test_a_command_that_is_wrong_is_noticed():
    block = "x=1\n.venv/bin/singtheory verify --claims 'B5,B10' \\\n    --seed 3  # a remark\n"
    command = next(reader.commands(block))
    assert command == ["singtheory", "verify", "--claims", "B5,B10", "--seed", "3"]
    name, arguments = reader.understood(command)
    assert name == "verify" and arguments["claims"] == "B5,B10" and arguments["seed"] == 3
    launched = next(
        reader.commands(".venv/bin/accelerate launch --cpu -m singdiffusion.cli train --steps 10 --out run\n")
    )
    assert reader.understood(launched)[1]["steps"] == 10
    for wrong in (["verify", "--claim", "B5"], ["verfy"], ["verify", "--seed", "x"]):
        with pytest.raises(AssertionError, match="not understood"):
            reader.understood(["singtheory", *wrong])


def test_there_are_thirteen_guides():
    assert len(PAGES) == 13


def test_blocks_are_found_with_their_lines():
    actual = reader.blocks("a\n```sh\nls\n```\nb\n\n```python\nx = 1\ny = 2\n```\n")
    assert actual == [reader.Block("sh", "ls\n", 2), reader.Block("python", "x = 1\ny = 2\n", 7)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```sh\ntrue\nfalse\n```\n", AssertionError),
        ("```sh\nfalse | true\n```\n", AssertionError),
        ("```python\n1 / 0\n```\n", ZeroDivisionError),
        ("```yaml\na: 1\n```\n", AssertionError),
    ],
)
def test_a_block_that_fails_is_noticed(tmp_path, text, error):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(error):
        reader.read(page, tmp_path)


def test_a_block_sees_what_the_last_one_left(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\necho 3 > number\n```\n\n```python\nx = int(__import__('pathlib').Path('number').read_text())\n```\n"
    )
    monkeypatch.chdir(tmp_path)
    assert reader.read(page, tmp_path)["x"] == 3


def test_the_reader_has_what_the_text_says(tmp_path):
    reader.furnish(tmp_path)
    assert (tmp_path / ".venv" / "bin" / "singdiffusion").exists()
    assert torch.is_tensor(reader.tiny.stable_diffusion().unet.conv_in.weight)

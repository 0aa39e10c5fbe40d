"""Every block of every guide runs, exactly as it is written."""

from pathlib import Path

import pytest
import torch

from tests.docs import reader

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
PAGES = sorted(GUIDES.glob("*.md"))


@pytest.mark.slow  # every command loads the libraries again
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_guide_runs_as_written(page, tmp_path, monkeypatch):
    reader.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    reader.read(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_python_of_a_guide_runs_as_written(page, tmp_path, monkeypatch):
    reader.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    reader.read(page, tmp_path, skip=("sh",))


def test_there_are_six_guides():
    assert len(PAGES) == 6


def test_blocks_are_found_with_their_lines():
    found = reader.blocks("a\n```sh\nls\n```\nb\n\n```python\nx = 1\ny = 2\n```\n")
    assert found == [reader.Block("sh", "ls\n", 2), reader.Block("python", "x = 1\ny = 2\n", 7)]


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

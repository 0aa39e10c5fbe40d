"""Guides for people's own folders and models, carried out as written where the wheel alone is installed, outside of the repository."""

import json
import os

import pytest

from tests.docs import reader
from tests.docs.conftest import DOCS
from tests.support.bare import Bare, build

GUIDES = ("my-folder", "mend-my-checkpoint", "mend-my-flow-model")
READER = """
import json, os, subprocess
import proofs_checks, singdiffusion, singtheory
home = os.path.realpath(".venv")
for package in (proofs_checks, singdiffusion, singtheory):
    assert os.path.realpath(package.__file__).startswith(home), package.__file__
names = {"__name__": "page"}
for language, code, line in json.load(open("blocks.json")):
    print("line", line, flush=True)
    if language == "sh":
        subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
    else:
        exec(compile(code, f"line {line}", "exec"), names)
"""
"""What reads the blocks of a page there; the packages are those of the wheel."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    if os.name == "nt":
        pytest.skip("the folders of an environment have other names")
    wheel, _ = build(tmp_path_factory.mktemp("dist"))
    return Bare(tmp_path_factory.mktemp("bare"), wheel)


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs_as_written(bare, tmp_path, guide):
    reader.furnish(tmp_path)
    (tmp_path / ".venv").unlink()
    (tmp_path / ".venv").symlink_to(bare.programs.parent)
    blocks = reader.blocks((DOCS / "guides" / f"{guide}.md").read_text(encoding="utf-8"))
    assert {block.language for block in blocks} == {"sh", "python"}
    listed = [(block.language, block.code, block.line) for block in blocks]
    (tmp_path / "blocks.json").write_text(json.dumps(listed))
    done = bare.run("python", "-c", READER, where=tmp_path)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    assert done.stdout.count("line ") >= len(listed)

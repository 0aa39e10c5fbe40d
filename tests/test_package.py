"""The distribution as others get it: built, installed into a bare environment, and run outside of the repository."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

from docs.index_page import addresses, source_of, standing_alone
from singtheory import InputError
from singtheory.errors import not_installed
from tests.support.bare import Bare, build

ROOT = Path(__file__).resolve().parent.parent
HEAVY = "accelerate,datasets,diffusers,huggingface_hub,jinja2,latex2mathml,matplotlib,safetensors,transformers"
"""What the mathematics does without."""
SOURCE = "https://example.org/us/singdiffusion"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory):
    if os.name == "nt":
        pytest.skip("the folders of an environment have other names")
    return Bare(tmp_path_factory.mktemp("bare"), built[0])


def test_the_mathematics_in_a_bare_environment(bare):
    """It verifies without what it does not need."""
    where = bare.run("python", "-c", "import singtheory; print(singtheory.__version__, singtheory.__file__)")
    version, file = where.stdout.split()
    assert file.startswith(str(bare.folder)), where.stderr
    for program in ("singtheory", "singdiffusion"):
        assert bare.run(program, "--version").stdout == f"{program} {version}\n"
    verified = bare.run("singtheory", "verify", "--claims", "A1,D1", "--json", "a.json", hidden=HEAVY)
    assert verified.returncode == 0, verified.stderr
    verdicts = [claim["verdict"] for claim in json.loads((bare.folder / "a.json").read_text())["claims"]]
    assert len(verdicts) == 2 and all(verdict.startswith(("proved", "supported")) for verdict in verdicts)
    line = bare.refusal("singdiffusion", "diagnose", "somewhere", hidden="diffusers")
    assert line == "error: this command: needs diffusers, which is not installed; pip install 'singdiffusion'"


@pytest.mark.slow
def test_what_needs_more_says_so_and_the_weights_are_there(bare):
    for hidden, *command in (
        ("matplotlib", "verify", "--report", "report"),
        ("matplotlib", "response", "--steps", "2", "--picture", "a.png"),
        ("matplotlib", "budget", "--picture", "a.png"),
        ("sklearn", "verify", "--claims", "A1"),
    ):
        line = bare.refusal("singtheory", *command, hidden=hidden)
        assert line.endswith(f"needs {hidden}, which is not installed; pip install 'singdiffusion'")
    done = bare.run("python", "-c", "from singdiffusion import SingDiffusion", hidden="diffusers")
    assert done.stderr.splitlines()[-1].endswith(
        "singdiffusion.SingDiffusion needs diffusers, which is not installed; pip install singdiffusion"
    )
    drawn = bare.run("singdiffusion", "sample", "solid black background", "--out", "samples")
    assert drawn.returncode == 0, drawn.stderr
    assert (bare.folder / "samples").is_dir()


def test_what_the_distribution_tells_of_itself(built):
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        fields = BytesParser().parsebytes(archive.read(metadata))
    assert fields["Author"] and fields["License-Expression"] == "Apache-2.0 AND CC-BY-SA-4.0"
    licences = [name.split("/licenses/")[1] for name in names if "/licenses/" in name]
    assert {"LICENSE", "LICENSES/CC-BY-SA-4.0.txt", "singdiffusion/demonstrator/LICENSE.txt"} <= {*licences}
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {
        "singtheory",
        "proofs_checks",
        "singdiffusion",
    }
    assert fields["Description-Content-Type"] == "text/markdown"
    assert not paths_in(fields.get_payload())
    with tarfile.open(sdist) as archive:
        inside = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"pyproject.toml", "docs/index_page.py", "LICENSES/CC-BY-SA-4.0.txt", "CITATION.cff"} <= inside
    assert not [name for name in inside if re.match(r"docs/experiments/results/|docs/budget/", name)]


def paths_in(markdown: str) -> list[str]:
    """Targets of links and pictures that are neither addresses nor places on the page."""
    return [path for path in re.findall(r"\]\(([^)]+)\)", markdown) if not path.startswith(("https://", "#"))]


def test_the_readme_stands_alone_with_an_address_and_without():
    assert len(paths_in(README)) > 5  # there is something to do
    whole = standing_alone(README, SOURCE, "v1.2")
    assert not paths_in(whole)
    assert f"]({SOURCE}/raw/v1.2/docs/first-picture.png)" in whole
    assert f"[Apache-2.0]({SOURCE}/blob/v1.2/LICENSE)" in whole
    words = standing_alone(README, None, "v1.2")
    assert not paths_in(words) and "Code: Apache-2.0." in words and "![" not in words
    for kept in ("https://arxiv.org/abs/2403.08381",):
        assert kept in whole and kept in words
    assert standing_alone("```\na[0](b)\n```\n", SOURCE, "v1") == "```\na[0](b)\n```\n"


def test_the_address_of_the_sources_is_that_of_the_citation():
    assert source_of("title: a\n") is None and addresses(None).keys() == {"Paper"}
    actual = source_of(f'title: a\nrepository-code: "{SOURCE}/"\n')
    assert actual == SOURCE and addresses(actual)["Source"] == SOURCE
    assert (ROOT / "CITATION.cff").read_text().count("version: 0.1.0") == 1


def test_what_is_missing_is_named_with_its_extra():
    for module, extra in (
        ("datasets", "[train]"),
        ("pyarrow.lib", "[train]"),
        ("torchmetrics", "[eval]"),
        ("rich", ""),
    ):
        error = not_installed("this", ModuleNotFoundError("none", name=module))
        name = module.split(".")[0]
        assert str(error) == f"this: needs {name}, which is not installed; pip install 'singdiffusion{extra}'"
    broken = not_installed("FID", ImportError("libc is\n too old"), "eval")
    assert isinstance(broken, InputError) and str(broken) == "FID: libc is too old; pip install 'singdiffusion[eval]'"
    ours = ModuleNotFoundError("none", name="singtheory.nowhere")
    with pytest.raises(ModuleNotFoundError):
        not_installed("this", ours)


def test_shells_complete_the_commands():
    for program, module in (("singtheory", "proofs_checks.cli"), ("singdiffusion", "singdiffusion.cli")):
        asked = {f"_{program.upper()}_COMPLETE": "complete_bash", "COMP_WORDS": f"{program} res", "COMP_CWORD": "1"}
        code = f"from {module} import app; app(prog_name={program!r})"
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
        assert done.stdout.split() == ["response"], done.stderr

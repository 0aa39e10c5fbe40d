"""Words that mean several things stay out of the code, values carry the field's word, and tests stand where their module does."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("singtheory", "singdiffusion", "proofs_checks")
WORDS = re.compile(r"(?<![a-z])(rungs?|rooms?|unfused|ladder[ _]more)(?![a-z])", re.IGNORECASE)
"""A bound, a stage or a data set; a tolerance, a margin or a module; the reference; the page's sections."""
NAMES = {"told", "found", "given", "marked", "ends"}
"""What a value is called that has a name in the field: samples, arguments, coefficients."""
WHOLE = {
    "proofs_checks/claims/test_any_data.py",
    "proofs_checks/claims/test_other_data.py",
    "proofs_checks/claims/test_statement_ends.py",
    "proofs_checks/claims/test_symbolic.py",
    "proofs_checks/report/test_picture.py",
    "singdiffusion/average/test_sizes.py",
    "singdiffusion/comfyui/test_nodes.py",
    "singdiffusion/response/test_response_matrix.py",
    "singdiffusion/source/test_hostile_layouts.py",
    "singdiffusion/source/test_input_matrix.py",
    "singdiffusion/source/test_pictures.py",
    "singdiffusion/start/test_flow_matrix.py",
    "singdiffusion/start/test_flow_pipelines.py",
    "singdiffusion/start/test_initial_matrix.py",
    "singdiffusion/start/test_noise_families.py",
    "singdiffusion/test_one_file.py",
    "singdiffusion/test_untouched.py",
    "singtheory/divergence/test_mixtures.py",
    "singtheory/test_hostile_laws.py",
    "singtheory/test_imports.py",
}  # fmt: skip
"""Tests of a whole package or of several modules together."""


def stored(*patterns: str) -> list[Path]:
    """Files that git holds, but for those that name the words in order to refuse them or tell the history."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return [path for path in paths if path not in (Path("tests/test_names.py"), Path("CHANGELOG.md"))]


def lines_with(words: re.Pattern, text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if words.search(line)]


def bound_names(text: str) -> set[str]:
    """Every name that a program assigns to, takes as an argument or declares."""
    nodes = list(ast.walk(ast.parse(text)))
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return assigned | {node.arg for node in nodes if isinstance(node, ast.arg)}


def test_words_of_many_meanings_stay_out():
    texts = {
        path: (ROOT / path).read_text(encoding="utf-8")
        for path in stored("*.py", "*.js", "*.j2", "*.toml", "docs/*.md")
    }
    assert len(texts) > 400
    assert {f"{path}:{line}" for path, text in texts.items() for line in lines_with(WORDS, text)} == set()


@pytest.mark.parametrize("package", ["singtheory", "singdiffusion"])
def test_values_are_named_by_what_they_are(package):
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in stored(f"{package}/*.py")}
    assert {f"{path}: {name}" for path, text in texts.items() for name in bound_names(text) & NAMES} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_stand_where_their_module_does(package):
    """`tests/singtheory/engine/test_rounding.py` is that of `singtheory/engine/rounding.py`; a folder's door has the folder's name."""
    strange = []
    for path in stored(f"tests/{package}/*.py"):
        name, folder = path.stem.removeprefix("test_"), ROOT / path.parent.relative_to("tests")
        homes = (
            folder / f"{name}.py",
            folder / name / "__init__.py",
            folder / "__init__.py" if name == folder.name else ROOT / "none",
        )
        helper = ROOT / path.with_name(f"{name}.py")
        if (
            path.stem != name
            and path.relative_to("tests").as_posix() not in WHOLE
            and not any(home.is_file() for home in (*homes, helper))
        ):
            strange.append(str(path))
    assert strange == []


def test_what_is_looked_for_is_found():
    assert lines_with(WORDS, "a bound\nthe first rung of _ROOMS\nladder_more") == [2, 3]
    assert lines_with(WORDS, "wrung, bedroom and rungless") == []
    assert bound_names("def f(given, *, told=0):\n    for found in ends:\n        yield found") == {
        "given",
        "told",
        "found",
    }

"""Words that mean several things stay out of the code, values carry the field's word, and tests stand where their module does."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("singtheory", "singdiffusion", "proofs_checks")
WORDS = re.compile(r"(?<![a-z])(rungs?|rooms?|unfused|ladder[ _]more)(?![a-z])", re.IGNORECASE)
"""A bound, a stage or a data set; a tolerance, a margin or a module; the reference; the page's sections."""
NAMES = {"told", "found", "given", "marked", "ends", "room"}
"""What a value is called that has a name in the field: samples, arguments, coefficients."""
RIDDLE = re.compile(
    r"\A\s*(Of|As|Those|Their|Whose|Itself|The same|That of|Once more|By which|To which)\b|(?<![\w.)\]}/])\.\d"
)
"""A document whose subject is left to the reader, and a number without a digit before its point."""
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
    "singdiffusion/start/test_add_ons.py",
    "singdiffusion/start/test_flow_copies.py",
    "singdiffusion/start/test_flow_matrix.py",
    "singdiffusion/start/test_flow_pipelines.py",
    "singdiffusion/start/test_initial_matrix.py",
    "singdiffusion/start/test_noise_families.py",
    "singdiffusion/test_one_file.py",
    "singdiffusion/test_untouched.py",
    "singdiffusion/training/test_flow_base.py",
    "singtheory/divergence/test_mixtures.py",
    "singtheory/law/test_cov_error.py",
    "singtheory/law/test_hostile_laws.py",
    "singtheory/law/test_rows.py",
    "singtheory/start/test_mismatch_moments.py",
    "singtheory/start/test_quantile_arguments.py",
}  # fmt: skip
"""Tests of a whole package or of several modules together."""


SAME = {
    "brightness": "the law of brightness, measured and reported",
    "budget": "the error budget, and its command",
    "cli": "the command of a package",
    "condition": "what an average image is told of a prompt, in the library and in ComfyUI",
    "console": "what commands show in a terminal",
    "diagnose": "the diagnosis as a command, and as a node",
    "few_steps": "samplers of few steps, measured and reported",
    "flow": "the first step of flows, and what it keeps",
    "laws": "laws of the data, and those that are instances of claims",
    "memory": "how much is free, of any kind and of a GPU",
    "registry": "names and what they stand for",
    "response": "what a sampler keeps of the spread: the law, its commands, and any scheduler's",
    "rounding": "floating point: the units, and the engine's bounds",
    "sampled": "estimates from draws with intervals",
    "singular_start": "the singular start in programs of others",
    "streams": "standard output and error: what is shared, and what singtheory prints",
    "train": "training, and its command",
    "variation": "total variation: exact, and bounded",
}
"""Modules of one name, and the one thing that they are about."""


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
    declared = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return assigned | declared | {node.arg for node in nodes if isinstance(node, ast.arg)}


def test_words_of_many_meanings_stay_out():
    texts = {
        path: (ROOT / path).read_text(encoding="utf-8")
        for path in stored("*.py", "*.js", "*.j2", "*.toml", "docs/*.md")
    }
    assert len(texts) > 400
    assert {f"{path}:{line}" for path, text in texts.items() for line in lines_with(WORDS, text)} == set()


@pytest.mark.parametrize("tree", [*PACKAGES, "tests", "docs"])
def test_values_are_named_by_what_they_are(tree):
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in stored(f"{tree}/*.py")}
    assert texts
    assert {f"{path}: {name}" for path, text in texts.items() for name in bound_names(text) & NAMES} == set()


def documents(text: str) -> list[str]:
    """Docstrings, and strings that stand below a constant to say what it is."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    return [
        node.value.value for node in nodes if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


@pytest.mark.parametrize("tree", [*PACKAGES, "docs"])
def test_documents_begin_with_what_they_are_about(tree):
    """Not "Of some: what is known.", and numbers have a digit before the point."""
    texts = {path: documents((ROOT / path).read_text(encoding="utf-8")) for path in stored(f"{tree}/*.py")}
    assert sum(map(len, texts.values())) > 100
    riddles = {f"{path}: {one.strip()[:60]}" for path, some in texts.items() for one in some if RIDDLE.search(one)}
    assert riddles == set()


def test_modules_of_one_name_are_of_one_thing():
    """Tests mirror modules and are not asked; a folder's `__init__` and a package's `cli` are what they are everywhere."""
    paths = [path for package in PACKAGES for path in stored(f"{package}/*.py") if (ROOT / path).is_file()]
    homes: dict[str, int] = Counter(path.stem for path in paths if not path.stem.startswith("__"))
    assert {name for name, count in homes.items() if count > 1} == SAME.keys()


def has_module(path: Path) -> bool:
    """Whether a test, or what tests share, stands where its module does: a folder's door has the folder's name."""
    name, folder = path.stem.removeprefix("test_"), ROOT / path.parent.relative_to("tests")
    homes = [folder / f"{name}.py", folder / name / "__init__.py", ROOT / path.with_name(f"{name}.py")]
    homes += [folder / "__init__.py"] if name == folder.name else []
    return path.stem == name or any(home.is_file() for home in homes)


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_stand_where_their_module_does(package):
    """`tests/singtheory/engine/test_rounding.py` is that of `singtheory/engine/rounding.py`."""
    paths = [path for path in stored(f"tests/{package}/*.py") if (ROOT / path).is_file()]
    strange = {path.relative_to("tests").as_posix() for path in paths if not has_module(path)}
    assert strange == {path for path in WHOLE if path.startswith(f"{package}/")}


def test_what_is_looked_for_is_found():
    assert lines_with(WORDS, "a bound\nthe first rung of _ROOMS\nladder_more") == [2, 3]
    assert (
        RIDDLE.search("Of some: what is known.") and RIDDLE.search("at α = .98") and not RIDDLE.search("0.98, a.5, ...")
    )
    assert lines_with(WORDS, "wrung, bedroom and rungless") == []
    assert bound_names("def f(given, *, told=0):\n    for found in ends:\n        yield found") == {
        "f",
        "given",
        "told",
        "found",
    }

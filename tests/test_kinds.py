"""Kinds answer by methods: no `isinstance` asks for a class of ours, and no file takes what another folder keeps to itself."""

import ast
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("singtheory", "singdiffusion", "proofs_checks")
FOREIGN = {
    "singdiffusion/start/flow_modular.py": {"MatchedFirstStep"},  # a block of diffusers may be ours already
    "singdiffusion/start/flow_pipeline.py": {"FlowHook", "Method"},  # a method of a pipeline may be exchanged by us
    "singdiffusion/start/hook.py": {"Hook", "Method"},
    "singdiffusion/start/pipeline.py": {"FlowHook", "Hook"},
    "proofs_checks/harness/outcome.py": {"Estimate"},  # a measured value may be a plain number
}
"""Classes of ours that are looked for among objects of other libraries and plain values, which cannot answer for themselves."""
EXCEPTIONS = {"InputError"}
"""What is caught has no kind in common but `Exception`."""
PRIVATE_OF_OTHERS = {
    "_execution_device",  # where diffusers' pipelines compute; no public name gives it under offloading
    "_exit",  # os: the one way to end at once
    "_free_noise_prompt_interpolation_callback",
    "_version",  # torch: how often a tensor was written; no public name counts it
    "_step_index",  # of diffusers' schedulers, which have no setter
    "_free_init_initial_noise",
}
"""Names of other libraries without a public way to the same."""
NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
"""Public, whatever their underscore."""


@cache
def programs() -> dict[str, ast.Module]:
    """Every program of the packages, by path."""
    listed = subprocess.run(
        ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]
    return {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in paths}


def classes(trees: Iterable[ast.Module]) -> set[str]:
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def asked_kinds(tree: ast.Module) -> set[str]:
    """Names of the classes that `isinstance` and `issubclass` ask for, and those that a `match` takes apart."""
    asked: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            asked |= names_in(node.args[1])
        if isinstance(node, ast.MatchClass):
            asked |= names_in(node.cls)
        if isinstance(node, ast.Compare) and any(
            isinstance(side, ast.Call) and getattr(side.func, "id", "") == "type"
            for side in (node.left, *node.comparators)
        ):
            asked |= {name for side in node.comparators for name in names_in(side)}
    return asked - imported_from_others(tree)


def imported_from_others(tree: ast.Module) -> set[str]:
    """Names that a file has from other libraries."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    others = [node for node in imports if (node.module or "").split(".")[0] not in PACKAGES]
    return {alias.asname or alias.name for node in others for alias in node.names}


def names_in(expression: ast.AST) -> set[str]:
    nodes = list(ast.walk(expression))
    dotted = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return dotted | {node.id for node in nodes if isinstance(node, ast.Name)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLES and name != "_"


def private_names(tree: ast.Module) -> set[str]:
    """Private names that a file defines: functions, classes, variables, and attributes of `self` and `cls`."""
    kept: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            kept.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            kept.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            kept.add(node.attr)
    return {name for name in kept if is_private(name)}


def is_own(value: ast.AST) -> bool:
    """Whether it is the object itself, its class or its parent."""
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", "") in ("super", "type")
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def taken_privates(tree: ast.Module) -> set[str]:
    """Private names that are imported, or read from another object."""
    taken = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if is_private(alias.name)
    }
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and not is_own(node.value))
    return taken | {node.attr for node in read if is_private(node.attr)}


@pytest.mark.parametrize("package", PACKAGES)
def test_kinds_answer_for_themselves(package):
    trees = programs()
    ours = classes(trees.values()) - EXCEPTIONS
    asked = {
        path: (asked_kinds(tree) & ours) - FOREIGN.get(path, set())
        for path, tree in trees.items()
        if path.startswith(f"{package}/")
    }
    assert {path: kinds for path, kinds in asked.items() if kinds} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_folder_keeps_to_itself_stays_there(package):
    trees = programs()
    kept: dict[Path, set[str]] = {}
    for path, tree in trees.items():
        kept.setdefault(Path(path).parent, set()).update(private_names(tree))
    taken = {
        path: taken_privates(tree) - kept[Path(path).parent] - PRIVATE_OF_OTHERS
        for path, tree in trees.items()
        if path.startswith(f"{package}/")
    }
    assert {path: names for path, names in taken.items() if names} == {}


def test_no_exception_is_left_over():
    trees = programs()
    assert {
        path: kinds - asked_kinds(trees[path]) for path, kinds in FOREIGN.items() if kinds - asked_kinds(trees[path])
    } == {}
    assert set.union(*map(taken_privates, trees.values())) >= PRIVATE_OF_OTHERS


def test_what_is_looked_for_is_seen():
    tree = ast.parse(
        "from a import _b\nisinstance(x, Atoms | law.Gaussian)\ntype(x) is Cosine\nlaw._points\nself._own\nrow._asdict()\n"
        "match x:\n    case Power():\n        pass"
    )
    assert asked_kinds(tree) >= {"Atoms", "Gaussian", "Cosine", "Power"}
    assert taken_privates(tree) == {"_b", "_points"}
    assert private_names(ast.parse("class A:\n    def _f(self):\n        self._g = other._h = 1")) == {"_f", "_g"}

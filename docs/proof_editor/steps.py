"""What runs the steps of a derivation's page in a browser, where sympy is and torch is not; it needs nothing but Python and sympy.

A page's cells are run in their order in one namespace. Statements that read what is not there (torch, drawings, checks on data) are left out, and what they would
have defined is not there either. A cell of which all is left and that compares two sides by `equal` is a step.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

OWN = ("singtheory", "proofs_checks")
_HERE = "docs.book"
"""The pages' own helpers; of them the page has `equal`."""


class Absent:
    """What stands for a name of a module that is not here; to be annotated with, and nothing else."""

    def __class_getitem__(cls, _: Any) -> type:
        return cls


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules that no other finder has: packages of the repository without their `__init__`, and placeholders for the rest."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Finds all that is asked for in the repository's name, or torch's, and has no file here."""
        place = self.root.joinpath(*name.split("."))
        if (
            name.partition(".")[0] not in (*OWN, "torch")
            or place.with_suffix(".py").exists()
            or (place / "__init__.py").exists()
        ):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType:
        """A module whose names are its files, and else `Absent`."""
        made, place = ModuleType(spec.name), self.root.joinpath(*spec.name.split("."))

        def named(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            here = (place / f"{name}.py").exists() or (place / name).exists()
            return importlib.import_module(f"{spec.name}.{name}") if here else Absent

        made.__path__ = [str(place)]
        made.__dict__["__getattr__"] = named
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to carry out."""


def install(root: Path) -> None:
    """Let files of the repository under `root` be imported without what they do not need for symbols."""
    sys.path.insert(0, str(root))
    sys.meta_path.insert(0, _Finder(root))


def forget() -> None:
    """Let the repository's files be read again at the next import."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    importlib.invalidate_caches()


class Cell(NamedTuple):
    """A cell of a page as it is run here.

    Attributes:
        code: what is left of it, without imports of what is absent.
        step: whether all of it is left and it compares two sides.
    """

    code: str
    step: bool


def usable(cells: Sequence[str], available: Callable[[str, str], bool]) -> list[Cell]:
    """What of the cells can be run here; `available(module, name)` says whether it can be imported, name empty for the module itself."""
    known, usable_names = set(dir(__import__("builtins"))) | {"equal"}, []
    for cell in cells:
        kept, whole = [], True
        tree = ast.parse(cell)
        for statement in tree.body:
            left = _left(statement, known, available)
            whole = whole and (left is not None or isinstance(statement, ast.Import | ast.ImportFrom))
            if left is None:
                known -= _defined(statement) - {"equal"}  # an older value would not be the page's
            else:
                kept.append(ast.unparse(left))
                known |= _defined(left)
        usable_names.append(Cell(cell if whole and _compares(tree) else "\n".join(kept), whole and _compares(tree)))
    return usable_names


def _left(statement: ast.stmt, known: set[str], available: Callable[[str, str], bool]) -> ast.stmt | None:
    if isinstance(statement, ast.Import):
        names = [alias for alias in statement.names if available(alias.name, "")]
        return ast.Import(names) if names else None
    if isinstance(statement, ast.ImportFrom):
        module = statement.module or ""
        names = [alias for alias in statement.names if available(module, alias.name)]
        return ast.ImportFrom(module, names, 0) if names else None
    return statement if _read(statement) <= known | _defined(statement) else None


def _names(node: ast.AST, context: type) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, context)}


def _read(statement: ast.stmt) -> set[str]:
    """What it reads from outside: arguments and the names that a function sets are its own."""
    own = {one.arg for one in ast.walk(statement) if isinstance(one, ast.arg)}
    for one in ast.walk(statement):
        own |= _names(one, ast.Store) if isinstance(one, ast.FunctionDef) else set()
    return _names(statement, ast.Load) - own


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    return _names(statement, ast.Store)


def _compares(tree: ast.Module) -> bool:
    calls = (one.func for one in ast.walk(tree) if isinstance(one, ast.Call))
    return any(isinstance(call, ast.Name) and call.id == "equal" for call in calls)


def importable(module: str, name: str) -> bool:
    """Whether the module is here itself, and not as a placeholder, and has that name."""
    if module.startswith(_HERE):
        return False
    try:
        loaded = importlib.import_module(module)
        part = getattr(loaded, name) if name and hasattr(loaded, name) else None
        part = importlib.import_module(f"{module}.{name}" if name else module) if part is None else part
    except ImportError:
        return False
    if isinstance(part, ModuleType):
        return not isinstance(part.__loader__, _Finder)
    return part is not Absent


class Ran(NamedTuple):
    """How a step went.

    Attributes:
        cell: its number on the page.
        holds: whether nothing was raised and every comparison held.
        words: the comparisons, one a line, or what was raised.
    """

    cell: int
    holds: bool
    words: str


def run(cells: Sequence[str], texts: dict[int, str]) -> Iterator[Ran]:
    """Run the cells in order, some with other texts; yields the steps. What a step that fails would have defined is missing from then on.

    Args:
        cells: of the page, as it was built.
        texts: by number, those that the reader has changed.
    """
    forget()
    messages: list[str] = []
    namespace: dict[str, Any] = {"equal": _comparing(messages), "__name__": "page"}
    for number, cell in enumerate(usable(cells, importable)):
        messages.clear()
        try:
            exec(compile(texts.get(number, cell.code), f"cell {number + 1}", "exec"), namespace)
        except Exception as error:  # what a reader has written raises what it likes
            if cell.step:
                yield Ran(number, False, _said(error))
        else:
            if cell.step:
                yield Ran(number, True, "\n".join(messages))


def _comparing(messages: list[str]) -> Callable[..., None]:
    """`equal`, as a page has it, that notes each comparison that holds."""
    import sympy

    from proofs_checks.harness.outcome import identically_zero

    def equal(left: Any, right: Any, name: str = "") -> None:
        left, right = sympy.sympify(left), sympy.sympify(right)
        outcome = identically_zero(left - right, name)
        if outcome.verdict != "proved":
            off = f"{outcome.verdict}, difference {outcome.measured:g} at a rational point"
            raise StepError(f"{left} is not {right}: {off}")
        messages.append(f"{left} = {right}")

    return equal


class StepError(Exception):
    """Two sides of a step that sympy does not find equal."""


def _said(error: Exception) -> str:
    if isinstance(error, StepError):
        return str(error)
    return traceback.format_exception_only(error)[-1].strip()

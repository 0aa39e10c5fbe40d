"""The parts of the editor of proofs: Python from npm, sympy as it is installed here, and the package's own files that symbols need."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import mpmath
import sympy

from docs.book.source import ROOT
from docs.vendored import files

OWN = (
    "singtheory/formula/*.py",
    "proofs_checks/harness/claim.py",
    "proofs_checks/harness/context.py",
    "proofs_checks/harness/outcome.py",
    "proofs_checks/claims/*/*_symbolic.py",
)
"""The files of the repository that steps import, as they are."""
RUNNER = Path(__file__).parent / "steps.py"


def parts() -> Iterator[tuple[str, bytes]]:
    """The parts by name.

    Raises:
        NpmError: where Python for browsers cannot be had.
    """
    wanted = "pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json"
    names = "pyodide", "pyodide-module", "pyodide-wasm", "pyodide-library", "pyodide-lock"
    yield from zip(names, files("pyodide", *wanted), strict=True)
    yield "sympy", _zipped(file for module in (sympy, mpmath) for file in _sources(module))
    yield "proofs", _zipped(own_files())


def own_files() -> Iterator[tuple[str, Path]]:
    """The repository's files by their paths, and what runs them."""
    for pattern in OWN:
        yield from ((path.relative_to(ROOT).as_posix(), path) for path in sorted(Path(ROOT).glob(pattern)))
    yield RUNNER.name, RUNNER


def _sources(module: ModuleType) -> Iterator[tuple[str, Path]]:
    """The Python files of a package without its tests, and its licence."""
    assert module.__file__ is not None
    folder = Path(module.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        if not {"tests", "benchmarks"} & set(path.relative_to(folder).parts):
            yield path.relative_to(folder.parent).as_posix(), path
    for path in sorted(folder.parent.glob(f"{module.__name__}-*.dist-info/**/LICENSE*")):
        yield f"{module.__name__}/{path.name}", path


def _zipped(named: Iterable[tuple[str, Path]]) -> bytes:
    """Stored without compression, for a part is compressed as a whole; the same bytes for the same files."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, path in named:
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return written.getvalue()

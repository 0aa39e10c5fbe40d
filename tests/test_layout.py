"""A file is one noun of at most 400 lines, and a folder shows at most 20 entries."""

import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("singtheory", "singdiffusion", "proofs_checks")
MOST_LINES, MOST_ENTRIES = 400, 20


def stored(*patterns: str) -> list[str]:
    """Files that git holds and that are there."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


def test_no_file_is_long():
    lengths = {
        path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in stored("*.py", "*.v", "*.js")
    }
    assert {path for path, length in lengths.items() if length > MOST_LINES} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_wide(package):
    """The door and the mark of a typed package are no entries to choose from."""
    entries: defaultdict[str, set[str]] = defaultdict(set)
    for path in map(Path, stored(f"{package}/*")):
        for entry in (path, *path.parents):
            if entry.name and entry.name not in ("__init__.py", "py.typed"):
                entries[entry.parent.as_posix()].add(entry.name)
    del entries["."]
    assert {f: sorted(names) for f, names in entries.items() if len(names) > MOST_ENTRIES} == {}

"""A file is one noun of at most 400 lines, and a folder shows at most 20 entries."""

import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("singtheory", "singdiffusion", "proofs_checks")
MOST_LINES, MOST_ENTRIES = 400, 20
WIDE = {
    "docs": "a page's place is its address on the site, to which README and pages of others link",
    "tests/docs/figures": "pictures, one for each figure, that tests look up by the page's name",
}
"""Folders that may show more entries, and why."""


def stored(*patterns: str) -> list[str]:
    """Files that git holds and that are there."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


def test_no_file_is_long():
    lengths = {
        path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in stored("*.py", "*.v", "*.js")
    }
    assert {path for path, length in lengths.items() if length > MOST_LINES} == set()


def wide_folders(tree: str) -> dict[str, list[str]]:
    """The door and the mark of a typed package are no entries to choose from."""
    entries: defaultdict[str, set[str]] = defaultdict(set)
    for path in map(Path, stored(f"{tree}/*")):
        for entry in (path, *path.parents):
            if entry.name and entry.name not in ("__init__.py", "py.typed"):
                entries[entry.parent.as_posix()].add(entry.name)
    del entries["."]
    return {folder: sorted(names) for folder, names in entries.items() if len(names) > MOST_ENTRIES}


@pytest.mark.parametrize("tree", [*PACKAGES, "tests", "docs"])
def test_no_folder_is_wide(tree):
    assert {folder: names for folder, names in wide_folders(tree).items() if folder not in WIDE} == {}


def test_no_exception_is_left_over():
    assert wide_folders("tests").keys() | wide_folders("docs").keys() == WIDE.keys()

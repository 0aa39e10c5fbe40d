"""Committed results in a page: read, never retyped, and missed by name."""

import json
from pathlib import Path
from typing import Any

from docs.book.source import ROOT


class ResultError(Exception):
    """A committed result file that is not there or cannot be read."""

    def _render_traceback_(self) -> list[str]:
        return [f"ResultError: {self}"]


def result(path: str, command: str) -> Any:
    """The contents of a JSON file of the repository.

    Args:
        path: relative to the root of the repository.
        command: makes it.

    Raises:
        ResultError: with path and command, if it is missing or damaged.
    """
    try:
        return json.loads(Path(ROOT, path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ResultError(f"{path}: missing or damaged; make it with: {command}") from None

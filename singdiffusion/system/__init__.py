"""Model folders, locks, memory and what is printed.

Names are imported when they are first used, so that a command answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singdiffusion.system.failing import told_in_one_line
    from singdiffusion.system.installed import installed_folder
    from singdiffusion.system.lock import locked
    from singdiffusion.system.memory import Budget, check_fits
    from singdiffusion.system.model_folder import (
        drafts_of,
        find_folder,
        first_sentence,
        new_folder,
        read_config,
        read_object,
        replaced_folder,
        sha256_of,
    )
    from singdiffusion.system.printing import printable, replace_what_cannot_be_printed, say
    from singdiffusion.system.schema import (
        Kind,
        at_most,
        check_fields,
        is_small,
        line,
        listed,
        mapping,
        matching,
        number,
        one_of,
        scale,
        shown,
        size,
        whole,
        word,
    )

_FILES = {
    "Budget": "memory",
    "Kind": "schema",
    "at_most": "schema",
    "check_fields": "schema",
    "check_fits": "memory",
    "drafts_of": "model_folder",
    "find_folder": "model_folder",
    "first_sentence": "model_folder",
    "installed_folder": "installed",
    "is_small": "schema",
    "line": "schema",
    "listed": "schema",
    "locked": "lock",
    "mapping": "schema",
    "matching": "schema",
    "new_folder": "model_folder",
    "number": "schema",
    "one_of": "schema",
    "printable": "printing",
    "read_config": "model_folder",
    "read_object": "model_folder",
    "replace_what_cannot_be_printed": "printing",
    "replaced_folder": "model_folder",
    "say": "printing",
    "scale": "schema",
    "sha256_of": "model_folder",
    "shown": "schema",
    "size": "schema",
    "told_in_one_line": "failing",
    "whole": "schema",
    "word": "schema",
}
__all__ = [
    "Budget",
    "Kind",
    "at_most",
    "check_fields",
    "check_fits",
    "drafts_of",
    "find_folder",
    "first_sentence",
    "installed_folder",
    "is_small",
    "line",
    "listed",
    "locked",
    "mapping",
    "matching",
    "new_folder",
    "number",
    "one_of",
    "printable",
    "read_config",
    "read_object",
    "replace_what_cannot_be_printed",
    "replaced_folder",
    "say",
    "scale",
    "sha256_of",
    "shown",
    "size",
    "told_in_one_line",
    "whole",
    "word",
]


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)

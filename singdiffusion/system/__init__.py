"""Model folders, locks, memory and what is printed."""

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

__all__ = [
    "Budget",
    "Kind",
    "at_most",
    "check_fields",
    "check_fits",
    "drafts_of",
    "find_folder",
    "first_sentence",
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
    "whole",
    "word",
]

"""The machine that a run has: devices, memory, files, streams, and where a result was computed.

Names are imported when they are first used: a command's first line comes before torch is loaded.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singtheory.system.device import DEVICES, check_device, chosen_device
    from singtheory.system.files import (
        check_distinct,
        check_file,
        check_folder,
        check_new_folder,
        json_bytes,
        write_bytes,
        write_folder,
        write_json,
    )
    from singtheory.system.memory import available_memory, check_queries
    from singtheory.system.reading import (
        Shape,
        check_ordinary,
        naming,
        npy_member,
        npz_members,
        parsing,
        read_array,
        read_header,
        read_json,
        shown_names,
        unused,
    )
    from singtheory.system.result_origin import command_line, device_name, provenance
    from singtheory.system.streams import CONTROLS, ignore_odd_sizes, is_closed, mute

_FILES = {
    "CONTROLS": "streams",
    "DEVICES": "device",
    "Shape": "reading",
    "available_memory": "memory",
    "check_device": "device",
    "check_distinct": "files",
    "check_file": "files",
    "check_folder": "files",
    "check_new_folder": "files",
    "check_ordinary": "reading",
    "check_queries": "memory",
    "chosen_device": "device",
    "command_line": "result_origin",
    "device_name": "result_origin",
    "ignore_odd_sizes": "streams",
    "is_closed": "streams",
    "json_bytes": "files",
    "mute": "streams",
    "naming": "reading",
    "npy_member": "reading",
    "npz_members": "reading",
    "parsing": "reading",
    "provenance": "result_origin",
    "read_array": "reading",
    "read_header": "reading",
    "read_json": "reading",
    "shown_names": "reading",
    "unused": "reading",
    "write_bytes": "files",
    "write_folder": "files",
    "write_json": "files",
}
__all__ = [
    "CONTROLS",
    "DEVICES",
    "Shape",
    "available_memory",
    "check_device",
    "check_distinct",
    "check_file",
    "check_folder",
    "check_new_folder",
    "check_ordinary",
    "check_queries",
    "chosen_device",
    "command_line",
    "device_name",
    "ignore_odd_sizes",
    "is_closed",
    "json_bytes",
    "mute",
    "naming",
    "npy_member",
    "npz_members",
    "parsing",
    "provenance",
    "read_array",
    "read_header",
    "read_json",
    "shown_names",
    "unused",
    "write_bytes",
    "write_folder",
    "write_json",
]


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_FILES[name]}")
    return globals().setdefault(name, getattr(home, name))

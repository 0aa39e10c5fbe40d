"""The machine that a run has: devices, memory, files, and where a result was computed."""

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

__all__ = [
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
    "json_bytes",
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

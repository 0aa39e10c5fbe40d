"""A part of a page that is loaded when it is needed: any bytes as a script.

A browser lets no page that is a file read another file, but it loads scripts from beside it. So bytes travel compressed, in base64, as the value of one
assignment; `part.js` loads such a script and gives the bytes back.
"""

import base64
import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from singtheory.system import write_bytes

LOADER = Path(__file__).parent / "part.js"
"""The script that loads parts."""


def part_script(name: str, content: bytes) -> bytes:
    """The script of a part; the same bytes for the same content."""
    packed = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")
    return f'(globalThis.PARTS ??= {{}})[{json.dumps(name)}] = "{packed}";\n'.encode()


def write_parts(folder: Path, parts: Iterable[tuple[str, bytes]]) -> None:
    """Write parts as `NAME.js`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in parts:
        write_bytes(folder / f"{name}.js", part_script(name, content))

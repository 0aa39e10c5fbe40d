"""Software of others that pages of the site run in the browser: fetched from npm when the site is built, and from nowhere when it is read."""

from docs.vendored.npm import PACKAGES, NpmError, files
from docs.vendored.part import LOADER, part_script, write_parts

__all__ = ["LOADER", "PACKAGES", "NpmError", "files", "part_script", "write_parts"]

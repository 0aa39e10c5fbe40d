"""What a package index shows: the README with whole addresses, and where the sources, changes and paper are.

Hatchling calls this when it builds. The address of the sources is `repository-code` of CITATION.cff, if it is there: links and pictures of the
README then lead to the files of this version. Without it they would lead nowhere from an index, and their words stand alone.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAPER = "https://arxiv.org/abs/2403.08381"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")
"""A picture or a link to a file of this repository: a mark for a picture, the words, the path."""


class IndexPage(MetadataHookInterface):
    """Gives `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both to the metadata of the project."""
        root = Path(self.root)
        source = source_of((root / "CITATION.cff").read_text(encoding="utf-8"))
        text = standing_alone((root / "README.md").read_text(encoding="utf-8"), source, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = addresses(source)


def source_of(citation: str) -> str | None:
    """The address of the sources in a CITATION.cff; None where it names none."""
    address = re.search(r"^repository-code:\s*[\"']?(https://[^\s\"']+)", citation, re.MULTILINE)
    return address[1].rstrip("/") if address else None


def addresses(source: str | None) -> dict[str, str]:
    """By name, as an index shows them."""
    if source is None:
        return {"Paper": PAPER}
    return {"Source": source, "Changelog": f"{source}/blob/main/CHANGELOG.md", "Paper": PAPER}


def standing_alone(readme: str, source: str | None, version: str) -> str:
    """A README without paths: those of its links and pictures become addresses under `source`, or if that is None words remain.

    Code blocks stay as they are: what looks like a link there is code.

    Args:
        readme: Markdown.
        source: of the repository, as its host shows it.
        version: branch or tag of the files.
    """

    def whole(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        if source is None:
            return f"*{words}*" if picture else words
        return f"{picture}[{words}]({source}/{'raw' if picture else 'blob'}/{version}/{path})"

    parts = re.split(r"(^```.*?^```$)", readme, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(whole, part) for part in parts)

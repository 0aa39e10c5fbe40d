"""`python -m proofs_checks.report.readme`: the site's table of claims, the README's count of them and a picture, from the last report.

Reads `report/verify.json`, which `make verify` writes, and the committed brightness sweep.
"""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from proofs_checks.harness.proof import counted, stated
from proofs_checks.report import brightness
from proofs_checks.report.generated_tables import with_tables
from proofs_checks.report.picture_brightness import draw
from proofs_checks.terminal.arguments import errors_in_one_line
from singtheory import InputError
from singtheory.system import write_bytes

PAGE = "docs/claims.md"
"""Where the table stands."""


def claims_table(verified: dict[str, Any]) -> str:
    """The claims of a `verify.json` as a Markdown table."""
    verdicts = [stated(claim["verdict"], claim.get("proof")) for claim in verified["claims"]]
    lines = ["| id | statement | verdict | methods | false twins refuted |", "| --- | --- | --- | --- | --- |"]
    for claim, verdict in zip(verified["claims"], verdicts, strict=True):
        methods = ", ".join(dict.fromkeys(method["method"] for method in claim["methods"]))
        fell = sum(twin["verdict"] == "refuted" for twin in claim["false_twins"])
        lines.append(
            f"| {_cell(claim['id'])} | {_cell(claim['title'])} | {_cell(verdict)} | {_cell(methods)} | "
            f"{fell} of {len(claim['false_twins'])} |"
        )
    data = verified["data"]
    lines += [
        "",
        counts(verified),
        "",
        f"*{_code(verified['command'])}: {int(data['points'])} points of {_cell(data['name'])} in {int(data['dim'])} dimensions, "
        f"seed {int(verified['seed'])}.*",
    ]
    return "\n".join(lines)


def counts(verified: dict[str, Any]) -> str:
    """How many claims of a `verify.json` have which verdict, as one sentence of Markdown."""
    verdicts = [stated(claim["verdict"], claim.get("proof")) for claim in verified["claims"]]
    return f"{len(verdicts)} claims: {_cell(counted(verdicts))}."


def main(root: Path = Path()) -> None:
    """Rewrite the tables of docs/claims.md and README.md, and docs/picture-brightness.png, below `root`; all of them or none."""
    with errors_in_one_line():
        verified = _read(root / "report" / "verify.json", "make verify")
        swept = _read(brightness.RESULT, "python -m proofs_checks.report.brightness --out FILE")
        pages = [
            _page(root, PAGE, "claims", _of(claims_table, verified, root)),
            _page(root, "README.md", "counts", _of(counts, verified, root)),
        ]
        buffer = io.BytesIO()
        draw(swept).savefig(buffer, format="png", metadata={"Software": None})
        write_bytes(root / "docs" / "picture-brightness.png", buffer.getvalue())
        for path, page in pages:
            write_bytes(path, page.encode())


def _page(root: Path, name: str, table: str, content: str) -> tuple[Path, str]:
    """A page's path and its text with the table between its markers. Raises `InputError` if they are missing."""
    path = root / name
    return path, with_tables(path.read_text(encoding="utf-8"), {table: content}, name)


def _of(made: Callable[[dict[str, Any]], str], verified: Any, root: Path) -> str:
    """What is made of the result. Raises `InputError` for a file that `singtheory verify` did not write."""
    try:
        return made(verified)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{root / 'report' / 'verify.json'}: no result of this version ({error!r}); make it with: make verify"
        ) from None


def _cell(text: Any) -> str:
    """What may stand in a cell of Markdown: on one line, and nothing in it is markup or ends the cell."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(str(text).split()))


def _code(text: Any) -> str:
    """A span of code, fenced by more backticks than any it holds."""
    line = " ".join(str(text).split())
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{line}{space}{fence}"


def _read(path: Path, command: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path}: missing or damaged; make it with: {command}") from None


if __name__ == "__main__":
    typer.run(main)

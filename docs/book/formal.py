"""What Coq proves, in the pages: the directive `{formal} B3` shows a statement's theorems, the goals after each step, and the twins disproved.

Everything is read from the committed records, so that no Coq is needed to build the site.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from markupsafe import Markup
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from proofs_checks.formal import sources
from proofs_checks.formal.prove import MACHINE
from proofs_checks.formal.states import states
from proofs_checks.harness.harness import load_claims
from proofs_checks.harness.proof import formal_statements

ROOT = Path(__file__).parents[2]
SOURCES = {path.name: f"../../{path.relative_to(ROOT).as_posix()}" for path in sources()}
"""The .v files by name, relative to the pages that have the directive."""


class Formal(SphinxDirective):
    """The theorems of one statement, each with its proof states folded away."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A box for the page. A wrong id, or a record without the statement's theorems, is an error of the page."""
        statement = self.arguments[0]
        if statement not in load_claims():
            raise self.error(f"statement {statement}: unknown")
        box = nodes.container(classes=["formal"])
        proved = formal_statements().get(statement)
        if proved is None:
            box += self.parse_text_to_nodes("**In Coq.** Nothing of this statement is proved there.")
            return [box]
        recorded = states()
        missing = [name for name in (*proved["theorems"], *proved["twins"]) if name not in recorded]
        if missing:
            raise self.error(
                f"no recorded proof of {', '.join(missing)}: make it with python -m proofs_checks.formal.states"
            )
        box += self.parse_text_to_nodes(summary(proved, {recorded[name]["file"] for name in proved["theorems"]}))
        for name in proved["theorems"]:
            box += theorem(name, recorded[name])
        if proved["twins"]:
            box += self.parse_text_to_nodes("False, and disproved:")
            box += [stated(name, recorded[name]["statement"]) for name in proved["twins"]]
        return [box]


def summary(proved: dict[str, Any], files: set[str]) -> str:
    """How much is proved, for which laws, in which files and on which axioms."""
    whole = "all of the statement" if proved["whole"] else "a part of the statement"
    laws = ", for every finite law in every dimension" if proved["laws"] else ""
    missing = f" Not proved there: {proved['missing']}." if proved["missing"] else ""
    links = ", ".join(f"{{download}}`{name} <{SOURCES[name]}>`" for name in sorted(files))
    used = {axiom for axioms in proved["theorems"].values() for axiom in axioms}
    axioms = [f"`{axiom}`" for axiom in sorted(used - {MACHINE})] + [MACHINE] * (MACHINE in used)
    return f"**In Coq** {whole} is proved{laws}: {proved['covers']}.{missing} From {links}; axioms: {', '.join(axioms) or 'none'} ({{doc}}`/trust`)."


def stated(name: str, statement: str) -> nodes.literal_block:
    """A theorem's name and statement as highlighted Coq."""
    code = f"Theorem {name} :\n  " + statement.replace("\n", "\n  ") + "."
    return nodes.literal_block(code, code, language="coq", classes=["theorem"])


def theorem(name: str, entry: dict[str, Any]) -> list[nodes.Node]:
    """The statement, and the steps of its proof with what is left to prove after each."""
    steps = Markup("").join(
        Markup("<li><code>{}</code><pre>{}{}</pre></li>").format(
            text, shown, Markup("\n<em>{} goals</em>").format(goals) if goals > 1 else ""
        )
        for text, shown, goals in entry["steps"]
    )
    folded = Markup('<details class="steps"><summary>Proof of {}, {} steps</summary><ol>{}</ol></details>').format(
        name, len(entry["steps"]), steps
    )
    return [stated(name, entry["statement"]), nodes.raw("", str(folded), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("formal", Formal)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The statements of the theory in Sphinx: what a claim says, where it is computed, and links from ids in docstrings to derivations.

The directive `{statement} B3` puts a claim's own words into the page, `{claims}` lists them all. Ids in docstrings of the API become links.
"""

import re
from functools import lru_cache
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc_annotation
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.book.source import ROOT, STATEMENT, naming
from proofs_checks.harness.claim import Claim
from proofs_checks.harness.harness import load_claims
from proofs_checks.harness.proof import WORDS, formal_statements, proof_of, stated
from proofs_checks.harness.proof import counted as count

_CODE = re.compile(r"(`+[^`]*`+)")


class Statement(SphinxDirective):
    """A claim's statement on lines of its own, its constant, assumptions, verdict and source, and links to what is known of it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the claim's words as the page's own Markdown. A wrong id is an error of the page."""
        claims = load_claims()
        if self.arguments[0] not in claims:
            raise self.error(f"statement {self.arguments[0]}: unknown; there are {', '.join(claims)}")
        box = nodes.container(classes=["statement"])
        box += self.parse_text_to_nodes(boxed(claims[self.arguments[0]]))
        return [box]


def boxed(claim: Claim) -> str:
    """What stands at the head of a statement's page, as Markdown."""
    label = claim.id.lower()
    parts = {"proof": "proof", "coq": "formal proof", "check": "check", "stops": "counterexample"}
    links = " · ".join(f"{{ref}}`{name} <{label}-{part}>`" for part, name in parts.items())
    code = ", ".join(f"{{py:obj}}`{d.name.removeprefix('singtheory.')} <{d.name}>`" for d in naming(claim.id))
    lines = {
        "Statement.": displayed(claim.statement),
        "Constant.": claim.constant,
        "Assumptions.": claim.assumptions,
        "Verdict.": f"*{verdict(claim)}* ({{doc}}`what that rests on </trust>`). Proved by Coq: {formal_part(claim.id)}.",
        "On this page.": links,
        "Claim.": f"{{py:mod}}`{claim_module(claim.id)}`",
        "Code.": code,
        "Source.": _with_links(credit(claim)) or "derived on this page",
        "Change a line, see what breaks.": f"In a clone `.venv/bin/python -m docs.book.run {claim.id}` runs this page, `.venv/bin/singtheory verify --claims {claim.id}` its checks and twins; "
        f"{{download}}`this page as a notebook <{label}.ipynb>`.",
    }
    return "\n\n".join(f"**{name}** {line}" for name, line in lines.items() if line)


_LONG = 40
"""Characters of LaTeX from which on a relation stands on a line of its own; twice as many for other formulas."""


def displayed(statement: str) -> str:
    """A statement with its long relations on lines of their own, and what follows them as the next paragraph."""

    def block(match: re.Match[str]) -> str:
        latex, mark = match[1], match[2]
        relation = re.search(r"=|<|>|\\le\b|\\ge\b|\\to\b", latex)
        if len(latex) < (_LONG if relation else 2 * _LONG):
            return match[0]
        return f"\n\n$$\n{latex}{mark}\n$$\n\n"

    return re.sub(r"\$([^$]+)\$([.,;:]?) ?", block, statement).strip()


class Claims(SphinxDirective):
    """A table of all claims, with links to their derivations and to the modules that register them."""

    def run(self) -> list[nodes.Node]:
        """How many are proved and by what, and one row a claim, in the order of the theory."""
        lines = [f"{counted()}\n", "| claim | registered in | verdict | proved by Coq | checked by | false twins |"]
        lines.append("| --- | --- | --- | --- | --- | ---: |")
        for claim in load_claims().values():
            methods = ", ".join(dict.fromkeys(check.method for check in claim.checks))
            link = f"{{ref}}`{claim.id} {claim.title} <{claim.id.lower()}>`"
            lines.append(
                f"| {link} | {{py:mod}}`{claim_module(claim.id)}` | {verdict(claim)} | {formal_part(claim.id)} | {methods} | {len(claim.false_twins)} |"
            )
        return self.parse_text_to_nodes("\n".join(lines))


def verdict(claim: Claim) -> str:
    """The verdict of a claim that holds: `proved: formal`, `proved: symbolic` or `supported`."""
    proof = proof_of(claim)
    return stated("proved", proof) if proof else "supported"


def formal_part(statement: str) -> str:
    """How much of a statement Coq proves, in a few words."""
    proof = formal_statements().get(statement)
    if proof is None:
        return "nothing"
    return "all of it" if proof["whole"] else f"a part; not {proof['missing']}"


def counted() -> str:
    """How many claims a machine proves whole, and by what, in one sentence for every page that says it."""
    claims = load_claims().values()
    counts = count([verdict(claim) for claim in claims])
    return (
        f"Of the {len(claims)} claims {counts}. *{WORDS[0]}*: Coq checks every part of the statement, for every finite law where it is about laws. "
        f"*{WORDS[1]}*: sympy derives every part of it. *{WORDS[2]}*: its proof stands on its page, step by step, and the checks cover parts or try it on many laws."
    )


def credit(claim: Claim) -> str:
    """Whom a claim's source names beside the claim's own page, and what it says was added or corrected."""
    return re.sub(r"^derived on its page[;,]?\s*", "", claim.source)


def _with_links(source: str) -> str:
    """Papers by their arXiv number or DOI, as links in Markdown."""
    source = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"doi (10\.\d{4,9}/[\w.()/-]*\w)", r"[doi \1](https://doi.org/\1)", source)


@lru_cache
def claim_module(statement: str) -> str:
    """The module of proofs_checks that registers the claim. Raises `LookupError` if there is none."""
    for path in sorted((ROOT / "proofs_checks" / "claims").glob("[a-f]/*.py")):
        if f'id="{statement}",' in path.read_text(encoding="utf-8"):
            return f"proofs_checks.claims.{path.parent.name}.{path.stem}"
    raise LookupError(f"claim {statement}: no module of proofs_checks registers it")


def linked(line: str, known: set[str]) -> str:
    """A line of a docstring with its ids as links, outside of code; `x` becomes ``x`` so that nothing in it is markup."""
    parts = _CODE.split(line)
    return "".join(_code(part) if part.startswith("`") else _prose(part, known) for part in parts)


def _code(part: str) -> str:
    inner = part.strip("`").replace("\\\\", "\\")
    return f"``{inner}``" if inner.strip() else part


def _prose(part: str, known: set[str]) -> str:
    escaped = re.sub(r"([*|])", r"\\\1", part)
    return STATEMENT.sub(lambda m: f":ref:`{m[0]} <{m[0].lower()}>`" if m[0] in known else m[0], escaped)


def link_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Sphinx's hook on every docstring of the API, before its sections are parsed: links, and examples as code."""
    known = set(load_claims())
    linked_lines: list[str] = []
    example = doctest = False
    for line in lines:
        indented = what == "module" and line.startswith("    ")
        if indented and not example and not (linked_lines and linked_lines[-1].strip()):
            linked_lines += ["::", ""]
        example = indented or (example and not line.strip())
        doctest = line.lstrip().startswith(">>>") or (doctest and bool(line.strip()))
        linked_lines.append(line if example or doctest else linked(line, known))
    lines[:] = linked_lines


def hide_value(app: Sphinx, domain: str, kind: str, content: nodes.Element) -> None:
    """Sphinx's hook on every object of the API: no values of constants, which are in the source; folders would be those of the machine that built the page."""
    assert content.parent is not None
    for annotation in list(content.parent.findall(desc_annotation)):
        if kind in ("data", "attribute") and annotation.astext().lstrip().startswith("="):
            annotation.parent.remove(annotation)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives, the links, and what hides values."""
    app.add_directive("statement", Statement)
    app.add_directive("claims", Claims)
    app.connect("autodoc-process-docstring", link_docstring, priority=400)
    app.connect("object-description-transform", hide_value)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

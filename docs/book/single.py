"""One statement of a derivation as a page, a notebook or a script of its own, with the cells of the page above it that it needs.

The pages `docs/derivations/*.md` hold a group of statements each and are what people edit. Readers want one statement. Which cells above a statement
define names that it uses is read from the code, so that nothing has to be kept in step by hand.
"""

import ast
import re
import symtable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from docs.book.source import ROOT
from singtheory import InputError

GROUPS = "abcdef"
FOLDER = ROOT / "docs" / "derivations"
_LABEL = re.compile(r"^\(([a-z][a-z0-9-]*)\)=\n(?=## )", flags=re.MULTILINE)
_FENCE = re.compile(r"```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)\n?(.*?)```\n", flags=re.DOTALL)
_PARTS = {"**Proof.**": "Proof", "**Check.**": "Check"}
FRONT = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n"


@dataclass(frozen=True)
class Derivation:
    """A page of several statements.

    Attributes:
        head: before its first section: title, introduction and the cells that serve all.
        sections: text by label, each from its heading on, in the order of the page.
        begins: the line of the page on which the text of each section begins.
        path: of the page; None for a text that is no file.
    """

    head: str
    sections: dict[str, str]
    begins: dict[str, int]
    path: Path | None = None

    @property
    def title(self) -> str:
        """The line under which the page stands in the column at the left."""
        heading = re.search(r"^# (.*)$", self.head, flags=re.MULTILINE)
        return heading[1] if heading else ""


@dataclass(frozen=True)
class Cell:
    """The code of one cell.

    Attributes:
        code: as it stands in the page.
        binds: names that it gives a value.
        changes: names whose value it changes in place, by a call or by an assignment to a part.
        reads: names that it takes from the cells before it.
        line: on which its code begins, of the page where it stands.
    """

    code: str
    binds: frozenset[str]
    changes: frozenset[str]
    reads: frozenset[str]
    line: int


@lru_cache
def derivation(path: Path) -> Derivation:
    """The page, in parts. Raises `InputError` for a file that is no text."""
    try:
        return parts(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError:
        raise InputError(f"{place(path, 1)}: is no text in UTF-8; save it so") from None


def parts(text: str, path: Path | None = None) -> Derivation:
    """A page's text, in parts."""
    pieces = _LABEL.split(text)
    begins = {match[1]: _line(text, match.end()) for match in _LABEL.finditer(text)}
    return Derivation(pieces[0], dict(zip(pieces[1::2], pieces[2::2], strict=True)), begins, path)


def _line(text: str, at: int) -> int:
    """The number of the line on which a character stands, from 1."""
    return text.count("\n", 0, at) + 1


def page_of(label: str) -> Derivation:
    """The derivation that holds a label. Raises `LookupError` if there is none."""
    for group in GROUPS:
        page = derivation(FOLDER / f"{group}.md")
        if label in page.sections:
            return page
    raise LookupError(f"{label}: no section of docs/derivations")


def pieces(text: str) -> list[str]:
    """Words and code of a piece of a page in turn, words first and last."""
    parts, end = [], 0
    for match in _FENCE.finditer(text):
        parts += [text[end : match.start()], match[2]]
        end = match.end()
    return [*parts, text[end:]]


def without_cells(text: str) -> str:
    """The words of a piece of a page."""
    return _FENCE.sub("", text)


def cells(text: str, begins: int = 1, path: Path | None = None) -> list[Cell]:
    """The cells of a piece of a page that begins on a line of it. Raises `InputError` naming the line that is no Python."""
    return [_cell(match[2], begins - 1 + _line(text, match.start(2)), path) for match in _FENCE.finditer(text)]


def place(path: Path | None, line: int) -> str:
    """Such as `docs/derivations/b.md:957`."""
    page = "the page" if path is None else path.relative_to(ROOT).as_posix()
    return f"{page}:{line}"


def _cell(code: str, line: int, path: Path | None) -> Cell:
    binds: set[str] = set()
    reads: set[str] = set()
    try:
        tree = ast.parse(code)
        compile(code, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)  # a `break` outside of a loop is a tree
    except SyntaxError as error:
        lines = code.splitlines() or [""]
        at = min(error.lineno or 1, len(lines))  # what is never closed ends behind the last line
        raise InputError(f"{place(path, line + at - 1)}: {lines[at - 1].strip()!r} is no Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL, and brackets without end
        raise InputError(f"{place(path, line)}: is no Python: {error or type(error).__name__}") from None
    for statement in tree.body:
        reads |= _reads(statement) - binds
        binds |= _bound(statement)
    return Cell(code, frozenset(binds), frozenset(_changed(tree)), frozenset(reads), line)


def _table(statement: ast.AST) -> symtable.SymbolTable:
    """The names of a piece of code that stands by itself."""
    return symtable.symtable(ast.unparse(statement), "cell", "exec")


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement gives a value."""
    return {name.get_name() for name in _table(statement).get_symbols() if name.is_assigned() or name.is_imported()}


def _reads(statement: ast.stmt) -> set[str]:
    """Names that a statement takes from before it; in the body of a loop only those to which no line above gives a value."""
    if not isinstance(statement, ast.For):
        return _read(_table(statement))
    bound, reads = _bound(ast.Assign([statement.target], ast.Constant(0), lineno=0)), _read(_table(statement.iter))
    for line in (*statement.body, *statement.orelse):
        reads |= _reads(line) - bound
        bound |= _bound(line)
    return reads


def _read(table: symtable.SymbolTable) -> set[str]:
    """Names that the code reads from the outermost level, in functions and comprehensions too."""
    inner = table.get_type() != "module"
    own = {name.get_name() for name in table.get_symbols() if name.is_referenced() and (not inner or name.is_global())}
    return own.union(*(_read(child) for child in table.get_children()))


def _changed(tree: ast.Module) -> set[str]:
    """Names whose value is changed in place by a call or an assignment to a part of it."""
    changed = set()
    for node in ast.walk(tree):
        target = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        targets = [target] if target else node.targets if isinstance(node, ast.Assign) else []
        for one in targets:
            while isinstance(one, ast.Attribute | ast.Subscript):
                one = one.value
                if isinstance(one, ast.Name):
                    changed.add(one.id)
    return changed


def needed(label: str) -> list[str]:
    """The code of the cells above a section that it cannot do without, in their order."""
    return [cell.code for cell in needed_cells(label)]


def needed_cells(label: str) -> list[Cell]:
    """These cells."""
    page = page_of(label)
    labels = list(page.sections)
    above = [cells(page.head, path=page.path), *(own_cells(page, name) for name in labels[: labels.index(label)])]
    wanted: set[str] = set()
    for cell in reversed(own_cells(page, label)):
        wanted = (wanted - cell.binds) | cell.reads
    kept = []
    for cell in reversed([cell for piece in above for cell in piece]):
        if (cell.binds | cell.changes) & wanted:
            wanted = (wanted - cell.binds) | cell.reads
            kept.append(cell)
    return kept[::-1]


def own_cells(page: Derivation, label: str) -> list[Cell]:
    """The cells of a section."""
    return cells(page.sections[label], page.begins[label], page.path)


def runnable(label: str) -> list[Cell]:
    """All cells of a section that can run by itself: those that it needs from above, then its own."""
    return [*needed_cells(label), *own_cells(page_of(label), label)]


def code(label: str) -> list[str]:
    """The code of these cells."""
    return [cell.code for cell in runnable(label)]


def single_page(label: str) -> str:
    """The section as a page of MyST: its proof, check and counterexample as headings with labels such as `b10-proof`."""
    text = page_of(label).sections[label].replace("## ", "# ", 1)
    head, _, body = text.partition("\n")
    above = "\n".join(needed(label))
    folded = f"\n```{{code-cell}}\n:tags: [hide-input, remove-output]\n\n{above}```\n" if above else ""
    box, mark, rest = body.partition(":::\n")
    if not mark:  # no claim: the section has no box under which to fold
        box, rest = "", body
    return f"{FRONT}({label})=\n{head}\n{_entries(head)}{box}{mark}{_symbols(page_of(label).head)}{folded}{_with_headings(rest, label)}"


def _symbols(head: str) -> str:
    """What the letters of a derivation stand for, from its introduction, to be unfolded on the page of a statement; empty if it does not say."""
    words = re.search(r"^\*\*Symbols\.\*\* (.*?)\n\n", head, flags=re.MULTILINE | re.DOTALL)
    if words is None:
        return ""
    return f'\n<details class="symbols">\n<summary>What the letters stand for</summary>\n\n{words[1]}\n\n</details>\n'


def _entries(heading: str) -> str:
    """Main entries of the index, which a search puts first: the id of a statement, and its title."""
    name, _, title = heading.removeprefix("# ").partition(" ")
    words = [name, title] if re.fullmatch(r"[A-F]\d+", name) else [f"{name} {title}".strip()]
    plain = (re.sub(r"[,;!$]", "", one).strip() for one in words)
    return "\n:::{index} " + ", ".join(f"! {one}" for one in plain if one) + "\n:::\n"


def _with_headings(text: str, label: str) -> str:
    for lead, name in _PARTS.items():
        text = text.replace(f"{lead} ", f"({label}-{name.lower()})=\n## {name}\n\n", 1)
        text = text.replace(f"{lead}\n", f"({label}-{name.lower()})=\n## {name}\n", 1)
    text = text.replace(":::{formal}", f"({label}-coq)=\n## In Coq\n\n:::{{formal}}", 1)
    return re.sub(
        r"^\*\*(Where it stops[^*]*?)[.:]?\*\*[ \n]?",
        rf"({label}-stops)=\n## \1\n\n",
        text,
        count=1,
        flags=re.MULTILINE,
    )

"""`make prove`: Coq checks every proof, every theorem is printed with its axioms, and `proved.json` is written.

The sources are copied to one temporary folder, side by side, with the formulas as they are now, so that nothing stale can pass.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from proofs_checks.formal import FOLDER, RECORD, digests, sources
from proofs_checks.formal.coverage import COVERAGE, Coverage
from proofs_checks.formal.ties import PATH, definitions
from singtheory.system import write_bytes, write_json

INSTALL = "Coq is missing; on Debian or Ubuntu: apt-get install coq libcoq-coquelicot libcoq-interval"
LIBRARY = "Singdiffusion"
FLAGS = ("-w", "-ambiguous-paths", "-Q", ".", LIBRARY)
PROCESSES = 2

ALLOWED = (
    "ClassicalDedekindReals.sig_forall_dec",
    "ClassicalDedekindReals.sig_not_dec",
    "FunctionalExtensionality.functional_extensionality_dep",
    "Classical_Prop.classic",
    "ClassicalEpsilon.constructive_indefinite_description",
    "PropExtensionality.propositional_extensionality",
)
"""The axioms of the classical real numbers and of functions that are equal where their values are, which Coquelicot uses."""
PRIMITIVE = re.compile(r"^(PrimInt63|Uint63|PrimFloat|FloatAxioms)\.")
MACHINE = "machine integers"
"""What Interval computes with: Coq's kernel has them built in and states their laws as axioms (`PrimInt63`, `Uint63`)."""
ENCLOSES = re.compile(r"\bTactic\.IT\.Private\.IT\d\.IH\.eval_bisect_correct\b")
"""Interval's theorem that what its tactic computes encloses the number."""

TWIN = "_twin"
"""Marks, in a theorem's name, that it disproves a near falsehood."""
NUMBERS = "Golden"
"""Theorems on numbers, which belong to no statement."""
THEOREM = re.compile(r"^\s*Theorem\s+([A-F]\d+|Golden)_(\w+)", re.MULTILINE)
FORBIDDEN = re.compile(r"\b(Admitted|admit|Axiom|Axioms|Parameter|Parameters|Conjecture|give_up)\b")


class ProofError(Exception):
    """A proof that Coq does not accept, or an axiom that is not allowed."""


def without_comments(text: str) -> str:
    """The Coq source without its comments, which may be nested."""
    kept, depth, place = [], 0, 0
    while place < len(text):
        pair = text[place : place + 2]
        if pair in ("(*", "*)"):
            depth += 1 if pair == "(*" else -1
            place += 2
            continue
        if depth == 0:
            kept.append(text[place])
        place += 1
    return "".join(kept)


def left_open(folder: Path = FOLDER) -> list[str]:
    """Where a proof is left open or an axiom is stated, as `file: word`."""
    return [
        f"{path.name}: {word}"
        for path in sources(folder)
        for word in FORBIDDEN.findall(without_comments(path.read_text(encoding="utf-8")))
    ]


def theorems(folder: Path = FOLDER) -> dict[str, list[tuple[str, str]]]:
    """By statement id, the `(file, theorem)` whose name starts with it, in the order of the sources."""
    by_statement: dict[str, list[tuple[str, str]]] = {}
    for path in sources(folder):
        for statement, rest in THEOREM.findall(without_comments(path.read_text(encoding="utf-8"))):
            by_statement.setdefault(statement, []).append((path.stem, f"{statement}_{rest}"))
    return by_statement


def gather(folder: Path, work: Path) -> None:
    """Copy the sources of a folder, and of those below it, side by side into `work`. Raises `ProofError` if two have one name."""
    for path in sources(folder):
        if (work / path.name).exists():
            raise ProofError(f"{path.name}: there are two files of this name; give one of them another")
        shutil.copy(path, work)


def coq(folder: Path, name: str, *flags: str) -> str:
    """What coqc prints for one file. Raises `ProofError` with its message if it fails."""
    done = subprocess.run(["coqc", *FLAGS, *flags, name], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProofError(f"{name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def dependencies(folder: Path) -> dict[str, set[str]]:
    """By file, the files of the development that it requires."""
    names = {path.stem for path in sources(folder)}
    pattern = re.compile(rf"From\s+{LIBRARY}\s+Require\s+(?:Import|Export)\s+([\w\s]+)\.")
    return {
        path.stem: {word for line in pattern.findall(path.read_text(encoding="utf-8")) for word in line.split()} & names
        for path in sources(folder)
    }


def build(folder: Path, processes: int = PROCESSES) -> None:
    """Check every file, those that others need first. Raises `ProofError` at the first that fails."""
    needs, done = dependencies(folder), set[str]()
    with ThreadPoolExecutor(processes) as pool:
        while len(done) < len(needs):
            ready = [name for name in needs if name not in done and needs[name] <= done]
            if not ready:
                raise ProofError("the files require each other in a circle")
            for name, _ in zip(ready, pool.map(lambda stem: coq(folder, f"{stem}.v"), ready), strict=True):
                print(f"checked {name}.v", flush=True)
                done.add(name)


def assumptions(
    folder: Path, names: dict[str, list[tuple[str, str]]], processes: int = PROCESSES
) -> dict[str, list[str]]:
    """By theorem, the axioms that it rests on, as Coq's kernel counts them: about a second of one core each.

    A number that Interval encloses takes six, all of them for Interval's own theorem `ENCLOSES`. Where the proof term names that theorem, its
    axioms are counted once: they are the least that the theorem rests on, those of all such theorems together are the most, and where the two
    are the same nothing is left to count.
    """
    stems = sorted({stem for pairs in names.values() for stem, _ in pairs})
    paths = {theorem: f"{LIBRARY}.{stem}.{theorem}" for pairs in names.values() for stem, theorem in pairs}
    terms = asked(folder, stems, {theorem: f"Print {path}." for theorem, path in paths.items()}, processes)
    enclosed: dict[str, list[str]] = {}
    for theorem, term in terms.items():
        if match := ENCLOSES.search(term):
            enclosed.setdefault(match[0], []).append(theorem)
    questions = {}
    for number, (theorem, users) in enumerate(enclosed.items()):
        together = ", ".join(f"@{paths[user]}" for user in users)
        questions[f"least_{number}"] = f"Print Assumptions Interval.{theorem}."
        questions[f"most_{number}"] = f"Definition all_{number} := ({together}, tt).\nPrint Assumptions all_{number}."
    numeric = {user for users in enclosed.values() for user in users}
    single = {theorem: f"Print Assumptions {path}." for theorem, path in paths.items()}
    questions |= {theorem: question for theorem, question in single.items() if theorem not in numeric}
    counted = {label: axioms(text) for label, text in asked(folder, stems, questions, processes).items()}
    for number, users in enumerate(enclosed.values()):
        if counted[f"least_{number}"] == counted[f"most_{number}"]:
            counted |= dict.fromkeys(users, counted[f"least_{number}"])
    rest = {theorem: question for theorem, question in single.items() if theorem not in counted}
    counted |= {label: axioms(text) for label, text in asked(folder, stems, rest, processes).items()}
    return {theorem: counted[theorem] for theorem in paths}


def asked(folder: Path, stems: list[str], questions: dict[str, str], processes: int = PROCESSES) -> dict[str, str]:
    """What Coq prints for each question, by its label, with the files `stems` of a folder that is built."""
    items = list(questions.items())
    shares = [share for start in range(processes) if (share := items[start::processes])]
    with ThreadPoolExecutor(processes) as pool:
        printed = pool.map(lambda part: coq(folder, _questions_file(folder, stems, *part)), enumerate(shares))
    parts = [part for text in printed for part in re.split(r"^== (\w+)$", text, flags=re.MULTILINE)[1:]]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _questions_file(folder: Path, stems: list[str], number: int, questions: list[tuple[str, str]]) -> str:
    """Write a file that asks Coq these questions, and return its name."""
    lines = ["From Coq Require Import Reals.", *(f"From {LIBRARY} Require {stem}." for stem in stems)]
    for label, question in questions:
        lines += [f'Goal True. idtac "== {label}". Abort.', question]
    (folder / f"Asked_{number}.v").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"Asked_{number}.v"


def axioms(printed: str) -> list[str]:
    """The names in what `Print Assumptions` prints: each starts a line, and its type follows on this line or indented.

    The many laws of machine integers count as one, `MACHINE`.
    """
    if "Closed under the global context" in printed:
        return []
    names = {
        line.split(":")[0].strip()
        for line in printed.splitlines()
        if line and line[0] not in " \t" and line != "Axioms:"
    }
    return sorted({MACHINE if PRIMITIVE.match(name) else name for name in names})


def record(
    checked: dict[str, str], proved: dict[str, list[tuple[str, str]]], rests: dict[str, list[str]]
) -> dict[str, Any]:
    """The content of `proved.json`, with the digests of the files that were checked."""
    statements = {}
    for statement, covered in COVERAGE.items():
        names = [theorem for _, theorem in proved.get(statement, ())]
        true, twins = ([n for n in names if (TWIN in n) is twin] for twin in (False, True))
        statements[statement] = {
            "whole": covered.whole,
            "laws": covered.laws,
            "covers": covered.covers,
            "missing": covered.missing,
            "theorems": {name: rests[name] for name in true},
            "twins": {name: rests[name] for name in twins},
        }
    return {"sha256": checked, "statements": statements}


def table(content: dict[str, Any]) -> str:
    """The record in words: a statement a paragraph, a theorem with its axioms a line."""
    lines, statements = [], content["statements"]
    for statement, entry in statements.items():
        lines.append(f"{statement}: {'whole' if entry['whole'] else 'part'}: {entry['covers']}")
        if entry["missing"]:
            lines.append(f"    not proved here: {entry['missing']}")
        for kind in ("theorems", "twins"):
            lines += [f"    {name}: {', '.join(used) or 'no axioms'}" for name, used in entry[kind].items()]
    named = [entry for statement, entry in statements.items() if statement != NUMBERS]
    whole = [entry for entry in named if entry["whole"]]
    lines.append(
        f"{len(whole)} statements whole ({sum(entry['laws'] for entry in whole)} of them over all finite laws), "
        f"{len(named) - len(whole)} in part, {sum(len(entry['theorems']) for entry in statements.values())} theorems, "
        f"{sum(len(entry['twins']) for entry in statements.values())} false twins disproved"
    )
    return "\n".join(lines)


def check_names(proved: dict[str, list[tuple[str, str]]], coverage: dict[str, Coverage]) -> None:
    """Raise `ProofError` if a theorem has no entry in the coverage, or an entry no theorem."""
    if missing := sorted(set(proved) ^ set(coverage)):
        raise ProofError(f"coverage.py and the theorems differ at {', '.join(missing)}")


def prove(folder: Path = FOLDER, formulas: str | None = None) -> dict[str, Any]:
    """Check all proofs against the formulas as they are now (or `formulas`) and return the record.

    Raises:
        ProofError: a proof fails, is left open, or rests on an axiom that is not allowed.
    """
    if unproved := left_open(folder):
        raise ProofError(f"left open: {', '.join(unproved)}")
    names = theorems(folder)
    check_names(names, COVERAGE)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        gather(folder, work)
        (work / PATH.name).write_text(definitions() if formulas is None else formulas, encoding="utf-8")
        checked = digests(work)  # a file that is changed while Coq is at work has not been checked
        build(work)
        rests = assumptions(work, names)
    for theorem, used in rests.items():
        if wrong := [axiom for axiom in used if axiom not in (*ALLOWED, MACHINE)]:
            raise ProofError(f"{theorem} rests on {', '.join(wrong)}")
    return record(checked, names, rests)


def main() -> int:
    """Prove, print and write. Returns the exit status: 0, 1 if something is not proved, 2 without Coq."""
    if shutil.which("coqc") is None:
        print(INSTALL, file=sys.stderr)
        return 2
    try:
        write_bytes(PATH, definitions().encode())
        content = prove()
    except ProofError as error:
        without = re.search(r"Cannot find a physical path.*(Coquelicot|Interval)", str(error), re.DOTALL)
        print(INSTALL if without else error, file=sys.stderr)
        return 2 if without else 1
    print(table(content))
    write_json(RECORD, content)
    return 0


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    sys.exit(main())

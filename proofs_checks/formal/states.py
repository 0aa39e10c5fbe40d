"""What Coq shows while it checks a proof: every theorem's full statement, and the goals after each step, recorded for the pages of the site.

`python -m proofs_checks.formal.states` writes `states.json` again after a change to a .v file; the site is built from it without Coq. The
programs that record proof states for alectryon (SerAPI, coq-lsp, VsCoq) are not among Debian's packages, so Coq's own toplevel is asked.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs_checks.formal import FOLDER, digests
from proofs_checks.formal.prove import (
    FLAGS,
    INSTALL,
    PROCESSES,
    THEOREM,
    TWIN,
    ProofError,
    build,
    dependencies,
    gather,
)
from singtheory.system import write_bytes

STATES = Path(__file__).with_name("states.json")
MARK = "No object of basename recorded_"
"""What Coq answers to `Locate recorded_7.`; it tells the answers to one step from those to the next."""
LONGEST = 1200
"""Characters of one state that are kept; longer ones end with an ellipsis."""
WIDTH = 110


@dataclass(frozen=True)
class Step:
    """One sentence of a proof, and what Coq shows after it.

    Attributes:
        text: the sentence, such as `field; lra.`
        shown: the hypotheses that are new and the conclusion of the first goal, or that none is left.
        goals: how many goals there are.
    """

    text: str
    shown: str
    goals: int


def sentences(text: str) -> Iterator[str]:
    """The sentences of a Coq source, each with its end, comments left out.

    >>> list(sentences("Lemma a : 0.5 = 1 / 2. (* not. this *) Proof. field. Qed."))
    ['Lemma a : 0.5 = 1 / 2.', 'Proof.', 'field.', 'Qed.']
    """
    depth, start, place, sentence = 0, 0, 0, ""
    while place < len(text):
        pair = text[place : place + 2]
        if pair in ("(*", "*)"):
            sentence += text[start:place] if depth == 0 else ""
            depth += 1 if pair == "(*" else -1
            place += 2
            start = place
            continue
        if depth == 0 and text[place] == "." and (place + 1 == len(text) or text[place + 1].isspace()):
            yield (sentence + text[start : place + 1]).strip()
            sentence, start = "", place + 1
        place += 1


def asked(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What Coq's toplevel is given for a file, and the `(theorem, sentence)` that it is asked to show the goals after."""
    lines, asks, inside = [f"Set Printing Width {WIDTH}.", "Set Silent."], [], ""
    names = []
    for sentence in sentences(text):
        lines.append(sentence)
        if match := THEOREM.match(sentence):
            name = f"{match[1]}_{match[2]}"
            names.append(name)
            inside = "" if TWIN in name else name
        elif sentence in ("Qed.", "Defined."):
            inside = ""
        elif inside and sentence != "Proof.":
            lines += [f"Locate recorded_{len(asks)}.", "Show."]
            asks.append((inside, sentence))
    for name in names:
        lines += [f"Locate recorded_{len(asks)}.", f"Check @{name}."]
        asks.append((name, ""))
    return "\n".join([*lines, "Locate recorded_end.", ""]), asks


def recorded(folder: Path, stem: str) -> dict[str, dict[str, Any]]:
    """Every theorem of one file of a folder that is built: its statement and steps.

    Raises:
        ProofError: Coq did not answer as it should.
    """
    assumed, asks = asked((folder / f"{stem}.v").read_text(encoding="utf-8"))
    done = subprocess.run(
        ["coqtop", "-q", *FLAGS], cwd=folder, input=assumed, capture_output=True, text=True, check=False
    )
    answers = re.split(rf"{MARK}(\w+)\n", done.stdout)
    if answers[1::2] != [*map(str, range(len(asks))), "end"]:
        raise ProofError(
            f"{stem}.v: Coq's toplevel went through {len(answers) // 2} of {len(asks)} steps: {done.stderr[-400:]}"
        )
    by_statement: dict[str, dict[str, Any]] = {}
    before: tuple[str, ...] = ()
    for (name, sentence), answer in zip(asks, answers[2::2], strict=False):
        entry = by_statement.setdefault(name, {"file": f"{stem}.v", "statement": "", "steps": []})
        if not sentence:
            entry["statement"] = statement(answer)
            continue
        step, before = shown(sentence, answer, before if entry["steps"] else ())
        entry["steps"].append([step.text, step.shown, step.goals])
    return by_statement


def statement(answer: str) -> str:
    """The closed statement from what `Check` prints, without the name of the theorem and the length of its indentation."""
    body = answer.split("\n     : ", 1)[-1]
    return re.sub(r"\n {7}", "\n", body).strip()


def shown(sentence: str, answer: str, before: tuple[str, ...]) -> tuple[Step, tuple[str, ...]]:
    """A step from what `Show` prints, and the hypotheses of its first goal, of which only those not in `before` are kept."""
    text = " ".join(sentence.split())
    count = re.search(r"(\d+) (?:focused )?goals?", answer)
    if count is None or "=====" not in answer:
        return Step(text, "nothing is left to prove here", 0), before
    first = re.split(r"\n\s*\n(?:goal|subgoal) 2 ", answer.split("\n", 1)[1])[0]
    above, below = re.split(r"\n? *={10,}\n", first, maxsplit=1)
    hypotheses = tuple(re.findall(r"^  (\S.*(?:\n {3,}.*)*)", above, flags=re.MULTILINE))
    new = [line for line in hypotheses if line not in before]
    conclusion = re.split(r"\n\s*\n", below)[0]
    state = "\n".join([*new, "⊢ " + re.sub(r"\n {2}", "\n  ", conclusion.strip())])
    return Step(text, state if len(state) <= LONGEST else state[:LONGEST] + " …", int(count[1])), hypotheses


def record(folder: Path = FOLDER, processes: int = PROCESSES) -> dict[str, Any]:
    """Build the development of a folder in a temporary one, go through every proof and return what `states.json` holds."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        gather(folder, work)
        checked = digests(work)
        build(work, processes)
        stems = [
            stem for stem in dependencies(work) if THEOREM.search((work / f"{stem}.v").read_text(encoding="utf-8"))
        ]
        with ThreadPoolExecutor(processes) as pool:
            parts = list(pool.map(lambda stem: recorded(work, stem), stems))
    theorems = {name: entry for part in parts for name, entry in part.items()}
    return {"sha256": checked, "theorems": dict(sorted(theorems.items()))}


def states(path: Path = STATES, folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The recorded statements and steps by theorem, of those files that are as they were; empty without a record."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    now = digests(folder)
    same = {name for name, digest in stored["sha256"].items() if now.get(name) == digest}
    return {name: entry for name, entry in stored["theorems"].items() if entry["file"] in same}


def main() -> int:
    """Record and write. Returns the exit status: 0, 1 if a proof fails, 2 without Coq."""
    if shutil.which("coqtop") is None:
        print(INSTALL, file=sys.stderr)
        return 2
    try:
        content = record()
    except ProofError as error:
        print(error, file=sys.stderr)
        return 1
    write_bytes(STATES, (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
    print(f"{len(content['theorems'])} theorems: {STATES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

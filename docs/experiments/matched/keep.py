"""`python -m docs.experiments.matched.keep --run DIR [LATER …] --out FILE.json`: a run of `measure`, kept.

Kept are its numbers with five digits, path nats of every kernel by the number of steps and by work, the standard errors of differences between kernels at equal work, and
the shares of every Jacobian; the arrays, some megabytes, are not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from docs.experiments.flow.keep import rounded
from docs.experiments.matched.nats import Nats, Spectra
from docs.experiments.matched.ways import NAMES, PASSES, Known, times_of
from docs.experiments.script.arguments import add_out_file, command, one_line_errors
from singtheory.errors import InputError
from singtheory.schedule import Schedule, schedule_named
from singtheory.system import read_json, write_json

STEPS = (5, 10, 20, 50, 100, 200)
WHOLE = "whole Jacobian"
"""Lanczos's method with as many products as dimensions."""


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def nats_of(folder: Path, name: str = "matched") -> Nats:
    """The nats of a run, from its files."""
    result = read_json(folder / f"{name}.json", "result")
    arrays = arrays_of(folder / f"{name}-profile.npz")
    known = Known.of(result["profile"], arrays)
    spectra = None
    if "spectra" in result:
        counts = sorted({int(one.rpartition(" ")[2]) for one in NAMES if one.startswith("Lanczos")})
        spectra = Spectra.of(result["spectra"], arrays_of(folder / f"{name}-spectra.npz"), counts)
    return Nats(known, result["profile"], arrays, spectra)


def tabulated(nats: Nats, schedule: Schedule, kind: str) -> list[dict[str, Any]]:
    """Path nats of every kernel at every number of steps, with E3's leading orders."""
    rows = []
    for name in (*NAMES, WHOLE) if nats.spectra is not None else NAMES[:4]:
        for steps in STEPS:
            snr = schedule.snr(
                times_of(kind, name if name != WHOLE else "Lanczos", schedule, steps, nats.known)
            ).tolist()
            row: dict[str, Any] = {"way": name, "grid": kind, "steps": steps, "passes": steps * PASSES.get(name, 1)}
            row |= nats.path(name, snr) | nats.predicted(snr)
            if name not in NAMES[:4]:
                each = [one.path(name, snr)["above"] for one in nats.each_draw()]
                row["above error"] = float(np.std(each, ddof=1) / len(each) ** 0.5)
            rows.append(row)
    return rows


def differences(result: dict[str, Any], influence: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Differences of Fréchet distances to that of DDPM at about equal passes, same grid, with standard errors from the same noise."""
    rows = []
    for cell in result["cells"]:
        rivals = [one for one in result["cells"] if one["way"] == "DDPM" and one["grid"] == cell["grid"]]
        near = [one for one in rivals if abs(one["passes"] - cell["passes"]) <= 0.25 * cell["passes"]]
        if cell["way"] == "DDPM" or not near:
            continue
        other = min(near, key=lambda one: abs(one["passes"] - cell["passes"]))
        key, rival = (f"{one['way']}, {one['grid']}, {one['steps']}" for one in (cell, other))
        if key in influence and rival in influence:
            apart = influence[key].astype(np.float64) - influence[rival]
            error = float(apart.std() / len(apart) ** 0.5)
            what = {"way": cell["way"], "grid": cell["grid"], "passes": cell["passes"], "rival passes": other["passes"]}
            rows.append(what | {"difference": cell["frechet"] - other["frechet"], "error": error})
    return rows


def kept(folder: Path, later: Sequence[Path] = (), name: str = "matched") -> dict[str, Any]:
    """All of it.

    Args:
        folder: of a run.
        later: of runs with the same seed after it, for the cells that it had no time for; nothing else of them is taken.
        name: of their files.
    """
    runs = [read_json(one / f"{name}.json", "result") for one in (folder, *later)]
    whole = runs[0]
    if any(one["seed"] != whole["seed"] for one in runs):
        raise InputError(f"--run: {', '.join(map(str, (folder, *later)))} have different seeds; give runs of one seed")
    whole["cells"] = [cell for one in runs for cell in one.get("cells", [])]
    if later:
        whole["later commands"] = [one["command"] for one in runs[1:]]
    nats, schedule = nats_of(folder, name), schedule_named("sd")
    whole["nats"] = [row for kind in ("angle", "own") for row in tabulated(nats, schedule, kind)]
    files = [one / f"{name}-influence.npz" for one in (folder, *later)]
    influence = {key: row for file in files if file.is_file() for key, row in arrays_of(file).items()}
    if influence:
        whole["differences"] = differences(whole, influence)
    return rounded(whole)


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run, and of runs after it")
    add_out_file(parser)
    arguments = parser.parse_args()
    with one_line_errors(parser):
        write_json(arguments.out, kept(arguments.run[0], arguments.run[1:]))


if __name__ == "__main__":
    main()

"""`python -m docs.experiments.flow.keep --runs DIR... --data openmoji.npz.xz --out DIR`: the flow demonstrator's results, in docs/experiments/results/flow/.

DIRs hold what `train` and `measure` wrote, the newest last, one file a share of the cells. A run with another seed is kept
beside with `--out docs/experiments/results/flow/second`. Kept are

    train.json       what each part of the training told
    measured.json    every cell, with five digits, the standard errors of its brightness, and some components of the prediction
    pairs.json       standard errors of the differences between our ways and rivals, from the influences of the same noise

where there are any. The influences themselves, 13 MB, are not kept.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.epsilon.ways import WAYS as EPSILON_WAYS
from docs.experiments.flow.measure import key_of
from docs.experiments.flow.ways import EVERY
from docs.experiments.script.arguments import add_data, add_out, command, one_line_errors
from docs.experiments.script.result import HEAD, runs_of
from singtheory.errors import InputError
from singtheory.system import write_bytes

COMPONENTS = (*range(1, 65), 96, 128, 192, 256, 384, 512, 768, 1024)
"""Numbers, from 1, of the principal components whose prediction is kept."""
_DIGITS = 5


def ours(way: str) -> bool:
    """Whether a way is matched or corrected; of an ε model, whose matched start is every way's, whether it is corrected."""
    if way in EPSILON_WAYS:
        return EPSILON_WAYS[way].corrected
    return way in EVERY and EVERY[way].matched


def rounded(value: Any) -> Any:
    """With five digits, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def arrays_of(runs: Iterable[Path]) -> dict[str, dict[str, np.ndarray]]:
    """By cell and name, of all runs; what a later one tells of a cell counts."""
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for run in runs:
        for path in sorted(run.glob("flow*.npz")):
            with np.load(path, allow_pickle=False) as stored:
                for name in stored.files:
                    cell, array = name.rsplit("/", 1)
                    arrays.setdefault(cell, {})[array] = stored[name]
    return arrays


def pair_errors(cells: list[dict[str, Any]], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Standard errors of the difference of two distances from the same noise, by guidance and number of evaluations; None where one of the two was not judged so."""
    deviations = dict.fromkeys(name for cell in cells for name in cell if name.endswith(" std"))
    metrics = [name.removesuffix(" std") for name in deviations if name != "high frequencies std"]
    pairs = []
    for guidance, budget in sorted({(cell["guidance"], cell["budget"]) for cell in cells}):
        here = [c for c in cells if (c["guidance"], c["budget"]) == (guidance, budget) and key_of(c) in arrays]
        groups = [c for c in here if ours(c["way"])], [c for c in here if not ours(c["way"])]
        pair: dict[str, Any] = {"guidance": guidance, "budget": budget}
        pair |= {name: [c["way"] for c in group] for name, group in zip(("ours", "rivals"), groups, strict=True)}
        if not all(groups):
            continue
        tables = {metric: _errors(metric, *groups, arrays) for metric in metrics}
        judged = {name for name, rows in tables.items() if any(error is not None for row in rows for error in row)}
        pair["errors"] = {name: rows for name, rows in tables.items() if name in judged}
        pairs.append(pair)
    return pairs


def _errors(metric: str, mine: list[Any], rivals: list[Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Any:
    """`std(a − b)/√n`, shape (ours, rivals), with None for cells without the metric; the influences are kept with standard deviation 1."""

    def scaled(group: list[Any]) -> np.ndarray:
        rows = [arrays[key_of(c)][metric].astype(np.float64) * c[f"{metric} std"] for c in group]
        return np.array(rows)

    judged = [[metric in arrays[key_of(c)] and f"{metric} std" in c for c in group] for group in (mine, rivals)]
    errors: list[list[float | None]] = [[None] * len(rivals) for _ in mine]
    if not all(map(any, judged)):
        return errors
    first, second = (scaled(list(compress(*pair))) for pair in zip((mine, rivals), judged, strict=True))
    n = first.shape[1]
    covariance = (first - first.mean(axis=1, keepdims=True)) @ (second - second.mean(axis=1, keepdims=True)).T / n
    square = first.var(axis=1)[:, None] + second.var(axis=1)[None] - 2 * covariance
    known = iter(np.sqrt(np.maximum(square, 0) / n).ravel().tolist())
    return [[next(known) if a and b else None for b in judged[1]] for a in judged[0]]


def brightness_errors(levels: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Standard errors of the bias, the spread ratio and W₁ of one prompt, each from its influence function."""
    levels, n, std = levels.astype(np.float64), len(levels), float(truth.std())
    apart = levels - levels.mean()
    errors: dict[str, float | None] = {"bias error": float(apart.std() / np.sqrt(n)), "ratio error": None}
    if std > 0 and apart.std() > 0:
        errors["ratio error"] = float((apart**2 / (2 * apart.std() * std)).std() / np.sqrt(n))
    edges = np.sort(np.concatenate([levels, truth]))
    below = [np.searchsorted(np.sort(one), edges[:-1], side="right") / len(one) for one in (levels, truth)]
    # one more sample at x raises F from x on: its influence is the integral of sign(F − G) there
    slope = np.sign(below[0] - below[1]) * np.diff(edges)
    above = np.concatenate([np.cumsum(slope[::-1])[::-1], [0.0]])
    errors["w1 error"] = float(above[np.searchsorted(edges, levels)].std() / np.sqrt(n))
    return errors


def with_errors(cell: dict[str, Any], arrays: Mapping[str, np.ndarray], data: Captioned) -> dict[str, Any]:
    """A cell with the standard errors of its brightness."""
    prompts = {}
    for prompt, numbers in cell["prompts"].items():
        levels = arrays.get(f"brightness of {prompt}")
        truth = data.brightness[data.rows(prompt)].double().numpy()
        prompts[prompt] = numbers if levels is None else numbers | brightness_errors(levels, truth)
    return cell | {"prompts": prompts}


def thinned(prediction: dict[str, Any]) -> dict[str, Any]:
    """The components that are kept."""

    def kept(values: list[float]) -> list[float]:
        return [values[k - 1] for k in COMPONENTS if k <= len(values)]

    rows = {
        part: [
            {name: kept(one) if isinstance(one, list) else one for name, one in row.items()} for row in prediction[part]
        ]
        for part in ("network", "exact")
    }
    return {"components": list(COMPONENTS), "eigenvalues": kept(prediction["eigenvalues"])} | rows


def lines(content: dict[str, Any]) -> bytes:
    """JSON with each entry of its lists on one line."""
    parts = []
    for name, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            inner = ",\n".join(json.dumps(one, ensure_ascii=False) for one in value)
            parts.append(f"{json.dumps(name)}: [\n{inner}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def earlier(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What every run but the newest took over, and the run itself, by command, each once."""
    made = ("version", "command", "device", "versions", "seed")
    runs = {run["command"]: run for file in files for run in file.get("earlier", [])}
    for file in files[:-1]:
        if "command" in file:
            runs.setdefault(file["command"], {name: file[name] for name in made} | {"parts": ["cells"]})
    return [run for command, run in runs.items() if command != files[-1].get("command")]


def joined(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A record of training with the parts that a later run adds; a part that is there stays, as the training leaves what is there as it is."""
    added = {name: value for name, value in after.items() if name not in (*HEAD, "earlier", *before)}
    if not before or not added:
        return before or after
    head = {name: after[name] for name in HEAD}
    return head | {"earlier": runs_of(before)} | {name: one for name, one in before.items() if name not in (*HEAD, "earlier")} | added  # fmt: skip


def keep(runs: list[Path], data: Captioned, target: Path = FOLDER) -> None:
    """All of it. Raises `InputError` where no run measured."""
    measured = [path for run in runs for path in sorted(run.glob("flow*.json")) if "train" not in path.name]
    if not measured:
        raise InputError(f"{runs[-1]}: holds no flow*.json; run docs.experiments.flow.measure first")
    files = [json.loads(path.read_text(encoding="utf-8")) for path in measured]
    content, arrays = files[-1], arrays_of(runs)
    cells = {key_of(cell): cell for file in files for cell in file["cells"]}
    content["earlier"] = earlier(files)
    content["cells"] = [with_errors(cell, arrays.get(key, {}), data) for key, cell in cells.items()]
    if "prediction" in content:
        content["prediction"] = thinned(content["prediction"])
    write_bytes(target / "measured.json", lines(rounded(content)))
    pairs = pair_errors(content["cells"], arrays)
    write_bytes(target / "pairs.json", lines({"pairs": rounded(pairs)}))
    trained: dict[str, dict[str, Any]] = {}
    for path in (path for run in runs for path in run.glob("flow-train*.json")):
        trained[path.stem] = joined(trained.get(path.stem, {}), json.loads(path.read_text(encoding="utf-8")))
    if trained:
        write_bytes(target / "train.json", (json.dumps(rounded(trained), indent=1, ensure_ascii=False) + "\n").encode())


def main() -> None:
    """From the folders of runs."""
    parser = command(__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders, the newest last")
    add_data(parser)
    add_out(parser, "folder of the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with one_line_errors(parser):
        keep(arguments.runs, read(arguments.data), arguments.out)


if __name__ == "__main__":
    main()

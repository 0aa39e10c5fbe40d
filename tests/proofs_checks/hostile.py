"""Hostile invocations of the command: the files they name, and what each must answer."""

from dataclasses import dataclass

from tests.proofs_checks.hostile_files import CONFIGS, LOSSES, NPY, NPZ


@dataclass(frozen=True)
class Case:
    """An invocation in a folder of hostile files.

    Attributes:
        arguments: of the command.
        words: that its one line of refusal must hold.
        quick: whether the default run takes it.
    """

    arguments: tuple[str, ...]
    words: tuple[str, ...]
    quick: bool = False


def _refused(*arguments: str, words: tuple[str, ...] | str = (), quick: bool = False) -> Case:
    return Case(arguments, (words,) if isinstance(words, str) else words, quick)


BOUNDS = ("bounds", "--steps", "2", "--queries", "2", "--json", "out.json")
BUDGET = ("budget", "--steps", "2", "--queries", "32", "--json", "out.json")
VERIFY = ("verify", "--claims", "A1")
QUICK_NPY = {"object", "structured", "promises-some", "long-header", "nested"}
QUICK_NPZ = {"lies", "header-bomb", "weights-zero"}
QUICK_CONFIGS = {"steps-huge", "deep", "twice", "rescale-text", "start-object"}


def _of_options() -> list[Case]:
    huge = str(10**20)
    cases = [
        _refused(*BOUNDS, "--seed", str(2**64), words="seed 18446744073709551616: must lie from 0 to 2^64", quick=True),
        _refused(*BUDGET, "--seed", str(2**64), words="seed"),
        _refused(*VERIFY, "--seed", str(2**64), words="seed"),
        _refused(*VERIFY, "--seed", "-1", words="seed -1"),
        _refused(*VERIFY, "--seed", "x", words="'--seed'", quick=True),
        _refused(*BOUNDS, "--steps", huge, words=f"steps {huge}"),
        _refused(*BUDGET, "--steps", huge, words=f"steps {huge}"),
        _refused(*BUDGET, "--steps", huge, "--spacing", "optimal", words=f"steps {huge}"),
        _refused(*BUDGET, "--steps", huge, "--spacing", "cosine", words=f"steps {huge}"),
        _refused(*BOUNDS, "--steps", "-1", words="steps -1"),
        _refused(*BOUNDS, "--steps", "1001", words="has 1000 steps; take at most 1000", quick=True),
        _refused(*BUDGET, "--steps", "1001", words="has 1000 steps; take at most 1000"),
        _refused(*BOUNDS, "--steps", "1000", words="take at most 999 steps"),
        _refused(*BOUNDS, "--steps", "2.5", words="'--steps'"),
        _refused(*BOUNDS, "--queries", str(10**8), words=("queries 100000000: need", "at most")),
        _refused(*BOUNDS, "--queries", huge, words=(f"queries {huge}", "at most"), quick=True),
        _refused(*BOUNDS, "--queries", "-3", words="queries -3"),
        _refused(*BUDGET, "--queries", huge, words=(f"queries {huge}", "at most")),
        _refused(*BUDGET, "--queries", str(10**8), words=("queries 100000000", "at most")),
        _refused(*BUDGET, "--queries", "0", words="queries 0"),
        _refused(
            *BOUNDS, "--schedule", "power:1e-300", words="power:1e-300: the exponent must be positive", quick=True
        ),
        _refused(*BOUNDS, "--spacing", "", words="unknown spacing"),
        _refused(*BOUNDS, "--nonsense", words="No such option"),
        _refused("nonsense", words="No such command"),
        _refused(*BOUNDS, "extra", words="extra"),
        _refused(*BOUNDS, "--json", words="requires an argument"),
        _refused(*BOUNDS, "--device", "cuda:99", words="unknown device"),
        _refused("list", "--claims", "", words="unknown claim ''"),
        _refused("list", "--claims", ",", words="unknown claim ''"),
        _refused("list", "--claims", "[", words="unknown claim '['"),
        _refused("list", "--claims", "[b]\x1b[31m", words="unknown claim", quick=True),
        _refused("list", "--claims", "*a" * 5000, words="unknown claim"),
        _refused(*BUDGET, "--start", "[/]", words="unknown start"),
        _refused(*BUDGET, "--snr-start", "1e400", words="snr-start inf"),
        _refused(*BUDGET, "--data", "golden", "--snr-end", "1e300", words="snr-end 1e+300: at most"),
        _refused(*BUDGET, "--data", "golden", "--queries", "0", words="queries 0"),
        _refused(*BUDGET, "--snr-end", "0", words="snr-end 0"),
        _refused(*BUDGET, "--snr-end", "-inf", words="snr-end -inf"),
        _refused(*BUDGET, "--snr-start", "5", "--snr-end", "5", words="snr-end 5"),
    ]
    for text in ("1e-300x", "0", "-1", "nan", "inf", "1e300", "", "1e400", "१x"):
        cases.append(_refused(*BOUNDS, "--schedule", f"power:{text}", words="power:"))
    for value in ("0", "1", "-0.1", "2", "nan", "inf", "-inf", "0.99999999999999999", "1e-400", "0.9999999999999999"):
        cases.append(_refused(*VERIFY, "--confidence", value, words="confidence", quick=value == "0.9999999999999999"))
        cases.append(_refused(*BUDGET, "--data", "golden", "--confidence", value, words="confidence"))
    return cases


def _of_targets() -> list[Case]:
    points = ("--data", "half.npy")
    return [
        _refused(*VERIFY, "--json", "report-folder", words="is a folder", quick=True),
        _refused(*VERIFY, "--json", "file/x.json", words="cannot be written"),
        _refused(*VERIFY, "--json", "pipe.json", words="is no ordinary file"),
        _refused(*VERIFY, "--json", "x" * 300, words="cannot be written"),
        _refused(*VERIFY, "--json", "a\0b", words="'--json'"),
        _refused(*VERIFY, "--json", "/proc/x.json", words="cannot be written"),
        _refused(*VERIFY, "--json", "loop.json", words="cannot be written"),
        _refused(*VERIFY, "--report", "file", words="cannot be written"),
        _refused(*VERIFY, "--report", "loop", words="cannot be written"),
        _refused(*VERIFY, "--report", "a\0b", words="'--report'", quick=True),
        _refused(*VERIFY, "--report", "report-blocked", words=("index.html", "is a folder")),
        _refused(*VERIFY, "--report", "r", "--json", "r/index.html", words=("--report", "--json"), quick=True),
        _refused(*VERIFY, "--report", "r", "--json", "r/../r/verify.json", words=("--report", "--json")),
        _refused(*VERIFY, *points, "--json", "half.npy", words=("--json", "--data"), quick=True),
        _refused("bounds", "--json", "report-folder", words="is a folder"),
        _refused("bounds", *points, "--json", "./half.npy", words="--data"),
        _refused("bounds", "--schedule", "steps-zero.json", "--json", "steps-zero.json", words="--schedule"),
        _refused("budget", "--json", "a.json", "--picture", "a.json", words=("--picture", "--json"), quick=True),
        _refused("budget", "--loss-curve", "loss-nan.npz", "--picture", "loss-nan.npz", words="--loss-curve"),
        _refused("budget", "--picture", "report-folder", words="is a folder"),
        _refused("budget", "--json", "", words="is a folder"),
    ]


def _of_data() -> list[Case]:
    cases = [_refused(*VERIFY, "--data", f"{n}.npy", words=f"{n}.npy: ", quick=n in QUICK_NPY) for n in NPY]
    cases += [_refused(*BOUNDS, "--data", f"{n}.npz", words=f"{n}.npz: ", quick=n in QUICK_NPZ) for n in NPZ]
    for name in ("pipe.npy", "pipe.npz", "pipe.csv", "endless.npz", "endless.npy"):
        cases.append(_refused(*BUDGET, "--data", name, words=f"{name}: is no ordinary file", quick=name == "pipe.npy"))
    for name in ("loop.npy", "loop", "missing.npy", "a/b", "a\0.npy", "\udcff.npy", "x" * 5000 + ".npy"):
        cases.append(
            _refused(*BUDGET, "--data", name, words="does not exist" if "." in name or "/" in name else "loop")
        )
    for name in (
        "folder.npy",
        "folder.npz",
        "no-pictures",
        "sizes",
        "modes",
        "sixteen",
        "alpha",
        "words",
        "half",
        "file",
    ):
        cases.append(_refused(*VERIFY, "--data", name, words=name, quick=name == "sizes"))
    cases += [
        _refused(*VERIFY, "--data", "all-equal", words="all points are equal"),
        _refused(*BUDGET, "--data", "all-equal", words="all points are equal"),
        *(
            _refused(
                *command,
                "--data",
                f"{name}.npy",
                words=(f"{name}.npy", "divide the data by a number"),
                quick=name == "tiny",
            )
            for command in (VERIFY, BOUNDS, BUDGET)
            for name in ("huge", "largest", "tiny", "tiniest")
        ),
        _refused(*BOUNDS, "--data", "half.npy", "--schedule", "power:1e6", words="is 0 at both"),
        _refused(*BUDGET, "--data", "constant.npy", words="all points are equal"),
        _refused(*VERIFY, "--data", "table.csv", words="convert it"),
        _refused(*VERIFY, "--data", "fashion-mnist:~nobody-of-that-name", words="holds no train-images"),
        _refused(*VERIFY, "--data", "fashion-mnist:a\0b", words="holds no train-images"),
        _refused(*VERIFY, "--data", "", words="unknown data"),
        _refused(*VERIFY, "--data", "[/red]", words="[/red]"),
    ]
    return cases


def _of_files() -> list[Case]:
    cases = [
        _refused(*BOUNDS, "--schedule", f"{name}.json", words=word, quick=name in QUICK_CONFIGS)
        for name, (_, word) in CONFIGS.items()
    ]
    for name in ("latin", "sparse", "pipe", "loop", "endless", "folder", "missing"):
        cases.append(_refused(*BOUNDS, "--schedule", f"{name}.json", words=f"{name}.json: ", quick=name == "endless"))
    cases += [
        _refused(*BUDGET, "--data", "golden", "--loss-curve", f"loss-{name}.npz", words=word, quick=name == "low")
        for name, (_, word) in LOSSES.items()
    ]
    for name in ("lies", "header-bomb", "words", "nothing", "pipe", "endless", "missing", "truncated"):
        arguments = (*BUDGET, "--data", "golden", "--loss-curve", f"{name}.npz")
        cases.append(_refused(*arguments, words=f"{name}.npz: "))
    return cases


CASES = [*_of_options(), *_of_targets(), *_of_data(), *_of_files()]

"""`python -m docs.experiments.model.embed --models DIR`: the trained demonstrator as the package's own model, in singdiffusion/demonstrator/.

With `--flow`, the flow goes to singdiffusion/flow_demonstrator/, with a card from docs/experiments/results/flow/train.json. With `--fashion`, Fashion-MNIST's model goes to docs/experiments/results/ladder/fashion/, from which the second stage is sampled.

`pipeline/` is a text-to-image pipeline of diffusers and `average/` its average image with its spread; both are float16 safetensors with cards.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from docs.experiments.model.card import flow
from docs.experiments.model.tars import extracted
from docs.experiments.script.arguments import command, one_line_errors
from docs.experiments.script.result import RESULTS, quiet
from singdiffusion.average import load_average
from singdiffusion.demonstrator import FOLDER
from singdiffusion.flow_demonstrator import FOLDER as FLOW
from singtheory.system import write_bytes

FASHION = RESULTS / "ladder" / "fashion"
_DATA = "docs/experiments/data/openmoji.py"
_LICENCE = """The weights in this folder were trained on pictures of OpenMoji (https://openmoji.org), the open-source emoji and icon project,
by HfG Schwäbisch Gmünd and contributors, and are licensed as OpenMoji is: CC BY-SA 4.0, LICENSES/CC-BY-SA-4.0.txt of the repository or
https://creativecommons.org/licenses/by-sa/4.0/. The pictures were drawn on black, white, grey and coloured backgrounds, and their lines
recoloured where they would not show.
"""


def embed(models: Path, target: Path = FOLDER, pipeline: str = "end") -> dict[str, int]:
    """Copy what runs, the pipeline from the folder of models of that name; returns bytes by part."""
    for name in ("pipeline", "average"):
        shutil.rmtree(target / name, ignore_errors=True)
    for file in sorted(models.joinpath(pipeline).rglob("*")):
        if file.is_file():
            write_bytes(target / "pipeline" / file.relative_to(models / pipeline), _cleaned(file))
    for file in sorted(models.joinpath("average").iterdir()):
        write_bytes(target / "average" / file.name, _cleaned(file))
    write_bytes(target / "LICENSE.txt", _LICENCE.encode())
    load_average(target / "average")
    parts = ("pipeline", "average")
    return {part: sum(file.stat().st_size for file in (target / part).rglob("*") if file.is_file()) for part in parts}


def embed_flow(models: Path, target: Path = FLOW) -> dict[str, int]:
    """Copy the flow; returns bytes by part."""
    made: dict[str, Any] = json.loads((RESULTS / "flow" / "train.json").read_text(encoding="utf-8"))["flow-train"]
    sizes = embed(models, target, "flow")
    write_bytes(target / "pipeline" / "README.md", flow(made["flow"], made["device"]).encode())
    return sizes


def embed_fashion(models: Path, target: Path = FASHION) -> int:
    """Copy Fashion-MNIST's model; returns bytes."""
    shutil.rmtree(target, ignore_errors=True)
    files = [file for file in sorted(models.joinpath("fashion").rglob("*")) if file.is_file()]
    for file in files:
        write_bytes(target / file.relative_to(models / "fashion"), _cleaned(file))
    return sum(file.stat().st_size for file in files)


def _cleaned(file: Path) -> bytes:
    """Without the folders of the machine that trained it, and with names that every transformers from 5.0 on knows."""
    content = file.read_bytes()
    if file.name == "README.md":
        return _card(content.decode()).encode()
    if file.suffix != ".json" or file.name == "tokenizer.json":
        return content
    settings: dict[str, Any] = json.loads(content)
    settings.pop("_name_or_path", None)
    if "tokenizer" in settings:
        settings["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
    if "tokenizer_class" in settings:
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    return (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode()


def _card(text: str) -> str:
    """With where the data come from in the place of a temporary folder, which trainers note."""
    if "`singdiffusion train`" not in text:
        return text
    head, settings = text.split("```json\n")
    values: dict[str, Any] = json.loads(settings.split("```")[0])
    cache, out = values.pop("cache"), values.pop("out")
    head = (
        head.replace(cache, _DATA)
        .replace(out, ".")
        .replace(
            "Average image of the most frequent captions: `picture.png`. Settings:",
            "OpenMoji 17 (https://openmoji.org), CC BY-SA 4.0. It reads the token states of the text encoder in `../pipeline`. Settings:",
        )
    )
    return head + "```json\n" + json.dumps(values, indent=1, ensure_ascii=False) + "\n```\n"


def main() -> None:
    """From a folder of tars."""
    parser = command(__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--fashion", action="store_true", help="Fashion-MNIST's model alone")
    parser.add_argument("--flow", action="store_true", help="the flow alone")
    arguments = parser.parse_args()
    quiet()
    made = embed_fashion if arguments.fashion else embed_flow if arguments.flow else embed
    with one_line_errors(parser), TemporaryDirectory() as folder:
        print(made(extracted(arguments.models, Path(folder))))


if __name__ == "__main__":
    main()

"""A page's code, run as a reader would: block after block in one folder, and what the text says that the reader has."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image

from proofs_checks import cli as theory
from singdiffusion import AverageStatistics, AverageTable
from singdiffusion import cli as diffusion
from tests.singdiffusion.support import published, tiny, tiny_flow

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
PROMPTS = ("solid black background", "a cat", "a caption")
PROGRAMS = {"singtheory": theory.app, "singdiffusion": diffusion.app}


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: `python`, `sh`, or what else the fence names.
        code: between the fences.
        line: of the fence, from 1.
    """

    language: str
    code: str
    line: int


def blocks(text):
    """Every fenced block that names its language."""
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]


def module(pipe, folder):
    """An average image for the pipeline, stored."""
    images = {prompt: torch.randn(3, *tiny.LATENTS, generator=torch.Generator().manual_seed(0)) for prompt in PROMPTS}
    AverageTable.from_images(images, scaling_factor=pipe.vae.config.scaling_factor).save_pretrained(folder)
    return folder


def furnish(folder):
    """What guides take for given: the environment of the installation, and a checkpoint by the names that stand for the reader's own."""
    (folder / ".venv").symlink_to(sys.prefix)
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(folder / "PATH_OR_ID")
    module(pipe, folder / "MODULE")
    published.write(folder / "PUBLISHED", pipe.unet)
    flow = tiny_flow.sd3()
    flow.save_pretrained(folder / "FLOW_MODEL")
    latents = torch.randn(20, tiny_flow.CHANNELS, 8, 8, generator=torch.Generator().manual_seed(0))
    config = flow.vae.config
    scale = {"scaling_factor": config.scaling_factor, "shift_factor": config.shift_factor}
    AverageStatistics.from_images(latents, frequencies=2, **scale).save_pretrained(folder / "SPREAD")


def furnish_for_readme(folder):
    """The same, by the names of README and of the page of commands, with images, their captions and prompts."""
    furnish(folder)
    (folder / "PATH_OR_ID_OR_scheduler_config.json").symlink_to("PATH_OR_ID")
    (folder / "FOLDER_OF_IMAGES").mkdir()
    levels = (0, 128, 255)
    for level in levels:
        Image.new("RGB", (16, 16), (level, level, level)).save(folder / "FOLDER_OF_IMAGES" / f"{level}.png")
    captions = [{"file_name": f"{level}.png", "text": "a caption"} for level in levels]
    (folder / "FOLDER_OF_IMAGES" / "metadata.jsonl").write_text("\n".join(map(json.dumps, captions)))
    (folder / "prompts.txt").write_text("\n".join(PROMPTS))


def read(page: Path, folder: Path, skip=()):
    """Run every block of a page in the folder, in order, but for languages to skip; what a block leaves is there for the next ones."""
    names = {"__name__": "page"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language in skip:
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
        elif block.language == "sh":
            shell(block, page, folder)
        else:
            raise AssertionError(f"{page.name}:{block.line}: a block of {block.language!r} is not run")
    return names


def shell(block: Block, page: Path, folder: Path):
    """Run a block of commands, all of which must succeed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}:{block.line}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    print(done.stdout)


def commands(code: str) -> Iterator[list[str]]:
    """The calls of this project's programs in a block of commands, in words: program, then arguments."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0].startswith(".venv/bin/sing"):
            yield [words[0].removeprefix(".venv/bin/"), *words[1:]]
        elif "singdiffusion.cli" in words:
            yield ["singdiffusion", *words[words.index("singdiffusion.cli") + 1 :]]


def understood(command: list[str]) -> tuple[str, dict[str, object]]:
    """Let a program read its arguments as it does when it is called, but do nothing: the name of what it would do, and with what.

    Raises:
        AssertionError: for a command or an option that there is not, or a value that will not do.
    """
    program = typer.main.get_command(PROGRAMS[command[0]])
    asked: list[tuple[str, dict[str, object]]] = []
    _silence(program, asked)
    with pytest.raises(SystemExit) as end:
        program.main(command[1:], prog_name=command[0])
    assert end.value.code == 0, f"not understood: {shlex.join(command)}"
    return asked[-1]


def _silence(program, asked):
    for name, part in getattr(program, "commands", {}).items():
        if hasattr(part, "commands"):
            _silence(part, asked)
        else:
            part.callback = lambda name=name, **arguments: asked.append((name, arguments))

"""Results are not lost on the way out, and nothing of somebody else's is acted on by a terminal, a page or a log."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import yaml
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from singdiffusion.cli import app
from singdiffusion.commands import console
from singdiffusion.evaluation.brightness_rows import Brightness
from singdiffusion.evaluation.sampling import Picture
from singdiffusion.system.printing import printable, say
from singdiffusion.training.cache import Cache
from singdiffusion.training.card import card
from singdiffusion.training.settings import TrainSettings
from tests.singdiffusion.base.test_checkpoint import CONFIG
from tests.singdiffusion.base.test_checkpoint import written as written  # a fixture
from tests.singdiffusion.source.test_records import captioned
from tests.singdiffusion.support.runs import cached

HOSTILE = "a\x1b[31m red\x07\r\nline\u202eturned\x9b"
SHOWN = r"a\x1b[31m red\x07\r\nline\u202eturned\x9b"


def test_what_a_terminal_acts_on_is_written_out():
    assert printable(HOSTILE) == SHOWN
    assert printable("é × “猫” 👩\u200d🚀 a\u3000b \udcff") == "é × “猫” 👩\u200d🚀 a\u3000b \\udcff"


@pytest.mark.parametrize("arguments", [("diagnose", HOSTILE), ("cache", HOSTILE, "x"), ("convert", HOSTILE, "x")])
def test_names_in_lines_and_errors_are_escaped(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2 and SHOWN in result.stdout and SHOWN in result.stderr
    assert not set("\x1b\x07\r\u202e\x9b") & set(result.output) and len(result.stderr.splitlines()) == 1


def shown_by(table):
    stream = io.StringIO()
    Console(file=stream, width=200, markup=False, emoji=False, highlight=False).print(table)
    return stream.getvalue()


@pytest.mark.parametrize("prompt", [HOSTILE, "[", "[/x]", "[bold]a", ":smile:"])
def test_prompts_are_shown_as_they_are(prompt):
    image = Image.new("RGB", (2, 2))
    for table in (
        console.pictures_table([Picture(prompt, 0, image, image)], "mean"),
        console.brightness_table([Brightness(prompt, "mean", (1.0, 2.0))]),
    ):
        assert printable(prompt) in shown_by(table) and "\x1b" not in shown_by(table)


def test_words_in_brackets_are_no_markup(capsys):
    console.show("a folder named [ and [/x] and [bold]", "and :smile:")
    assert capsys.readouterr().out == "a folder named [ and [/x] and [bold]\nand :smile:\n"


def test_skipped_records_are_escaped_in_the_log(tmp_path, caplog):
    for name in ("x\x1b[2J", "y"):
        (tmp_path / "a" / name).mkdir(parents=True)
        (tmp_path / "a" / name / "0.png").write_bytes(b"broken")
    result = CliRunner().invoke(app, ["cache", str(tmp_path / "a"), str(tmp_path / "c"), "--resolution", "4"])
    assert result.exit_code == 2 and r"x\x1b[2J/0.png#0: no image" in caplog.text and "\x1b" not in caplog.text


# --- encodings, full disks, interrupts --------------------------------------------------------------------------------

PROGRAM = "import sys; from singdiffusion.cli import app; app(sys.argv[1:])"


def ran(*arguments, **more):
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | more.pop("env", {})
    return subprocess.run(command, capture_output=True, env=environment, check=False, **more)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_nothing_is_lost_under_other_encodings(tmp_path, written, monkeypatch, encoding):
    """In a stream that refuses what it cannot encode, as Python opens stdout there."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", write_through=True) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    folder = tmp_path / "мир ×"
    folder.mkdir()
    with pytest.raises(SystemExit) as ended:
        app(["diagnose", written(CONFIG), "--data", "digits", "--json", str(folder / "found.json")])
    assert ended.value.code == 0 and json.loads((folder / "found.json").read_text(encoding="utf-8"))["findings"]
    out.flush()
    assert b"written to" in out.buffer.getvalue() and b"?" in out.buffer.getvalue()


@pytest.mark.parametrize("command", ["diagnose", "evaluate"])
def test_files_are_written_before_anything_is_printed(tmp_path, written, monkeypatch, command):
    def lost(*_):
        raise RuntimeError("the terminal is gone")

    monkeypatch.setattr(console, "show", lost)
    arguments = {
        "diagnose": ["diagnose", written(CONFIG)],
        "evaluate": ["evaluate", "brightness", "logo", "--images", "1", "--steps", "1", "--device", "cpu"],
    }[command]
    result = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "found.json")])
    assert "terminal is gone" in str(result.exception) and json.loads((tmp_path / "found.json").read_text())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_stdout_is_one_line(written):
    with open("/dev/full", "w") as full:
        actual = subprocess.run(
            [sys.executable, "-c", PROGRAM, "diagnose", written(CONFIG)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert actual.returncode == 2 and actual.stderr == "error: output: No space left on device\n"


INTERRUPTED = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from singdiffusion.cli import app
app(["diagnose", "x"])
"""


def heeds_interrupts() -> None:
    """Of a child: a shell's background job ignores them, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("module", ["typer", "singdiffusion.commands.train", "singdiffusion.commands.console"])
def test_an_interrupt_while_it_loads_shows_no_traceback(module):
    """Wherever it comes: while the program itself is read, and once a command runs."""
    command = [sys.executable, "-c", INTERRUPTED, module]
    actual = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=heeds_interrupts)
    assert actual.returncode in (-signal.SIGINT, 1, 130) and "Traceback" not in actual.stderr
    assert "KeyboardInterrupt" not in actual.stderr


def test_loading_the_command_leaves_the_handler_of_interrupts():
    program = "import signal, singdiffusion.cli; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    command = [sys.executable, "-c", program]
    actual = subprocess.run(command, capture_output=True, check=True, preexec_fn=heeds_interrupts)
    assert actual.stdout.strip() == b"True"


@pytest.mark.slow
def test_no_bars_of_libraries_in_a_log(tmp_path):
    """Of a folder with many files, which datasets looks through with a bar."""
    captioned(tmp_path / "a", 40)
    actual = ran("cache", tmp_path / "a", tmp_path / "c", "--resolution", "4", env={"TQDM_POSITION": "-1"}, text=True)
    assert actual.returncode == 0 and actual.stderr == ""
    assert len(actual.stdout.splitlines()) == 4


# --- the card ---------------------------------------------------------------------------------------------------------


def front_matter(text):
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


@pytest.mark.parametrize(
    "license", ["other", "cc-by-4.0", "no", "1.0", "null", "a: b", "x # y", "- z", "'q", "{}", "MIT License"]
)
def test_the_licence_is_one_word_of_the_front_matter(tmp_path, license):
    chosen = TrainSettings("c", "o", license=license)
    head, _ = front_matter(card(chosen, Cache.open(cached(tmp_path / "c", 4)), "AverageDecoder", "1", {}))
    assert head == {
        "library_name": "singdiffusion",
        "license": license,
        "tags": ["singdiffusion", "average-image", "decoder"],
    }


@pytest.mark.parametrize(
    "source",
    ["a`b", "```", "`<img src=x onerror=y>`", "a|b", "two\nlines\n\n<script>", "\x1b[0m", "x\udcff", "{kind}"],
)
def test_the_source_stays_within_its_cell(tmp_path, source):
    cache = Cache.open(cached(tmp_path / "c", 4))
    cache.source = source
    text = card(TrainSettings("c", "o"), cache, "AverageDecoder", "1", {})
    [row] = [line for line in text.splitlines() if line.startswith("| data |")]
    assert text.encode("utf-8") and len(text.splitlines()) == len(
        card(TrainSettings("c", "o"), Cache.open(tmp_path / "c"), "AverageDecoder", "1", {}).splitlines()
    )
    code = row.split(" captions, from ", 1)[1].removesuffix(" |")
    fence = code[: len(code) - len(code.lstrip("`"))]
    inside = code.removeprefix(fence).removesuffix(fence)
    assert code.endswith(fence) and len(fence) not in {len(run) for run in re.findall("`+", inside)}
    assert inside.strip().replace(r"\|", "|") == printable(source)
    assert "|" not in inside.replace(r"\|", "")


def test_a_closed_pipe_does_not_end_the_work(monkeypatch):
    """`singdiffusion evaluate coco … | head -1` stopped at the second point."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        say("nobody reads this")
        say("nor this")
        monkeypatch.undo()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_only_standard_output_must_be_writable(monkeypatch):
    """An error on a full disk ended with 1 instead of 2."""
    with open("/dev/full", "w") as full, open("/dev/full", "w") as other:
        monkeypatch.setattr(sys, "stderr", full)
        say("error: what nobody can read", err=True)
        monkeypatch.setattr(sys, "stdout", other)
        with pytest.raises(OSError, match="No space left"):
            say("a result")
        monkeypatch.undo()


@pytest.mark.parametrize("columns", ["0", "²", "9" * 5000])
def test_odd_widths_are_ignored(written, columns):
    result = CliRunner().invoke(app, ["response", written(CONFIG | {"clip_sample": False})], env={"COLUMNS": columns})
    assert result.exit_code == 0, result.stderr
    assert "eigenvalue" in result.stdout

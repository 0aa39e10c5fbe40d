"""Settings are refused before anything is loaded."""

import pytest

from singdiffusion.source.records import Source
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singdiffusion.training.settings import TrainSettings
from singtheory import InputError
from tests.singdiffusion.system.test_schema import BOMB


def test_the_command_line_goes_over_the_yaml(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("cache: here\nout: there\nsteps: 7\nlr: 1\nprompts: [a, b]\n")
    actual = TrainSettings.read(file, {"steps": 9, "batch": None})
    assert (actual.steps, actual.batch, actual.lr, actual.prompts) == (9, None, 1, ["a", "b"])


def test_words_that_look_like_numbers_stay_words(tmp_path):
    """YAML 1.1 reads 1e-3 as a word, which a learning rate is not; a folder may be called so."""
    file = tmp_path / "run.yaml"
    file.write_text("lr: 1e-3\nout: 1e-3\n")
    actual = TrainSettings.read(file, {"cache": "1e5"})
    assert (actual.lr, actual.out, actual.cache) == (1e-3, "1e-3", "1e5")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"step": 5}, "did you mean steps"),
        ({"steps": 0}, "steps 0: must be at least 1"),
        ({"steps": "many"}, "steps 'many': need int"),
        ({"steps": True}, "steps True"),
        ({"lr": 0.0}, "lr 0.0: must be positive"),
        ({"lr": float("nan")}, "lr nan"),
        ({"ema": 1.0}, "ema 1.0: must be at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout"),
        ({"noise": -1.0}, "noise -1.0: must be at least 0 and finite"),
        ({"noise": float("inf")}, "noise inf"),
        ({"spread_width": 0}, "spread_width 0: must be at least 1"),
        ({"spread_layers": 0}, "spread_layers 0: must be at least 1"),
        ({"model": "unnet"}, "did you mean unet"),
        ({"model": "unet"}, "give base"),
        ({"model": "unet", "base": "x", "unet": {}}, "one of the two"),
        ({"condition": "class"}, "did you mean classes"),
        ({"precision": "half"}, "unknown precision"),
        ({"prompts": "a cat"}, "need a list"),
    ],
)
def test_what_makes_no_run(arguments, words):
    with pytest.raises(InputError, match=words):
        TrainSettings.read(None, {"cache": "c", "out": "o"} | arguments)


@pytest.mark.parametrize(
    ("content", "words"),
    [("[1, 2]", "no settings"), ("a: [", "cannot be read as YAML"), ("cache: x\n", "out: not given")],
)
def test_bad_files(tmp_path, content, words):
    file = tmp_path / "run.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match=words):
        TrainSettings.read(file, {})
    with pytest.raises(InputError, match="cannot be read"):
        TrainSettings.read(tmp_path / "none.yaml", {})


def test_yaml_makes_no_objects(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"cache: !!python/object/apply:os.mkdir [{tmp_path}/made]\n")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        TrainSettings.read(file, {})
    assert not (tmp_path / "made").exists()


def test_a_resume_names_what_differs():
    stored = vars(TrainSettings("c", "o", lr=1e-3, seed=1))
    TrainSettings("c", "elsewhere", lr=1e-3, seed=1, save_every=7).check_resumable(stored)
    with pytest.raises(InputError, match=r"lr was 0\.001 and is 0\.002, seed was 1 and is 2"):
        TrainSettings("c", "o", lr=2e-3, seed=2).check_resumable(stored)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, r"refers to another by \*"),
        ("cache: &x [*x]\n", r"refers to another by \*"),
        ("unet: " + "[" * 20 + "]" * 20, "nested more than 8 deep"),
        ("prompts: [" + "x, " * 100_000 + "]", "more than 262144 bytes"),
        ("steps: 5\nlr: 1\nsteps: 7\n", "'steps' is given twice"),
        ('out: "a\\0b"\n', "out 'a\\\\x00b': need text"),
        ('license: "\\ud800"\n', "cannot be read as YAML|license"),
        ('license: "a\\nb"\n', "license 'a\\\\nb': need one line"),
        ("license: ''\n", "license '': need one line"),
        ("prompts: [no]\n", "prompts .*need a list"),
        ("width: 1000000000000000000\n", "width 1000000000000000000: must be at least 1 and at most"),
        ("layers: 10000000\n", "layers 10000000: must be"),
        ("weight_decay: .inf\n", "weight_decay inf: must be at least 0 and finite"),
    ],
)
def test_settings_that_make_no_run(tmp_path, text, words):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    arguments = {name: value for name, value in {"cache": "c", "out": "o"}.items() if f"{name}:" not in text}
    with pytest.raises(InputError, match=words) as caught:
        TrainSettings.read(file, arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("license", ["a\0b", "\udcff", "x" * 2000, "a\x1b[0m", " "])
def test_licences_that_could_not_be_written_are_refused_before_training(license):
    with pytest.raises(InputError, match=r"license .*: need one line of text"):
        TrainSettings("c", "o", license=license)


@pytest.mark.parametrize("precision", ["no", "'no'", "No", "off", "false"])
def test_the_documented_word_may_stand_without_quotes(tmp_path, precision):
    """YAML 1.1 takes it, and other words, for false."""
    file = tmp_path / "run.yaml"
    file.write_text(f"cache: c\nout: o\nprecision: {precision}\n")
    assert TrainSettings.read(file, {}).precision == "no"


@pytest.mark.parametrize("name", ["a\0b", "a\udcff", "x" * 5000])
def test_sources_that_could_not_be_noted_are_refused_before_anything_is_encoded(tmp_path, name):
    with pytest.raises(InputError, match=r"source .*: need text"):
        make_cache(Source(name), tmp_path / "c", Encoder(4))
    assert not (tmp_path / "c").exists()

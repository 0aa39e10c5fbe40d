"""Settings are refused before anything is loaded."""

import pytest

from singdiffusion.training.settings import TrainSettings
from singtheory import InputError


def test_the_command_line_goes_over_the_yaml(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("cache: here\nout: there\nsteps: 7\nlr: 1\nprompts: [a, b]\n")
    found = TrainSettings.read(file, {"steps": 9, "batch": None})
    assert (found.steps, found.batch, found.lr, found.prompts) == (9, None, 1, ["a", "b"])


def test_words_that_look_like_numbers_stay_words(tmp_path):
    """YAML 1.1 reads 1e-3 as a word, which a learning rate is not; a folder may be called so."""
    file = tmp_path / "run.yaml"
    file.write_text("lr: 1e-3\nout: 1e-3\n")
    found = TrainSettings.read(file, {"cache": "1e5"})
    assert (found.lr, found.out, found.cache) == (1e-3, "1e-3", "1e5")


@pytest.mark.parametrize(
    ("given", "words"),
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
def test_what_makes_no_run(given, words):
    with pytest.raises(InputError, match=words):
        TrainSettings.read(None, {"cache": "c", "out": "o"} | given)


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

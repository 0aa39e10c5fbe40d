"""The device of experiments: set up in one place, the fastest by default, named if it is not there."""

import pytest
import torch

from docs.experiments.script.arguments import command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32, prepared


@pytest.fixture
def settings():
    """Those of torch, as they were."""
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = convolution.benchmark, matmul.allow_tf32, convolution.allow_tf32
    yield lambda: (convolution.benchmark, matmul.allow_tf32, convolution.allow_tf32)
    convolution.benchmark, matmul.allow_tf32, convolution.allow_tf32 = before


def test_the_fastest_device_is_the_default(settings):
    parser = command("What it does.")
    add_device(parser)
    device = prepared(parser.parse_args([]).device)
    assert device in ("cpu", "cuda", "mps") and (device == "cuda") == torch.cuda.is_available()
    assert settings()[0]


def test_a_script_may_prefer_the_cpu():
    parser = command("What it does.")
    add_device(parser, "cpu")
    assert parser.parse_args([]).device == "cpu"


@pytest.mark.parametrize("allowed", [True, False])
def test_digits_of_products(settings, allowed):
    allow_tf32(allowed)
    assert settings()[1:] == (allowed, allowed)


def test_no_such_device_is_one_line(capsys):
    parser = command("What it does.")
    with pytest.raises(SystemExit) as end, one_line_errors(parser):
        prepared("cuda:9")
    assert end.value.code == 2 and "cuda:9" in capsys.readouterr().err.splitlines()[-1]

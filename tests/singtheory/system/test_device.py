"""Devices by name."""

import pytest
import torch

from singtheory.errors import InputError
from singtheory.numerics import draw
from singtheory.system.device import check_device, chosen_device


def test_a_device_that_is_not_there_is_refused():
    check_device("cpu")
    with pytest.raises(InputError, match="did you mean cpu"):
        check_device("cpus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="leave --device out"):
            check_device("cuda")


@pytest.mark.parametrize("there", [(), ("mps",), ("cuda",), ("cuda", "mps")])
def test_the_fastest_device_is_chosen_unless_one_is_named(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    fastest = there[0] if there else "cpu"
    assert chosen_device(None) == chosen_device("auto") == fastest
    for name in ("cpu", "cuda", "mps"):
        if name in (*there, "cpu"):
            assert chosen_device(name) == name
        else:
            with pytest.raises(InputError, match=f"device {name}: torch sees no .* leave --device out"):
                chosen_device(name)
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        chosen_device("gpu")


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_numbers_are_drawn_where_the_generator_is(name):
    """So that a run draws the same numbers on every device: here for one that holds no numbers at all."""
    generator, reference = (torch.Generator().manual_seed(0) for _ in range(2))
    if name == "normal":
        actual = draw.normal((3, 2), torch.device("meta"), generator)
        torch.randn(3, 2, dtype=torch.float64, generator=reference)
    else:
        actual = draw.uniform(6, torch.device("meta"), generator)
        torch.rand(6, dtype=torch.float64, generator=reference)
    assert actual.device.type == "meta"
    assert torch.equal(generator.get_state(), reference.get_state())

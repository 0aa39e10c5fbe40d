"""What other libraries raise is one line that names the failure and the remedy."""

import pytest

from singdiffusion.system import told_in_one_line
from singtheory import InputError


def test_one_line_names_failure_reason_and_remedy():
    with pytest.raises(InputError) as caught, told_in_one_line("base: cannot be loaded", "copy it again"):
        raise RuntimeError("a tensor is short. Read the manual.\nThen try again.")
    assert str(caught.value) == "base: cannot be loaded (a tensor is short); copy it again"
    assert isinstance(caught.value.__cause__, RuntimeError)
    with (
        pytest.raises(InputError, match=r"^base: cannot be loaded \(KeyError\)$"),
        told_in_one_line("base: cannot be loaded"),
    ):
        raise KeyError


def test_bad_input_passes_as_it_is_and_interrupts_too():
    error = InputError("vae x: is no VAE; give one")
    with pytest.raises(InputError) as caught, told_in_one_line("vae x: cannot be loaded"):
        raise error
    assert caught.value is error
    with pytest.raises(KeyboardInterrupt), told_in_one_line("vae x: cannot be loaded"):
        raise KeyboardInterrupt

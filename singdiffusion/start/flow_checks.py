"""What a first step is given, checked: shapes before anything is asked of a device, numbers in one read, and directions once."""

import weakref
from typing import Any

import torch
from torch import Tensor

from singdiffusion.base import Finite
from singtheory.errors import InputError
from singtheory.start import Components


def checked(x_1: Tensor, model_output: Tensor, mean: Tensor | None, spread: Any) -> Components | None:
    """The spread, once all is known to fit. Raises `InputError` as `first_step`."""
    if mean is None and spread is None:
        raise InputError("mean network without a spread: changes nothing; give spread=(basis, std), or a mean")
    check_shapes(x_1, model_output, mean)
    finite(x_1, model_output, mean).check()
    return None if spread is None else components_of(spread, x_1)


def check_shapes(x_1: Tensor, model_output: Tensor, mean: Tensor | None) -> None:
    """Raise `InputError` unless output and mean are of the shape of `x_1`, or the mean broadcasts to it."""
    if x_1.shape != model_output.shape:
        raise InputError(
            f"model_output of shape {tuple(model_output.shape)}: x_1 has {tuple(x_1.shape)}; give that of the network for it"
        )
    if mean is not None and not _fits(mean, x_1):
        raise InputError(f"mean of shape {tuple(mean.shape)}: does not fit x_1 of shape {tuple(x_1.shape)}")


def finite(x_1: Tensor, model_output: Tensor, mean: Tensor | None = None) -> Finite:
    """Whether the tensors of a first step are finite, not yet read."""
    named = {"x_1": x_1, "model_output": model_output} | ({} if mean is None else {"mean": mean})
    return Finite(
        {f"{name} at the first step": values for name, values in named.items()},
        "check the network, and float16 for overflow",
    )


def components_of(spread: Any, x_1: Tensor) -> Components:
    """`(basis, std)` as `Components` on the device of `x_1`. Raises `InputError` for one that is not orthonormal or does not fit."""
    basis, std = fitting(spread, x_1)
    check_finite_spread(basis, std)
    return Components(basis.to(x_1.device), std.to(x_1.device))


def fitting(spread: Any, x_1: Tensor) -> tuple[Tensor, Tensor]:
    """`(basis, std)`, of shapes that fit latents. Raises `InputError` for others."""
    try:
        basis, std = spread
    except (TypeError, ValueError):
        raise InputError("spread: need (basis, std), orthonormal directions and deviations along them") from None
    if basis.shape[1:] != x_1.shape[1:] or std.shape not in ((len(basis),), (len(x_1), len(basis))):
        raise InputError(
            f"spread with basis {tuple(basis.shape)} and std {tuple(std.shape)}: does not fit x_1 of shape {tuple(x_1.shape)}; "
            "make it for these latents"
        )
    return basis, std


def check_finite_spread(basis: Tensor, std: Tensor) -> None:
    """Raise `InputError` for NaN and infinities in directions and deviations."""
    Finite({"basis of the spread": basis, "std of the spread": std}, "make it again").check()


class Once:
    """Tensors that were checked, recognised as long as they are the same and nobody has written to them; none is kept alive."""

    def __init__(self, *tensors: Tensor) -> None:
        self._seen = [(weakref.ref(one), writes(one)) for one in tensors]

    def holds(self, *tensors: Tensor) -> bool:
        """Whether these are they, as they were."""
        return len(tensors) == len(self._seen) and all(
            reference() is one and count is not None and count == writes(one)
            for one, (reference, count) in zip(tensors, self._seen, strict=True)
        )


def writes(values: Any) -> int | None:
    """How often a tensor was written to, 0 for what is none; None where nothing counts that, as under inference mode."""
    if not isinstance(values, Tensor):
        return 0
    return None if values.is_inference() else values._version


def _fits(values: Tensor, x_1: Tensor) -> bool:
    try:
        return torch.broadcast_shapes(values.shape, x_1.shape) == x_1.shape
    except RuntimeError:
        return False

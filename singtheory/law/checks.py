"""What arguments of laws and queries must be; each check raises one line that names the argument."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.numerics import check_precisions, check_queries, check_shares, check_variances

Array = Any
"""What `torch.as_tensor` accepts: a tensor, a numpy array or nested sequences of numbers."""


def check_numbers(z: Tensor, snr: Tensor) -> None:
    """Raise `InputError` for NaN, infinities, negative snr and numbers beyond the domain; numbers are read from a GPU at once."""
    if not z.numel():
        return
    largest, low, high = torch.stack([torch.linalg.vector_norm(z, ord=math.inf), *torch.aminmax(snr)]).tolist()
    if not largest < math.inf:
        raise InputError("query z holds NaN or infinity: divide x_t by sigma_t at t > 0 only")
    if not 0 <= low <= high < math.inf:
        raise InputError("snr must be finite and at least 0: at t = 0 the posterior is the point x_t itself")
    check_queries("query z", largest)
    check_precisions("snr", snr)


def as_numbers(name: str, values: Array, device: torch.device | None = None) -> Tensor:
    """`values` as a float64 tensor. Raises `InputError` naming `name` for what is no array of real numbers in memory."""
    if isinstance(values, Tensor) and (values.layout is not torch.strided or values.is_meta or values.is_quantized):
        raise InputError(f"{name}: a sparse, quantised or meta tensor; give one of numbers in memory")
    try:
        is_complex = values.is_complex() if isinstance(values, Tensor) else np.iscomplexobj(values)
        if not is_complex:
            return _tensor(values, dtype=torch.float64, device=device)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{name}: not an array of numbers ({error})") from None
    raise InputError(f"{name}: holds complex numbers; give real ones")


def _tensor(values: Array, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """A tensor by `torch.as_tensor`, without its warning of arrays for reading only, such as a picture's or a mapped file's: nothing is written here."""
    if not isinstance(values, np.ndarray) or values.flags.writeable:
        return torch.as_tensor(values, dtype=dtype, device=device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.as_tensor(values, dtype=dtype, device=device)


def as_finite(name: str, values: Array, ndim: int) -> Tensor:
    """`values` as a float64 tensor of `ndim` dimensions, finite and not empty, without its gradient. Raises `InputError` naming `name`."""
    tensor = as_numbers(name, values).detach()
    if tensor.ndim != ndim:
        raise InputError(f"{name} of shape {tuple(tensor.shape)}: need {ndim} dimensions")
    if tensor.numel() == 0:
        raise InputError(f"{name} of shape {tuple(tensor.shape)}: empty")
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{name}: holds NaN or infinity; remove those entries")
    return tensor


def as_bytes(name: str, values: Array) -> Tensor:
    """`values` as rows of bytes, uint8, shape (n, d), not empty. Raises `InputError` naming `name`."""
    try:
        tensor = _tensor(values).detach()
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{name}: not an array of numbers ({error})") from None
    if tensor.layout is not torch.strided or tensor.is_meta:
        raise InputError(f"{name}: a sparse or meta tensor; give one of numbers in memory")
    if tensor.dtype != torch.uint8:
        raise InputError(f"{name}: hold {str(tensor.dtype).removeprefix('torch.')}; give uint8, 0 to 255")
    if tensor.ndim < 2 or tensor.numel() == 0:
        raise InputError(f"{name} of shape {tuple(tensor.shape)}: need rows, and at least one number in each")
    return tensor.flatten(1).contiguous()


def as_nonnegative(weights: Array, count: int, device: torch.device) -> Tensor:
    """One weight a point. Raises `InputError` where one is negative or not finite."""
    w = as_finite("weights", weights, 1).to(device)
    if len(w) != count:
        raise InputError(f"weights: {len(w)} for {count} points; give one weight a point")
    if bool((w < 0).any()):
        raise InputError(f"weights: the smallest is {float(w.min())}; weights must not be negative")
    return w


def as_weights(weights: Array | None, count: int, device: torch.device) -> Tensor:
    """Prior weights that sum to one, uniform when not given. Raises `InputError` when they cannot be weights."""
    if weights is None:
        return torch.full((count,), 1 / count, dtype=torch.float64, device=device)
    w = as_nonnegative(weights, count, device)
    if float(w.max()) == 0:
        raise InputError("weights: they sum to zero; at least one must be positive")
    check_shares(w)
    w = w / w.max()  # the sum of the largest floats would overflow
    return w / w.sum()


def as_cov(name: str, values: Array, count: int, dim: int) -> Tensor:
    """Covariances (count, d, d), symmetric and positive semidefinite. Raises `InputError` otherwise."""
    cov = as_finite(name, values, 3)
    if cov.shape != (count, dim, dim):
        raise InputError(f"{name} of shape {tuple(cov.shape)}: need {(count, dim, dim)}")
    scale = cov.diagonal(dim1=1, dim2=2).abs().amax(dim=1).clamp(min=1e-300)
    if bool(((cov - cov.mT).abs().amax(dim=(1, 2)) > 1e-9 * scale).any()):
        raise InputError(f"{name}: not symmetric")
    eigenvalues = torch.linalg.eigvalsh(cov)
    check_variances(f"{name}: an eigenvalue", eigenvalues[:, -1].clamp(min=0))
    if bool((eigenvalues[:, 0] < -1e-9 * scale).any()):
        raise InputError(f"{name}: has a negative eigenvalue, so it is no covariance")
    return (cov + cov.mT) / 2

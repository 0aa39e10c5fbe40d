"""CUDA kernels compiled at their first use, kept in Triton's folder for later ones, and launched on torch's stream."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOptionalCall=false

import ctypes
import hashlib
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from singtheory.engine.hopper.source_text import source

try:
    from cuda.bindings import driver, nvrtc
    from triton.runtime.cache import get_cache_manager
except ImportError:  # they come with builds of torch for CUDA, cuda-bindings from 2.10 on
    driver = nvrtc = get_cache_manager = None

_OPTIONS = ("-arch=sm_90a", "-default-device", "-std=c++17")


class Kernel(NamedTuple):
    """A kernel that a device holds, with what it needs of the memory beside a processor, in bytes."""

    function: Any
    shared: int

    def launch(self, blocks: int, threads: int, *arguments: Any) -> None:
        """Launch it on the current stream with tensors, tensor maps and whole numbers, which are passed in 32 bits."""
        held = [_held(one) for one in arguments]
        places = (ctypes.c_void_p * len(held))(*(place for place, _ in held))
        stream = torch.cuda.current_stream().cuda_stream
        _checked(
            driver.cuLaunchKernel(
                self.function, blocks, 1, 1, threads, 1, 1, self.shared, stream, ctypes.addressof(places), 0
            )
        )


@cache
def compiles() -> bool:
    """Whether NVIDIA's compiler is there and takes the sources of this folder; where it does not, a warning says so, and Triton's kernels are taken."""
    try:
        if nvrtc is None or int(nvrtc.nvrtcVersion()[0]):
            return False
    except RuntimeError:  # bindings without the library
        return False
    try:
        _binary("screen", source("screen", 128), ("-DSTAGES=3", "-DWIDTH=64"))
    except RuntimeError as error:
        warnings.warn(f"NVIDIA's compiler cannot be used, so Triton's slower kernels are: {error}", stacklevel=2)
        return False
    return True


@cache
def kernel(name: str, columns: int, shared: int, device: torch.device, **sizes: int) -> Kernel:
    """The kernel of a file of this folder, for a device.

    Args:
        name: of the file and of the function in it.
        columns: of its products.
        shared: bytes beside a processor.
        device: where it will run.
        sizes: constants of the file.
    """
    binary = _binary(name, source(name, columns), tuple(f"-D{size}={value}" for size, value in sizes.items()))
    with torch.cuda.device(device):
        torch.cuda.current_stream()
        module = _checked(driver.cuModuleLoadData(binary))
        function = _checked(driver.cuModuleGetFunction(module, name.encode()))
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _checked(driver.cuFuncSetAttribute(function, attribute, shared))
    return Kernel(function, shared)


def _binary(name: str, text: str, constants: Sequence[str]) -> bytes:
    """The machine code: from Triton's folder, or compiled and kept there."""
    options = (*_OPTIONS, *constants)
    version = _checked(nvrtc.nvrtcVersion())
    key = hashlib.sha256(repr((text, options, version)).encode()).hexdigest()
    kept, file = get_cache_manager(key), f"{name}.cubin"
    path = kept.get_file(file)
    if path is None:
        path = kept.put(compiled(text, options), file, binary=True)
    return Path(path).read_bytes()


def compiled(text: str, options: Sequence[str]) -> bytes:
    """Machine code for Hopper; where a source is wrong, the error is the compiler's own log."""
    program = _checked(nvrtc.nvrtcCreateProgram(text.encode(), b"hopper.cu", 0, [], []))
    (error,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = bytearray(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
        _checked(nvrtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(log.decode())
    binary = bytearray(_checked(nvrtc.nvrtcGetCUBINSize(program)))
    _checked(nvrtc.nvrtcGetCUBIN(program, binary))
    _checked(nvrtc.nvrtcDestroyProgram(program))
    return bytes(binary)


def tensor_map(rows: Tensor, sizes: Sequence[int], steps: Sequence[int], box: Sequence[int]) -> Any:
    """How a kernel reads blocks of 8-bit or 32-bit whole numbers: swizzled, and 0 beyond the numbers.

    Args:
        rows: what is read.
        sizes: of each dimension, the innermost first.
        steps: of each dimension but the first, in bytes, multiples of 16.
        box: sizes of a block; the first is 128 bytes.
    """
    kinds, rank = driver.CUtensorMapDataType, len(sizes)
    kind = kinds.CU_TENSOR_MAP_DATA_TYPE_UINT8 if rows.itemsize == 1 else kinds.CU_TENSOR_MAP_DATA_TYPE_INT32
    longs, shorts = driver.cuuint64_t, driver.cuuint32_t
    return _checked(
        driver.cuTensorMapEncodeTiled(
            kind, rank, rows.data_ptr(), [longs(one) for one in sizes], [longs(one) for one in steps],
            [shorts(one) for one in box], [shorts(1)] * rank,
            driver.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
            driver.CUtensorMapSwizzle.CU_TENSOR_MAP_SWIZZLE_128B,
            driver.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            driver.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    )  # fmt: skip


def _held(argument: Any) -> tuple[int, object]:
    """Where an argument lies for a launch, and what holds it there."""
    if isinstance(argument, driver.CUtensorMap):
        return int(argument.getPtr()), argument
    held = ctypes.c_int32(argument) if isinstance(argument, int) else ctypes.c_uint64(argument.data_ptr())
    return ctypes.addressof(held), held


def _checked(result: tuple[Any, ...]) -> Any:
    """What a call of CUDA gives, without its error."""
    error, *values = result
    if int(error):
        raise RuntimeError(f"CUDA: {error!r}")
    return values[0] if values else None

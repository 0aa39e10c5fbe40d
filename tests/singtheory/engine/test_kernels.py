"""That Triton compiles the kernels of few atoms for a Hopper card, at every width and count; it needs no card, and its interpreter would not notice.

What they compute is compared in `test_launch`.
"""

import os

import pytest

pytest.importorskip("triton", reason="comes with builds of torch for GPUs")
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from singtheory.engine import kernels

pytestmark = pytest.mark.skipif(bool(os.environ.get("TRITON_INTERPRET")), reason="the interpreter compiles nothing")
DOUBLES = {
    "queries", "log_weights", "counted", "snr", "norm", "error", "rest", "offset", "numbers", "logits", "squares", "weights", "mean",
}  # fmt: skip
SINGLES, WHOLE = {"largest", "norms"}, {"index", "crowded", "references", "kept", "held", "work", "items", "rows"}


def kind_of(name: str, atoms: str) -> str:
    """The type of an argument, as Triton writes it."""
    pointers = {**dict.fromkeys(DOUBLES, "*fp64"), **dict.fromkeys(SINGLES, "*fp32"), **dict.fromkeys(WHOLE, "*i32")}
    return (pointers | {"atoms": atoms, "below": "fp32"}).get(name, "i32")


@pytest.mark.parametrize("atoms", ["*fp64", "*u8"])
@pytest.mark.parametrize(("width", "chunk"), [(50, 64), (784, 1024), (3000, 1024)])
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("nearest_kernel", {"listed": 256}),
        ("apart_kernel", {}),
        ("near_kernel", {"most": 256}),
        ("near_kernel", {"most": 1024}),
    ],
)
def test_few_atoms_are_weighed_at_any_width(name, counts, width, chunk, atoms):
    kernel, constants = getattr(kernels, name), {"width": width, "tile": 8, "chunk": chunk, "stages": 1} | counts
    kinds = {one: "constexpr" if one in constants else kind_of(one, atoms) for one in kernel.arg_names}
    places = {(kernel.arg_names.index(one),): value for one, value in constants.items()}
    source = ASTSource(kernel, kinds, places)
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 16}).asm["cubin"]

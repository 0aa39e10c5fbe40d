"""The CUDA sources in this folder, and the one function of them that depends on a size."""

from pathlib import Path

FOLDER = Path(__file__).parent


def multiply(columns: int) -> str:
    """CUDA's function that adds the product of 64 rows and so many columns, 32 bytes deep, to sums; or sets them, where none are to be kept."""
    held = columns // 2
    registers, operands = (
        ", ".join(each(one) for one in range(held)) for each in ("%{}".format, '"+r"(sums[{}])'.format)
    )
    return f"""
__device__ __forceinline__ void multiply(int (&sums)[{held}], unsigned long long left, unsigned long long right, int keep) {{
    asm volatile("{{\\n.reg .pred kept;\\nsetp.ne.b32 kept, %{held + 2}, 0;\\n"
        "wgmma.mma_async.sync.aligned.m64n{columns}k32.s32.s8.s8 {{{registers}}}, %{held}, %{held + 1}, kept;\\n}}"
        : {operands} : "l"(left), "l"(right), "r"(keep));
}}
"""


def source(name: str, columns: int) -> str:
    """The whole source of a kernel, for products of so many columns."""
    lines = []
    for line in (FOLDER / f"{name}.cu").read_text().splitlines():
        lines.append((FOLDER / line.split('"')[1]).read_text() if line.startswith("#include") else line)
    return multiply(columns) + "\n".join(lines)

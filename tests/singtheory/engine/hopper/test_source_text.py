"""The CUDA sources: whether they compile, and how exact their exponential is."""

import re
from fractions import Fraction

import mpmath
import pytest

from singtheory.engine.hopper import compiled
from singtheory.engine.hopper.source_text import FOLDER, source
from singtheory.engine.rows import SumRows

SUMS = tuple(f"-DSUMS_{name.upper()}={place}" for place, name in enumerate(SumRows._fields))
STATIONARY = "-DSTAGES=6", "-DWIDTH=832"


@pytest.mark.skipif(not compiled.compiles(), reason="NVIDIA's compiler comes with builds of torch for CUDA")
@pytest.mark.parametrize(
    ("name", "columns", "constants"),
    [
        ("weigh", 128, (*STATIONARY, *SUMS, "-DDIGITS=1")),
        ("weigh", 128, (*STATIONARY, *SUMS, "-DDIGITS=8")),
        ("weigh", 128, ("-DSTAGES=6", "-DWIDTH=64", *SUMS, "-DDIGITS=5")),
        ("screen", 128, STATIONARY),
        ("product", 160, ("-DSTAGES=3", "-DCOLUMNS=160")),
        ("product", 32, ("-DSTAGES=4", "-DCOLUMNS=32")),
    ],
)
def test_sources_compile(name, columns, constants):
    assert compiled.compiled(source(name, columns), (*compiled._OPTIONS, *constants))[:4] == b"\x7fELF"


def test_the_exponential_is_exact_to_two_roundings():
    """Its operations, each rounded once as the card does it, on its own constants."""
    text = (FOLDER / "weigh.cu").read_text()
    body = text[text.index("void exponential") : text.index("// bytes of four words")]
    terms = [
        float(one) for one in re.findall(r"[\d.]+(?:e-?\d+)?", re.search(r"terms\[\] = \{(.*?)\}", body, re.DOTALL)[1])
    ]
    first = float(re.search(r"value\[one\] = ([\d.e-]+);", body)[1])
    per_unit, high, low = (
        float(one)
        for one in re.findall(r"x\[one\], (\d[\d.]+), shift|-(\d[\d.e-]+), x\[one\]", body)
        for one in one
        if one
    )
    shift = 1.5 * 2.0**52

    def fma(a: float, b: float, c: float) -> float:
        return float(Fraction(a) * Fraction(b) + Fraction(c))

    worst = 0.0
    for x in [
        -0.0,
        1e-300,
        703.9,
        -700.0,
        *(-700 + 1400 * k / 1009 for k in range(1009)),
        *(-k / 257 for k in range(257)),
    ]:
        whole = fma(x, per_unit, shift) - shift
        rest = fma(whole, -low, fma(whole, -high, x))
        value = first
        for term in terms:
            value = fma(value, rest, term)
        exact = mpmath.exp(mpmath.mpf(x))
        worst = max(worst, abs(float((mpmath.ldexp(mpmath.mpf(value), int(whole)) - exact) / exact)))
    assert worst <= 2 * 2.0**-53

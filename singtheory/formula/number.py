"""What the formulas work on."""

from typing import Any

Number = Any
"""A float, a tensor, a symbol, a ball or a power series."""
Namespace = Any
"""Where a formula finds `log`, `exp`, `sqrt` and their like."""
Pair = tuple[Number, Number]
"""`(α, σ)`, or the rate of change of both."""

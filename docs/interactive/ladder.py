"""What the figure of the bounds shows: KL, TV and every bound on them over the gap."""

import math
from typing import Any

import torch
from torch import Tensor

from docs.interactive.laws import offered
from singtheory import Cosine, Law, ReverseKernel
from singtheory.bound import LADDER, Bound

GAPS = tuple(10 ** (-2 + k / 8) for k in range(37))
"""g, from 0.01 to about 316."""


def numbers() -> dict[str, Any]:
    """The truth and every bound for every law at every gap, from t = 1, where the posterior is the law of the data."""
    bounds = [bound for bound in LADDER if bound.quantity in ("kl", "tv")]
    return {
        "gaps": GAPS,
        "bounds": {bound.name: _described(bound) for bound in bounds},
        "laws": [{"name": one.name} | _curves(one.law, [bound.name for bound in bounds]) for one in offered()],
    }


def _described(bound: Bound) -> dict[str, str]:
    return {"statement": _label(bound), "quantity": bound.quantity, "side": bound.side}


def _label(bound: Bound) -> str:
    """The statement's id, with a word of the bound's name where the statement has several of one kind."""
    alike = [
        one
        for one in LADDER
        if (one.statement, one.quantity, one.side) == (bound.statement, bound.quantity, bound.side)
    ]
    return bound.statement if len(alike) == 1 else f"{bound.statement} {bound.name.split('_')[1]}"


def _curves(law: Law, names: list[str]) -> dict[str, Any]:
    schedule = Cosine()
    rows: dict[str, list[float | None]] = {name: [] for name in ("kl", "tv", *names)}
    x_1 = torch.zeros(1, 1, dtype=torch.float64)
    for gap in GAPS:
        step = ReverseKernel(law, schedule, 1.0, float(schedule.time_of_snr(gap))).at(x_1)
        curves: dict[str, Tensor | float] = {"kl": float(step.kl()), "tv": float(step.tv())} | step.bounds()
        for name, column in rows.items():
            value = float(curves.get(name, math.inf))
            column.append(value if math.isfinite(value) else None)
    return {"curves": rows}

"""A trained denoiser's loss over the noise level, `E‖x_0 − m_θ(x_t)‖²`, and the error that it leaves above the mmse.

The loss of any denoiser is `mmse(γ) + E‖x̂ − m_θ‖²`, so that the error's part in the budget B8 needs no network, only its losses.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.estimate import Estimate
from singtheory.mmse.exact import Curve
from singtheory.system import Shape, naming, npz_members, read_array, shown_names, unused

_ROUNDING = 1e-9
MOST_NODES = 10**6
"""The most nodes of a loss curve: at each the mmse of the data is computed."""


@dataclass(frozen=True)
class LossCurve:
    """Losses at signal-to-noise ratios.

    Attributes:
        snr: not negative, increasing, shape (n,).
        mse: `E‖x_0 − m_θ‖²`, summed over the dimensions, not negative, shape (n,).
        notes: what of their file was not used.

    Raises:
        InputError: for other numbers.
    """

    snr: Tensor
    mse: Tensor
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.snr.ndim != 1 or self.snr.shape != self.mse.shape or len(self.snr) < 2:
            raise InputError(
                f"snr of shape {tuple(self.snr.shape)}, mse of shape {tuple(self.mse.shape)}: need two of one length or more"
            )
        for name, values in (("snr", self.snr), ("mse", self.mse)):
            if not bool(torch.isfinite(values).all()):
                raise InputError(f"{name}: holds NaN or infinity; remove those entries")
            if bool((values < 0).any()):
                raise InputError(f"{name}: the smallest is {float(values.min()):.6g}; it must not be negative")
        if not bool((self.snr.diff() > 0).all()):
            raise InputError("snr: must increase; sort both arrays by it and remove repetitions")

    def check_reach(self, snr: Tensor) -> None:
        """Raise `InputError` unless the nodes reach as far as `snr` (n,)."""
        if float(snr.min()) < float(self.snr[0]) * (1 - 1e-9) or float(snr.max()) > float(self.snr[-1]) * (1 + 1e-9):
            raise InputError(
                f"loss curve from snr {float(self.snr[0]):.6g} to {float(self.snr[-1]):.6g}: the steps start at snr "
                f"{float(snr.min()):.6g} to {float(snr.max()):.6g}; measure the loss there too"
            )

    def error2(self, curve: Curve, snr: Tensor) -> Estimate:
        """`E‖x̂ − m_θ‖² = mse − mmse(γ)` at the nodes, linear in log γ between them (in γ from γ = 0 on); shape of `snr` (n,).

        At nodes the interval is that of the mmse. Between two nodes nothing was measured: there it reaches over both of theirs, which holds where the
        error lies between those at the nodes. That is an assumption on the network, so that the confidence is then 0 and the method says `interpolated`.

        Raises:
            InputError: where the nodes do not reach as far as `snr`, and for a loss below every denoiser's, with the curve's confidence.
        """
        self.check_reach(snr)
        inside = self._needed(snr)
        nodes, mse = self.snr[inside], self.mse[inside]
        low, high = curve.interval(nodes)
        self._check_possible(nodes, mse, low)
        left, fraction = _place(nodes, snr)
        right = torch.where(fraction > 0, (left + 1).clamp(max=len(nodes) - 1), left)
        left = torch.where(fraction < 1, left, right)
        error, least, most = ((mse - part).clamp(min=0) for part in (curve(nodes)[0], high, low))
        value = torch.lerp(error[left], error[right], fraction)
        value_low = torch.minimum(torch.minimum(least[left], least[right]), value)
        value_high = torch.maximum(torch.maximum(most[left], most[right]), value)
        if bool((left == right).all()):
            return Estimate(value, value_low, value_high, curve.confidence, len(nodes), curve.method)
        return Estimate(value, value_low, value_high, 0.0, len(nodes), f"{curve.method} (interpolated)")

    def _needed(self, snr: Tensor) -> Tensor:
        """The nodes between which `snr` lies, a slice of indices."""
        first = int(torch.searchsorted(self.snr, snr.min() * (1 + 1e-9), right=True)) - 1
        last = int(torch.searchsorted(self.snr, snr.max() * (1 - 1e-9)))
        return torch.arange(max(0, first), min(last, len(self.snr) - 1) + 1)

    @staticmethod
    def _check_possible(snr: Tensor, mse: Tensor, least: Tensor) -> None:
        below = least - mse
        worst = int(below.argmax())
        if float(below[worst]) > _ROUNDING * float(least[worst]):
            raise InputError(
                f"mse {float(mse[worst]):.6g} at snr {float(snr[worst]):.6g}: impossible, no denoiser of these data has a loss below "
                f"{float(least[worst]):.6g}; give E‖x_0 − m‖² summed over the dimensions, of the same data in the same units"
            )


def _place(nodes: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """The node at the left of each γ, and how far it lies towards the next in log γ, in γ between γ = 0 and the node after it; in [0, 1]."""
    if len(nodes) == 1:
        return torch.zeros_like(snr, dtype=torch.long), torch.zeros_like(snr)
    left = (torch.searchsorted(nodes, snr.contiguous()) - 1).clamp(0, len(nodes) - 2)
    low, high = nodes[left], nodes[left + 1]
    in_log = torch.log(snr / low) / torch.log(high / low)
    fraction = torch.where(low > 0, in_log, snr / high).nan_to_num(nan=0.0).clamp(0, 1)
    for node, at in ((low, 0.0), (high, 1.0)):  # what misses a node by a rounding is at it
        fraction = torch.where((snr - node).abs() <= _ROUNDING * node, at, fraction)
    return left, fraction


def read_loss_curve(path: Path) -> LossCurve:
    """From a `.npz` file with `snr` and `mse`, each (n,). Raises `InputError` naming the file; pickles are never loaded."""
    with naming(path), npz_members(path, "snr=..., mse=...") as members:
        if not {"snr", "mse"} <= set(members):
            raise InputError(f"holds {shown_names(members)}; save it with np.savez(FILE, snr=..., mse=...)")
        arrays = [read_array(members[name], partial(_check_shape, name)) for name in ("snr", "mse")]
        notes = unused(str(path), set(members) - {"snr", "mse"})
        snr, mse = (torch.from_numpy(np.array(array, dtype=np.float64)) for array in arrays)
        return LossCurve(snr, mse, notes)


def _check_shape(name: str, shape: Shape, _: np.dtype) -> None:
    if len(shape) != 1 or shape[0] > MOST_NODES:
        raise InputError(f"{name} has shape {shape}; snr and mse must be lists of numbers, at most {MOST_NODES}")

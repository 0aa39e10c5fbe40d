"""The mmse curve of a law and the information under it (B4, B8, B11)."""

from singtheory.mmse.draws import LEAST_PAIRS
from singtheory.mmse.exact import Curve, exact_curve
from singtheory.mmse.information import (
    expected_trace,
    gaussian_mmse,
    kl_by_covariance,
    kl_by_information,
    kl_information_draws,
    line_mmse,
)
from singtheory.mmse.loss_curve import LossCurve, read_loss_curve
from singtheory.mmse.sampled import NODES, SampledCurve, sample_curve
from singtheory.mmse.smooth import Smooth

__all__ = [
    "LEAST_PAIRS",
    "NODES",
    "Curve",
    "LossCurve",
    "SampledCurve",
    "Smooth",
    "exact_curve",
    "expected_trace",
    "gaussian_mmse",
    "kl_by_covariance",
    "kl_by_information",
    "kl_information_draws",
    "line_mmse",
    "read_loss_curve",
    "sample_curve",
]

"""What a run of `singtheory response` hands back."""

import math

import pytest

from proofs_checks.commands.response import Request, run
from singtheory import InputError

PLAIN = Request("rectified-flow", 4, "trailing", 1.0, 0.0, "mean", False, None, None)


def asked(**changed):
    return run(Request(**{**PLAIN.__dict__, **changed}))


def test_angles_have_the_digits_of_float64():
    """`θ = arctan(√λ (1 − t)/t)` at t = 1, ¾, ½, ¼, 0, of the largest eigenvalue; it was rounded to float32."""
    lam = 0.123456789012345
    expected = [math.atan2((1 - t) * math.sqrt(lam), t) for t in (1, 0.75, 0.5, 0.25, 0)]
    found = asked(eigenvalues=f"{lam!r},0.01")["angles"]
    assert found["eigenvalue"] == lam and found["theta"] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"eigenvalues": "1e-320"}, "must lie from"),
        ({"schedule": "cosine", "spacing": "leading", "steps": 1}, "take two steps, or trailing"),
        ({"schedule": "power:1e6"}, "alpha is below"),
        ({"shift": 1e300}, "must decrease"),
    ],
)
def test_what_float64_does_not_hold_is_refused(changed, words):
    with pytest.raises(InputError, match=words):
        asked(**changed)


def test_the_widest_spectra_give_shares():
    rows = asked(eigenvalues="1e-150,1,1e150")
    assert all(0 <= row[name] <= 1 for row in rows["rows"] + rows["curve"] for name in ("kept", "first"))

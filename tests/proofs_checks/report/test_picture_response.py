"""The picture of a response: what it marks can be read, also where the marks lie close to each other."""

import math

import pytest

from proofs_checks.report.picture_response import response_picture


def results(brightness, texture):
    """As `singtheory response` writes them, of two steps."""
    curve = [{"eigenvalue": 10.0**k, "kept": 0.5, "first": 0.8} for k in range(-4, 4)]
    return {
        "schedule": "rectified-flow",
        "steps": 2,
        "start": "mean",
        "data": {"name": "pictures"},
        "brightness": brightness,
        "bands": [{"high": None, "eigenvalue": texture}],
        "rows": [{"eigenvalue": value} for value in (brightness, texture)],
        "curve": curve,
        "angles": {"eigenvalue": brightness, "theta": [0.0, 1.0, math.pi / 2]},
    }


@pytest.mark.parametrize(("brightness", "texture"), [(0.29, 0.2), (0.2, 0.29), (900.0, 0.01)])
def test_names_of_eigenvalues_do_not_overlap(brightness, texture):
    figure = response_picture(results(brightness, texture)).figure
    figure.canvas.draw()
    axes = figure.axes[0]
    first, second = (
        text.get_window_extent() for text in axes.texts if text.get_text() in ("brightness", "finest texture")
    )
    assert not first.overlaps(second)

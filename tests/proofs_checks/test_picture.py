"""The pictures of the report, drawn on digits with few steps: labelled, with units, and showing what they say."""

import pytest

from proofs_checks import picture_ladder, picture_limits


def silent(_: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def drawn():
    from proofs_checks.context import Context
    from singtheory import data

    context = Context(data.load("digits"), 0, 1e-7)
    return {
        "limits": picture_limits.limits_picture(context, silent),
        "thumbnails": picture_limits.thumbnails_picture(context, silent, count=1),
        "grid": picture_ladder.grid_picture(context, silent, queries=1, steps=3),
    }


def test_every_picture_says_what_it_shows(drawn):
    for picture in drawn.values():
        assert len(picture.caption) > 80 and picture.alt and picture.title


@pytest.mark.parametrize("name", ["limits", "grid"])
def test_axes_are_labelled(drawn, name):
    for axes in drawn[name].figure.axes:
        assert axes.get_xlabel() and axes.get_ylabel()
        assert axes.get_legend() is not None


def test_denoiser_tends_to_the_mean_at_the_order_of_alpha(drawn):
    axes = drawn["limits"].figure.axes[0]
    cosine = next(line for line in axes.get_lines() if line.get_label() == "cosine")
    x, y = cosine.get_xdata(), cosine.get_ydata()
    assert y[0] / y[4] == pytest.approx(x[0] / x[4], rel=1e-3)


def test_grid_shows_every_step_between_its_bounds(drawn):
    kl = drawn["grid"].figure.axes[0]
    lines = {line.get_label(): line.get_ydata() for line in kl.get_lines()}
    assert len(lines["measured"]) == 3
    # the last step's bounds underflow, and a logarithmic axis leaves them out
    assert all(lines["B10  family"][:2] <= lines["B3  ½ g tr C"][:2])


def test_thumbnails_have_a_column_a_time(drawn):
    titles = [axes.get_title() for axes in drawn["thumbnails"].figure.axes if axes.get_title()]
    assert titles[0] == "t = 1" and titles[-1] == "t = 0"

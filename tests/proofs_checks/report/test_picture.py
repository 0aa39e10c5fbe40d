"""The pictures of the report, drawn on digits with few steps: labelled, with units, and showing what they say."""

import pytest

from proofs_checks.report import picture_counterexamples, picture_ladder, picture_limits


def silent(_: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def drawn():
    from proofs_checks.harness.context import Context
    from singtheory.data import sources

    context = Context(sources.load("digits"), 0, 1e-7)
    return {
        "limits": picture_limits.limits_picture(context, silent),
        "thumbnails": picture_limits.thumbnails_picture(context, silent, count=1),
        "grid": picture_ladder.grid_picture(context, silent, queries=1, steps=3),
        "counterexamples": picture_counterexamples.counterexamples_picture(silent),
    }


def test_every_picture_says_what_it_shows(drawn):
    for picture in drawn.values():
        assert len(picture.caption) > 80 and picture.alt and picture.title


@pytest.mark.parametrize("name", ["limits", "grid", "counterexamples"])
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


def curves(axes) -> dict:
    return {line.get_label(): line for line in axes.get_lines()}


def test_each_counterexample_names_its_statement_and_dots_it(drawn):
    panels = drawn["counterexamples"].figure.axes
    assert [axes.get_title().split(" without ")[0] for axes in panels] == ["B3", "C3", "D3", "D4", "C8"]
    for axes in panels:
        assert {":", "-"} <= {line.get_linestyle() for line in axes.get_lines()}


def test_each_counterexample_leaves_what_the_statement_says(drawn):
    support, slope, density, edge, uncond = (curves(axes) for axes in drawn["counterexamples"].figure.axes)
    levels = [line.get_ydata()[0] for label, line in support.items() if label.startswith("D²/4")]
    assert len(levels) == 3 and max(support["Cauchy data"].get_ydata()) > max(levels)
    end = slope["limit |α̇(1) μ|"].get_ydata()[0]
    assert slope["α = 1 − t"].get_ydata()[0] == pytest.approx(end, rel=1e-3)
    assert slope["α = √(1 − t): α̇(1) = −∞"].get_ydata()[0] > 100 * end
    assert max(density["Gaussian data: 0"].get_ydata()) < 1e-12 < 1 < density["three atoms"].get_ydata()[-1]
    end = edge["limit ‖∇log π‖"].get_ydata()[0]
    assert edge["Gaussian density"].get_ydata()[0] == pytest.approx(end, rel=1e-3)
    assert (
        edge["a line, 0.3 beside it"].get_ydata()[0] > edge["uniform density, at its edge"].get_ydata()[0] > 1e4 * end
    )
    assert uncond["u = c: 1/w"].get_ydata()[-1] == pytest.approx(1 / 15)

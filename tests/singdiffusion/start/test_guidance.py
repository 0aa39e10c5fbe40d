"""Guidance at the singular step: C8's bounds and failure cases, and what goes through the module."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singdiffusion.average.table import AverageTable
from singdiffusion.start import guidance
from singdiffusion.start.guidance import GUIDANCE, guided_average
from singtheory import InputError, formula

WEIGHTS = st.floats(1.0, 1e4)
SEEDS = st.integers(0, 2**16)


def averages(seed: int = 0):
    """c and u, each of shape (1, 2, 3, 3)."""
    return torch.randn(2, 1, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).unbind()


@pytest.fixture
def table():
    generator = torch.Generator().manual_seed(0)
    images = {
        name: torch.randn(6, 2, 4, 4, generator=generator) + shift for name, shift in (("dark", -1), ("light", 2))
    }
    return AverageTable.from_images(images, rank=2)


@pytest.fixture
def batches(table):
    """The batch sizes that go through the table, in order."""
    seen = []
    table.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[1])))
    return seen


@pytest.mark.parametrize("name", GUIDANCE)
def test_every_rule_gives_the_conditional_average_at_weight_one(name):
    c, u = averages()
    assert torch.allclose(GUIDANCE[name](c, u, 1.0), c, rtol=1e-14)


@given(SEEDS, WEIGHTS)
def test_normalised_is_the_papers_rule_and_bounded(seed, w):
    c, u = averages(seed)
    guided = guidance.normalised(c, u, w)
    assert torch.allclose(guided, (u + w * (c - u)) / w, rtol=1e-9, atol=1e-12)
    assert guided.norm() <= formula.guidance_bound(c.norm(), u.norm(), w) * (1 + 1e-12)


@pytest.mark.parametrize("w", [1.5, 7.5, 100.0])
def test_normalised_is_right_where_the_unconditional_average_is_zero(w):
    c, u = averages()
    assert torch.equal(guidance.normalised(c, torch.zeros_like(u), w), c)


@pytest.mark.parametrize("w", [1.5, 7.5, 100.0])
def test_a_prompt_that_says_nothing_is_shrunk_by_normalised_guidance_alone(w):
    c, _ = averages()
    assert torch.allclose(guidance.normalised(c, c, w), c / w, rtol=1e-12)
    for name in ("plain", "convex", "none"):
        assert torch.equal(GUIDANCE[name](c, c, w), c)


@given(SEEDS, WEIGHTS)
def test_plain_guidance_grows_without_bound(seed, w):
    c, u = averages(seed)
    assert guidance.plain(c, u, w).norm() >= (w - 1) * (c - u).norm() * (1 - 1e-12) - c.norm()


def test_plain_guidance_is_the_mean_of_the_guided_law_of_gaussians_and_the_prompts_spread_is_its_spread():
    """The guided log density `w log p(x|c) + (1−w) log p(x)` of two Gaussians of variance 0.7 is one with that variance."""
    x = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    c, u, w, var = 0.8, -0.3, 7.5, 0.7
    density = torch.softmax(-(w * (x - c) ** 2 + (1 - w) * (x - u) ** 2) / (2 * var), dim=0)
    mean = density @ x
    assert guidance.plain(torch.tensor(c), torch.tensor(u), w).item() == pytest.approx(mean.item(), rel=1e-6)
    assert (density @ (x - mean) ** 2).item() == pytest.approx(var, rel=1e-6)


@pytest.mark.parametrize("var_u", [0.7, 1.0, 5.0])
def test_where_the_prompt_narrows_the_law_the_guided_spread_is_at_most_the_prompts(var_u):
    x, var_c, w = torch.linspace(-40, 40, 400_001, dtype=torch.float64), 0.7, 7.5
    density = torch.softmax(-(w * (x - 0.8) ** 2 / var_c + (1 - w) * (x + 0.3) ** 2 / var_u) / 2, dim=0)
    assert density @ (x - density @ x) ** 2 <= var_c * (1 + 1e-9)


@given(SEEDS, WEIGHTS, st.floats(1.0, 5.0))
def test_the_convex_rule_lies_between_the_conditional_average_and_plain_guidance(seed, w, cap):
    c, u = averages(seed)
    guided, plain = guidance.convex(c, u, w, cap), guidance.plain(c, u, w)
    assert ((guided - c).norm() + (plain - guided).norm()).item() == pytest.approx((plain - c).norm().item(), abs=1e-9)
    assert (guided - c).norm() <= (cap - 1) * (c - u).norm() * (1 + 1e-9) + 1e-12
    if w <= cap:
        assert torch.equal(guided, plain)


def test_the_convex_rule_refuses_a_cap_short_of_the_prompt():
    c, u = averages()
    for cap in (0.9, float("nan")):
        with pytest.raises(InputError, match="cap"):
            guidance.convex(c, u, 2.0, cap)


def test_both_halves_go_through_in_one_batch(table, batches):
    x_1 = torch.randn(2, 2, 4, 4)
    guided = guided_average(table, ["dark", "light"], ["", ""], x_1, 7.5, guidance.plain)
    assert batches == [4]
    c, u = table(["dark", "light"], x_1), table(["", ""], x_1)
    assert torch.equal(guided.mean, formula.plain_guidance(c.mean, u.mean, 7.5))
    assert torch.equal(guided.std, c.std) and not torch.equal(guided.std, u.std)
    assert torch.equal(guided.basis, c.basis)


@pytest.mark.parametrize(("w", "rule"), [(1.0, guidance.normalised), (1, guidance.plain), (7.5, guidance.none)])
def test_without_guidance_the_unconditional_half_is_not_computed(table, batches, w, rule):
    guided = guided_average(table, ["dark", "light"], None, torch.randn(2, 2, 4, 4), w, rule)
    assert batches == [2]
    assert torch.equal(guided.mean, table.means[:2])


def test_the_papers_rule_is_the_default(table):
    x_1 = torch.randn(1, 2, 4, 4)
    guided = guided_average(table, ["dark"], [""], x_1, 3.0)
    assert torch.allclose(guided.mean, table(["dark"], x_1).mean - (1 - 1 / 3) * table([""], x_1).mean)


def test_embeddings_are_joined_unconditional_first():
    seen = []

    class Recorder(AverageTable):
        def forward(self, condition, x_1):
            seen.append(condition)
            return super().forward([""] * len(condition), x_1)

    table = Recorder.from_images({"a": torch.randn(3, 2, 4, 4)})
    cond, uncond = torch.ones(1, 5, 3), torch.zeros(1, 5, 3)
    guided_average(table, cond, uncond, torch.randn(1, 2, 4, 4), 2.0)
    assert torch.equal(seen[0], torch.cat([uncond, cond]))


@pytest.mark.parametrize("w", [0.5, 0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", GUIDANCE)
def test_a_weight_that_is_none_is_refused(table, name, w):
    with pytest.raises(InputError, match="guidance"):
        guided_average(table, ["dark"], [""], torch.randn(1, 2, 4, 4), w, GUIDANCE[name])


@pytest.mark.parametrize(
    ("cond", "uncond", "words"),
    [
        (["dark"], None, "without the prompt"),
        (["dark"], ["", ""], "2 for 1"),
        (["dark"], torch.zeros(1, 5, 3), "embeddings"),
        (torch.zeros(1, 5, 3), torch.zeros(1, 6, 3), "(1, 6, 3)"),
    ],
)
def test_conditions_that_do_not_match_are_refused(table, cond, uncond, words):
    with pytest.raises(InputError) as error:
        guided_average(table, cond, uncond, torch.randn(1, 2, 4, 4), 2.0)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_rules_have_names():
    assert guidance.guidance_rule("plain") is guidance.plain
    with pytest.raises(InputError, match="did you mean normalised"):
        guidance.guidance_rule("normalized")

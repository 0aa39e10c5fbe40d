"""The closed-form table: the data's own means and deviations, and what it refuses."""

import pytest
import torch

from singdiffusion.average.registry import load_average
from singdiffusion.average.table import AverageTable
from singdiffusion.base.space import Space
from singtheory import InputError
from singtheory.start.starts import Components


@pytest.fixture
def images():
    """Twelve dark images whose brightness varies, six light ones that vary in nothing but noise."""
    generator = torch.Generator().manual_seed(0)
    dark, light = (0.1 * torch.randn(n, 3, 4, 4, generator=generator) for n in (12, 6))
    return {"dark": dark - 1 + torch.randn(12, 1, 1, 1, generator=generator), "light": light + 1}


def test_rows_are_the_means_and_no_prompt_is_the_mean_of_all(images):
    average = AverageTable.from_images(images)(["light", "", "dark"], torch.randn(3, 3, 4, 4))
    everything = torch.cat(list(images.values()))
    expected = torch.stack([images["light"].mean(0), everything.mean(0), images["dark"].mean(0)])
    assert torch.allclose(average.mean, expected, atol=1e-6)
    assert average.spread is None


def test_images_without_a_prompt_count_for_the_mean_of_all_alone(images):
    plain = torch.randn(5, 3, 4, 4)
    table = AverageTable.from_images(images | {"": plain})
    average = table(["dark", ""], torch.randn(2, 3, 4, 4))
    assert torch.allclose(average.mean[0], images["dark"].mean(0), atol=1e-6)
    assert torch.allclose(average.mean[1], torch.cat([*images.values(), plain]).mean(0), atol=1e-6)


def test_the_noise_changes_nothing(images):
    table = AverageTable.from_images(images, rank=2)
    first, second = (table(["dark"], torch.randn(1, 3, 4, 4)) for _ in range(2))
    assert torch.equal(first.mean, second.mean) and torch.equal(first.std, second.std)


def test_the_spread_is_each_prompts_own_deviation_along_common_directions(images):
    average = AverageTable.from_images(images, rank=3)(["dark", "light", ""], torch.randn(3, 3, 4, 4))
    basis, std = average.spread
    rows = basis.flatten(1)
    for i, group in enumerate([*images.values(), torch.cat(list(images.values()))]):
        along = group.flatten(1) @ rows.mT
        assert torch.allclose(std[i], along.std(dim=0, correction=0), atol=1e-6)
    Components(basis, std)  # orthonormal
    constant = torch.ones(48) / 48**0.5
    assert abs(rows[0] @ constant) > 0.99, "brightness is what varies most within the prompts"
    assert std[0, 0] > 10 * std[1, 0]


def test_the_directions_are_those_within_prompts_not_between_them():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 40, 1, 2, 2, generator=generator) * torch.tensor([[1.0, 0.1], [0.1, 0.1]])
    table = AverageTable.from_images({"a": noise[0] + 50, "b": noise[1] - 50}, rank=1)
    assert abs(table.basis.flatten()[0]) > 0.95


def test_of_many_deviations_every_few_are_pooled_and_all_are_measured(images, monkeypatch):
    """The directions are nearly the same, the deviations along them are of all images and not of those alone."""
    whole = AverageTable.from_images(images, rank=1)
    monkeypatch.setattr("singdiffusion.average.table._POOL", 18 * 48 // 3)
    thinned = AverageTable.from_images(images, rank=1)
    cosine = float(thinned.basis.flatten() @ whole.basis.flatten())
    assert 0.98 < abs(cosine) < 1 - 1e-6
    along = [group.flatten(1) @ thinned.basis.flatten() for group in images.values()]
    expected = torch.stack([values.std(correction=0) for values in along])
    torch.testing.assert_close(thinned.stds[:2, 0], expected, rtol=1e-5, atol=1e-6)


def test_it_comes_back_as_it_was_saved(images, tmp_path):
    table = AverageTable.from_images(images, rank=2, scaling_factor=0.5, shift_factor=0.25)
    table.save_pretrained(tmp_path / "table")
    loaded = load_average(tmp_path / "table")
    x_1 = torch.randn(2, 3, 4, 4)
    before, after = (module(["dark", ""], x_1) for module in (table, loaded))
    assert isinstance(loaded, AverageTable) and loaded.space == table.space == Space(3, 0.5, 0.25)
    for name in ("mean", "basis", "std"):
        assert torch.equal(getattr(before, name), getattr(after, name))


def test_a_table_without_spread_is_saved_too(images, tmp_path):
    AverageTable.from_images(images).save_pretrained(tmp_path / "table")
    assert load_average(tmp_path / "table")(["dark"], torch.randn(1, 3, 4, 4)).spread is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision(images, dtype):
    average = AverageTable.from_images(images, rank=1).to(dtype)(["dark"], torch.randn(1, 3, 4, 4, dtype=dtype))
    assert average.mean.dtype == average.std.dtype == dtype
    assert torch.allclose(average.mean[0].float(), images["dark"].mean(0), atol=2e-2)


def test_an_unknown_prompt_is_refused_with_the_near_ones(images):
    with pytest.raises(InputError, match="unknown prompt 'drak': did you mean dark") as error:
        AverageTable.from_images(images)(["drak"], torch.randn(1, 3, 4, 4))
    assert "\n" not in str(error.value)


def test_an_unknown_prompt_does_not_list_a_table_of_thousands():
    table = AverageTable.from_images({f"{i:05}": torch.randn(1, 1, 2, 2) for i in range(2000)})
    with pytest.raises(InputError, match="and 1971 more"):
        table(["solid black"], torch.randn(1, 1, 2, 2))


def test_prompts_are_taken_whatever_the_pipelines_text_encoder(images):
    table = AverageTable.from_images(images)
    assert table.condition_for(Space(3, text_width=768, text_encoder="any-768-12-0")) == "prompts"


@pytest.mark.parametrize(
    ("condition", "x_1", "words"),
    [
        (torch.zeros(1, 7, 16), torch.randn(1, 3, 4, 4), "no embeddings"),
        (["dark"], torch.randn(1, 4, 4, 4), "need (1, 3, height, width)"),
        (["dark", "light"], torch.randn(1, 3, 4, 4), "need (2, 3, height, width)"),
        (["dark"], torch.randn(1, 3, 4, 4, dtype=torch.float64), "torch.float64 on cpu"),
        (["dark"], torch.empty(1, 3, 4, 4, device="meta"), "on meta"),
    ],
)
def test_conditions_and_noise_that_do_not_fit_are_refused(images, condition, x_1, words):
    with pytest.raises(InputError) as error:
        AverageTable.from_images(images)(condition, x_1)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "rank", "words"),
    [
        ({}, 0, "none"),
        ({"a": torch.zeros(0, 3, 4, 4)}, 0, "(0, 3, 4, 4)"),
        ({"a": torch.zeros(3, 4, 4)}, 0, "'a' have shape (3, 4, 4)"),
        ({"a": torch.zeros(2, 3, 4, 4), "b": torch.zeros(2, 3, 8, 8)}, 0, "'b'"),
        ({"a": torch.full((2, 3, 4, 4), float("nan"))}, 0, "NaN"),
        ({"a": torch.randn(3, 3, 4, 4)}, 5, "rank 5"),
        ({"a": torch.randn(3, 3, 4, 4)}, -1, "rank -1"),
        ({"a": torch.randn(1, 3, 4, 4), "b": torch.randn(1, 3, 4, 4)}, 1, "rank 1"),
    ],
)
def test_data_of_which_no_table_can_be_made_are_refused(arguments, rank, words):
    with pytest.raises(InputError) as error:
        AverageTable.from_images(arguments, rank=rank)
    assert words in str(error.value) and "\n" not in str(error.value)

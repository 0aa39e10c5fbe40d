"""Conditions as token states."""

import pytest
import torch

from singdiffusion.average.condition import condition_of
from singtheory import InputError

LIKE = torch.zeros(1)


def test_classes_by_name_and_number_and_none():
    classes = condition_of({"kind": "classes", "width": 4, "names": ["cat", "dog"]})
    named = classes(["dog", "cat", ""], LIKE)
    assert named.shape == (3, 1, 4) and classes.takes_prompts
    assert torch.equal(named, classes(torch.tensor([1, 0, 2]), LIKE))
    with pytest.raises(InputError, match="did you mean cat"):
        classes(["cut"], LIKE)
    with pytest.raises(InputError, match="one class number"):
        classes(torch.zeros(2, 3), LIKE)
    for names in (["a", "a"], ["a", ""]):
        with pytest.raises(InputError, match="two have one name"):
            condition_of({"kind": "classes", "width": 4, "names": names})


def test_text_passes_token_states_and_refuses_prompts_without_an_encoder():
    text = condition_of({"kind": "text", "width": 4})
    states = torch.randn(2, 7, 4)
    assert torch.equal(text(states, LIKE), states) and not text.takes_prompts
    with pytest.raises(InputError, match="no text encoder"):
        text(["a"], LIKE)
    with pytest.raises(InputError, match="token states"):
        text(torch.zeros(2, 7, 5), LIKE)


def test_small_images_by_pixel_and_the_absent_one():
    small = condition_of({"kind": "image", "width": 4, "size": [3, 2, 2]})
    with torch.no_grad():
        small.absent.fill_(1)
    images = torch.randn(3, 3, 2, 2)
    images[1] = torch.nan
    actual = small(images, LIKE)
    assert actual.shape == (3, 4, 4) and bool(torch.isfinite(actual).all())
    torch.testing.assert_close(actual[1], 1 + small.place)
    changed = images.clone()
    changed[0, :, 0, 1] += 1
    moved = (small(changed, LIKE) != actual).any(dim=2)
    assert moved.tolist() == [[False, True, False, False], [False] * 4, [False] * 4]
    for wrong in (["a"], torch.zeros(2, 3, 4, 4)):
        with pytest.raises(InputError, match="need images"):
            small(wrong, LIKE)


def test_nothing_is_one_token_for_all():
    nothing = condition_of({"kind": "none", "width": 4})
    with torch.no_grad():
        nothing.token.normal_()
    actual = nothing(["a", "b"], LIKE)
    assert actual.shape == (2, 1, 4) and torch.equal(actual[0], actual[1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"kind": "class"}, "did you mean classes"), ({"kind": "classes", "width": 4}, "names"), ({}, "unknown kind")],
)
def test_what_makes_no_condition(settings, words):
    with pytest.raises(InputError, match=words):
        condition_of(settings)

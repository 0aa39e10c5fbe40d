"""Errors in one line, and names that nobody knows."""

import pytest

from singtheory.errors import first_sentence, unknown_name


def test_an_empty_name_can_be_seen_among_the_known():
    assert str(unknown_name("prompt", "red apple", ["", "white"])) == "unknown prompt 'red apple': known: '', white"


def test_near_names_are_asked_for():
    assert (
        str(unknown_name("schedule", "cosin", ["cosine", "power"])) == "unknown schedule 'cosin': did you mean cosine?"
    )


@pytest.mark.parametrize(
    ("message", "first"),
    [
        (
            "cannot identify image file <_io.BytesIO object at 0x7F3a90>",
            "cannot identify image file <_io.BytesIO object>",
        ),
        ("a at 0x1 and b at 0x2", "a and b"),
        ("It is damaged. Read https://advice for more", "It is damaged"),
        ("one line\nanother", "one line"),
        ("  ", "ValueError"),
    ],
)
def test_the_first_sentence_of_another_librarys_error_is_the_same_in_every_run(message, first):
    assert first_sentence(ValueError(message)) == first

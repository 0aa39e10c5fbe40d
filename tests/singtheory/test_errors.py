"""Errors in one line, and names that nobody knows."""

from singtheory.errors import unknown_name


def test_an_empty_name_can_be_seen_among_the_known():
    assert str(unknown_name("prompt", "red apple", ["", "white"])) == "unknown prompt 'red apple': known: '', white"


def test_near_names_are_asked_for():
    assert (
        str(unknown_name("schedule", "cosin", ["cosine", "power"])) == "unknown schedule 'cosin': did you mean cosine?"
    )

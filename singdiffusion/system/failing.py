"""Whatever other libraries raise, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from singtheory.errors import InputError, first_sentence


@contextmanager
def told_in_one_line(failure: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever is raised inside into an `InputError` of one line: the failure, the first sentence of the error, and the remedy.

    No list of exceptions would do: the many readers behind diffusers, its schedulers and layers raise what they like for what is
    damaged or not meant to be used so. So only their calls belong inside. An `InputError` passes as it is.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{failure} ({first_sentence(error)}){remedy and f'; {remedy}'}") from error

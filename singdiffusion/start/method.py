"""A method of one object, exchanged for another call while the object stays what it is."""

import copy
import functools
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any


class Method:
    """What stands in the place of a method of one object, such as a scheduler; a copy of the object has its own again."""

    def __init__(self, owner: Any, name: str, call: Callable[..., Any]) -> None:
        self.owner, self.name, self.call = owner, name, call
        functools.update_wrapper(self, getattr(owner, name))  # pipelines ask what it takes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The other call."""
        return self.call(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = memo.get(id(self.owner))
        return self if made is None else MethodType(getattr(type(made), self.name), made)


def put_by_others(owner: Any, names: Iterable[str]) -> dict[str, Any]:
    """The methods of those names in whose places somebody else has put another, such as people who encode prompts by another package."""
    return {name: vars(owner)[name] for name in names if name in vars(owner)}


def own_methods(copied: Any, methods: dict[str, Any], put: dict[str, Any], memo: dict[int, Any]) -> dict[str, Any]:
    """The methods of those names that a copy of their owner has by its class, or as copies of what others have put there."""
    by_class = {name: MethodType(getattr(type(copied), name), copied) for name in methods if name not in put}
    return by_class | copy.deepcopy(put, memo)


def copied_owner(owner: Any, memo: dict[int, Any]) -> Any:
    """The copy of an owner that is being made, or is made now."""
    return memo.get(id(owner)) or copy.deepcopy(owner, memo)

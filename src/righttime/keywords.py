"""Unknown keywords end in an error that names the near ones, as every other unknown name does."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from righttime.errors import unknown_name

__all__ = ["named_fields", "named_settings"]

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)


def named_settings(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse keywords that `function` does not have.

    Its signature stays, so that editors and type checkers see every keyword.

    Example:
        >>> @named_settings
        ... def draw(*, seed: int = 0) -> int:
        ...     return seed
        >>> draw(seeds=1)
        Traceback (most recent call last):
        ...
        righttime.errors.SettingsError: unknown setting 'seeds': did you mean 'seed'? Known: seed.
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **settings: P.kwargs) -> T:
        for name in settings:
            if name not in known:
                raise unknown_name("setting", name, known, setting=name)
        return function(*args, **settings)

    return checked


def named_fields(kind: C) -> C:
    """The same for the fields of a dataclass, also where `dataclasses.replace` makes it."""
    made: Any = kind
    made.__init__ = named_settings(made.__init__)
    return kind

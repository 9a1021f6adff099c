"""Settings as the command line writes them: the library says `workers` and `form="chat"`, a terminal shows flags.

The library writes a setting in backticks, as a Python keyword: a name, or a name with its value.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from righttime.errors import DataError, RighttimeError

__all__ = ["explained", "in_flags", "option_of", "spoken_by"]

_RUNNING: ContextVar[Any] = ContextVar("the context of the command that runs", default=None)

_NAMES: Mapping[str, str] = {
    "base": "lora_base",
    "batch": "batch_size",
    "dimension": "dim",
    "dtype": "precision",
    "files_only": "no_data",
    "n_pool": "rows",
    "n_target": "target_rows",
    "params": "param",
    "reward": "reward_model",
    "run": "out",
    "shuffle_after": "curriculum_then_shuffle",
}
"""Settings whose command-line option has another name."""
_VALUES: Mapping[str, str] = {"bf16": "bfloat16"}
"""Values that the command line writes in another way."""
_SETTING = re.compile(r"`([a-z]\w*)(?:=([^`]+))?`")


def in_flags(text: str, *, names: bool = True) -> str:
    """A sentence of the library as the command line says it.

    Args:
        text: The sentence.
        names: Whether a name alone is a setting too; not in sentences about data, whose fields are in backticks.

    Example:
        >>> in_flags("unknown `such` setting")
        'unknown `such` setting'
    """
    return _SETTING.sub(lambda found: _flag(found, names), text)


def option_of(setting: str) -> str:
    """The command line's name of a setting, with underscores.

    Example:
        >>> option_of("shuffle_after"), option_of("epochs")
        ('curriculum_then_shuffle', 'epochs')
    """
    return _NAMES.get(setting, setting)


def explained(error: RighttimeError) -> RighttimeError:
    """The same error, its sentence as the command line says it."""
    what, hint, how = str(error).partition("Hint:")
    # An error about data names its fields in backticks too, such as `text`; its hint names settings.
    error.args = (in_flags(what, names=not isinstance(error, DataError)) + hint + in_flags(how),)
    return error


def _flag(found: re.Match[str], names: bool) -> str:
    name, value = found[1], found[2]
    flag = _flags().get(option_of(name)) if names or value else None
    if flag is None:
        return found[0]
    return flag if value is None else " ".join([flag, *_written(value)])


def _written(value: str) -> Iterator[str]:
    """A keyword's value as the words behind its flag; what is no literal, such as an ellipsis, as it is."""
    try:
        read: Any = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        read = value
    if isinstance(read, Mapping):
        yield shlex.quote(",".join(f"{key}={entry}" for key, entry in read.items()))
    elif read is not True:
        yield shlex.quote(_VALUES.get(str(read), str(read)))


@contextmanager
def spoken_by(context: Any) -> Iterator[None]:
    """While this lasts, settings are written as the flags of this context's command, errors' included.

    Args:
        context: The context that Typer runs a command in.
    """
    token = _RUNNING.set(context)
    try:
        yield
    except RighttimeError as error:
        raise explained(error)  # noqa: B904 (it is the same error)
    finally:
        _RUNNING.reset(token)


def _flags() -> Mapping[str, str]:
    """Parameter to flag: those of the command that runs, and of other commands what it does not have."""
    context = _RUNNING.get()
    if context is None:
        return {}
    found: dict[str, str] = {}
    for command in (context.command, *context.find_root().command.commands.values()):
        for option in command.params:
            if option.param_type_name == "option":
                found.setdefault(option.name.rstrip("_"), option.opts[0])
    return found

"""YAML whose every value knows its line, so that an error can name it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from righttime.errors import RighttimeError, SettingsError

__all__ = ["Entry", "changed", "expanded", "read_yaml"]

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Entry:
    """A value of a YAML file.

    Attributes:
        value: A dict of entries by name, a list of entries, or a plain value.
        line: Its line, from 1; 0 for what the command line set.
        twice: Names that stand twice in a mapping, each with its second line.
    """

    value: Any
    line: int
    twice: tuple[tuple[str, int], ...] = ()

    def plain(self) -> Any:
        """The value with nothing but plain values in it."""
        if isinstance(self.value, dict):
            return {name: entry.plain() for name, entry in self.value.items()}
        return [entry.plain() for entry in self.value] if isinstance(self.value, list) else self.value


def read_yaml(path: Path) -> Entry:
    """Read a file.

    Raises:
        SettingsError: If there is no such file, or it is no YAML; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return _entry_of(text, f"{path}:")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} must be a YAML file that can be read, got: {error}.", file=path) from error


def _entry_of(text: str, where: str) -> Entry:
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        return Entry({}, 1) if node is None else _entry(node, loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{where}{line}: must be YAML, but {said}.") from error
    except RecursionError as error:
        raise SettingsError(f"{where} must be YAML that is not nested so deeply.") from error
    except RighttimeError:
        raise
    except ValueError as error:  # a date or a number that YAML's form allows and Python does not
        raise SettingsError(f"{where} must be YAML, but {error}.") from error
    finally:
        if loader is not None:
            loader.dispose()


def _entry(node: Any, loader: Any) -> Entry:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return Entry([_entry(each, loader) for each in node.value], line)
    if not isinstance(node, yaml.MappingNode):
        return Entry(_number(node, loader.construct_object(node)), line)
    found: dict[str, Entry] = {}
    twice = []
    for key, value in node.value:
        name = str(loader.construct_object(key))
        if name in found:
            twice.append((name, key.start_mark.line + 1))
        found.setdefault(name, _entry(value, loader))
    return Entry(found, line, tuple(twice))


def _number(node: Any, value: Any) -> Any:
    """YAML 1.1 takes ``1e-5`` for text, since it has no point; nobody else does."""
    if isinstance(value, str) and node.style is None and re.fullmatch(r"[+-]?\d+(\.\d+)?[eE][+-]?\d+", value):
        return float(value)
    return value


def changed(root: Entry, words: list[str]) -> Entry:
    """The same with values set from the command line.

    Args:
        root: A mapping.
        words: Each ``a.b=value``, the value in YAML.

    Raises:
        SettingsError: If one is not in that form, or leads through what is no mapping.

    Example:
        >>> changed(Entry({}, 1), ["tuning.batch_size=8"]).plain()
        {'tuning': {'batch_size': 8}}
    """
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not all(name.split(".")):
            raise SettingsError(f"a setting must be given as NAME=VALUE, such as tuning.batch_size=8, got {word!r}.")
        made = _entry_of(value, f"{word!r}")
        root = _put(root, name.split("."), Entry(None if not value.strip() else _unlined(made).value, 0), word)
    return root


def _unlined(entry: Entry) -> Entry:
    if isinstance(entry.value, dict):
        return Entry({name: _unlined(each) for name, each in entry.value.items()}, 0, entry.twice)
    return Entry([_unlined(each) for each in entry.value] if isinstance(entry.value, list) else entry.value, 0)


def _put(entry: Entry, names: list[str], value: Entry, word: str) -> Entry:
    if not isinstance(entry.value, dict):
        raise SettingsError(f"a setting must lead through mappings, but {word!r} goes into {entry.plain()!r}.")
    inner = value
    if len(names) > 1:
        inner = _put(entry.value.get(names[0], Entry({}, 0)), names[1:], value, word)
    return Entry({**entry.value, names[0]: inner}, entry.line, entry.twice)


def expanded(root: Entry, environment: Mapping[str, str] | None = None) -> tuple[Entry, list[tuple[int, str]]]:
    """The same with ``${NAME}`` and ``${NAME:-default}`` replaced in every text.

    A relative path that comes from the environment is meant from the working directory, whatever the file's is.

    Returns:
        The entries, and each variable that is not set as its line and what is wrong.
    """
    problems: list[tuple[int, str]] = []
    known = os.environ if environment is None else environment

    def replaced(entry: Entry) -> Entry:
        if isinstance(entry.value, dict):
            return Entry({name: replaced(each) for name, each in entry.value.items()}, entry.line, entry.twice)
        if isinstance(entry.value, list):
            return Entry([replaced(each) for each in entry.value], entry.line)
        if not isinstance(entry.value, str):
            return entry
        problems.extend((entry.line, f"the variable {name} is not set") for name in _missing(entry.value, known))
        return Entry(_VARIABLE.sub(lambda found: _value_of(found, known), entry.value), entry.line)

    return replaced(root), problems


def _missing(text: str, known: Mapping[str, str]) -> Iterator[str]:
    for found in _VARIABLE.finditer(text):
        if found[1] not in known and found[2] is None:
            yield found[1]


def _value_of(found: re.Match[str], known: Mapping[str, str]) -> str:
    if found[1] not in known:
        return found[2] or ""
    value = known[found[1]]
    return os.path.abspath(value) if os.path.exists(value) else value

"""A record that remembers which of its fields were read, so that no text is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

__all__ = [
    "LABELS",
    "Seen",
    "folded",
    "forgo",
    "has_text",
    "is_label",
    "spelling",
    "text_keys",
    "unread",
    "unread_note",
]

_NAMES = """
annotator author canary categories category config contributors created creator dataset dataset_name date
difficulty domain domains file filename generator hash id idx index input_language instance_license
instruction_language key keywords lang language languages level licence license link locale model model_name
name origin output_language path quality rating role score skill source sources split src subcategory subject
subset subtask tag tags task time timestamp topic topics type uid uri url urls user user_name uuid version
"""
LABELS = frozenset(_NAMES.split())
"""Fields that name or describe a row. They are not text for a model, and a note about them says so."""

_ENDINGS = ("_id", "_ids", "_url", "_urls", "_source", "_name", "_type", "_hash", "_file", "_language", "_date", "_idx")
_IN_TURNS = frozenset(
    ["role", "content", "from", "value", "name", "tool_call_id", "tool_calls", "function_call", "reasoning_content"]
)


class Seen(Mapping[str, Any]):
    """A record that remembers what it was asked for; keys are found whatever their case, spaces and hyphens.

    Example:
        >>> record = Seen({"Instruction": "Add.", "why": "sums"})
        >>> record["instruction"], unread(record)
        ('Add.', ['why'])
    """

    __slots__ = ("_spelt", "lost", "raw", "used")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.used: set[str] = set()
        self.lost: set[str] = set()
        self._spelt = _spellings(tuple(raw))

    def place(self, key: str) -> str | None:
        """The record's own spelling of a key, or None if it has no such key."""
        return self._spelt[key]

    def __getitem__(self, key: str) -> Any:
        name = self._spelt[key]
        if name is None:
            raise KeyError(key)
        self.used.add(name)
        return self.raw[name]

    def get(self, key: str, default: Any = None) -> Any:
        """The value under a key, counted as read, or the default."""
        name = self._spelt[key]
        if name is None:
            return default
        self.used.add(name)
        return self.raw[name]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._spelt[key] is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def peek(self, key: str) -> Any:
        """The value under a key, without counting it as read; None if there is none."""
        name = self._spelt[key]
        return None if name is None else self.raw[name]


class _Spellings(dict[str, str | None]):
    """Each name that was asked for to a record's own spelling of it, or to None where it has no such key."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(zip(keys, keys, strict=True))
        self._folded = {folded(key): key for key in reversed(keys)}

    def __missing__(self, name: str) -> str | None:
        found = self[name] = self._folded.get(folded(name))
        return found


@lru_cache(maxsize=1024)
def _spellings(keys: tuple[str, ...]) -> _Spellings:
    """Worked out once for all records with these keys: most of a file share one set, and each is asked for dozens."""
    return _Spellings(keys)


def folded(key: Any) -> str:
    """A key as all spellings of it are: a table has `Best Answer` where JSON has `best_answer`.

    Example:
        >>> folded("Best Answer"), folded("canonical-solution")
        ('best_answer', 'canonical_solution')
    """
    return str(key).strip().lower().replace(" ", "_").replace("-", "_")


def spelling(record: Mapping[str, Any], name: str) -> str:
    """A record's own spelling of a key that it has.

    Example:
        >>> spelling({"ID": 1, "Para Graphs": []}, "para_graphs")
        'Para Graphs'
    """
    return next(key for key in record if folded(key) == name)


def forgo(record: Mapping[str, Any], field: str) -> None:
    """Note that a reader left a field, or a part of one, out of the row."""
    if isinstance(record, Seen):
        record.used.discard(record.place(field) or field)
        if record.place(field) is None:
            record.lost.add(field)


def has_text(value: Any) -> bool:
    """Whether a value is or holds text, at any depth.

    Example:
        >>> has_text({"scores": [0.5, None]}), has_text([["x"]])
        (False, True)
    """
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    if value is None:
        return False
    if isinstance(value, list | tuple):
        return any(map(has_text, value))
    return isinstance(value, Mapping) and any(map(has_text, value.values()))


def text_keys(value: Mapping[str, Any], but: str) -> tuple[str, ...]:
    """The names of the fields beside `but` that hold text."""
    return tuple(str(key) for key, held in value.items() if key != but and has_text(held))


def unread(record: Seen) -> list[str]:
    """The names of the fields that hold text and that nothing read, inside turns as ``messages[].thinking``."""
    left = [str(key) for key, value in record.raw.items() if key not in record.used and has_text(value)]
    inside = dict.fromkeys(
        f"{key}[].{name}"
        for key in record.used
        if isinstance(turns := record.raw[key], list | tuple)
        for turn in turns
        if isinstance(turn, Mapping) and ("role" in turn or "from" in turn)
        for name, value in turn.items()
        if name not in _IN_TURNS and has_text(value)
    )
    return [*left, *sorted(record.lost), *inside]


def unread_note(counts: Mapping[str, int], rows: int, most: int = 8) -> str:
    """One sentence on what was not read, texts before labels; empty if there is nothing.

    Example:
        >>> unread_note({"rationale": 97, "url": 100}, 100)
        'text that no rule reads: `rationale` (97% of rows); labels that no rule reads: `url`'
    """
    listed = sorted(counts, key=lambda field: -counts[field])
    texts = [f"`{field}` ({_share(counts[field], rows)})" for field in listed if not is_label(field)]
    labels = [f"`{field}`" if field.strip() else "a column without a name" for field in listed if is_label(field)]
    named = (("text", texts), ("labels", labels))
    return "; ".join(f"{what} that no rule reads: {_some(names, most)}" for what, names in named if names)


def _some(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _share(count: int, rows: int) -> str:
    if count == rows:
        return "every row"
    share = f"{count / rows:.0%}"
    return f"{ {'0%': '<1%', '100%': '>99%'}.get(share, share) } of rows"


def is_label(field: str) -> bool:
    """Whether a field names or describes its row: an id, a source, a language, a kind.

    Example:
        >>> is_label("file_url"), is_label("passage"), is_label("conversation[].country")
        (True, False, False)
    """
    name = folded(field.rpartition(".")[2])
    return not name or name in LABELS or name.endswith(_ENDINGS)

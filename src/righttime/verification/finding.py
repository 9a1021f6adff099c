"""One thing that was verified."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding", "equal"]


@dataclass(frozen=True)
class Finding:
    """One thing that was verified.

    Attributes:
        what: What must hold.
        ok: Whether it does; None where it could not be decided.
        detail: What was found.
    """

    what: str
    ok: bool | None
    detail: str = ""


def equal(what: str, got: object, want: object) -> Finding:
    """A finding on two values that must be equal."""
    return Finding(what, got == want, "" if got == want else f"got {got}, expected {want}")

"""One thing that was verified."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding", "as_sealed", "equal"]


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


def as_sealed(intact: bool | None) -> Finding:
    """A finding on a manifest's own hash; see `righttime.store.sealed`."""
    details = {True: "", False: "its entries do not have the sha256 that it holds", None: "it holds no hash of its own"}
    return Finding("the manifest is as it was written", intact, details[intact])

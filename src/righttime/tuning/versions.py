"""Versions of trainers that cannot keep an order are refused by name."""

from __future__ import annotations

from importlib import metadata

from righttime.errors import SettingsError

__all__ = ["check_versions"]

_REFUSED = {
    "transformers": (
        (5, 2),
        "samples at random without a word, whatever it is told: train_sampling_strategy came with 5.2.0",
    ),
    "trl": ((0, 15), "packs rows through a buffer that it shuffles without a word (ConstantLengthDataset)"),
}


def check_versions() -> None:
    """Refuse installed versions of transformers and TRL that would shuffle silently.

    Raises:
        SettingsError: If one is installed, or transformers is missing; names it.
    """
    for package, (least, why) in _REFUSED.items():
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if _numbers(found) < least:
            wanted = ".".join(map(str, least))
            raise SettingsError(
                f"{package} must be at least {wanted}, got {found}, which {why}. "
                f"Hint: pip install '{package}>={wanted}'."
            )


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version.

    Example:
        >>> _numbers("5.2.0.dev0")
        (5, 2)
    """
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())

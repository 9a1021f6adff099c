"""Versions of trainers that cannot keep an order are refused by name."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from packaging.version import Version

from righttime.errors import SettingsError

__all__ = ["check_versions"]

_REFUSED = {
    "transformers": (
        (5, 2),
        "samples at random without a word, whatever it is told: train_sampling_strategy came with 5.2.0",
    ),
    "trl": ((0, 15), "packs rows through a buffer that it shuffles without a word (ConstantLengthDataset)"),
}


def check_versions(*needed: str) -> None:
    """Refuse installed versions of transformers and TRL that would shuffle silently.

    Args:
        needed: Packages that must be installed.

    Raises:
        SettingsError: If such a version is installed, or a needed package is not; names it.
    """
    for package in needed:
        if not find_spec(package):
            raise SettingsError(
                f"training needs {package}, which is not installed. Hint: pip install 'righttime[train]'."
            )
    for package, (least, why) in _REFUSED.items():
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if Version(found).release[:2] < least:  # a pre-release of what is wanted will do
            wanted = ".".join(map(str, least))
            raise SettingsError(
                f"{package} must be at least {wanted}, got {found}, which {why}. "
                f"Hint: pip install '{package}>={wanted}'."
            )

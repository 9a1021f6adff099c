"""The Ray cluster that work is spread over: the one that ``RAY_ADDRESS`` names, else one started on this machine."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from righttime.errors import SettingsError

__all__ = ["check_ray", "started_ray", "unheard", "workers_of"]


def check_ray() -> None:
    """Refuse work on a cluster where Ray is not installed; imports nothing.

    Raises:
        SettingsError: If it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(
            "the engine ray needs the package ray, which is not installed. Hint: pip install 'righttime[ray]'.",
            setting="engine",
        )


def started_ray() -> Any:
    """The module ``ray``, connected to a cluster.

    Raises:
        SettingsError: If Ray is not installed.
    """
    check_ray()
    import ray

    if not ray.is_initialized():
        # A cluster that is there already has or has not its dashboard; None leaves that alone.
        dashboard = None if os.environ.get("RAY_ADDRESS") else False
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
    return ray


@contextmanager
def unheard() -> Iterator[None]:
    """Keep what Ray's core prints by itself, past Python, from stderr; for calls that raise where anything is wrong."""
    sys.stderr.flush()
    try:
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no stderr
        yield
        return
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def workers_of(ray: Any) -> tuple[int, bool]:
    """How many actors a cluster is meant to hold: one for each GPU, or where it has none one for each core.

    Args:
        ray: The module, connected.

    Returns:
        How many, and whether they are of GPUs.
    """
    gpus, cores = (int(ray.cluster_resources().get(kind, 0)) for kind in ("GPU", "CPU"))
    return (gpus, True) if gpus else (max(1, cores), False)

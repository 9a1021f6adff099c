"""Where the processes of an experiment run: this machine, or the machines of a Ray cluster that share its folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from righttime.cluster import started_ray
from righttime.errors import unknown_name
from righttime.experiment.matrix import Place, ThisMachine

__all__ = ["PLACES", "RayCluster", "place_named"]


class RayCluster:
    """Processes on the machines of a Ray cluster; the experiment's folder must be seen by all of them."""

    def __init__(self) -> None:
        self._ray: Any = started_ray()
        self._tasks: set[Any] = set()

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """See `righttime.experiment.matrix.Place`."""
        gpus = 1 if self._ray.cluster_resources().get("GPU") else 0
        ours = {name: value for name, value in environment.items() if name != "CUDA_VISIBLE_DEVICES"}
        task = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(_run).remote(
            list(command), str(log.resolve()), ours, os.getcwd()
        )
        self._tasks.add(task)
        try:
            return int(self._ray.get(task))
        finally:
            self._tasks.discard(task)

    def stop(self) -> None:
        """See `righttime.experiment.matrix.Place`."""
        for task in tuple(self._tasks):
            self._ray.cancel(task, force=True)


def _run(command: list[str], log: str, environment: dict[str, str], folder: str) -> int:
    with (
        open(log, "ab") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env={**os.environ, **environment}, cwd=folder
        ) as process,
    ):
        return process.wait()


PLACES: Mapping[str, Callable[[], Place]] = {"local": ThisMachine, "ray": RayCluster}


def place_named(name: str) -> Place:
    """Where runs are made.

    Raises:
        SettingsError: If there is no such place, or no cluster.
    """
    if name not in PLACES:
        raise unknown_name("place", name, PLACES, setting="on")
    return PLACES[name]()

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
        remote = self._ray.remote(max_retries=1, **self._share())(_run)
        task = remote.remote(list(command), str(log.resolve()), os.getcwd())
        self._tasks.add(task)
        try:
            return int(self._ray.get(task))
        except self._ray.exceptions.RayError as error:  # a node that died, or one that does not see the folder
            first = (str(error).strip().splitlines() or ["no message"])[-1]
            with log.open("a", encoding="utf-8") as output:
                output.write(f"{type(error).__name__}: {first}\n")
            return 1
        finally:
            self._tasks.discard(task)

    def _share(self) -> dict[str, float]:
        """What a run takes: a GPU, or where there is none all cores of the smallest node."""
        if self._ray.cluster_resources().get("GPU"):
            return {"num_gpus": 1, "num_cpus": 1}
        cores = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return {"num_cpus": max(1, min((one for one in cores if one), default=1))}

    def stop(self) -> None:
        """See `righttime.experiment.matrix.Place`."""
        for task in tuple(self._tasks):
            self._ray.cancel(task, force=True)


def _run(command: list[str], log: str, folder: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}  # Ray's own
    with (
        open(log, "ab") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, cwd=folder
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

"""The five million rows of five_million.py from S3, where requests fail, and on Ray nodes, of which one dies.

    python benchmarks/five_million.py --folder FOLDER
    python benchmarks/five_million_afar.py --folder FOLDER [--budget 50000] [--every 50] [--nodes 3]
        [--kill read search]

Three times the same `arrange` with given vectors, each a process of its own: from the shards on disk; from the same
shards in a bucket of an S3 server on loopback (moto, one thread a request, a process of its own), of whose requests
one in so many is answered with 503; and from disk with `--engine ray` on nodes that are processes of this machine, of
which one that is at work gets SIGKILL in all its processes: with --kill one in each stage that is named, else one that
searches. What is compared are the bytes of
arrangement.parquet, and those of train.jsonl. Anonymous memory is that of the command alone, not of server or nodes.
Needs moto[server] and ray, 2 GB of memory for the server and 8 GB for the nodes. Writes five_million_afar.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import parser, save
from ray_nodes import KillAtWork, cluster
from whole_way import measured, words_of

SERVER = """
import sys, json
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
app, every, counts = DomainDispatcherApplication(create_backend_app), int(sys.argv[1]), [0, 0]
class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_request(self, *_): pass
def faulty(environ, start):
    if environ["PATH_INFO"] == "/counts":
        start("200 OK", [])
        return [json.dumps(counts).encode()]
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        counts[0] += 1
        if counts[0] % every == 0:
            counts[1] += 1
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
    return app(environ, start)
server = make_server("127.0.0.1", 0, faulty, threaded=True, request_handler=Silent)
print(server.server_port, flush=True)
server.serve_forever()
"""
COMPARED = ("arrangement.parquet", "train.jsonl")


@contextmanager
def bucket(shards: list[Path], every: int) -> Iterator[dict[str, str]]:
    """A server that holds the shards in a bucket: what the environment must say."""
    import boto3

    server = subprocess.Popen([sys.executable, "-c", SERVER, str(every)], stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"  # type: ignore[union-attr]
        said = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        said["AWS_DEFAULT_REGION"] = "us-east-1"
        client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
        )
        client.create_bucket(Bucket="rows")
        for shard in shards:
            client.put_object(Bucket="rows", Key=shard.name, Body=shard.read_bytes())
        yield said
    finally:
        server.kill()
        server.wait()


def arranged(folder: Path, pool: str, name: str, budget: int, *more: str) -> dict[str, Any]:
    """Arrange a pool; what it took, and the sha256 of what is compared."""
    out = folder / f"out-{name}"
    words = ["arrange", *words_of(folder, pool, budget), "--out", str(out), "--overwrite"]
    found = measured([sys.executable, "-m", "righttime.cli", *words, *more], folder / f"cache-{name}", threads=None)
    del found["said"]
    found["sha256"] = {file: hashlib.sha256((out / file).read_bytes()).hexdigest() for file in COMPARED}
    shutil.rmtree(folder / f"cache-{name}", ignore_errors=True)
    print(name, found, f"load {os.getloadavg()[0]:.2f}", flush=True)
    return found


def from_s3(folder: Path, shards: list[Path], budget: int, every: int) -> dict[str, Any]:
    """The same from a bucket."""
    from urllib.request import urlopen

    with bucket(shards, every) as said:
        os.environ.update(said)
        found = arranged(folder, "s3://rows/pool-*.parquet", "s3", budget)
        with urlopen(f"{said['AWS_ENDPOINT_URL']}/counts") as answer:
            found["requests"], found["failed"] = json.loads(answer.read())
    return found


def on_ray(folder: Path, pool: str, budget: int, nodes: int, stages: list[str], work: float) -> dict[str, Any]:
    """The same on nodes of which one dies in each stage."""
    os.environ["RAY_TMPDIR"] = "/tmp"  # sockets may have paths of 107 characters at most
    nodes += len(stages) - 1  # as many are left as of three of which one died
    with cluster(nodes) as made:
        os.environ["RAY_ADDRESS"] = made.address
        try:
            with KillAtWork(made, stages, work) as kill:
                found = arranged(folder, pool, "ray", budget, "--engine", "ray")
        finally:
            del os.environ["RAY_ADDRESS"]
    return {**found, "nodes": nodes, "killed": kill.killed}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--folder", type=Path, required=True, help="where five_million.py made the pool")
    made.add_argument("--budget", type=int, default=50_000)
    made.add_argument("--every", type=int, default=50, help="one request in so many fails")
    made.add_argument("--nodes", type=int, default=3)
    made.add_argument("--kill", nargs="+", choices=("read", "search"), default=["search"], help="in which stages")
    made.add_argument("--work", type=float, default=3, help="seconds of CPU that a process has used when its node dies")
    made.add_argument("--ways", nargs="+", choices=("disk", "s3", "ray"), default=["disk", "s3", "ray"])
    args = made.parse_args()
    shards = sorted(args.folder.glob("pool-*.parquet"))
    pool = str(args.folder / "pool-*.parquet")
    began = time.monotonic()
    run = {
        "disk": lambda: arranged(args.folder, pool, "disk", args.budget),
        "s3": lambda: from_s3(args.folder, shards, args.budget, args.every),
        "ray": lambda: on_ray(args.folder, pool, args.budget, args.nodes, args.kill, args.work),
    }
    ways = {name: run[name]() for name in run if name == "disk" or name in args.ways}
    for way in ways.values():
        way["same"] = {file: way["sha256"][file] == ways["disk"]["sha256"][file] for file in COMPARED}
    print({name: way["same"] for name, way in ways.items()}, f"{time.monotonic() - began:.0f} s")
    asked = {"shards": len(shards), "bytes": sum(shard.stat().st_size for shard in shards), "budget": args.budget}
    save(args.results, "five_million_afar", {**asked, "every": args.every, "ways": ways})


if __name__ == "__main__":
    main()

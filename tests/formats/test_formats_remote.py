"""Files at addresses, from a real S3 server and a real web server on this machine."""

from __future__ import annotations

import gzip
import http.server
import io
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from righttime.cli import main
from righttime.embedding.given import given_vectors
from righttime.errors import DataError, EmbeddingError
from righttime.formats import read_rows, remote

ROWS = [{"id": f"r{row}", "prompt": f"what is {row}?", "response": f"it is {row}"} for row in range(60)]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class Faulty:
    """A WSGI application of which every so many-th request fails, or is answered with too little."""

    def __init__(self, app: Any) -> None:
        self.app, self.every, self.count, self.asked = app, 0, 0, list[str]()

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        self.count += 1
        self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self.every and self.count % self.every == 0:
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        return self.app(environ, start)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Faulty]]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = Faulty(DomainDispatcherApplication(create_backend_app))
    made = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", app
    made.shutdown()


@pytest.fixture
def s3(server: tuple[str, Faulty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of its own, and where copies are kept."""
    import boto3
    import s3fs

    url, app = server
    for name, value in (("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_FIRST_WAIT", 0.001)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", endpoint_url=url)
    client.create_bucket(Bucket="rows")
    yield client
    app.every = 0
    for found in client.list_objects_v2(Bucket="rows").get("Contents", []):
        client.delete_object(Bucket="rows", Key=found["Key"])
    client.delete_bucket(Bucket="rows")


def put_shards(client: Any) -> None:
    """The rows as four shards of four kinds."""
    client.put_object(Bucket="rows", Key="pool/0.jsonl", Body=jsonl(ROWS[:20]))
    client.put_object(Bucket="rows", Key="pool/1.jsonl.gz", Body=gzip.compress(jsonl(ROWS[20:30])))
    client.put_object(Bucket="rows", Key="pool/2.json", Body=json.dumps(ROWS[30:40]).encode())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS[40:]), sink)
    client.put_object(Bucket="rows", Key="pool/deep/3.parquet", Body=sink.getvalue().to_pybytes())
    client.put_object(Bucket="rows", Key="pool/README.md", Body=b"no data")
    client.put_object(Bucket="rows", Key="pool/.hidden.jsonl", Body=b"{}")


def test_a_folder_of_shards_of_several_kinds(s3: Any) -> None:
    put_shards(s3)
    found = read_rows(["s3://rows/pool"], role="pool")
    assert [row.id for row in found.examples] == [row["id"] for row in ROWS]
    names = ["0.jsonl", "1.jsonl.gz", "2.json", "deep/3.parquet"]
    assert [file.path for file in found.inputs] == [f"s3://rows/pool/{name}" for name in names]


def test_patterns_files_and_paths_with_one_slash(s3: Any) -> None:
    put_shards(s3)
    assert len(read_rows(["s3://rows/pool/*.json*"], role="pool").rows) == 40
    assert len(read_rows(["s3://rows/pool/**/*.parquet"], role="pool").rows) == 20
    assert len(read_rows([Path("s3://rows/pool/0.jsonl")], role="pool").rows) == 20


@pytest.mark.parametrize("pattern", ["**", "**/*", "*"])
def test_a_pattern_takes_each_file_once_and_folders_too(s3: Any, tmp_path: Path, pattern: str) -> None:
    put_shards(s3)
    s3.delete_object(Bucket="rows", Key="pool/README.md")  # which is refused where a pattern names it
    for name in ("0.jsonl", "1.jsonl.gz", "2.json", "deep/3.parquet"):
        (tmp_path / "pool" / name).parent.mkdir(parents=True, exist_ok=True)
        s3.download_file("rows", f"pool/{name}", str(tmp_path / "pool" / name))
    for pool in ("s3://rows/pool", tmp_path / "pool"):
        found = read_rows([f"{pool}/{pattern}"], role="pool")
        assert [row.id for row in found.examples] == [row["id"] for row in ROWS]


def test_a_folder_that_matches_and_holds_no_data_is_named(s3: Any) -> None:
    put_shards(s3)
    s3.put_object(Bucket="rows", Key="pool/other/notes.txt", Body=b"x")
    with pytest.raises(DataError, match=r"^s3://rows/pool/other: the folder must hold data files \("):
        read_rows(["s3://rows/pool/[0-9a-z]*"], role="pool")


def test_what_was_fetched_is_not_fetched_again_unless_it_changed(s3: Any, server: tuple[str, Faulty]) -> None:
    put_shards(s3)
    first = read_rows(["s3://rows/pool/0.jsonl"], role="pool")
    server[1].asked.clear()
    assert read_rows(["s3://rows/pool/0.jsonl"], role="pool").inputs == first.inputs
    assert "GET /rows/pool/0.jsonl" not in server[1].asked
    s3.put_object(Bucket="rows", Key="pool/0.jsonl", Body=jsonl(ROWS[50:]))
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # as a new process would begin
    assert [row.id for row in read_rows(["s3://rows/pool/0.jsonl"], role="pool").examples] == [
        f"r{n}" for n in range(50, 60)
    ]


def test_failing_requests_change_nothing(s3: Any, server: tuple[str, Faulty], monkeypatch: pytest.MonkeyPatch) -> None:
    put_shards(s3)
    body = jsonl([{**row, "response": "long " * 200} for row in ROWS])
    s3.put_object(Bucket="rows", Key="long.jsonl", Body=body)
    monkeypatch.setattr(remote, "_PART", 1000)  # many requests
    server[1].every = 5
    before = server[1].count
    [(name, copy)] = remote.fetched("s3://rows/long.jsonl", (".jsonl",))
    assert (name, Path(copy).read_bytes()) == ("s3://rows/long.jsonl", body)
    assert server[1].count - before > len(body) // 1000


def test_a_shard_that_cannot_be_had_is_named(
    s3: Any, server: tuple[str, Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_shards(s3)
    monkeypatch.setattr(remote, "_range", lambda *_: (_ for _ in ()).throw(OSError("the line is dead")))
    with pytest.raises(DataError, match=r"s3://rows/pool/0\.jsonl: cannot be fetched \(the line is dead\), 6 attempts"):
        read_rows(["s3://rows/pool/0.jsonl"], role="pool")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("s3://rows/pool/9.jsonl", r"s3://rows/pool/9\.jsonl: no such file"),
        ("s3://rows/pool/*.csv", r"s3://rows/pool/\*\.csv: no file there matches"),
        ("s3://other/pool.jsonl", "s3://other/pool.jsonl: no such file"),
    ],
)
def test_what_is_not_there(s3: Any, path: str, what: str) -> None:
    put_shards(s3)
    with pytest.raises(DataError, match=what):
        read_rows([path], role="pool")


def test_no_credentials_are_not_tried_again(s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import s3fs

    put_shards(s3)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited {seconds} s"))
    for path in ("s3://rows/pool/0.jsonl", "s3://rows/pool/*.jsonl", "s3://rows/pool"):
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(DataError, match=r"cannot be fetched \(Unable to locate credentials\). Hint: look at"):
            read_rows([path], role="pool")


def test_credentials_that_are_refused_are_not_tried_again(
    s3: Any, server: tuple[str, Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    put_shards(s3)
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(server[1], "app", _Refusing())
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited {seconds} s"))
    for path in ("s3://rows/pool/0.jsonl", "s3://rows/pool/*.jsonl", "s3://rows/pool"):
        before = server[1].count
        with pytest.raises(DataError, match="access is denied"):
            read_rows([path], role="pool")
        assert server[1].count - before <= 3
    monkeypatch.undo()


class _Refusing:
    """A WSGI application that knows nobody's key."""

    def __call__(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>"
        start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (401, 1), (404, 1), (429, 6), (503, 6)])
def test_what_a_web_server_says_for_good_is_believed(
    status: int, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.http import HTTPFileSystem

    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_FIRST_WAIT", 0.001)
    asked = []

    class Saying(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.command)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Saying)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    HTTPFileSystem.clear_instance_cache()
    told = {401: "access is denied", 404: "no such file", 400: "Hint: look at the address"}
    with pytest.raises(DataError, match=told.get(status, "6 attempts failed")):
        read_rows([f"http://127.0.0.1:{served.server_port}/pool.jsonl"], role="pool")
    served.shutdown()
    assert tries <= len(asked) <= 3 * tries  # a HEAD or two, and a GET, of each try


def test_a_google_bucket_that_is_not_ours_is_not_asked_again() -> None:
    tries: list[int] = []

    def ask() -> None:
        tries.append(1)
        raise OSError("Forbidden: rows/pool.jsonl\nno access")  # so gcsfs says it

    with pytest.raises(DataError, match=r"access is denied \(Forbidden: rows/pool.jsonl"):
        remote._tried("gs://rows/pool.jsonl", ask)
    assert len(tries) == 1


def _no_repository(kind: str) -> Exception:
    from huggingface_hub import errors

    response: Any = SimpleNamespace(status_code=401, headers={}, request=None)
    told: Exception = errors.RepositoryNotFoundError("401 Client Error", response=response)
    if kind == "HFValidationError":
        told = errors.HFValidationError("Repo id must be in the form 'namespace/repo_name'")
    return told


@pytest.mark.parametrize("kind", ["HFValidationError", "RepositoryNotFoundError"])
def test_a_slip_in_the_name_of_a_repository_is_told_at_once(kind: str) -> None:
    tries: list[int] = []

    def ask() -> None:
        tries.append(1)
        raise FileNotFoundError("datasets/nobody/none") from _no_repository(kind)  # so huggingface_hub says it

    with pytest.raises(DataError, match="no such repository, or it is private. Hint: look for a slip"):
        remote._tried("hf://datasets/nobody/none", ask)
    assert len(tries) == 1


def test_bad_rows_are_named_by_their_address(s3: Any) -> None:
    s3.put_object(Bucket="rows", Key="bad.jsonl", Body=jsonl(ROWS[:2]) + b'{"prompt": "x"}\n')
    with pytest.raises(DataError, match=r"s3://rows/bad\.jsonl:3"):
        read_rows(["s3://rows/bad.jsonl"], role="pool")


def test_arranged_from_an_address_is_verified_there(s3: Any, tmp_path: Path) -> None:
    put_shards(s3)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "pool.npy", rng.normal(size=(60, 5)))
    np.save(tmp_path / "target.npy", rng.normal(size=(4, 5)))
    (tmp_path / "target.jsonl").write_bytes(jsonl([{**row, "id": f"t{row['id']}"} for row in ROWS[:4]]))
    s3.put_object(Bucket="rows", Key="pool.npy", Body=(tmp_path / "pool.npy").read_bytes())
    sides = ["--target", f"{tmp_path}/target.jsonl", "--target-embedder", f"vectors:{tmp_path}/target.npy"]
    for out, vectors in (("one", f"vectors:{tmp_path}/pool.npy"), ("two", "vectors:s3://rows/pool.npy")):
        assert main(["arrange", "s3://rows/pool", *sides, "--embedder", vectors, "--out", f"{tmp_path}/{out}"]) == 0
        assert main(["verify", f"{tmp_path}/{out}"]) == 0
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["given"]["pool"] == ["s3://rows/pool"]
    assert (tmp_path / "one" / "train.jsonl").read_bytes() == (tmp_path / "two" / "train.jsonl").read_bytes()


def put_vectors(client: Any, kind: str) -> NDArray[np.float32]:
    """Vectors of the rows in three shards; those of Parquet with ids."""
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    for shard in range(3):
        part, sink = vectors[20 * shard : 20 * shard + 20], io.BytesIO()
        if kind == "npy":
            np.save(sink, part)
        else:
            ids = [row["id"] for row in ROWS[20 * shard : 20 * shard + 20]]
            pq.write_table(pa.table({"id": ids, "embedding": list(part)}), sink)
        client.put_object(Bucket="rows", Key=f"vectors/{shard}.{kind}", Body=sink.getvalue())
    return vectors


@pytest.mark.parametrize("kind", ["npy", "parquet"])
@pytest.mark.parametrize("place", ["vectors", "vectors/", "vectors/*.{kind}", "vec*/[0-2].{kind}"])
def test_shards_of_vectors_lie_in_a_bucket(s3: Any, kind: str, place: str) -> None:
    vectors = put_vectors(s3, kind)
    found = given_vectors(f"vectors:s3://rows/{place.format(kind=kind)}", "pool", 60)
    assert np.array_equal(np.asarray(found), vectors)


def test_vectors_in_a_bucket_are_those_of_the_rows(s3: Any, tmp_path: Path) -> None:
    put_shards(s3)
    put_vectors(s3, "parquet")
    np.save(tmp_path / "target.npy", np.ones((60, 8), dtype=np.float32))
    (tmp_path / "swapped.jsonl").write_bytes(jsonl(ROWS[::-1]))
    given = ["--embedder", "vectors:s3://rows/vectors", "--target-embedder", f"vectors:{tmp_path}/target.npy"]
    around = ["--target", "s3://rows/pool", "--budget", "5", *given]
    assert main(["arrange", "s3://rows/pool", *around, "--out", str(tmp_path / "out")]) == 0
    assert main(["arrange", str(tmp_path / "swapped.jsonl"), *around, "--out", str(tmp_path / "no")]) == 1


def test_what_holds_no_vectors_in_a_bucket_is_named_and_not_fetched(s3: Any, server: tuple[str, Faulty]) -> None:
    put_vectors(s3, "npy")
    s3.put_object(Bucket="rows", Key="vectors/notes.txt", Body=b"x")
    server[1].asked.clear()
    with pytest.raises(EmbeddingError, match=r"s3://rows/vectors must hold files of vectors.*/vectors/notes\.txt"):
        given_vectors("vectors:s3://rows/vectors", "pool", 60)
    assert not any("/vectors/" in asked for asked in server[1].asked if asked.startswith("GET"))


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server of a folder's files: its address."""
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "cache"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{served.server_port}"
    served.shutdown()


def test_over_http_without_the_query_in_the_result(web: str, tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_bytes(jsonl(ROWS))
    found = read_rows([f"http://{web}/pool.jsonl?X-Amz-Signature=secret"], role="pool")
    assert len(found.rows) == 60
    assert [file.path for file in found.inputs] == [f"http://{web}/pool.jsonl"]


@pytest.mark.parametrize("address", ["http://{web}/{file}?X-Amz-Signature=secret", "http://me:secret@{web}/{file}"])
def test_vectors_over_http_keep_no_secret(
    web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    (tmp_path / "pool.jsonl").write_bytes(jsonl(ROWS))
    (tmp_path / "target.jsonl").write_bytes(jsonl(ROWS[:5]))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "both.npz", pool=rng.normal(size=(60, 8)), target=rng.normal(size=(5, 8)))
    np.save(tmp_path / "short.npy", rng.normal(size=(4, 8)))

    def arranged(vectors: str) -> int:
        with_vectors = ["--embedder", f"vectors:{address.format(web=web, file=vectors)}", "--out", str(tmp_path / "o")]
        sides = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl")]
        more = ["--target-embedder", f"vectors:{tmp_path}/short.npy"] if vectors != "both.npz" else []
        return main(["arrange", *sides, *with_vectors, *more, "--overwrite"])

    assert arranged("both.npz") == 0
    assert f"vectors:http://{web}/both.npz" in (tmp_path / "o" / "manifest.json").read_text()
    assert main(["verify", str(tmp_path / "o")]) == 0
    assert arranged("short.npy") == 1
    assert arranged("none.npy") == 1
    assert arranged("pool.jsonl") == 1
    shown = "".join(capsys.readouterr())
    assert f"http://{web}/short.npy must hold one vector for each of the 60 pool rows" in shown
    assert f"ending in .npy, .npz, .safetensors, .parquet, .arrow, .feather, got 'http://{web}/pool.jsonl'" in shown
    assert not any("secret" in text for text in (shown, (tmp_path / "o" / "manifest.json").read_text()))


def put_planned(client: Any, n: int = 4_000, shards: int = 8) -> None:
    """A pool of JSONL shards, of which some are twice as long, and vectors of its rows beside."""
    rng = np.random.default_rng(0)
    bounds = np.linspace(0, n, 3 * shards // 2 + 1).astype(int)[[0, *np.cumsum([1, 2] * (shards // 2))]]
    for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        rows = [{"id": f"r{row:06}", "prompt": f"{row:06} " + "x" * 90, "response": "y"} for row in range(start, stop)]
        client.put_object(Bucket="rows", Key=f"pool/{number}.jsonl", Body=jsonl(rows))
        held = io.BytesIO()
        np.save(held, rng.normal(size=(stop - start, 8)).astype(np.float32))
        client.put_object(Bucket="rows", Key=f"vectors/{number}.npy", Body=held.getvalue())


@pytest.mark.parametrize("where", ["both", "rows alone"])
def test_a_plan_fetches_a_file_of_each_ending_and_counts_the_copies(
    s3: Any, server: tuple[str, Faulty], tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    put_planned(s3)
    (tmp_path / "target.jsonl").write_bytes(jsonl(ROWS[:5]))
    rng = np.random.default_rng(1)
    np.save(tmp_path / "target.npy", rng.normal(size=(5, 8)))
    np.save(tmp_path / "pool.npy", rng.normal(size=(4_000, 8)).astype(np.float32))
    vectors = "s3://rows/vectors/*.npy" if where == "both" else f"{tmp_path}/pool.npy"
    sides = ["s3://rows/pool/", "--target", str(tmp_path / "target.jsonl"), "--guard", "off"]
    sides += ["--embedder", f"vectors:{vectors}", "--target-embedder", f"vectors:{tmp_path}/target.npy"]
    server[1].asked.clear()
    assert main(["plan", *sides, "--json"]) == 0
    asked = {name for name in server[1].asked if name.startswith("GET") and name.endswith(("jsonl", "npy"))}
    assert asked == {"GET /rows/pool/0.jsonl"} | ({"GET /rows/vectors/0.npy"} if where == "both" else set())
    stages = {one["name"]: one for one in json.loads(capsys.readouterr().out)["stages"]}
    sizes = {one["Key"]: one["Size"] for one in s3.list_objects_v2(Bucket="rows")["Contents"]}
    copied = [size for name, size in sizes.items() if where == "both" or name.endswith("jsonl")]
    assert stages["fetch"]["disk"] == sum(copied)
    assert f"copies of {len(copied)} files at addresses" in stages["fetch"]["note"]
    scaled = int(stages["read"]["note"].partition("scaled to ")[2].partition(" and")[0].replace(",", ""))
    assert abs(scaled - 4_000) <= (40 if where == "both" else 0), "estimated by bytes, headers of files included"
    assert main(["arrange", *sides, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["plan", *sides, "--json"]) == 0
    again = {one["name"]: one for one in json.loads(capsys.readouterr().out)["stages"]}
    assert (again["fetch"]["disk"], again["fetch"]["seconds"]) == (0, 0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.registry import known_implementations

    monkeypatch.setitem(known_implementations, "gs", {"class": "no_such_package.X", "err": "none"})
    with pytest.raises(DataError, match=r"gs://b/x\.jsonl: reading from gs:// needs the package gcsfs. Hint: pip"):
        read_rows(["gs://b/x.jsonl"], role="pool")


def test_local_patterns_and_folders_mix_kinds(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        (tmp_path / f"shard-{number}.jsonl").write_bytes(jsonl(ROWS[20 * number : 20 * number + 20]))
    assert [row.id for row in read_rows([tmp_path / "shard-*.jsonl"], role="pool").examples] == [r["id"] for r in ROWS]
    assert len(read_rows([tmp_path / "shard-[12].jsonl"], role="pool").rows) == 40
    named = tmp_path / "a[1].jsonl"  # a name that looks like a pattern
    named.write_bytes(jsonl(ROWS[:3]))
    assert len(read_rows([named], role="pool").rows) == 3

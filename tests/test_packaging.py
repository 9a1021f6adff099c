"""What is released: an sdist, a wheel built from it, and the wheel in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import righttime

ROOT = Path(__file__).parents[1]
SOURCES = ("src", "tests", "examples", "docs", "benchmarks", "configs")


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command without our checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist of a copy of this folder, as a release is."""
    folder = tmp_path_factory.mktemp("packaging")
    tree = folder / "tree"
    tree.mkdir()
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, tree)
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = "import setuptools.build_meta as b; print(b.build_sdist('../dist'))"
    name = run(sys.executable, "-c", build, cwd=tree).splitlines()[-1]
    with tarfile.open(folder / "dist" / name) as sdist:
        names = {member.partition("/")[2] for member in sdist.getnames()}
        sdist.extractall(folder / "sdist", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "tests/test_packaging.py"} <= names
    left = [name for name in names if name.endswith((".pyc", ".parquet"))]
    assert all(name.startswith("benchmarks/results/") for name in left), "what runs leave behind is not released"
    unpacked = folder / "sdist" / name.removesuffix(".tar.gz")
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q")
    run(sys.executable, "-m", "pip", "wheel", *options, "-w", folder / "dist", unpacked, cwd=folder)
    return next((folder / "dist").glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    ours = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "righttime").rglob("*.py")}
    page = (path for path in (ROOT / "src" / "righttime" / "report" / "assets").rglob("*") if path.is_file())
    page_parts = {path.relative_to(ROOT / "src").as_posix() for path in page if path.suffix not in (".py", ".pyc")}
    assert {"page.html", "page.css", "uPlot.LICENSE"} <= {name.rpartition("/")[2] for name in page_parts}
    assert {*ours, *page_parts, "righttime/py.typed"} == {name for name in names if ".dist-info/" not in name}
    assert f"\nVersion: {righttime.__version__}\n" in about
    assert "\nRequires-Python: >=3.10\n" in about
    assert re.search(r"^Requires-Dist: backports\.zstd.*python_version < [\"']3\.14[\"']$", about, re.MULTILINE)
    assert "\nProject-URL: Paper, https://aclanthology.org/2025.findings-acl.13/\n" in about


@pytest.mark.slow
@pytest.mark.linux
def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """Without its dependencies, which would take minutes: those are looked up where the tests run."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", where, cwd=tmp_path).strip())
    # A folder named in a .pth file brings its packages, but not what is installed there as editable: our checkout.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = tmp_path / "env" / "bin" / "righttime"
    assert run(command, "--version", cwd=tmp_path).strip() == righttime.__version__
    found = "import righttime; print(righttime.__file__); print(righttime.arrange.__module__)"
    assert run(python, "-c", found, cwd=tmp_path).startswith(str(site))
    run(command, "builtin", "--out", "data", "--rows", "2", "--target-rows", "1", cwd=tmp_path)
    words = ("arrange", "data/pool.jsonl", "--target", "data/target.jsonl", "--method", "random", "--budget", "5")
    run(command, *words, "--out", "out", cwd=tmp_path)
    lines = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == 5


def test_the_citation_is_of_this_version() -> None:
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == righttime.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    paper = citation["preferred-citation"]
    assert (paper["doi"], len(paper["authors"])) == ("10.18653/v1/2025.findings-acl.13", 13)
    assert 'attr = "righttime.version.__version__"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")

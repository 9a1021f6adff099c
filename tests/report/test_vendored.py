"""The JavaScript libraries of the report page are those that the pins name, with their licences."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[2] / "src" / "righttime" / "report" / "assets" / "vendor"
SHA256 = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize("name", list(SHA256))
def test_a_vendored_file_is_as_released(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == SHA256[name]


def test_nothing_else_is_vendored() -> None:
    assert {path.name for path in VENDOR.iterdir()} == set(SHA256)


def test_the_order_names_every_script_and_style_once() -> None:
    folder = VENDOR.parent
    names = (folder / "order.txt").read_text(encoding="utf-8").split()
    there = [path for kind in ("*.js", "*.css") for path in folder.rglob(kind)]
    assert sorted(names) == sorted(path.relative_to(folder).as_posix() for path in there)

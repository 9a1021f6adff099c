"""Fetch the JavaScript libraries of the report page: pinned, verified, unpacked with their licences.

    python tools/vendor_page_libraries.py            # writes src/righttime/report/assets/vendor
    python tools/vendor_page_libraries.py --check    # fails where what lies there is not what the pins give

Needs nothing but Python and the npm registry; who uses the package needs neither.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import sys
import tarfile
import urllib.request
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "src" / "righttime" / "report" / "assets" / "vendor"
NAME, VERSION = "uplot", "1.6.32"
INTEGRITY = "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
"""Of the tarball, as the registry has it."""
FILES = {
    "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "package/dist/uPlot.min.css": "uPlot.min.css",
    "package/LICENSE": "uPlot.LICENSE",
}
"""Files of the tarball, and what they are called here."""


def fetched() -> dict[str, bytes]:
    """The files by their names here."""
    url = f"https://registry.npmjs.org/{NAME}/-/{NAME}-{VERSION}.tgz"
    with urllib.request.urlopen(url, timeout=60) as answer:
        tarball = answer.read()
    found = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode("ascii")
    if found != INTEGRITY:
        sys.exit(f"{url} must have {INTEGRITY}, got {found}")
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        members = {name: archive.extractfile(name) for name in FILES}
        return {FILES[name]: member.read() for name, member in members.items() if member is not None}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--check", action="store_true", help="change nothing; fail where files differ")
    check = words.parse_args().check
    for name, content in fetched().items():
        if check:
            if (VENDOR / name).read_bytes() != content:
                sys.exit(f"{VENDOR / name} is not what {NAME} {VERSION} has")
        else:
            VENDOR.mkdir(parents=True, exist_ok=True)
            (VENDOR / name).write_bytes(content)
            print(f"{name}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()

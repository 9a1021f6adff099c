"""One HTML file: template, style, scripts and data; by its policy nothing else runs and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["DATA", "assets", "page_html"]

DATA = ("page", "rows", "texts")
"""The blocks of data, by the ids of their elements."""

_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def assets() -> tuple[str, str, str]:
    """Template, style and scripts; the last two joined in the order of ``order.txt``."""
    folder = files("righttime.report.assets")
    names = folder.joinpath("order.txt").read_text(encoding="utf-8").split()
    text = {name: folder.joinpath(*name.split("/")).read_text(encoding="utf-8") for name in names}
    style = "\n".join(text[name] for name in names if name.endswith(".css"))
    script = "\n;\n".join(text[name] for name in names if name.endswith(".js"))
    return folder.joinpath("page.html").read_text(encoding="utf-8"), style, script


def page_html(title: str, data: Mapping[str, Any], parts: tuple[str, str, str] | None = None) -> str:
    """The file.

    The policy allows exactly this style and these scripts, by their sha256, pictures that lie in the page, and no
    connection of any kind.

    Args:
        title: Of the window.
        data: JSON by the names of `DATA`; those that are not there are left out.
        parts: Template, style and scripts; None takes our own.
    """
    template, style, script = parts or assets()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_sha256(script)}'",
            f"style-src '{_sha256(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    blocks = "\n".join(
        f'<script type="application/json" id="{name}">{_inert(data[name])}</script>' for name in DATA if name in data
    )
    filled = {
        "csp": policy,
        "title": html.escape(title),
        "style": style,
        "data": blocks,
        "script": script,
    }
    # From one split of the template, so that nothing in style, data or script is taken for a placeholder.
    head, *rest = template.split("{{")
    pieces = [head]
    for one in rest:
        name, _, after = one.partition("}}")
        pieces += [filled[name.strip()], after]
    return "".join(pieces)


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _inert(value: Any) -> str:
    """JSON in which no character can end the element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_UNSAFE)

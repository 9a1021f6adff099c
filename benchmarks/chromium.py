"""A headless Chromium that is spoken to by its DevTools protocol: pages, scripts, keys, pointer, screenshots."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["Browser", "Tab", "chromium", "running"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
_KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
_LIMIT = 60.0
# What a page's own listeners hear is not all told by the protocol, as of sizes that keep changing.
_LISTEN = (
    "window.heard = []; addEventListener('error', (event) => window.heard.push(event.message || 'not loaded'), true);"
)


def chromium() -> str | None:
    """The browser of this machine: RIGHTTIME_BROWSER, or the first on the path; None where there is none."""
    named = os.environ.get("RIGHTTIME_BROWSER")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def running(command: str) -> Iterator[Browser]:
    """A browser with a profile of its own, gone afterwards with all its processes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [command, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            with connect(_address(process, Path(profile)), max_size=None, proxy=None, compression=None) as line:
                yield Browser(line)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Where the browser listens, which it writes down as soon as it does."""
    said, end = profile / "DevToolsActivePort", time.monotonic() + _LIMIT
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the browser must run, but it ended with {process.returncode}.")
        lines = said.read_text().splitlines() if said.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise TimeoutError(f"the browser must answer within {_LIMIT:.0f} s.")


class Browser:
    """The line to a browser, and what it told unasked."""

    def __init__(self, line: ClientConnection) -> None:
        self._line, self._number = line, itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """One question, and its answer."""
        number = next(self._number)
        said = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self._line.send(json.dumps(said))
        while True:
            answer = json.loads(self._line.recv(_LIMIT))
            if answer.get("id") != number:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                return dict(answer["result"])

    def tab(self, width: int = 1200, height: int = 900, *, dark: bool = False, ratio: float = 1) -> Tab:
        """A new empty page of that size."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        for room in ("Page", "Runtime", "Log", "Network"):
            tab.ask(f"{room}.enable")
        tab.ask("Page.addScriptToEvaluateOnNewDocument", source=_LISTEN)
        tab.size(width, height, ratio)
        tab.media(dark=dark)
        return tab


class Tab:
    """One page."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One question about this page."""
        return self._browser.ask(method, self._session, **params)

    def close(self) -> None:
        """Close the page."""
        self._browser.ask("Target.closeTarget", targetId=self._target)

    def size(self, width: int, height: int, ratio: float = 1) -> None:
        """The size of the window, in CSS pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=False,
        )

    def media(self, *, dark: bool = False, kind: str = "screen") -> None:
        """What the page is shown on."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=kind, features=[scheme])

    def open(self, path: Path) -> None:
        """A page from disk, until it says that it is ready."""
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.documentElement?.dataset.ready === 'true'")

    def run(self, script: str) -> Any:
        """The value of a script; promises are awaited."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"], indent=1))
        return answer["result"].get("value")

    def wait(self, script: str, limit: float = 20.0) -> None:
        """Until a script says so."""
        end = time.monotonic() + limit
        while not self.run(f"Boolean({script})"):
            if time.monotonic() > end:
                raise TimeoutError(f"{script} must come true within {limit:.0f} s. Errors: {self.errors()}")
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Keys, one after the other; one letter types itself."""
        for key in keys:
            about: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper()))}
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            self.ask("Input.dispatchKeyEvent", type="keyDown", **about, **text)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def pointer(self, kind: str, x: float, y: float, button: str = "none") -> None:
        """One event of the pointer: moved, pressed or released."""
        held = int(button == "left" and kind != "Released")
        self.ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, button=button, buttons=held, clickCount=1)

    def click(self, x: float, y: float) -> None:
        """Move there, press and release."""
        self.pointer("Moved", x, y)
        self.pointer("Pressed", x, y, "left")
        self.pointer("Released", x, y, "left")

    def picture(self, *, whole: bool = False) -> bytes:
        """What is seen (or the whole page), as PNG."""
        return base64.b64decode(
            self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
            if not whole
            else self._whole()
        )

    def _whole(self) -> str:
        room = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": room["width"], "height": min(room["height"], 12_000), "scale": 1}
        return str(self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"])

    def _events(self, method: str) -> list[dict[str, Any]]:
        self.run("0")  # what was told before the answer has come by then
        all_ = self._browser.events
        return [one["params"] for one in all_ if one.get("sessionId") == self._session and one["method"] == method]

    def errors(self) -> list[str]:
        """Errors and warnings of scripts and of the browser, among them whatever the policy refused."""
        found = [json.dumps(one["exceptionDetails"]) for one in self._events("Runtime.exceptionThrown")]
        calls = self._events("Runtime.consoleAPICalled")
        found += [json.dumps(one["args"]) for one in calls if one["type"] in ("error", "warning", "assert")]
        entries = [one["entry"] for one in self._events("Log.entryAdded")]
        found += [one["text"] for one in entries if one["level"] in ("error", "warning")]
        return found + list(self.run("window.heard || []"))

    def requests(self) -> list[str]:
        """The addresses of all that the page asked for."""
        return [one["request"]["url"] for one in self._events("Network.requestWillBeSent")]

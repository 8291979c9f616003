"""A browser's side of tests: a server as a process, recordings by advisor, pages that are watched
for complaints."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from mondrian.answers import DIMENSIONS
from mondrian.engines.replay import record
from support.processes import MONDRIAN
from support.uploads import jpeg

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    '"><svg onload=window.hacked=1>{{7*7}}${7*7}</textarea></title><a href="javascript:hacked=1">'
    "\u202egnp.exe\u2066 \u2028 ]]>--><!-- `window.hacked=1` &lt;b&gt; \u0007"
)
"""What a model may write. None of it may do anything but be read."""

_NAMES = {
    "ansel": "Ansel Adams",
    "okeefe": "Georgia O'Keeffe",
    "gogh": "Vincent van Gogh",
    "weston": "Edward Weston",
    "gehry": "Frank Gehry",
}

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CHROMIUM_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking",
                       "--disable-dev-shm-usage")  # fmt: skip


def find_chromium() -> str:
    """Return the path of a Chromium. Without one the test is skipped, but in CI it fails."""
    for name in (os.environ.get("MONDRIAN_CHROMIUM", ""), *_CHROMIUM):
        if name and (path := shutil.which(name)):
            return path
    reason = "there is no Chromium here: apt-get install chromium, or name one by MONDRIAN_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def chromium_options() -> dict[str, Any]:
    """What Playwright launches Chromium with."""
    return {"executable_path": find_chromium(), "args": list(_CHROMIUM_ARGUMENTS)}


def answer(words: str = "Seen", score: float = 6.0) -> str:
    """What a model writes, with ``words`` at the start of each sentence."""
    dimensions = [
        {
            "name": name,
            "score": score + number / 4,
            "comment": f"{words}: {name} holds.",
            "recommendation": f"{words}: try more of it.",
        }
        for number, name in enumerate(DIMENSIONS)
    ]
    return json.dumps({"image_description": f"{words}: a picture.", "dimensions": dimensions})


def write_recording(path: Path) -> str:
    """Write what each advisor says, and return the engine's URL: ``ansel`` is quick, ``okeefe``
    slow, ``gogh`` fails in the middle, ``weston`` is hostile, ``gehry`` never ends."""
    lines: list[dict[str, Any]] = [{"after": 0.02, "phase": "prefill", "done": 1, "total": 1}]
    lines += _lines("ansel", answer("Quick", 5.0), 0.002)
    lines += _lines("okeefe", answer("Slow", 6.5), 0.045)
    lines += _lines("weston", answer(HOSTILE), 0.001)
    lines += _lines("gehry", answer("Endless")[:500], 0.02)
    lines += [_when("gehry", {"hang": True})]
    lines += _lines("gogh", answer("Broken")[:400], 0.002)
    lines += [_when("gogh", {"error": "The engine ran out of paint."}), {"finish": "stop"}]
    record(path, lines)
    return f"replay:{path}?slots=8"


def _lines(advisor: str, text: str, pause: float) -> list[dict[str, Any]]:
    pieces = [text[n : n + 8] for n in range(0, len(text), 8)]
    return [_when(advisor, {"after": pause, "text": piece, "tokens": 2}) for piece in pieces]


def _when(advisor: str, line: dict[str, Any]) -> dict[str, Any]:
    return line | {"when": f"Who you are: {_NAMES[advisor]}"}


@dataclass
class Served:
    """``mondrian serve`` as a process, at one port however often it is started."""

    arguments: Sequence[object]
    port: int = 0
    process: "subprocess.Popen[str] | None" = None
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.port = self.port or _free_port()
        command = [MONDRIAN, "serve", "--port", self.port, *self.arguments]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if f":{self.port}" in line:
                return
        raise AssertionError(f"it ended with {self.process.wait(10)}")

    def kill(self) -> None:
        """``kill -9`` to it and its children."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate(timeout=10)
            self.process = None

    def stop(self) -> None:
        """Ask it to leave, and see that it does."""
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.communicate(timeout=10)
            self.kill()

    def send(self, name: str = "boats.jpg", photo: bytes | None = None, **fields: str) -> str:
        """Send a photo as a program does, and return the job's id."""
        files = {"image": (name, photo or jpeg())}
        answer = httpx.post(f"{self.url}/upload", files=files, data=fields, timeout=60)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def state(self, job_id: str) -> dict[str, Any]:
        """Where the job stands."""
        state: dict[str, Any] = httpx.get(f"{self.url}/status/{job_id}", timeout=60).json()
        return state

    def list_live(self) -> set[str]:
        """The jobs that have not ended."""
        jobs = httpx.get(f"{self.url}/jobs?format=array&limit=1000", timeout=60).json()
        return {job["job_id"] for job in jobs if not job["completed_at"]}

    def cancel(self, jobs: Iterable[str]) -> None:
        """Cancel ``jobs``; it is no error if one has ended by then."""
        for job in jobs:
            httpx.post(f"{self.url}/jobs/{job}/cancel", timeout=60)

    def await_end(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the job has ended, and return where it stands."""
        deadline = time.monotonic() + seconds
        while not (state := self.state(job_id))["completed_at"]:
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
        return state


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@contextmanager
def cutting_proxy(port: int, seconds: float) -> Iterator[int]:
    """A line to ``port`` that cuts every connection when it is so old. Gives its own port."""
    is_over = threading.Event()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(ends: Sequence[socket.socket]) -> None:
        is_over.wait(seconds)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def serve(door: socket.socket) -> None:
        while not is_over.is_set():
            with suppress(OSError):
                near, _ = door.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for task in ((pump, (near, far)), (pump, (far, near)), (cut, ((near, far),))):
                    threading.Thread(target=task[0], args=task[1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.2)
        accepting = threading.Thread(target=serve, args=[door], daemon=True)
        accepting.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            is_over.set()
            accepting.join()


class Visit:
    """One browser context on a server; what its pages complain about is kept."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(30_000)
        self.context.on("console", self._note_console)
        self.context.on("response", self._note_missing)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _note_console(self, message: Any) -> None:
        # what a lost line, or a page that is not there, leaves in the console is the browser's own
        is_network = "Failed to load resource" in message.text or "net::ERR" in message.text
        if message.type in ("error", "warning") and not is_network:
            self.complaints.append(message.text)

    def _note_missing(self, response: Any) -> None:
        kind = response.request.resource_type
        if response.status >= 400 and kind in ("image", "script", "stylesheet", "manifest"):
            self.complaints.append(f"{response.status} {response.url}")

    def open(self, path: str = "/") -> Page:
        """A new tab at ``path``, scripts loaded."""
        page = self.context.new_page()
        page.goto(path, wait_until="load")
        return page

    def close(self) -> None:
        """Close all tabs. Raise ``AssertionError`` if a page complained or a script ran that is
        not ours."""
        for page in self.context.pages:
            with suppress(Exception):
                assert page.evaluate("window.hacked") is None
        self.context.close()
        assert not self.complaints, self.complaints


Visiting = Callable[..., Visit]
"""Makes a ``Visit``: the fixture ``visit``, with the options of a browser context."""

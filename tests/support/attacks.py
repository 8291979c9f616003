"""A server to attack, and the time and memory that an attack costs it."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from support import health_probe
from support.processes import started
from support.service import ADMIN_KEY, KEY, OTHER_KEY, bearer
from support.uploads import jpeg
from support.working import recording

MAX_BYTES = 2_000_000_000
"""So much may all of Mondrian's processes take, whatever comes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A running ``mondrian serve`` at ``url``, with its data in ``home`` and its log in ``log``."""

    url: str
    home: Path
    process: psutil.Process

    def request(self, method: str, path: str, key: str = KEY, **more: object) -> httpx.Response:
        headers = {**(bearer(key) if key else {}), **more.pop("headers", {})}  # type: ignore[dict-item]
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **more)  # type: ignore[arg-type]

    def get(self, path: str, key: str = KEY, **more: object) -> httpx.Response:
        return self.request("GET", path, key, **more)

    def upload(self, key: str = KEY, **fields: str) -> str:
        """Hand in a photo, and return the job's id."""
        answer = self.request("POST", "/upload", key, files={"image": ("p.jpg", jpeg())},
                              data=fields)  # fmt: skip
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        parts = urlsplit(self.url)
        address = (parts.hostname or "", parts.port or 0)
        with socket.create_connection(address, timeout=60) as client:
            yield client

    def talk(self, *parts: bytes) -> bytes:
        """Send ``parts``, as far as they are taken, and return the first line of the answer."""
        with self.connected() as client:
            try:
                for part in parts:
                    client.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return first_line(client)

    def bytes_used(self) -> int:
        """What all of Mondrian's processes have in memory, PostgreSQL aside."""
        total = 0
        for each in (self.process, *self.process.children(recursive=True)):
            try:
                if not each.name().startswith("postgres"):
                    total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def first_line(client: socket.socket) -> bytes:
    """The first line that comes; nothing if the connection is cut."""
    said = b""
    try:
        while b"\r\n" not in said and (chunk := client.recv(65536)):
            said += chunk
    except ConnectionResetError:
        pass
    return said.partition(b"\r\n")[0]


@contextmanager
def attacked(home: Path, *options: object) -> Iterator[Target]:
    """A server with two keys, and an admin's."""
    home.mkdir(parents=True, exist_ok=True)
    keys = home / "keys"
    keys.write_text(f"{KEY}\n{OTHER_KEY}\n")
    given = ("--key-file", keys, "--admin-key", ADMIN_KEY, *options)
    with started_plain(home, *given) as target:
        yield target


@contextmanager
def started_plain(home: Path, *options: object) -> Iterator[Target]:
    """A server that has only these options."""
    home.mkdir(parents=True, exist_ok=True)
    engine = recording(home, pause=0.002)
    serve = ("serve", "--port", 0, "--home", home / "home", "--engine", engine, *options)
    with started(*serve) as (process, address):
        yield Target(url=address, home=home / "home", process=psutil.Process(process.pid))


class Watch:
    """Measures a target while an attack goes on: the most memory, and the slowest ``/health``."""

    def __init__(self, target: Target) -> None:
        self.bytes = self.slowest = 0.0
        self._target = target
        self._over = threading.Event()
        self._weighing = threading.Thread(target=self._weigh)

    def __enter__(self) -> "Watch":
        self._begun = time.monotonic()
        self._weighing.start()
        command = [sys.executable, health_probe.__file__, self._target.url]
        self._asking = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._begun
        self._over.set()
        self._weighing.join()
        self.slowest = float(self._asking.communicate()[0])

    def _weigh(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._target.bytes_used())
            if self._over.wait(0.1):
                return


Attack = Callable[[Target], str]
"""Attacks, looks whether it was held, and returns in words what came."""

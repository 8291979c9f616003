"""Thousands of clients of one stream in one process, for bench/stream.py.

python bench/stream_clients.py PORT PATH COUNT prints a line when all are connected; then, for each
line on stdin, what they have received since the last: events, latencies in ms, lost connections.
"""

import asyncio
import json
import resource
import socket
import sys
import time
from array import array
from statistics import quantiles

import uvloop

MARK = b'"sent":'
AT_ONCE = 100
CONNECT_SECONDS = 60.0

latencies = array("d")
lost = 0


class Client(asyncio.Protocol):
    """Notes how old each event is when it comes."""

    def __init__(self, request: bytes, is_frozen: bool) -> None:
        self._is_frozen = is_frozen
        self.opened = asyncio.get_running_loop().create_future()
        self._request = request
        self._rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask for the stream."""
        self._transport = transport
        if self._is_frozen:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Find when each event was sent."""
        now = time.monotonic_ns()
        if not self.opened.done():
            assert data.startswith(b"HTTP/1.1 200"), data
            self.opened.set_result(None)
            if self._is_frozen:
                self._transport.pause_reading()
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for block in whole:
            if (at := block.find(MARK)) > 0:
                sent = int(block[at + len(MARK) : block.index(b"}", at)])
                latencies.append((now - sent) / 1e6)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        global lost
        lost += 1


async def connect(
    port: int, request: bytes, gate: asyncio.Semaphore, *, is_frozen: bool = False
) -> None:
    """Connect one client and wait for its first byte."""
    async with gate:
        loop = asyncio.get_running_loop()
        client = Client(request, is_frozen)
        await loop.create_connection(lambda: client, "127.0.0.1", port)
        await client.opened


async def run(port: int, path: str, count: int, frozen: int) -> None:
    """Connect, ``frozen`` of them to read no more than the beginning; then answer questions."""
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    gate = asyncio.Semaphore(AT_ONCE)
    async with asyncio.timeout(CONNECT_SECONDS):
        clients = (connect(port, request, gate, is_frozen=n < frozen) for n in range(count))
        await asyncio.gather(*clients)
    print("connected", flush=True)
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        print(json.dumps(summary()), flush=True)
        del latencies[:]


def summary() -> dict[str, float]:
    """How many events came, and how old they were."""
    cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return {"events": len(latencies), "p50": cuts[49], "p99": cuts[98], "lost": lost}


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

"""A host that disappears while a request is sent: ``unshare -rn python vanishing_host.py``.

Run in a network of its own, whose only device it takes down between the connection and the
question. Prints the error that the engine raises.
"""

import fcntl
import json
import socket
import struct
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mondrian.engines import Request, open_engine
from mondrian.engines.openai import connection as openai_http
from mondrian.engines.openai import engine as openai
from mondrian.engines.openai.connection import Exchange
from mondrian.errors import EngineFailed

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def switch(*, on: bool) -> None:
    """Take the loopback device up or down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        device = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(probe, SIOCGIFFLAGS, device))[1]
        flags = flags | IFF_UP if on else flags & ~IFF_UP
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags))


class Handler(BaseHTTPRequestHandler):
    """Lists one model."""

    def do_GET(self) -> None:
        """The list."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "m"}]}).encode())

    def log_message(self, *arguments: object) -> None:
        """Nothing is logged."""


def cut_connection(exchange: Exchange[Any], event: str, about: Mapping[str, Any]) -> None:
    """Take note of the connection of a question, and make it lead nowhere."""
    TRACE(exchange, event, about)
    if exchange._method == "POST" and event == "connection.connect_tcp.complete":
        switch(on=False)


TRACE = Exchange._trace


def main() -> None:
    """Ask, and print what comes of it."""
    switch(on=True)
    openai_http.DEAD_SECONDS = 1.0
    openai.CONNECT_SECONDS = (5.0,)  # type: ignore[assignment]  # one try
    Exchange._trace = cut_connection  # type: ignore[assignment,method-assign]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    engine = open_engine(f"openai:http://127.0.0.1:{server.server_port}/v1")
    try:
        list(engine.stream(Request(system="", prompt="x" * 200)))
    except EngineFailed as exc:
        print(exc)


if __name__ == "__main__":
    main()

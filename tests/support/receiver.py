"""A local receiver of webhooks with prescribed answers."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_c2VjcmV0cyBvZiB0aGVzZSB0ZXN0cyBvbmx5"


@dataclass
class Receiver:
    """What came, and the statuses that are answered in turn (the last one for all that follow)."""

    answers: list[int]
    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    def messages(self) -> list[dict[str, Any]]:
        """The messages, their signatures checked as any receiver does."""
        return [Webhook(SECRET).verify(body, headers) for headers, body in self.got]


@contextmanager
def receiving(*answers: int, headers: Sequence[tuple[str, str]] = ()) -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver(list(answers or (204,)))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            given = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append((given, body))
            answers = receiver.answers
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/told"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def dripping() -> Iterator[str]:
    """The URL of a receiver that never ends its answer: a letter of a header now and then."""
    over = threading.Event()

    def drip(client: socket.socket) -> None:
        with client:
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not over.wait(0.05):
                client.sendall(b"a")

    def accept() -> None:
        while not over.is_set():
            try:
                client, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=[client], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}/"
        finally:
            over.set()
            door.shutdown(socket.SHUT_RDWR)

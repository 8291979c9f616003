"""A server that answers with bytes as other servers sent them."""

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

Hook = Callable[[http.server.BaseHTTPRequestHandler], bool]


class Recorded:
    """A server that lists ``models``, refuses questions with ``refusals`` (status, words) as long
    as there are any, and answers the others with ``recorded`` bytes. ``first`` is asked before each
    answer, of a question or ``of_list``, whether there is to be any."""

    def __init__(
        self,
        recorded: bytes,
        *,
        owner: str = "library",
        models: Any = None,
        refusals: list[tuple[int, str]] | None = None,
        retry_after: str = "0",
        first: Hook = lambda handler: True,
        of_list: Hook = lambda handler: True,
    ) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        listed = {"data": [{"id": "m", "owned_by": owner}]} if models is None else models
        recorder, refusals = self, [*(refusals or ())]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorder.authorizations.append(self.headers["Authorization"])
                if of_list(self):
                    self.answer(200, json.dumps(listed).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                recorder.bodies.append(body)
                if not first(self):
                    return
                if refusals:
                    code, words = refusals.pop(0)
                    self.answer(code, json.dumps({"error": {"message": words}}).encode())
                else:
                    self.answer(200, recorded)

            def answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                if code != 200:
                    self.send_header("Retry-After", retry_after)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None: ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_port}"
        self.url = f"openai:http://{self.host}/v1"
        threading.Thread(target=self.http.serve_forever, args=[0.02], daemon=True).start()

    @property
    def schemas(self) -> list[bool]:
        """Of each question, whether it was held to a schema."""
        return ["response_format" in body for body in self.bodies]


Serve = Callable[..., Recorded]


def until_left(left: threading.Event) -> Hook:
    """A hook that says nothing until the client leaves, and notes that."""

    def wait(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if not handler.connection.recv(1):
            left.set()
        return False

    return wait


def endless(handler: http.server.BaseHTTPRequestHandler, message: dict[str, Any]) -> bool:
    """Sends ``message`` again and again until the client leaves."""
    line = f"data: {json.dumps(message)}\n\n".encode()
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(line)
    except OSError:
        return False

"""A small Hugging Face hub that answers the HTTP requests of ``huggingface_hub``."""

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by name, each with files; those over a kilobyte are stored as large files.

    ``lies`` are files that come with other bytes than are listed; ``breaks`` are files whose
    connection breaks once after so many bytes. ``asked`` are the files that were asked for, with
    the ``Range`` that they were asked with.
    """

    repos: dict[str, dict[str, bytes]]
    lies: set[str] = field(default_factory=set)
    breaks: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    commit: str = COMMIT

    def listing(self, repo: str) -> dict[str, Any]:
        """The API's description of a repository."""
        return {
            "id": repo,
            "sha": self.commit,
            "siblings": [
                {"rfilename": name, "size": len(content), "blobId": blob_id(content)}
                | ({"lfs": large(content)} if len(content) > 1024 else {})
                for name, content in self.repos[repo].items()
            ],
        }


def blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def large(content: bytes) -> dict[str, Any]:
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "pointerSize": 134,
    }


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve ``hub`` on a free port of this machine, at ``hub.url``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(\w+))?", path):
                if match[2] in (None, hub.commit):
                    self.tell(match[1])
                else:
                    self.refuse("RevisionNotFound")
            elif match := re.fullmatch(rf"/([^/]+/[^/]+)/resolve/{hub.commit}/(.+)", path):
                self.send_file(match[1], match[2])
            else:
                self.send_error(404)

        def tell(self, repo: str) -> None:
            if repo not in hub.repos:
                self.refuse("RepoNotFound")
                return
            body = json.dumps(hub.listing(repo))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def refuse(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_file(self, repo: str, name: str) -> None:
            content, asked = hub.repos[repo][name], self.headers["Range"]
            hub.asked.append((name, asked))
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            body = content[start:]
            if name in hub.lies:
                body = bytes(len(body))
            self.send_response(206 if asked else 200)
            self.send_header("ETag", f'"{blob_id(content)}"')
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", str(len(body)))
            if asked:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.end_headers()
            self.wfile.write(body[: hub.breaks.pop(name, len(body))])
            self.close_connection = True

        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()

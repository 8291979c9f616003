"""Ollama and LM Studio are found where they are, and believed as far as they can be."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mondrian.models import Machine, find_servers
from mondrian.models.choice import suggest_seeing
from mondrian.models.servers import ollama_address
from support.processes import run

NOBODY = "http://127.0.0.1:9"
TAGS = {"models": [{"name": "smollm:135m"}, {"name": "llava:7b"}, {"name": 7}, "x"]}
SHOWN = {"llava:7b": {"capabilities": ["completion", "vision"]}}


@contextmanager
def answering(routes: Mapping[str, Any]) -> Iterator[str]:
    """A server that answers JSON by path; a value that can be called gets the request's JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            asked = json.loads(self.rfile.read(length) or b"{}")
            answer = routes.get(self.path)
            answer = answer(asked) if callable(answer) else answer
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def show(asked: Mapping[str, Any]) -> Any:
    return SHOWN.get(asked["model"], {"capabilities": ["completion"]})


def test_ollama_is_found_with_the_models_that_see() -> None:
    with answering({"/api/tags": TAGS, "/api/show": show}) as address:
        [found] = find_servers(address, NOBODY)
        assert (found.name, found.models) == ("Ollama", ("smollm:135m", "llava:7b"))
        assert found.engine == f"openai:{address}/v1?model=llava:7b"


def test_lm_studio_is_found_with_the_models_that_see() -> None:
    models = [{"id": "qwen/vl & 4b", "type": "vlm"}, {"id": "e", "type": "embeddings"}]
    with answering({"/api/v0/models": {"data": models}}) as address:
        [found] = find_servers(NOBODY, address)
        assert (found.name, found.models) == ("LM Studio", ("qwen/vl & 4b",))
        assert found.engine == f"openai:{address}/v1?model=qwen/vl%20%26%204b"


@pytest.mark.parametrize(
    "answer", [b"<html>", {"models": 3}, [1], {"models": [{"name": "\x1b[31m"}]}, b"[" * 3_000_000]
)
def test_what_is_no_such_server_is_not_believed(answer: Any) -> None:
    with answering({"/api/tags": answer, "/api/v0/models": answer}) as address:
        assert not [server for server in find_servers(address, address) if server.models]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("http://localhost:8123", "http://127.0.0.1:8123"),
        ("ollama.example:8123", "http://127.0.0.1:11434"),
        (":99999999", "http://127.0.0.1:11434"),
    ],
)
def test_only_this_machine_is_asked(
    monkeypatch: pytest.MonkeyPatch, host: str, address: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert ollama_address() == address


def test_nobody_there_is_no_trouble() -> None:
    assert find_servers(NOBODY, NOBODY) == []
    assert "docs/engines.md" in suggest_seeing(None, [])
    assert Machine.read().memory_bytes > 0


def test_auto_names_it_and_sends_nothing(tmp_path: Path) -> None:
    asked = list[str]()

    def complete(_: Mapping[str, Any]) -> Any:
        asked.append("a photo came")

    routes = {"/api/tags": TAGS, "/api/show": show, "/v1/chat/completions": complete}
    (tmp_path / "photo.jpg").write_bytes(b"")
    with answering(routes) as address:
        host = address.removeprefix("http://")
        photo = tmp_path / "photo.jpg"
        done = run("critique", photo, "--home", tmp_path, OLLAMA_HOST=host)
    assert done.returncode == 69
    assert "mondrian pull smollm2-135m" in done.stderr
    assert f"--engine 'openai:{address}/v1?model=llava:7b'" in done.stderr
    assert not asked

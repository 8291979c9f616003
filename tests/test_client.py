"""The client: bytes to events, and a watch that nothing on the way can break."""

import itertools
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mondrian.client import Client, SseDecoder, StreamEvent
from mondrian.client.client import _Position
from mondrian.engines import open_engine
from mondrian.errors import (
    DamagedPhoto,
    JobNotFound,
    NotAllowed,
    PhotoError,
    RequestError,
    ServerUnavailable,
)
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.servers import make_app, running
from support.working import answer, at_work, jpeg, make_worker, recording

# bytes to events


def decode(*chunks: bytes) -> list[StreamEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


WIRE = (
    'retry: 2000\nevent: connected\ndata: {"type":"connected"}\n\n'
    ': a comment\r\nid: 7\r\nevent: token\r\ndata: {"text":"a\u2028b\x85c é"}\r\n\r\n'
    'id:8\revent:token\rdata:{"text":\rdata:"two lines"}\r\r'
    'id: 9\ndata:\n\nevent: done\nid: 10\ndata: {"status":"done"}\n\n'
).encode()


@given(st.lists(st.integers(0, len(WIRE)), max_size=30))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    events = decode(*(WIRE[a:b] for a, b in itertools.pairwise(edges)))
    assert [(event.type, event.seq) for event in events] == [
        ("connected", None),
        ("token", 7),
        ("token", 8),
        ("done", 10),
    ]
    assert events[1].fields["text"] == "a\u2028b\x85c é"
    assert events[2].fields["text"] == "two lines"


def test_an_id_without_an_event_moves_the_cursor() -> None:
    decoder = SseDecoder()
    assert list(decoder.feed(b"retry: 300\nid: 9\n\n")) == []
    assert (decoder.last_id, decoder.retry_seconds) == ("9", 0.3)


@pytest.mark.parametrize("line", [b"x" * 100, b"data: " + b"x" * 94, b"data:" + b"x" * 5 + b"\n"])
def test_an_event_is_bounded(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mondrian.client.decoder.MAX_EVENT_BYTES", 1000)
    whole = b'event: token\ndata: {"text":"a"}\n\n'
    decoder = SseDecoder()
    assert len([event for _ in range(100) for event in decoder.feed(whole)]) == 100
    with pytest.raises(ValueError, match="32 MB"):
        for _ in range(1000):
            assert list(decoder.feed(line)) == []


# a server whose answers are given

Play = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def playing(*streams: Play, statuses: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """A server whose ``/stream`` answers by each of ``streams`` in turn, and ``/status`` by each of
    ``statuses``, of which the last stays. Gives its URL and the cursors that it was asked for."""
    left, states, cursors = list(streams), list(statuses), list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/health"):
                send_json(self, {"update_interval": 0.1})
            elif self.path.startswith("/status"):
                status = states.pop(0) if len(states) > 1 else states[0]
                told = {"status": status, "current_step": "x", "progress_percentage": 5}
                error = {"code": "engine_failed", "message": "It broke.", "retryable": True}
                send_json(self, told | {"llm_thinking": "Thinking...", "error": error})
            elif self.path.startswith("/report"):
                send_json(self, {"advisor": "ansel", "reports": [{"advisor": "ansel"}]})
            else:
                cursors.append(self.headers.get("Last-Event-ID", ""))
                left.pop(0)(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", cursors
        server.shutdown()


def send_json(handler: BaseHTTPRequestHandler, told: dict[str, Any], status: int = 200) -> None:
    body = json.dumps(told).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def events(*numbers: int, cut: bool = False, after_seconds: float = 0.0) -> Play:
    """A stream of these events, of which 9 is ``done``; ``cut`` breaks off inside the next."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        if threading.Event().wait(after_seconds):
            return
        handler.wfile.write(b'event: connected\ndata: {"type":"connected"}\n\n')
        for number in numbers:
            kind = "done" if number == 9 else "thinking_update"
            told = json.dumps({"thinking": str(number), "status": "done"})
            handler.wfile.write(f"id: {number}\nevent: {kind}\ndata: {told}\n\n".encode())
        if cut:
            handler.wfile.write(b"id: 99\nevent: tok")
        handler.close_connection = True

    return play


def failing(status: int) -> Play:
    return lambda handler: send_json(handler, {"title": "Bad Gateway"}, status)


def refusing(code: str) -> Play:
    return lambda handler: send_json(handler, {"error": "Try again.", "code": code}, 503)


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(b'event: reset\ndata: {"type":"reset"}\n\n')
    handler.close_connection = True


def gone(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(204)
    handler.end_headers()


def impatient(url: str) -> Client:
    return Client(url, max_retry_seconds=0.02, patience_seconds=1.0)


def test_a_watch_goes_on_where_it_was_cut() -> None:
    streams = [events(1, 2, cut=True), failing(502), events(3), refusing("database_unavailable"),
               events(), events(4, 9)]  # fmt: skip
    with playing(*streams) as (url, cursors), impatient(url) as client:
        seen = [event.seq for event in client.watch("job") if event.seq]
    assert seen == [1, 2, 3, 4, 9]
    assert cursors == ["", "2", "2", "3", "3", "3"]


def test_a_cursor_that_was_refused_is_forgotten() -> None:
    with playing(events(1), reset, events(5, 9)) as (url, cursors), impatient(url) as client:
        kinds = [event.type for event in client.watch("job")]
    assert "reset" in kinds
    assert cursors == ["", "1", ""]


def test_a_finished_log_ends_the_watch() -> None:
    with playing(gone) as (url, cursors), impatient(url) as client:
        assert list(client.watch("job", after=12)) == []
    assert cursors == ["12"]


def test_status_is_polled_where_a_proxy_keeps_the_stream() -> None:
    streams = [events(after_seconds=1.0), events(1, 9)]
    statuses = ("analyzing", "analyzing", "done")
    with playing(*streams, statuses=statuses) as (url, _), impatient(url) as client:
        seen = list(client.watch("job"))
    assert [event.fields.get("thinking") for event in seen[:2]] == ["Thinking...", "Thinking..."]
    assert [event.type for event in seen].count("done") == 1
    assert seen[-1].seq == 9


def test_the_stream_is_tried_again_while_status_is_polled() -> None:
    streams = [events(after_seconds=2.0), events(after_seconds=2.0), events(1, 2, 9)]
    with playing(*streams, statuses=("analyzing",)) as (url, _), impatient(url) as client:
        seen = list(itertools.islice(client.watch("job"), 50))
    assert [event.seq for event in seen if event.seq] == [1, 2, 9]
    polled = [event for event in seen if event.fields.get("thinking") == "Thinking..."]
    assert len(polled) == 6


@pytest.mark.parametrize("status", ["done", "error", "cancelled"])
def test_a_watch_ends_even_if_the_stream_never_comes_through(status: str) -> None:
    streams = [events(after_seconds=1.0), events(after_seconds=1.0)]
    with (
        playing(*streams, statuses=("analyzing", status)) as (url, _),
        impatient(url) as client,
    ):
        first, *end = client.watch("job")
    assert first.type == "thinking_update"
    assert [event.type for event in end] == {
        "done": ["analysis_complete", "done"],
        "error": ["error", "done"],
        "cancelled": ["done"],
    }[status]
    assert end[-1].fields["status"] == status
    if status == "done":
        assert end[0].fields["report"] == end[0].fields["reports"][0] == {"advisor": "ansel"}
    if status == "error":
        assert end[0].fields["error"]["message"] == "It broke."


def test_a_server_may_be_away_for_long() -> None:
    position = _Position()
    assert max(position.back_off(15.0) for _ in range(2000)) <= 15.0


def breaking(handler: BaseHTTPRequestHandler) -> None:
    """A line that breaks inside an event, the same each time."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(b'event: connected\ndata: {"type":"connected"}\n\n')
    handler.wfile.write(b'id: 2\nevent: analysis_complete\ndata: {"analysis_html":"' + b"x" * 5000)
    handler.close_connection = True


def test_a_watch_ends_even_if_the_line_always_breaks_inside_one_event() -> None:
    streams = [events(1), *[breaking] * 6]
    statuses = ("analyzing", "done", "done")
    with playing(*streams, statuses=statuses) as (url, cursors), impatient(url) as client:
        kinds = [event.type for event in client.watch("job")]
    assert kinds[-3:] == ["connected", "analysis_complete", "done"]
    assert cursors == ["", *["1"] * 6]


def test_watchers_come_back_each_at_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = list[float]()
    monkeypatch.setattr("mondrian.client.client.time.sleep", pauses.append)
    with playing(events(1), *[events()] * 3, events(9)) as (url, _), Client(url) as client:
        assert list(client.watch("job"))[-1].type == "done"
    assert all(0.25 * 2**turn <= pause <= 0.5 * 2**turn for turn, pause in enumerate(pauses))
    assert len(set(pauses)) == len(pauses) == 4


def test_patience_ends() -> None:
    with (
        playing(events(1), *[failing(502)] * 500) as (url, _),
        impatient(url) as client,
        pytest.raises(ServerUnavailable, match="502"),
    ):
        list(client.watch("job"))


def test_nobody_there_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Client(url) as client, pytest.raises(ServerUnavailable, match="mondrian serve"):
        list(client.watch("job"))


def test_somebody_else_is_there() -> None:
    def greet(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5")
        handler.end_headers()
        handler.wfile.write(b"hello")

    with (
        playing(greet) as (url, _),
        Client(url) as client,
        pytest.raises(ServerUnavailable, match="is not a Mondrian server"),
    ):
        client.jobs()


# a real server and a worker


class Wire:
    """A line to ``port`` on which the first ``BREAKS`` streams break after some bytes."""

    BREAKS = 30

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.breaks = 0
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=[ours], daemon=True).start()

    def _carry(self, ours: socket.socket) -> None:
        with ours, socket.create_connection(("127.0.0.1", self._port)) as theirs:
            asked = ours.recv(65536)
            # one request a connection: nobody here waits for a second one
            theirs.sendall(re.sub(rb"(?i)(connection: )keep-alive", rb"\1close", asked))
            is_bad = b"/stream" in asked and self.breaks < self.BREAKS
            left = self._random.randrange(0, 4000) if is_bad else 10**9
            while left > 0 and (chunk := theirs.recv(min(left, 4096))):
                left -= len(chunk)
                ours.sendall(chunk)
            self.breaks += left == 0


@pytest.fixture
def server(store: Store, database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the API, with a worker on a recording."""
    engine = open_engine(recording(tmp_path, pause=0.05))
    photos = PhotoStore.open((tmp_path / "photos").as_uri())
    worker = make_worker(store, photos, engine, database, home=tmp_path, update_interval=0.4)
    app = make_app(store, database, tmp_path, update_interval=0.4)
    with running(app) as url, at_work(worker):
        yield url
    engine.close()


def test_a_photo_becomes_a_report(server: str, tmp_path: Path) -> None:
    photo = tmp_path / "a photo.jpg"
    photo.write_bytes(jpeg())
    with Client(server) as client:
        job = client.submit(photo, advisor="okeefe")
        kinds = [event.type for event in client.watch(job["job_id"])]
        assert kinds[:2] == ["connected", "status_update"]
        assert kinds[-2:] == ["analysis_complete", "done"]
        assert client.report(job["job_id"])["advisor"] == "okeefe"
        assert client.status(job["job_id"])["status"] == "done"
        assert client.cancel(job["job_id"])["status"] == "done"
        assert [each["job_id"] for each in client.jobs()] == [job["job_id"]]


def test_nothing_is_lost_or_doubled_on_a_bad_line(server: str) -> None:
    wire = Wire(int(server.rpartition(":")[2]), seed=4)
    with Client(server) as client:
        job = client.submit(jpeg())["job_id"]
    with Client(wire.url, max_retry_seconds=0.02) as client:
        events = list(client.watch(job, include=["tokens", "report"], after=0))
    wire.close()
    assert wire.breaks > 5
    numbers = [event.seq for event in events if event.seq]
    assert numbers == list(range(1, numbers[-1] + 1))
    assert "".join(e.fields["text"] for e in events if e.type == "token") == answer()


@contextmanager
def buffering(url: str) -> Iterator[str]:
    """A proxy before ``url`` that passes an answer on when it has all of it."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # its client may be gone by then
                answer = httpx.get(url + self.path, headers=dict(self.headers), timeout=60)
                self.send_response(answer.status_code)
                self.end_headers()
                self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()


def test_updates_and_the_end_come_through_a_proxy_that_buffers(server: str) -> None:
    with buffering(server) as url, Client(server) as direct, Client(url) as client:
        job = direct.submit(jpeg())["job_id"]
        seen = list(client.watch(job, after=0))
    kinds = [event.type for event in seen]
    assert [event.seq for event in seen[:2]] == [None, None]  # made of /status, while it ran
    assert {*kinds[:2]} == {"thinking_update"}
    assert (kinds.count("analysis_complete"), kinds.count("done"), kinds[-1]) == (1, 1, "done")


COUNTED = {"connected", "status_update", "thinking_update", "analysis_complete", "error"}


def test_a_job_that_waited_long_sends_no_more_events_than_it_may(
    store: Store, database: str, tmp_path: Path
) -> None:
    interval = 0.5
    engine = open_engine(recording(tmp_path, pause=0.0))
    photos = PhotoStore.open((tmp_path / "photos").as_uri())
    worker = make_worker(store, photos, engine, database, home=tmp_path, update_interval=interval)
    app = make_app(store, database, tmp_path, update_interval=interval)
    with running(app) as url, Client(url) as client:
        began = time.monotonic()
        watching = client.watch(client.submit(jpeg(), advisor="all")["job_id"], after=0)
        kinds = [event.type for event in itertools.islice(watching, 14)]
        with at_work(worker):
            kinds += [event.type for event in watching]
        seconds = time.monotonic() - began
    engine.close()
    assert kinds[-1] == "done"
    assert sum(kind in COUNTED for kind in kinds) <= 15 + seconds / interval


def test_refusals_are_the_errors_of_the_tree(server: str, tmp_path: Path) -> None:
    with Client(server) as client:
        with pytest.raises(JobNotFound):
            client.status("00000000-0000-4000-8000-000000000000")
        with pytest.raises(JobNotFound):
            list(client.watch("no such job"))
        with pytest.raises(DamagedPhoto):
            client.submit(jpeg()[:200])
        with pytest.raises(PhotoError, match="cannot be read"):
            client.submit(tmp_path / "none.jpg")


def test_a_key_is_shown(store: Store, database: str, tmp_path: Path) -> None:
    with (
        running(make_app(store, database, tmp_path, key="the-secret-of-a-test")) as url,
        Client(url) as stranger,
        Client(url, "the-secret-of-a-test") as friend,
    ):
        with pytest.raises(NotAllowed):
            stranger.jobs()
        assert friend.jobs() == []


def test_a_proxy_that_refuses_large_bodies_is_named() -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b"<html>413 Request Entity Too Large</html>"  # as nginx says it
            self.send_response(413)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            Client(f"http://127.0.0.1:{server.server_address[1]}") as client,
            pytest.raises(RequestError, match="client_max_body_size"),
        ):
            client.submit(b"x")
        server.shutdown()

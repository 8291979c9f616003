"""What a client may cost before anybody has looked at its key: heads, bodies, connections."""

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mondrian.errors import SettingsError
from mondrian.server.connections import Connections, make_connections
from mondrian.server.protocol import MAX_FIELDS, MAX_HEAD_BYTES, MAX_PIPELINED, BoundedProtocol
from mondrian.settings import Settings
from support.servers import running

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /read HTTP/1.1\r\nHost: h\r\n"
HUNDRED_KB = b"a" * 100_000
LEFT: list[str] = []  # the requests whose clients went away


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(request.headers)} {await request.body()!r}")


async def ignore(_: Request) -> PlainTextResponse:
    return PlainTextResponse("read nothing")


async def wait(request: Request) -> StreamingResponse:
    async def stream() -> AsyncIterator[bytes]:
        yield b"begun"
        while (await request.receive())["type"] != "http.disconnect":
            pass
        LEFT.append(str(request.url.query))

    return StreamingResponse(stream())


routes = [
    Route("/", ignore),
    Route("/read", answer, methods=["POST"]),
    Route("/ignore", ignore, methods=["POST"]),
    Route("/wait", wait),
]
_app = Starlette(routes=routes)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await _app(scope, receive, send)
    except ClientDisconnect:
        LEFT.append(scope["path"])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(app, Connections()) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as client:
        yield client


def read_all(client: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = b""
    try:
        while chunk := client.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def read_until(client: socket.socket, end: bytes) -> None:
    """Read until ``end`` has come, in however many pieces."""
    found = b""
    while end not in found:
        chunk = client.recv(65536)
        assert chunk, found
        found += chunk


def ask(url: str, *parts: bytes) -> bytes:
    """Send ``parts`` and return what came, until the server closes."""
    with connected(url) as client:
        for part in parts:
            client.sendall(part)
        return read_all(client)


def assert_refused(said: bytes, status: int, code: str) -> None:
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), said[:200]
    assert b"connection: close" in head
    problem = json.loads(body)
    assert problem["code"] == code
    assert problem["error"].endswith(".")


def is_well(url: str) -> bool:
    return ask(url, HEAD + b"Connection: close\r\n\r\n").endswith(b"read nothing")


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /", HUNDRED_KB],
        [HEAD, b"X: ", HUNDRED_KB],
        [HEAD, HUNDRED_KB],
        [HEAD, b"X-A: b\r\n" * (MAX_FIELDS + 1)],
        [HEAD, b"X-A: b\r\n" * 20_000],
        [HEAD, *[b"X-%d: %s\r\n" % (n, b"b" * 2000) for n in range(50)]],
        [b"\r\n" * 50_000],
        [POST, b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * (MAX_FIELDS + 2)],
        [POST, b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", HUNDRED_KB],
        [POST, b"Transfer-Encoding: chunked\r\n\r\n5;", HUNDRED_KB],
    ],
    ids=["url", "value", "name", "fields", "many fields", "long fields", "blank lines", "trailers",
         "a trailer", "a chunk's extension"],
)  # fmt: skip
def test_a_head_without_end_is_refused(url: str, parts: Sequence[bytes]) -> None:
    begun = time.monotonic()
    assert_refused(ask(url, *parts), 431, "head_too_large")
    assert time.monotonic() - begun < BoundedProtocol.head_seconds
    assert is_well(url)


def test_a_long_head_is_taken(url: str) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (n, b"b" * 500) for n in range(MAX_FIELDS - 2))
    said = ask(url, HEAD, fields, b"Connection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200")
    assert len(fields) > MAX_HEAD_BYTES / 2


def test_trailers_are_read_past(url: str) -> None:
    body = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n"
    assert ask(url, POST, body, b"Host: evil\r\nX: y\r\n\r\n").endswith(b"3 b'a'")


@pytest.mark.parametrize("junk", [b"\x00\xff" * 50, b"GET / HTTP/9.9\r\n\r\n", b"HELO me\r\n"])
def test_what_is_no_http_is_refused(url: str, junk: bytes) -> None:
    assert_refused(ask(url, junk), 400, "invalid_request")


def test_nobody_changes_the_protocol(url: str) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    said = ask(url, HEAD, upgrade, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"read nothing")


def test_requests_in_a_row_are_answered_up_to_a_bound(url: str) -> None:
    one = HEAD + b"\r\n"
    said = ask(url, one * 5 + HEAD + b"Connection: close\r\n\r\n")
    assert said.count(b"read nothing") == 6
    assert ask(url, one * 1000).count(b"read nothing") <= MAX_PIPELINED + 1
    assert is_well(url)


# --- time -----------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with twenty times less patience."""
    for name in ("head_seconds", "body_seconds", "tick_seconds", "linger_seconds"):
        monkeypatch.setattr(BoundedProtocol, name, getattr(BoundedProtocol, name) / 20)
    with running(app, Connections()) as url:
        yield url


def test_the_patience_is_what_is_documented() -> None:
    assert BoundedProtocol.head_seconds == 10
    assert BoundedProtocol.body_seconds == 30


def trickle(url: str, head: bytes, piece: bytes, *, until: float = 10.0) -> tuple[bytes, float]:
    """Send ``head`` and then ``piece`` again and again. Return what came, and when."""
    begun = time.monotonic()
    with connected(url) as client:
        client.sendall(head)
        client.settimeout(0.05)
        while time.monotonic() - begun < until:
            try:
                if said := client.recv(65536):
                    return said, time.monotonic() - begun
            except TimeoutError:
                client.sendall(piece)
    raise AssertionError("nothing came")


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"G", b""),
        (HEAD, b""),
        (HEAD, b"X-A: b\r\n"),
        (b"\r\n", b"\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n", b"X"),
    ],
    ids=["a letter", "half a head", "field by field", "blank lines", "trailers"],
)
def test_a_slow_head_is_refused(hasty: str, head: bytes, piece: bytes) -> None:
    said, seconds = trickle(hasty, head, piece)
    assert_refused(said, 408, "upload_too_slow")
    assert seconds >= BoundedProtocol.head_seconds


@pytest.mark.parametrize(
    "kind", [b"Content-Length: 9999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
def test_a_slow_body_is_refused(hasty: str, kind: bytes) -> None:
    LEFT.clear()
    piece = b"a" * 20 if b"Length" in kind else b"1\r\na\r\n"
    said, seconds = trickle(hasty, POST + kind, piece)
    assert_refused(said, 408, "upload_too_slow")
    assert seconds >= BoundedProtocol.body_seconds
    wait_until(lambda: LEFT == ["/read"])


def test_a_steady_body_is_taken(hasty: str) -> None:
    with connected(hasty) as client:
        client.sendall(POST + b"Content-Length: 40000\r\nConnection: close\r\n\r\n")
        for _ in range(40):  # 20 KB/s, for longer than a slow one is borne
            client.sendall(b"a" * 1000)
            time.sleep(0.05)
        assert b"200 OK" in read_all(client)


def test_a_body_that_nobody_wants_is_not_read_for_ever(hasty: str) -> None:
    with connected(hasty) as client:
        client.sendall(POST.replace(b"/read", b"/ignore") + b"Content-Length: 999999999\r\n\r\n")
        read_until(client, b"read nothing")
        begun = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() - begun < 10:
                client.sendall(b"a" * 100)
                time.sleep(0.01)


def test_an_answer_is_never_mixed_with_a_refusal(hasty: str) -> None:
    LEFT.clear()
    wait = b"GET /wait?one HTTP/1.1\r\nHost: h\r\n\r\n"
    with connected(hasty) as client:
        client.sendall(wait)
        read_until(client, b"begun\r\n")
        client.sendall(b"GET / HTTP/1.1\r\n")  # half a head: the stream goes on
        client.settimeout(3 * BoundedProtocol.head_seconds)
        with pytest.raises(TimeoutError):
            client.recv(65536)
        client.sendall(HUNDRED_KB)
        assert read_all(client) == b""
    wait_until(lambda: LEFT == ["one"])


def test_who_leaves_is_known_to_have_left_though_more_was_asked(hasty: str) -> None:
    LEFT.clear()
    with connected(hasty) as client:
        client.sendall(b"GET /wait?two HTTP/1.1\r\nHost: h\r\n\r\n" + HEAD + b"\r\n")
        read_until(client, b"begun\r\n")
    wait_until(lambda: LEFT == ["two"])


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- connections ----------------------------------------------------------------------------------


def test_silent_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mondrian.server.protocol.IDLE_SECONDS", 1)
    with running(app, Connections()) as url, connected(url) as client:
        assert read_all(client) == b""


def test_who_asks_for_nothing_makes_room(url: str) -> None:
    with running(app, Connections(most=20)) as url, ExitStack() as stack:
        silent = [stack.enter_context(connected(url)) for _ in range(60)]
        assert is_well(url)
        silent[0].settimeout(5)
        assert read_all(silent[0]) == b""


def test_a_full_server_says_so(url: str) -> None:
    LEFT.clear()
    with running(app, Connections(most=3)) as url, ExitStack() as stack:
        for number in range(3):
            client = stack.enter_context(connected(url))
            client.sendall(b"GET /wait?%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
            read_until(client, b"begun\r\n")
        assert_refused(ask(url), 503, "server_busy")
        client.close()
        wait_until(lambda: LEFT == ["2"])
        assert is_well(url)


def test_an_address_has_its_share_and_proxies_have_more() -> None:
    for proxies, is_exempt in (([], False), ([ip_network("127.0.0.0/8")], True)):
        room = Connections(most_per_address=5, proxies=proxies)
        with running(app, room) as url, ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(connected(url)).sendall(HEAD)
            if is_exempt:
                assert is_well(url)
            else:
                assert_refused(ask(url), 429, "too_many_requests")


def test_the_room_follows_the_settings() -> None:
    room = make_connections(
        Settings(connections=50, connections_per_address=7, trusted_proxies=("10.0.0.0/8",))
    )
    assert (room.most, room.most_per_address) == (50, 7)
    assert room.proxies == [ip_network("10.0.0.0/8")]
    with pytest.raises(SettingsError, match="nonsense"):
        make_connections(Settings(trusted_proxies=("nonsense",)))

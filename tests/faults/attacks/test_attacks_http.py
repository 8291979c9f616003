"""Attacks that come before any key is looked at: heads, bodies, connections, smuggling, forms."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from faults.conftest import Attacking
from support.attacks import Attack, Target, first_line, started_plain
from support.service import KEY
from support.uploads import jpeg

HEAD = b"GET /jobs HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /upload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
MEGABYTE = b"a" * 2**20
HUNDRED_MB = 100


def endless(first: bytes, piece: bytes, status: bytes, target: Target) -> str:
    """Send ``piece`` a hundred times after ``first``."""
    said = target.talk(first, *[piece] * HUNDRED_MB)
    # where the kernel drops the answer to a client that goes on sending, the connection is cut
    assert said in (b"", status), said
    return status.decode().partition(" ")[2] if said else "cut off"


def expects(status: int, *parts: bytes) -> Attack:
    def send(target: Target) -> str:
        said = target.talk(*parts)
        assert said.startswith(b"HTTP/1.1 %d " % status), said
        return said.decode().partition(" ")[2]

    return send


TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

RAW: dict[str, Attack] = {
    "100 MB of small fields": partial(endless, HEAD, b"X-A: b\r\n" * 131_072, TOO_LARGE),
    "a field's value of 100 MB": partial(endless, HEAD + b"X: ", MEGABYTE, TOO_LARGE),
    "a field's name of 100 MB": partial(endless, HEAD, MEGABYTE, TOO_LARGE),
    "an address of 100 MB": partial(endless, b"GET /", MEGABYTE, TOO_LARGE),
    "100 MB of blank lines": partial(endless, b"", b"\r\n" * 2**19, TOO_LARGE),
    "100 MB of trailers": partial(
        endless, POST + CHUNKED + b"0\r\n", b"X-A: b\r\n" * 131_072, TOO_LARGE
    ),
    "a chunk's extension of 100 MB": partial(endless, POST + CHUNKED + b"5;", MEGABYTE, TOO_LARGE),
    "101 fields": expects(431, HEAD, b"X-A: b\r\n" * 101, b"\r\n"),
    "two Host fields": expects(400, HEAD, b"Host: evil\r\n\r\n"),
    "no Host field": expects(400, b"GET /jobs HTTP/1.1\r\n\r\n"),
    "Content-Length and chunked": expects(400, POST, b"Content-Length: 5\r\n", CHUNKED),
    "two Content-Lengths": expects(400, POST, b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    "Transfer-Encoding: xchunked": expects(
        400, POST, b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "lines that end with LF": expects(400, b"GET /jobs HTTP/1.1\nHost: h\n\n"),
    "a folded field": expects(400, HEAD, b"X: a\r\n b\r\n\r\n"),
    "a blank before a colon": expects(400, HEAD, b"X : a\r\n\r\n"),
    "a NUL in a field": expects(400, HEAD, b"X: \0\r\n\r\n"),
    "what is no HTTP": expects(400, b"\x16\x03\x01\x02\x00" * 20),
    "HTTP/2's preface": expects(400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "an upgrade to WebSocket": expects(
        401, HEAD, b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
    "TRACE": expects(401, b"TRACE /jobs HTTP/1.1\r\nHost: h\r\n\r\n"),
    "CONNECT": expects(400, b"CONNECT evil:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
    "//jobs": expects(401, b"GET //jobs HTTP/1.1\r\nHost: h\r\n\r\n"),
    "/health/../jobs": expects(401, b"GET /health/../jobs HTTP/1.1\r\nHost: h\r\n\r\n"),
    "/%6aobs": expects(401, b"GET /%6aobs HTTP/1.1\r\nHost: h\r\n\r\n"),
    "10 GB announced": expects(
        413, POST, b"Content-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 10000000000\r\n\r\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_bytes_of_a_connection(name: str, target: Target, attack: Attacking) -> None:
    attack(name, target, RAW[name])


def part(name: str, content: bytes, *fields: bytes, filename: bytes = b"") -> bytes:
    file = b'; filename="%s"' % filename if filename else b""
    head = b'Content-Disposition: form-data; name="%s"%s\r\n' % (name.encode(), file)
    return b"--edge\r\n" + head + b"".join(fields) + b"\r\n" + content + b"\r\n"


def send_form(status: int, *parts: bytes, boundary: str = "edge") -> Attack:
    def send(target: Target) -> str:
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = iter([*parts, b"--edge--\r\n"])  # without a length
        try:
            answer = target.request("POST", "/upload", headers=kind, content=body)
        except (httpx.WriteError, httpx.ReadError):
            return "cut off"
        assert answer.status_code == status, answer.text
        return f"{status} {answer.json()['code']}"

    return send


IMAGE = part("image", jpeg(), filename=b"p.jpg")
FORMS: dict[str, Attack] = {
    "2,000 parts": send_form(400, IMAGE, *[part(f"f{n}", b"x") for n in range(2000)]),
    "a part's field of 40 MB": send_form(
        400, b'--edge\r\nContent-Disposition: form-data; name="image"\r\nX: ', *[MEGABYTE] * 40
    ),
    "a part with a million fields": send_form(400, b"--edge\r\n", *[b"X: y\r\n" * 10_000] * 100),
    "a boundary of 10 KB": send_form(400, IMAGE, boundary="x" * 10_000),
    "60 MB without a length": send_form(
        413, b'--edge\r\nContent-Disposition: form-data; name="image"; filename="p"\r\n\r\n',
        *[MEGABYTE] * 60,
    ),
    "an empty photo": send_form(400, part("image", b"", filename=b"p.jpg")),
    "no photo": send_form(400, part("advisor", b"ansel")),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str, target: Target, attack: Attacking) -> None:
    attack(name, target, FORMS[name])


def send_deep_json(target: Target) -> str:
    deep = b'{"thinking":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    answer = target.request("PUT", f"/job/{target.upload()}/thinking", content=deep)
    assert answer.status_code in (400, 413)
    return f"{answer.status_code} {answer.json()['code']}"


def send_zipped(target: Target) -> str:
    answer = target.request(
        "POST", "/submit", content=b"\x1f\x8b" + b"\0" * 1000, headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 400
    return f"400 {answer.json()['code']}"


def ask_in_a_row(target: Target) -> str:
    said = target.talk(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000)
    return said.decode().partition(" ")[2] or "cut off"


def name_cursors(target: Target) -> str:
    job = target.upload(auto_analyze="false")
    target.request("POST", f"/jobs/{job}/cancel")
    for cursor in ("9" * 60_000, "-1", "1e5", "\uff11", "x" * 1000):
        answer = target.get(f"/stream/{job}", params={"after": cursor})
        assert "event: reset" in answer.text
    return "reset"


MORE: dict[str, Attack] = {
    "JSON of 50,000 brackets": send_deep_json,
    "a gzip body": send_zipped,
    "20,000 requests in a row": ask_in_a_row,
    "cursors of nonsense": name_cursors,
}


@pytest.mark.parametrize("name", MORE)
def test_requests(name: str, target: Target, attack: Attacking) -> None:
    attack(name, target, MORE[name])


# --- time: all at once, since each takes what it is allowed --------------------------------------


def dribble(first: bytes, piece: bytes, target: Target) -> str:
    """Send ``piece`` twice a second until something comes."""
    begun = time.monotonic()
    with target.connected() as client:
        client.sendall(first)
        client.settimeout(0.5)
        while time.monotonic() - begun < 60:
            try:
                said = first_line(client).decode()
            except TimeoutError:
                client.sendall(piece)
            else:
                assert " 408 " in f"{said} " or not said, said
                return (
                    f"{said.partition(' ')[2] or 'closed'} after {time.monotonic() - begun:.0f} s"
                )
    raise AssertionError("nothing came")


SLOW: dict[str, Attack] = {
    "a connection without a word": partial(dribble, b"", b""),
    "half a head, and silence": partial(dribble, HEAD, b""),
    "a head, a field at a time": partial(dribble, HEAD, b"X: y\r\n"),
    "a body at two bytes a second": partial(
        dribble,
        POST
        + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999\r\n\r\n"
        + b'--x\r\nContent-Disposition: form-data; name="image"; filename="p"\r\n\r\n',
        b"x",
    ),
    "trailers, one at a time": partial(
        dribble, POST + b"Content-Type: multipart/form-data; boundary=x\r\n" + CHUNKED + b"0\r\n",
        b"X: y\r\n",
    ),
}  # fmt: skip


def test_what_comes_slowly(target: Target, attack: Attacking) -> None:
    failures: list[BaseException] = []

    def make(name: str) -> None:
        try:
            attack(name, target, SLOW[name])
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=make, args=[name]) for name in SLOW]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with room for few connections, and no proxies."""
    options = (
        "--connections",
        60,
        "--connections-per-address",
        1000,
        "--trusted-proxy",
        "192.0.2.1",
    )
    with started_plain(tmp_path_factory.mktemp("small"), *options) as target:
        yield target


def crowd(first: bytes, target: Target) -> str:
    with ExitStack() as stack:
        for _ in range(500):
            client = stack.enter_context(target.connected())
            try:
                client.sendall(first)
            except (BrokenPipeError, ConnectionResetError):
                continue
        for _ in range(5):
            assert httpx.get(f"{target.url}/health", timeout=30).json()["status"] == "UP"
    return "/health answers"


@pytest.mark.parametrize(
    ("name", "first"),
    [("500 silent connections", b""), ("500 halves of heads", b"GET / HTTP/1.1\r\n")],
)
def test_crowds(name: str, first: bytes, small: Target, attack: Attacking) -> None:
    attack(name, small, partial(crowd, first))


def test_many_streams_from_one_address(
    tmp_path_factory: pytest.TempPathFactory, attack: Attacking
) -> None:
    options = ("--connections-per-address", 20, "--trusted-proxy", "192.0.2.1")

    def open_many(target: Target) -> str:
        files = {"image": ("p.jpg", jpeg())}
        form = {"auto_analyze": "false"}
        job = httpx.post(f"{target.url}/upload", files=files, data=form, timeout=60).json()[
            "job_id"
        ]
        refused = 0
        with ExitStack() as stack:
            for _ in range(30):
                client = stack.enter_context(target.connected())
                client.sendall(f"GET /stream/{job} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                refused += first_line(client) == b"HTTP/1.1 429 Too Many Requests"
        assert refused >= 10
        return f"{refused} of 30 refused (429)"

    with started_plain(tmp_path_factory.mktemp("shared"), *options) as target:
        attack("30 streams from an address that may have 20", target, open_many)


def test_every_refusal_has_our_shape(target: Target) -> None:
    for parts in ([HEAD, MEGABYTE], [b"\x16\x03\x01"], [b"GET / HTTP/1.1\r\n\r\n"]):
        with target.connected() as client:
            for piece in parts:
                client.sendall(piece)
            said = b""
            while chunk := client.recv(65536):
                said += chunk
                if said.endswith(b"}"):
                    break
        assert set(json.loads(said.partition(b"\r\n\r\n")[2])) == {"error", "code"}

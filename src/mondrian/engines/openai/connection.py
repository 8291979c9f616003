"""One HTTP request of ``openai:`` to its server, and its errors.

1. A thread reads the connection and fills a queue, so the consumer never waits longer than a
   heartbeat and can stop at any time. Stopping closes the connection, also before the response
   begins. So each request has its own connection.
2. No message contains a key or password: others' text goes through ``error_words``, and addresses
   through ``without_secrets``.
3. A server that answers 429 or 503 is alive (``BusyError``); one that refuses or drops the
   connection, or that its gateway cannot reach, is not (``UnreachableError``).
"""

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import unquote

from mondrian.engines.chat import KEYS, error_words
from mondrian.errors import (
    EngineError,
    EngineFailed,
    SettingsError,
    UnknownEngine,
    without_secrets,
)

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

HEARTBEAT_SECONDS = 0.2
_GATHER_SECONDS = 0.005
DEAD_SECONDS = 8.0
"""Time without an acknowledgement after which the server's machine counts as gone."""

_LEAST_RETRY_SECONDS = 0.5  # each try sends the photo
_MOST_RETRY_SECONDS = 30.0


class UnreachableError(Exception):
    """The server cannot be reached, or the connection was lost."""


class BusyError(Exception):
    """The server is alive and cannot take a request yet: it ``is_loading`` its model, or has too
    many. ``seconds`` is its ``Retry-After``, if it sent one."""

    def __init__(self, words: str, *, is_loading: bool, seconds: float | None) -> None:
        super().__init__(words)
        self.is_loading = is_loading
        self.seconds = seconds


class RefusedError(Exception):
    """The server rejects ``field`` of the body."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Exchange(Generic[T]):
    """One request, whose response ``read`` turns into items. ``url`` appears in messages."""

    def __init__(
        self,
        client: "httpx.Client",
        method: str,
        url: str,
        read: Callable[["httpx.Response"], Iterable[T]],
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._method = method
        self._url = url
        self._read = read
        self._body = body
        self._items: SimpleQueue[T | Exception | _End] = SimpleQueue()
        self._socket: socket.socket | None = None
        self._is_connected = False
        self._is_stopped = False

    def items(self, connect_seconds: float) -> Generator[T | None, None, None]:
        """Yield the items of the response, and ``None`` at each heartbeat without one.

        Raises what ``read`` raises, and ``UnreachableError``, also if there is no connection after
        ``connect_seconds``.
        """
        reader = threading.Thread(target=self._run, daemon=True)
        reader.start()
        begun = time.monotonic()
        try:
            while True:
                try:
                    item = self._items.get(timeout=HEARTBEAT_SECONDS)
                except Empty:
                    self._check(time.monotonic() - begun > connect_seconds)
                    yield None
                    continue
                if isinstance(item, _End):
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
                if self._items.empty():  # wake up once for several tokens of a fast server
                    time.sleep(_GATHER_SECONDS)
        finally:
            self.stop()
            if self._socket:  # else it is still connecting, which cannot be interrupted
                reader.join(1.0)

    def stop(self) -> None:
        """Close the connection: the server and the reading thread stop."""
        self._is_stopped = True
        if self._socket is not None:
            with suppress(OSError):  # only a shutdown wakes a thread in ``recv``
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        import httpx

        extensions = {"trace": self._trace}
        try:
            with self._client.stream(
                self._method, self._url, json=self._body, extensions=extensions
            ) as response:
                for item in self._read(response):
                    self._items.put(item)
            self._items.put(_End())
        except (EngineError, RefusedError, BusyError, UnreachableError) as exc:
            self._items.put(exc)
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as exc:
            self._items.put(self._make_unreachable(error_words(exc) or type(exc).__name__))
        except Exception as exc:  # a server may send anything
            words = error_words(repr(exc))
            self._items.put(EngineFailed(f"The engine's answer is not understood ({words})."))

    def _make_unreachable(self, words: str) -> UnreachableError:
        what = f"The connection to the engine at {self._url} was lost"
        if not self._is_connected:
            what = f"The engine at {self._url} does not answer"
        return UnreachableError(f"{what} ({words}).")

    def _check(self, is_late: bool) -> None:
        if not self._is_connected and is_late:
            raise self._make_unreachable("no connection in time")
        if self._socket is not None and _is_unacknowledged(self._socket):
            raise self._make_unreachable("it acknowledges nothing")

    def _trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Keep the socket as soon as it exists: a server may be silent for long."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = about["return_value"].get_extra_info("socket")
            if self._is_stopped:
                self.stop()
        elif event == "http11.send_request_headers.started":
            self._is_connected = True


class _End:
    """End of the response."""


def check(response: "httpx.Response", body: Mapping[str, Any] | None = None) -> None:
    """Raise an error for a response to ``body`` that is not a success: ``BusyError``,
    ``UnreachableError``, ``RefusedError`` or ``EngineFailed``."""
    is_page = "text/html" in response.headers.get("content-type", "")
    if response.is_success and not is_page:
        return
    response.read()
    words, code = _explain_refusal(response), response.status_code
    is_spent = "insufficient_quota" in response.text  # waiting does not help
    if code in {503, 529} or (code == 429 and not is_spent):
        raise BusyError(words, is_loading=code == 503, seconds=_read_retry_after(response))
    if code in {502, 504, *range(520, 525)}:
        raise UnreachableError(words)
    is_rejected = code in {400, 415, 422, 500, 501}
    if is_rejected and (field := find_refused_field(body or {}, response.text)):
        raise RefusedError(field)
    raise EngineFailed(words)


_UNKNOWN = "(?:support|permit|extra|unknown|unexpected|recogn)"
_REFUSED = {
    name: re.compile(words, re.IGNORECASE | re.DOTALL)
    for name, words in (
        ("max_tokens", "max_completion_tokens"),
        # metal_kernel: mlx-vlm's grammar on a machine without Metal
        ("response_format", "schema|response_format|grammar|guid(ed|ance)|structured|metal_kernel"),
        *(
            (name, rf"\b{name}\b.{{0,200}}{_UNKNOWN}|{_UNKNOWN}.{{0,200}}\b{name}\b")
            for name in ("stream_options", "temperature", "seed")
        ),
    )
}


def find_refused_field(body: Mapping[str, Any], words: str) -> str | None:
    """Return the optional field of ``body`` that a server rejects with ``words``, if any."""
    names = (name for name, pattern in _REFUSED.items() if name in body and pattern.search(words))
    return next(names, None)


def _read_retry_after(response: "httpx.Response") -> float | None:
    with suppress(ValueError):  # it may be a date
        seconds = float(response.headers.get("retry-after", ""))
        return min(max(_LEAST_RETRY_SECONDS, seconds), _MOST_RETRY_SECONDS)
    return None


_HINTS = {
    401: " Set MONDRIAN_ENGINE_KEY to its key.",
    403: " Set MONDRIAN_ENGINE_KEY to its key.",
    404: " Check the model's name, and that the address ends in /v1.",
}
_ADVICE = [
    (re.compile(words, re.IGNORECASE | re.DOTALL), advice)
    for words, advice in (
        (
            r"embed(ding)?s?\b.{0,80}(model|support)|(not|no) .{0,20}chat|chat.?template",
            " This model does not answer questions: name another with ?model=NAME.",
        ),
        (
            r"(context|prompt|token|input).{0,80}(length|limit|too (long|large)|exceed|maximum"
            r"|size)|(exceed|longer).{0,80}(context|max_model_len|tokens)",
            " The prompt with its photo is longer than the server's context: serve the model with "
            "a longer one (llama-server -c, vLLM --max-model-len).",
        ),
        (
            r"(image|vision|multi-?modal).{0,80}(not |un)(support|allow|accept|available|a )"
            r"|(not|n't|un)\s?(support|accept|handle|take).{0,80}(image|vision|multi-?modal)"
            r"|mmproj|at most 0 image|(not|no) a? ?(vision|multi-?modal)",
            " This model does not see: name one that does with ?model=NAME, or add ?sees=false.",
        ),
        (
            r"(image|photo|media|base64).{0,80}(decod|load|identify|corrupt|invalid|too|process)"
            r"|(decod|load|identify|corrupt|invalid|process).{0,80}(image|photo|media|base64)"
            r"|(payload|entity|body).{0,20}too large",
            " The server does not take this photo: save it anew as a JPEG, or raise the server's "
            "limit for requests.",
        ),
    )
]


def find_advice(words: str) -> str:
    """Return what to do about a server's error message ``words``, or an empty string."""
    return next((advice for pattern, advice in _ADVICE if pattern.search(words)), "")


def _explain_refusal(response: "httpx.Response") -> str:
    code, words = response.status_code, ""
    if response.is_success:
        return (
            "The engine answered with a web page. Check that the address is that of the engine, "
            "and ends in /v1."
        )
    if response.is_redirect:
        target = without_secrets(response.headers["location"])[:300]
        return f"The engine answered {code}: it is at {target}. Give that address."
    with suppress(ValueError, AttributeError):
        body = response.json()
        words = error_words(body.get("error") or body.get("detail") or body.get("message") or "")
    plain = " ".join(re.sub(r"<[^<>]*>", " ", response.text[:5000]).split())
    words = words or response.reason_phrase or error_words(plain[:200]) or "no reason given"
    return f"The engine answered {code}: {words}.{_HINTS.get(code, '') or find_advice(words)}"


def read_key() -> str | None:
    """Return the server's key from the environment, ``None`` without one.

    Raise ``SettingsError`` for a key that cannot be sent.
    """
    name = next((name for name in KEYS if os.environ.get(name, "").strip()), None)
    if name is None:
        return None
    key = os.environ[name].strip()
    if not key.isascii() or not key.isprintable():
        raise SettingsError(f"{name} holds characters that no key has. Copy the key again.")
    return key


_ADDRESS = re.compile(r"(https?://)(?:([^/?#]*)@)?([^/?#@][^?#@]*)")


def split_address(address: str) -> tuple[str, tuple[str, str] | None]:
    """Return ``address`` without its name and password, and these, ``None`` if it has none.

    Raise ``UnknownEngine`` for an invalid address.
    """
    import httpx

    try:
        scheme, login, rest = _ADDRESS.fullmatch(address).groups()  # type: ignore[union-attr]
        is_port = (httpx.URL(scheme + rest).port or 0) < 2**16
    except (AttributeError, httpx.InvalidURL):
        is_port = False
    if not is_port:
        raise UnknownEngine(
            f"{without_secrets(address)!r} is no address of an engine. "
            "Give one such as openai:http://host:8000/v1."
        )
    name, _, password = (login or "").partition(":")
    return (scheme + rest).rstrip("/"), (unquote(name), unquote(password)) if login else None


# Probe a silent server's machine after 4, 6 and 8 seconds. macOS has another name for the first.
_KEEP_ALIVE = (
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPALIVE", 4),
    ("TCP_KEEPINTVL", 2),
    ("TCP_KEEPCNT", 2),
)


def open_client(login: tuple[str, str] | None, connect_seconds: float) -> "httpx.Client":
    """Return a client with the key or ``login``, without a read timeout."""
    import httpx

    key = read_key()
    keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _KEEP_ALIVE:
        if option := getattr(socket, name, None):
            keep_alive.append((socket.IPPROTO_TCP, option, value))
    return httpx.Client(
        auth=login,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(None, connect=connect_seconds),
        transport=httpx.HTTPTransport(
            socket_options=keep_alive,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        ),
    )


def _is_unacknowledged(connection: socket.socket) -> bool:
    """Return whether sent data is unacknowledged for ``DEAD_SECONDS``: keep-alive does not run
    then. (TCP_USER_TIMEOUT would also drop a server that is alive and too busy to read.)"""
    if not hasattr(socket, "TCP_INFO"):
        return False
    with suppress(OSError, struct.error):
        about = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
        unacknowledged, last_heard_ms = struct.unpack_from("=I28xI", about, 24)
        return bool(unacknowledged) and last_heard_ms > DEAD_SECONDS * 1000
    return False

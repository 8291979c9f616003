"""The ``openai:`` engine: any server that speaks OpenAI's chat completions, streamed.

1. A thread reads the connection and fills a queue; the stream itself never waits longer than a
   heartbeat, so it can be closed at any time. Closing it closes the connection, which is what
   makes a server stop; also before the server has said a word. So each question has a connection
   of its own.
2. What only one kind of server understands is sent to that kind alone. The list of models, which
   each of them has, tells the kind.
3. There is no time-out on silence: a prefill may take a quarter of an hour, and who runs the job
   has the stall limit. Connecting has one, and TCP's keep-alive notices a server that is gone.
4. Nothing is tried again once a token has come.
"""

import json
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from mondrian.engines.base import Output, Phase, Progress, Request, Token
from mondrian.engines.openai_stream import ServerAnswer, decode_events, engine_key, error_words
from mondrian.errors import EngineClosed, EngineError, EngineFailed

if TYPE_CHECKING:
    import httpx

HEARTBEAT_SECONDS = 0.2
CONNECT_SECONDS = 8.0
TRIES = 3
RETRY_SECONDS = 0.5
_BUSY = frozenset({429, 502, 503, 504})
_REFUSED = frozenset({400, 415, 422, 500, 501})
_NAMES_SCHEMA = re.compile("schema|response_format|grammar|guided|structured", re.IGNORECASE)


class OpenAIServer:
    """The model ``model`` (by default the server's first) of the server at ``base_url``, which
    ends in ``/v1``. ``sees`` says whether the model takes images.

    The key comes from ``MONDRIAN_ENGINE_KEY`` or ``OPENAI_API_KEY`` and goes nowhere else.
    """

    def __init__(
        self,
        *,
        url: str,
        base_url: str,
        model: str | None = None,
        sees: bool = True,
        max_tokens: int = 2048,
        temperature: float = 0.7,
    ) -> None:
        self.url = _without_secrets(url)
        self.model = model or "?"
        self.sees = sees
        self.slots = 1  # how many the server has is not known
        self.has_adapter = False
        self.status = "unloaded"
        self._wanted = model
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._base_url = _without_secrets(base_url.rstrip("/"))
        self._client = _client(base_url)
        self._kind: str | None = None
        self._takes_schema = True
        self._is_closed = False

    def load(self) -> None:
        """Ask the server which models it has, and what kind of server it is. See ``Engine``."""
        if self._kind is not None:
            return
        self.status = "loading"
        try:
            models = self._models()
        except EngineError as exc:
            self.status = f"error: {exc.message}"
            raise
        chosen = next((m for m in models if m.get("id") == self._wanted), models[0])
        self.model = self._wanted or str(chosen["id"])
        self._kind = str(chosen.get("owned_by", ""))
        self.status = "ready"

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """See ``Engine.stream``."""
        yield Progress(phase=Phase.LOADING)
        self.load()
        tries, has_token = TRIES, False
        while True:
            try:
                with closing(self._ask(request)) as items:
                    for item in items:
                        has_token = has_token or isinstance(item, Token)
                        yield item
                return
            except _UnreachableError as exc:
                tries -= 1
                if has_token or not tries or self._is_closed:
                    raise EngineFailed(f"{exc} Check the server and try again.") from exc
                time.sleep(RETRY_SECONDS)
            except _SchemaRefusedError:
                self._takes_schema = False

    def close(self) -> None:
        """See ``Engine.close``."""
        self._is_closed = True
        self._client.close()

    def _models(self) -> list[dict[str, Any]]:
        if self._is_closed:
            raise EngineClosed
        import httpx

        try:
            answer = self._client.get(f"{self._base_url}/models", timeout=CONNECT_SECONDS)
            answer.raise_for_status()
            models: list[dict[str, Any]] = answer.json()["data"]
        except httpx.HTTPStatusError as exc:
            raise EngineFailed(_refusal(exc.response)) from exc
        except httpx.HTTPError as exc:
            raise EngineFailed(
                f"The engine at {self._base_url} does not answer ({_words(exc)}). "
                "Start it, or check its address."
            ) from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise EngineFailed(
                f"What answers at {self._base_url} lists no models. Does the address end in /v1?"
            ) from exc
        if not models:
            raise EngineFailed(f"The engine at {self._base_url} has no model. Load one there.")
        return models

    def _ask(self, request: Request) -> Generator[Output, None, None]:
        if self._is_closed:
            raise EngineClosed
        items: SimpleQueue[Output | Exception | None] = SimpleQueue()
        exchange = _Exchange(self._client, f"{self._base_url}/chat/completions", items)
        body = self._body(request)
        reader = threading.Thread(target=exchange.run, args=(body,), daemon=True)
        reader.start()
        last = Progress(phase=Phase.PREFILL)
        yield last
        try:
            while True:
                try:
                    item = items.get(timeout=HEARTBEAT_SECONDS)
                except Empty:
                    item = last
                if item is None:
                    return
                if isinstance(item, Exception):
                    if self._is_closed:
                        raise EngineClosed from item
                    raise item
                last = item if isinstance(item, Progress) else Progress(phase=Phase.GENERATING)
                yield item
        finally:
            exchange.stop()
            reader.join(1.0)

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": self._content(request)},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": request.max_tokens or self._max_tokens,
            "temperature": (
                self._temperature if request.temperature is None else request.temperature
            ),
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.schema is not None and self._takes_schema:
            schema = {"name": "critique", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._kind == "llamacpp":
            body |= {"return_progress": True, "timings_per_token": True}
        elif self._kind == "vllm":
            body["stream_options"]["continuous_usage_stats"] = True
        return body

    def _content(self, request: Request) -> Any:
        words = request.prompt
        if request.schema is not None and not self._takes_schema:
            schema = json.dumps(request.schema, separators=(",", ":"))
            words += f"\n\nAnswer with JSON of this schema and nothing else:\n{schema}"
        if request.photo is None or not self.sees:
            return words
        url = f"data:image/jpeg;base64,{b64encode(request.photo).decode()}"
        return [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": words},
        ]


class _UnreachableError(Exception):
    """The server cannot be reached, or went away."""


class _SchemaRefusedError(Exception):
    """The server does not take a JSON schema."""


class _Exchange:
    """One question and its answer, read in a thread of its own into ``items``; ``None`` ends it."""

    def __init__(
        self, client: "httpx.Client", url: str, items: "SimpleQueue[Output | Exception | None]"
    ) -> None:
        self._client = client
        self._url = url
        self._items = items
        self._socket: socket.socket | None = None
        self._is_stopped = False

    def run(self, body: dict[str, Any]) -> None:
        """Ask, and read the answer to its end."""
        import httpx

        try:
            with self._client.stream(
                "POST", self._url, json=body, extensions={"trace": self._trace}
            ) as response:
                _check(response, has_schema="response_format" in body)
                self._read(response.iter_bytes())
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as exc:
            words = f"The connection to the engine at {self._url} was lost"
            words += f" ({_words(exc)})."
            self._items.put(_UnreachableError(words))
        except (EngineError, _SchemaRefusedError, _UnreachableError) as exc:
            self._items.put(exc)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self._items.put(EngineFailed(f"The engine's answer is not understood ({exc!r})."))

    def stop(self) -> None:
        """Close the connection: the server stops, and ``run`` returns."""
        self._is_stopped = True
        if self._socket is not None:
            with suppress(OSError):  # only this wakes a thread that is reading
                self._socket.shutdown(socket.SHUT_RDWR)

    def _trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Get hold of the connection while it is made: a server may be silent for long."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = about["return_value"].get_extra_info("socket")
            if self._is_stopped:
                self.stop()

    def _read(self, chunks: Iterable[bytes]) -> None:
        answer = ServerAnswer()
        for message in decode_events(chunks):
            for item in answer.read(message):
                self._items.put(item)
        if answer.finish_reason is None:
            raise OSError("it ended in the middle of the answer")
        self._items.put(answer.last())
        self._items.put(None)


def _check(response: "httpx.Response", *, has_schema: bool) -> None:
    if response.is_success:
        return
    response.read()
    if response.status_code in _BUSY:
        raise _UnreachableError(_refusal(response))
    if has_schema and response.status_code in _REFUSED and _NAMES_SCHEMA.search(response.text):
        raise _SchemaRefusedError
    raise EngineFailed(_refusal(response))


def _refusal(response: "httpx.Response") -> str:
    try:
        words = error_words(response.json().get("error"))
    except (ValueError, AttributeError):
        words = response.reason_phrase
    hint = " Set MONDRIAN_ENGINE_KEY to its key." if response.status_code in {401, 403} else ""
    return f"The engine answered {response.status_code}: {words}.{hint}"


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _without_secrets(url: str) -> str:
    """``url`` without the name and password that may stand before its host."""
    return re.sub(r"(?<=://)[^/@?]*@", "", url)


# A server that is gone is noticed after 4 + 2 × 2 seconds. macOS calls the first otherwise.
_KEEP_ALIVE = (
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPALIVE", 4),
    ("TCP_KEEPINTVL", 2),
    ("TCP_KEEPCNT", 2),
)


def _client(base_url: str) -> "httpx.Client":
    import httpx

    key, address = engine_key(), httpx.URL(base_url)
    keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _KEEP_ALIVE:
        if option := getattr(socket, name, None):
            keep_alive.append((socket.IPPROTO_TCP, option, value))
    return httpx.Client(
        auth=(address.username, address.password) if address.username else None,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        transport=httpx.HTTPTransport(
            socket_options=keep_alive,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        ),
    )

"""The ``openai:`` engine: any server that speaks OpenAI's chat completions, streamed.

1. A thread reads the connection and fills a queue; the stream itself never waits longer than a
   heartbeat, so it can be closed at any time. Closing it closes the connection, which is what
   makes a server stop.
2. What only one kind of server understands is sent to that kind alone. The list of models, which
   each of them has, tells the kind.
3. There is no time-out on silence: a prefill may take a quarter of an hour, and who runs the job
   has the stall limit. Connecting has one, and TCP's keep-alive notices a server that is gone.
4. Nothing is tried again once a token has come.
"""

import json
import os
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from mondrian.engines.base import Basis, Output, Phase, Progress, Request, Token
from mondrian.errors import EngineClosed, EngineError, EngineFailed

if TYPE_CHECKING:
    import httpx

HEARTBEAT_SECONDS = 0.2
CONNECT_SECONDS = 8.0
TRIES = 3
RETRY_SECONDS = 0.5


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
        self.url = url
        self.model = model or "?"
        self.sees = sees
        self.slots = 1  # how many the server has is not known
        self.status = "unloaded"
        self._wanted = model
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._base_url = base_url.rstrip("/")
        self._client = _client()
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
        for left in reversed(range(TRIES)):
            has_token = False
            try:
                with closing(self._ask(request)) as items:
                    for item in items:
                        has_token = has_token or isinstance(item, Token)
                        yield item
                return
            except _UnreachableError as exc:
                if has_token or not left or self._is_closed:
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
                {"role": "user", "content": _content(request, self.sees)},
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
        self._response: httpx.Response | None = None
        self._is_stopped = False

    def run(self, body: dict[str, Any]) -> None:
        """Ask, and read the answer to its end."""
        import httpx

        try:
            with self._client.stream("POST", self._url, json=body) as response:
                self._response = response
                if self._is_stopped:
                    return
                _check(response, has_schema="response_format" in body)
                self._read(response.iter_bytes())
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as exc:
            words = f"The connection to the engine at {self._url} was lost ({_words(exc)})."
            self._items.put(_UnreachableError(words))
        except (EngineError, _SchemaRefusedError, _UnreachableError) as exc:
            self._items.put(exc)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self._items.put(EngineFailed(f"The engine's answer is not understood ({exc!r})."))

    def stop(self) -> None:
        """Close the connection: the server stops, and ``run`` returns."""
        self._is_stopped = True
        response = self._response
        if response is None:
            return
        stream = response.extensions.get("network_stream")
        raw = stream.get_extra_info("socket") if stream else None
        if raw is not None:
            with suppress(OSError):  # only this wakes a thread that is reading
                raw.shutdown(socket.SHUT_RDWR)

    def _read(self, chunks: Iterable[bytes]) -> None:
        answer = ServerAnswer()
        for message in decode_events(chunks):
            for item in answer.read(message):
                self._items.put(item)
        if answer.finish_reason is None:
            raise OSError("it ended in the middle of the answer")
        self._items.put(answer.last())
        self._items.put(None)


class ServerAnswer:
    """Reads a server's chunks as ``Progress`` and ``Token``.

    Counts are the server's where it gives any on the way (llama-server's ``timings``, usage of
    vLLM), else a count of the chunks that held text until the usage at the end; speeds are the
    server's, else tokens over the time since the first one.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._tokens = 0
        self._prompt_tokens: int | None = None
        self._speeds: dict[str, float | None] = {}
        self._first: float | None = None
        self._now = 0.0

    def read(self, message: dict[str, Any]) -> Iterator[Progress | Token]:
        """The items of one chunk. Raises ``EngineFailed`` for an error in mid-stream."""
        if "error" in message:
            raise EngineFailed(f"The engine reported: {_error_words(message['error'])}")
        self._take_figures(message)
        if progress := message.get("prompt_progress"):
            yield Progress(
                phase=Phase.PREFILL,
                done=progress["processed"],
                total=progress["total"],
                basis=Basis.MEASURED,
            )
        for choice in message.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if text := delta.get("content"):
                self._count(message)
                yield self._token(text)
            elif reasoning:  # counted, and kept apart from the answer
                self._count(message)
                yield self._token("")

    def last(self) -> Token:
        """The piece that ends the answer."""
        return self._token("", self.finish_reason)

    def _take_figures(self, message: dict[str, Any]) -> None:
        if usage := message.get("usage"):
            self._tokens = usage.get("completion_tokens") or self._tokens
            self._prompt_tokens = usage.get("prompt_tokens") or self._prompt_tokens
        timings = message.get("timings")
        if timings and timings.get("predicted_n"):
            self._tokens = timings["predicted_n"]
            self._prompt_tokens = timings.get("cache_n", 0) + timings["prompt_n"]
            self._speeds = {
                "generation_tps": timings.get("predicted_per_second") or None,
                "prompt_tps": timings.get("prompt_per_second") or None,
            }

    def _count(self, message: dict[str, Any]) -> None:
        self._now = time.monotonic()
        self._first = self._first or self._now
        if not message.get("usage") and not message.get("timings"):
            self._tokens += 1

    def _token(self, text: str, finish_reason: str | None = None) -> Token:
        seconds = self._now - self._first if self._first else 0.0
        speed = (self._tokens - 1) / seconds if seconds > 0 and self._tokens > 1 else None
        return Token(
            text=text,
            generation_tokens=self._tokens,
            generation_tps=self._speeds.get("generation_tps", speed),
            prompt_tokens=self._prompt_tokens,
            prompt_tps=self._speeds.get("prompt_tps"),
            finish_reason=finish_reason,
        )


def decode_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON messages of a server-sent event stream, however its bytes are cut.

    Lines end with LF or CRLF; comments and unknown fields are passed over; ``[DONE]`` ends it.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field != b"data":
                continue
            if value.strip() == b"[DONE]":
                return
            try:
                message = json.loads(value)
            except ValueError as exc:
                raise EngineFailed("The engine's stream cannot be read: no JSON in it.") from exc
            if isinstance(message, dict):
                yield message


def _check(response: "httpx.Response", *, has_schema: bool) -> None:
    if response.is_success:
        return
    response.read()
    if has_schema and response.status_code in {400, 422} and "response_format" in response.text:
        raise _SchemaRefusedError
    if response.status_code in {502, 503, 504}:
        raise _UnreachableError(_refusal(response))
    raise EngineFailed(_refusal(response))


def _refusal(response: "httpx.Response") -> str:
    try:
        words = _error_words(response.json().get("error"))
    except (ValueError, AttributeError):
        words = response.reason_phrase
    hint = " Set MONDRIAN_ENGINE_KEY to its key." if response.status_code in {401, 403} else ""
    return f"The engine answered {response.status_code}: {words}.{hint}"


def _error_words(error: Any) -> str:
    words = error.get("message") if isinstance(error, dict) else error
    return str(words)[:500].rstrip(".")


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _content(request: Request, sees: bool) -> Any:
    if request.photo is None or not sees:
        return request.prompt
    url = f"data:image/jpeg;base64,{b64encode(request.photo).decode()}"
    return [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": request.prompt},
    ]


def _client() -> "httpx.Client":
    import httpx

    key = os.environ.get("MONDRIAN_ENGINE_KEY") or os.environ.get("OPENAI_API_KEY")
    keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if option := getattr(socket, name, None):  # macOS calls the first one otherwise
            keep_alive.append((socket.IPPROTO_TCP, option, value))
    return httpx.Client(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        transport=httpx.HTTPTransport(
            socket_options=keep_alive, limits=httpx.Limits(max_connections=None)
        ),
    )

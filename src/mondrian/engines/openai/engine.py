"""The ``openai:`` engine: any server that speaks OpenAI's chat completions, streamed.

1. The stream never blocks longer than a heartbeat, whatever the server does, so it can be closed at
   any time; loading, which requests the list of models, too.
2. Fields that only one kind of server understands are sent to that kind only; the list of models
   shows the kind. A field that a server rejects is never sent again.
3. There is no read timeout: a prefill may take a quarter of an hour, and the worker has a stall
   limit. A loading server (503) has no timeout either; too many requests (429) are retried for five
   minutes. A server that is gone is detected within ten seconds.
4. Nothing is retried once a token has arrived.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mondrian.engines.base import Output, Phase, Progress, Request, Token
from mondrian.engines.chat import ChatAnswer, chat_body
from mondrian.engines.openai.connection import (
    HEARTBEAT_SECONDS,
    BusyError,
    Exchange,
    RefusedError,
    UnreachableError,
    check,
    find_advice,
    find_refused_field,
    open_client,
    split_address,
)
from mondrian.engines.openai.events import decode_events
from mondrian.errors import EngineClosed, EngineError, EngineFailed, without_secrets

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

CONNECT_SECONDS = (5.0, 1.5, 1.5)
"""Connect timeout of each attempt: with the pauses, less than ten seconds in all."""

RETRY_SECONDS = 0.5
_BUSY_SECONDS = 2.0
_MOST_BUSY_SECONDS = 300.0
_SAME_SECONDS = 1.0  # a response that comes sooner may be another "busy"


class OpenAIServer:
    """The model ``model`` (by default the server's first) of the server at ``base_url``, which
    ends in ``/v1``. ``sees`` is whether the model takes images.

    The key comes from ``MONDRIAN_ENGINE_KEY`` or ``OPENAI_API_KEY`` and is sent nowhere else.
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
        self.url = without_secrets(url)
        self.model = model or "?"
        self.sees = sees
        self.slots = 1  # the server's number is unknown
        self.has_adapter = False
        self.status = "unloaded"
        self._wanted = model
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._base_url, login = split_address(base_url)
        self._client = open_client(login, CONNECT_SECONDS[0])
        self._kind: str | None = None
        self._refused: set[str] = set()
        self._exchanges: set[Exchange[Any]] = set()
        self._closed = threading.Event()

    def load(self) -> None:
        """Fetch the server's list of models and detect its kind. See ``Engine.load``."""
        for _ in self._load():
            pass

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """See ``Engine.stream``."""
        yield Progress(phase=Phase.LOADING)
        yield from self._load()
        beat = Progress(phase=Phase.PREFILL)
        yield beat
        while True:
            try:
                yield from self._retry(lambda: self._open_completion(request), beat)
                return
            except RefusedError as exc:
                self._refused.add(exc.field)

    def close(self) -> None:
        """See ``Engine.close``."""
        self._closed.set()
        for exchange in tuple(self._exchanges):
            exchange.stop()

    def _load(self) -> Generator[Progress, None, None]:
        if self._kind is not None:
            return
        self.status = "loading"
        models: list[dict[str, Any]] = []
        try:
            listing = self._retry(self._open_listing, Progress(phase=Phase.LOADING))
            with closing(listing) as items:
                for item in items:
                    if isinstance(item, Progress):
                        yield item
                    else:
                        models = item
            self._choose(models)
            self.status = "ready"
        except EngineError as exc:
            self.status = f"error: {exc.message}"
            raise
        finally:
            if self.status == "loading":  # the request that loaded it was closed
                self.status = "unloaded"

    def _choose(self, models: list[dict[str, Any]]) -> None:
        if not models and not self._wanted:
            raise EngineFailed(
                f"The engine at {self._base_url} lists no models. Load one there, or check that "
                "the address ends in /v1."
            )
        answering = [each["id"] for each in models if not _OTHER_KINDS.search(each["id"])]
        if not answering and not self._wanted:
            raise EngineFailed(
                f"The engine at {self._base_url} lists no model that answers questions, only "
                f"{models[0]['id']} and the like. Load one that sees, or name one with ?model=NAME."
            )
        self.model = self._wanted or answering[0]
        # the kind of server behind a model that is not listed is unknown
        kinds = (str(each.get("owned_by", "")) for each in models if each["id"] == self.model)
        self._kind = next(kinds, "")

    def _retry(
        self, open_exchange: Callable[[], Exchange[T]], beat: Progress
    ) -> Generator[T | Progress, None, None]:
        """Yield the items of the exchange, retrying while the server is busy or unreachable, and
        ``beat`` at each heartbeat."""
        connects, doing, refused_since = [*CONNECT_SECONDS], beat, float("inf")
        while True:
            try:
                yield from self._receive(open_exchange(), connects.pop(0), doing, beat)
                return
            except UnreachableError as exc:
                if not connects:
                    raise EngineFailed(f"{exc} Start it, or check its address.") from exc
                seconds, doing = RETRY_SECONDS, beat
            except BusyError as exc:
                now = time.monotonic()
                refused_since = now if exc.is_loading else min(refused_since, now)
                if now - refused_since > _MOST_BUSY_SECONDS:
                    raise EngineFailed(f"{exc} Try again later.") from exc
                seconds = _BUSY_SECONDS if exc.seconds is None else exc.seconds
                doing = Progress(phase=Phase.LOADING if exc.is_loading else Phase.WAITING)
                connects = [*CONNECT_SECONDS]
            yield from self._pause(seconds, doing)

    def _receive(
        self, exchange: Exchange[T], connect_seconds: float, doing: Progress, beat: Progress
    ) -> Generator[T | Progress, None, None]:
        """Yield the items, and at heartbeats ``doing``, after ``_SAME_SECONDS`` ``beat``."""
        self._check_open()
        has_token, until = False, time.monotonic() + _SAME_SECONDS
        self._exchanges.add(exchange)
        try:
            with closing(exchange.items(connect_seconds)) as items:
                for item in items:
                    self._check_open()
                    if item is None:
                        yield doing if time.monotonic() < until else beat
                        continue
                    if isinstance(item, Progress):
                        doing = beat = item
                    elif isinstance(item, Token):
                        doing = beat = Progress(phase=Phase.GENERATING)
                        has_token = True
                    yield item
        except UnreachableError as exc:
            self._check_open()
            if has_token:
                raise EngineFailed(f"{exc} Check the server and try again.") from exc
            raise
        finally:
            self._exchanges.discard(exchange)

    def _pause(self, seconds: float, doing: Progress) -> Iterator[Progress]:
        over = time.monotonic() + seconds
        while (left := over - time.monotonic()) > 0:
            yield doing
            self._closed.wait(min(left, HEARTBEAT_SECONDS))
            self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise EngineClosed

    def _open_listing(self) -> Exchange[list[dict[str, Any]]]:
        return Exchange(self._client, "GET", f"{self._base_url}/models", self._read_models)

    def _read_models(self, response: "httpx.Response") -> Iterator[list[dict[str, Any]]]:
        is_busy = response.status_code in {429, 502, 503, 504, 529}
        if is_busy or not self._wanted:  # else the server may have no list, or not show it to us
            check(response)
        try:
            listed = json.loads(response.read())["data"] or []
        except (ValueError, KeyError, TypeError, RecursionError):
            listed = []
        listed = listed if isinstance(listed, list) else []
        models = [each if isinstance(each, dict) else {"id": each} for each in listed]
        named = [{**each, "id": each.get("id") or each.get("name")} for each in models]
        yield [each for each in named if isinstance(each["id"], str)]

    def _open_completion(self, request: Request) -> Exchange[Output]:
        url, body = f"{self._base_url}/chat/completions", self._make_body(request)
        return Exchange(self._client, "POST", url, partial(_read_answer, url, body), body)

    def _make_body(self, request: Request) -> dict[str, Any]:
        words = ""
        if request.schema is not None and "response_format" in self._refused:
            form = json.dumps(request.schema, separators=(",", ":"))
            words = f"\n\nAnswer with JSON of this schema and nothing else:\n{form}"
        body = {"model": self.model} | chat_body(
            request,
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            sees=self.sees,
            words=words,
        )
        if request.schema is not None:
            schema = {"name": "critique", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._kind == "llamacpp":
            body |= {"return_progress": True, "timings_per_token": True}
        elif self._kind == "vllm":
            body["stream_options"]["continuous_usage_stats"] = True
        max_tokens = body["max_tokens"]
        for field in tuple(self._refused):
            body.pop(field, None)
        if "max_tokens" not in body:
            body["max_completion_tokens"] = max_tokens
        return body


# Models that servers list and that do not answer chat completions.
_OTHER_KINDS = re.compile(
    r"embed|rerank|\bbge\b|whisper|\btts\b|moderation|dall-e|stable-diffusion", re.IGNORECASE
)


def _read_answer(url: str, body: dict[str, Any], response: "httpx.Response") -> Iterator[Output]:
    check(response, body)
    most = body.get("max_tokens") or body["max_completion_tokens"]
    answer, has_token = ChatAnswer(most), False
    try:
        for message in decode_events(_record_arrival(response.iter_bytes(), answer)):
            for item in answer.read(message):
                has_token = has_token or isinstance(item, Token)
                yield item
            if answer.is_over:
                break
    except EngineFailed as exc:  # vLLM rejects a schema inside a stream with status 200
        if not has_token and (field := find_refused_field(body, exc.message)):
            raise RefusedError(field) from exc
        raise EngineFailed(exc.message + find_advice(exc.message)) from exc
    if answer.finish_reason is None:
        raise UnreachableError(f"The engine at {url} ended in the middle of the answer.")
    yield answer.last()


def _record_arrival(chunks: Iterator[bytes], answer: ChatAnswer) -> Iterator[bytes]:
    """Yield ``chunks``, after setting when each ``answer.arrived``."""
    for chunk in chunks:
        answer.arrived = time.monotonic()
        yield chunk

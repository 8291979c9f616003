"""What servers with OpenAI's chat completions stream: decoded, and read as progress and tokens."""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from mondrian.engines.base import Basis, Phase, Progress, Token
from mondrian.errors import EngineFailed

DONE: dict[str, Any] = {}
"""The message that ends a stream: ``[DONE]``."""


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
        self._thoughts = Thoughts()

    def read(self, message: dict[str, Any]) -> Iterator[Progress | Token]:
        """The items of one chunk. Raises ``EngineFailed`` for an error in mid-stream."""
        if message.get("error") or message.get("object") == "error":
            raise EngineFailed(
                f"The engine reported: {error_words(message.get('error') or message)}."
            )
        if message is DONE:  # some servers give no reason
            self.finish_reason = self.finish_reason or "stop"
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
                yield self._token(self._thoughts.pass_by(text))
            elif reasoning:  # counted, and kept apart from the answer
                self._count(message)
                yield self._token("")

    def last(self) -> Token:
        """The piece that ends the answer."""
        return self._token(self._thoughts.rest(), self.finish_reason)

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


class Thoughts:
    """Keeps apart the thinking that a model writes before its answer, as ``<think>…</think>``."""

    def __init__(self) -> None:
        self._held = ""  # the beginning, until it is clear what it is; then the end of a thought
        self._is_thinking: bool | None = None

    def pass_by(self, text: str) -> str:
        """What of the next portion belongs to the answer."""
        if self._is_thinking is False:
            return text
        self._held += text
        if self._is_thinking is None:
            self._is_thinking = self._begins_with_thinking()
        if self._is_thinking is None:
            return ""
        if not self._is_thinking:
            return self.rest()
        if end := _THOUGHT_ENDS.search(self._held):
            self._is_thinking, answer = False, self._held[end.end() :]
            self._held = ""
            return answer
        self._held = self._held[-_LONGEST_TAG:]
        return ""

    def rest(self) -> str:
        """What was held back and belongs to the answer."""
        held, self._held = ("" if self._is_thinking else self._held), ""
        return held

    def _begins_with_thinking(self) -> bool | None:
        begun = self._held.lstrip().lower()
        if begun.startswith(("<think>", "<thinking>")):
            return True
        return None if "<thinking>".startswith(begun) else False


_THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_LONGEST_TAG = len("</thinking>")


def decode_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON messages of a server-sent event stream, however its bytes are cut.

    Lines end with LF or CRLF; comments, unknown fields and empty messages are passed over. ``DONE``
    is the last if the stream said so.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            message = _message(line)
            if message is not None:
                yield message
            if message is DONE:
                return
    with suppress(EngineFailed):  # a message that was cut off is none
        message = _message(rest)
        if message is not None:
            yield message


def _message(line: bytes) -> dict[str, Any] | None:
    field, _, value = line.strip().partition(b":")
    if field != b"data" or not value.strip():
        return None
    if value.strip() == b"[DONE]":
        return DONE
    try:
        message = json.loads(value)
    except ValueError as exc:
        raise EngineFailed("The engine's stream cannot be read: no JSON in it.") from exc
    return message if isinstance(message, dict) else None


def engine_key() -> str | None:
    """The key of the server, from the environment."""
    return os.environ.get("MONDRIAN_ENGINE_KEY") or os.environ.get("OPENAI_API_KEY") or None


def error_words(error: Any) -> str:
    """What a server says of an error, shortened; without the key, should it repeat that."""
    words = error.get("message") if isinstance(error, dict) else error
    return str(words).replace(engine_key() or "\0", "(key)")[:500].rstrip(".")

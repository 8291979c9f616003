"""What servers with OpenAI's chat completions stream: decoded, and read as progress and tokens."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from mondrian.answers.loops import LoopWatch
from mondrian.answers.thinking import BEGIN, END, may_begin
from mondrian.engines.base import Basis, Phase, Progress, Token
from mondrian.engines.openai.connection import error_words
from mondrian.errors import EngineFailed

DONE: dict[str, Any] = {}
"""The message that ends a stream: ``[DONE]``."""


class ServerAnswer:
    """Reads a server's chunks as ``Progress`` and ``Token``.

    Counts are the server's where it gives any on the way (llama-server's ``timings``, usage of
    vLLM), else a count of the chunks that held text until the usage at the end; speeds are the
    server's, else tokens over the time since the first one. An answer is over, whatever the server
    thinks, when the model's thinking has fallen into a loop, and at twice its ``max_tokens``.
    """

    def __init__(self, max_tokens: int) -> None:
        self.finish_reason: str | None = None
        self.is_over = False
        self._max_tokens = max_tokens
        self._tokens = 0
        self._prompt_tokens: int | None = None
        self._speeds: dict[str, float | None] = {}
        self._first: float | None = None
        self._now = 0.0
        self._thoughts = Thoughts()
        self._loops = LoopWatch()

    def read(self, message: dict[str, Any]) -> Iterator[Progress | Token]:
        """The items of one chunk. Raises ``EngineFailed`` for an error in mid-stream."""
        if error := _error(message):
            raise EngineFailed(f"The engine reported: {error_words(error)}.")
        if message is DONE:  # some servers give no reason
            self.finish_reason = self.finish_reason or "stop"
        has_count = self._take_figures(message)
        if progress := _fields(message, "prompt_progress"):
            yield Progress(
                phase=Phase.PREFILL,
                done=progress.get("processed"),
                total=progress.get("total"),
                basis=Basis.MEASURED,
            )
        for choice in message.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = _fields(choice, "delta") or _fields(choice, "message")
            text = delta.get("content") or ""
            reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
            if text or reasoning:  # both are counted
                self._count(has_count)
                yield self._token(self._answer(text, reasoning))

    def last(self) -> Token:
        """The piece that ends the answer."""
        return self._token(self._thoughts.rest(), self.finish_reason)

    def _answer(self, text: str, reasoning: str) -> str:
        """What of a portion belongs to the answer."""
        answer = self._thoughts.pass_by(text)
        thought = reasoning or (text if self._thoughts.is_thinking else "")
        if thought and self._loops.take(thought):
            self.finish_reason, self.is_over = "loop", True
        elif self._tokens > 2 * self._max_tokens:
            self.finish_reason, self.is_over = "length", True
        return answer

    def _take_figures(self, message: dict[str, Any]) -> bool:
        """Whether the server's count of tokens was among them."""
        usage, timings = _fields(message, "usage"), _fields(message, "timings")
        tokens = timings.get("predicted_n") or usage.get("completion_tokens")
        read = (timings.get("prompt_n") or 0) + (timings.get("cache_n") or 0)
        self._tokens = tokens or self._tokens
        self._prompt_tokens = read or usage.get("prompt_tokens") or self._prompt_tokens
        if timings.get("predicted_n"):
            self._speeds = {
                "generation_tps": timings.get("predicted_per_second") or None,
                "prompt_tps": timings.get("prompt_per_second") or None,
            }
        return tokens is not None

    def _count(self, has_count: bool) -> None:
        self._now = time.monotonic()
        self._first = self._first or self._now
        if not has_count:
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


def _fields(message: dict[str, Any], name: str) -> dict[str, Any]:
    """The object at ``name``, if there is one."""
    fields = message.get(name)
    return fields if isinstance(fields, dict) else {}


def _error(message: dict[str, Any]) -> Any:
    """The error that ``message`` is or holds, in any of the forms that servers know."""
    choices = message.get("choices")
    if error := message.get("error"):
        return error
    if message.get("object") == "error":
        return message
    if choices is None and isinstance(message.get("message"), str):
        return message
    is_broken = any(choice.get("finish_reason") == "error" for choice in choices or ())
    return _NO_WORDS if is_broken else None


_NO_WORDS = "an error, and no more of it"


class Thoughts:
    """Keeps apart the thinking that a model writes before its answer, as ``<think>…</think>``."""

    def __init__(self) -> None:
        self.is_thinking = False
        self._held = ""  # the beginning, until it is clear what it is; then the end of a thought
        self._is_answer = False

    def pass_by(self, text: str) -> str:
        """What of the next portion belongs to the answer."""
        if self._is_answer:
            return text
        self._held += text
        if not self.is_thinking:
            if may_begin(self._held):
                return ""
            if stray := END.match(self._held):
                self._held = self._held[stray.end() :]
                return self.pass_by("")
            begin = BEGIN.match(self._held)
            if begin is None:
                self._is_answer = True
                return self._take_held()
            self.is_thinking, self._held = True, self._held[begin.end() :]
        if end := END.search(self._held):
            self.is_thinking, self._held = False, self._held[end.end() :]
            return self.pass_by("")  # another thought may come
        self._held = self._held[-_LONGEST_MARK:]
        return ""

    def rest(self) -> str:
        """What was held back and belongs to the answer."""
        return "" if self.is_thinking else self._take_held()

    def _take_held(self) -> str:
        held, self._held = self._held, ""
        return held


_LONGEST_MARK = 100


def decode_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON messages of a server-sent event stream, however its bytes are cut.

    A message is there as soon as it is whole: not all servers send the empty line. Comments,
    unknown fields and empty messages are passed over; one that is cut off is none. ``DONE`` is the
    last if the stream said so, and after a body that is one JSON object and no stream at all.
    """
    lines, pending = _lines(chunks), b""
    for line in lines:
        if line.startswith(b"{") and not pending:
            yield _message(b"\n".join([line, *lines]))
            yield DONE
            return
        field, _, value = line.partition(b":")
        if field == b"error":
            yield {"error": _error_line(value.strip()) or _NO_WORDS}
        elif field == b"data":
            if value.strip() == b"[DONE]":
                yield DONE
                return
            pending += value + b"\n"
        is_due = not line and pending.strip()
        if is_due or pending.endswith(b"}\n"):
            try:
                message = _message(pending)
            except EngineFailed:
                if is_due:
                    raise
                continue  # the rest of it may be on the next line
            yield message
            pending = b""


_LINE_END = re.compile(rb"\r\n|\r|\n")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, which end with LF, CR LF or CR and in nothing else, each as soon as it has ended."""
    rest, was_cr, is_first = b"", False, True
    for chunk in filter(None, chunks):
        more = chunk[1:] if was_cr and chunk.startswith(b"\n") else chunk
        was_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(rest + more)
        for line in lines:
            yield line.removeprefix(_MARK) if is_first else line
            is_first = False
    if rest:
        yield rest.removeprefix(_MARK) if is_first else rest


_MARK = b"\xef\xbb\xbf"  # of UTF-8, at the beginning


def _message(value: bytes) -> dict[str, Any]:
    try:
        message = json.loads(value)
    except ValueError as exc:
        raise EngineFailed("The engine's stream cannot be read: no JSON in it.") from exc
    return message if isinstance(message, dict) else {}


def _error_line(value: bytes) -> Any:
    with suppress(ValueError):
        return json.loads(value)
    return value.decode("utf-8", "replace")

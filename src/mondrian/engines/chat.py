"""Chat completions of llama.cpp and OpenAI-compatible servers: request body, chunks as tokens.

Chunks are untrusted. Text is a string, counts are whole and not negative, speeds are finite and
above 0; any other value is dropped, and the answer goes on.
"""

import math
import os
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mondrian.answers.loops import LoopWatch
from mondrian.answers.thinking import BEGIN, END, may_begin
from mondrian.engines.base import Basis, Phase, Progress, Request, Token
from mondrian.errors import EngineFailed

DONE: dict[str, Any] = {}
"""The message that ends a stream: ``[DONE]``."""

_LEAST_SECONDS = 0.05  # a shorter time measures no speed: a proxy may pass on all at once
_MOST_CHARACTERS = 400_000
_MOST_COUNT = 10**9


def chat_body(
    request: Request, *, max_tokens: int, temperature: float, sees: bool, words: str = ""
) -> dict[str, Any]:
    """Return the body of a streamed chat completion for ``request``, ``words`` after its prompt.

    ``max_tokens`` and ``temperature`` are the engine's defaults.
    """
    photo = request.photo if sees else None
    body: dict[str, Any] = {
        "messages": messages(request.system, request.prompt + words, photo),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens or max_tokens,
        "temperature": temperature if request.temperature is None else request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    return body


def messages(system: str, prompt: str, photo: bytes | None) -> list[dict[str, Any]]:
    """Return the messages of a request, the photo (a JPEG) before the text."""
    content: Any = prompt
    if photo is not None:
        url = f"data:image/jpeg;base64,{b64encode(photo).decode()}"
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": prompt},
        ]
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


class ChatAnswer:
    """Convert chunks to ``Progress`` and ``Token``.

    Counts are the sender's if it sends any with the chunks (llama.cpp's ``timings``, usage of
    vLLM), else the number of chunks with text until the usage at the end; speeds are the sender's,
    else tokens over the time since the first one, by when they ``arrived`` (``time.monotonic``).
    The answer ``is_over``, even if the sender goes on, when the model's thinking loops, and at
    twice its ``max_tokens``. If only reasoning came, that is the answer.
    """

    def __init__(self, max_tokens: int) -> None:
        self.finish_reason: str | None = None
        self.is_over = False
        self.arrived: float | None = None
        self._max_tokens = max_tokens
        self._tokens = 0
        self._figures: dict[str, Any] = {}
        self._prompt: list[Any] = []
        self._first: float | None = None
        self._now = 0.0
        self._has_answer = False
        self._reasoning: list[str] = []
        self._characters_left = _MOST_CHARACTERS
        self._thoughts = Thoughts()
        self._loops = LoopWatch()

    def read(self, message: dict[str, Any]) -> Iterator[Progress | Token]:
        """Yield the items of one chunk. Raise ``EngineFailed`` for an error in mid-stream."""
        if (error := _find_error(message)) is not None:
            raise EngineFailed(f"The engine reported: {error_words(error)}.")
        if message is DONE:  # some servers give no reason
            self.finish_reason = self.finish_reason or "stop"
        has_count = self._update_figures(message)
        if progress := _get_object(message, "prompt_progress"):
            yield self._make_progress(
                _to_count(progress.get("processed")), _to_count(progress.get("total"))
            )
        for choice in _get_choices(message):
            delta = _parse_choice(choice, self._has_answer)
            self.finish_reason = delta.finish_reason or self.finish_reason
            if delta.refusal:
                raise EngineFailed(f"The model refused: {error_words(delta.refusal)}.")
            if delta.text or delta.reasoning:  # both are counted
                self._count_token(has_count)
                yield self._make_token(self._filter_answer(delta.text, delta.reasoning))

    def last(self) -> Token:
        """Return the last token. Raise ``EngineFailed`` if a content filter removed everything."""
        text = self._thoughts.flush()
        self._reasoning.append(self._thoughts.pop_thought())
        if not self._has_answer and not text.strip():
            if self.finish_reason == "content_filter":
                raise EngineFailed("The server's content filter let no answer pass. Try another.")
            if self.finish_reason not in ("loop", "length"):
                text = "".join(self._reasoning)
        return self._make_token(text, self.finish_reason)

    def _make_progress(self, done: int | None, total: int | None) -> Progress:
        return Progress(phase=Phase.PREFILL, done=done, total=total, basis=Basis.MEASURED)

    def _filter_answer(self, text: str, reasoning: str) -> str:
        """Return the part of ``text`` that belongs to the answer; keep the reasoning."""
        answer = self._thoughts.filter(text)
        self._has_answer = self._has_answer or bool(answer.strip())
        thought = reasoning or (text if self._thoughts.is_thinking else "")
        for part in (reasoning, self._thoughts.pop_thought()):
            self._reasoning.append(part[: max(0, self._characters_left)])
            self._characters_left -= len(part)
        if thought and self._loops.append(thought):
            self.finish_reason, self.is_over = "loop", True
        elif self._tokens > 2 * self._max_tokens:
            self.finish_reason, self.is_over = "length", True
        return answer

    def _update_figures(self, message: dict[str, Any]) -> bool:
        """Record the sender's figures; return whether its count of tokens was among them."""
        usage, timings = _get_object(message, "usage"), _get_object(message, "timings")
        tokens = _to_count(timings.get("predicted_n"))
        if not tokens:  # timings of a partial prompt, or none
            tokens, timings = _to_count(usage.get("completion_tokens")), {}
        prompt = [usage.get("prompt_tokens"), usage.get("prompt_tokens_details")]
        if timings or prompt != self._prompt:  # vLLM repeats it with each token
            self._prompt = prompt
            self._figures |= _read_figures(usage, timings)
        self._tokens = tokens or self._tokens
        return tokens is not None

    def _count_token(self, has_count: bool) -> None:
        self._now = self.arrived or time.monotonic()
        self._first = self._first or self._now
        if not has_count:
            self._tokens += 1

    def _make_token(self, text: str, finish_reason: str | None = None) -> Token:
        seconds = self._now - self._first if self._first else 0.0
        is_measured = seconds > _LEAST_SECONDS and self._tokens > 1
        speed = (self._tokens - 1) / seconds if is_measured else None
        figures = {"generation_tps": speed, **self._figures}
        return Token(
            text=text, generation_tokens=self._tokens, finish_reason=finish_reason, **figures
        )


def _read_figures(usage: dict[str, Any], timings: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of the prompt's tokens and of speeds."""
    cached = _to_count(timings.get("cache_n"))
    read = (_to_count(timings.get("prompt_n")) or 0) + (cached or 0)
    details = _get_object(usage, "prompt_tokens_details")
    figures = {
        "prompt_tokens": read or _to_count(usage.get("prompt_tokens")),
        "cached_tokens": _to_count(details.get("cached_tokens")) if cached is None else cached,
        "generation_tps": _to_speed(timings.get("predicted_per_second")),
        "prompt_tps": _to_speed(timings.get("prompt_per_second")),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


@dataclass(frozen=True, slots=True)
class _Delta:
    text: str
    reasoning: str
    refusal: str
    finish_reason: str | None


def _parse_choice(choice: dict[str, Any], has_answer: bool) -> _Delta:
    delta = _get_object(choice, "delta")
    if not delta and not has_answer:  # some servers repeat the whole at the end
        delta = _get_object(choice, "message")
    text, thought = _split_content(delta.get("content"))
    fields = filter(None, (delta.get("reasoning_content"), delta.get("reasoning")))
    reasoning = next(("".join(pair) for field in fields if any(pair := _split_content(field))), "")
    refusal, finish = delta.get("refusal"), choice.get("finish_reason")
    return _Delta(
        text,
        thought + reasoning,
        refusal if isinstance(refusal, str) else "",
        finish[:40] if isinstance(finish, str) and finish else "stop" if finish else None,
    )


def _split_content(content: Any) -> tuple[str, str]:
    """Return the text and the reasoning of ``content``: a string, an object, or a list of both."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict):
        kind, parts = content.get("type"), (content.get("text"), content.get("content"))
        text = next((part for part in parts if isinstance(part, str)), "")
        if kind in ("thinking", "reasoning"):
            return "", text or "".join(_split_content(content.get("thinking")))
        return text, ""
    if isinstance(content, list):
        pairs = [_split_content(part) for part in content if isinstance(part, str | dict)]
        return "".join(text for text, _ in pairs), "".join(thought for _, thought in pairs)
    return "", ""


def _get_choices(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the choices that are objects and have index 0 or none."""
    choices = message.get("choices")
    if not isinstance(choices, list):
        return []
    return [each for each in choices if isinstance(each, dict) and not each.get("index")]


def _get_object(message: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object at ``name``, empty if there is none."""
    fields = message.get(name)
    return fields if isinstance(fields, dict) else {}


def _to_number(value: Any) -> float | int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST_COUNT and math.isfinite(value) else None


def _to_count(value: Any) -> int | None:
    number = _to_number(value)
    return None if number is None or number != int(number) else int(number)


def _to_speed(value: Any) -> float | None:
    return _to_number(value) or None


def _find_error(message: dict[str, Any]) -> Any:
    """Return the error that ``message`` is or holds, in any form that servers use."""
    if error := message.get("error"):
        return error
    if message.get("object") == "error":
        return message
    if message.get("choices") is None and isinstance(message.get("message"), str):
        return message
    is_broken = any(choice.get("finish_reason") == "error" for choice in _get_choices(message))
    return NO_WORDS if is_broken else None


KEYS = ("MONDRIAN_ENGINE_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key of a server."""


def error_words(error: Any) -> str:
    """Return the message of a server's or library's ``error``, at most 500 characters, with keys
    redacted."""
    words = str(error.get("message") or error if isinstance(error, dict) else error)
    for key in {os.environ.get(name, "").strip() for name in KEYS} - {""}:
        words = words.replace(key, "(key)")
    return words[:500].rstrip(". \n")


NO_WORDS = "an error without a message"


class Thoughts:
    """Separate the thinking that a model writes before its answer, as ``<think>…</think>``."""

    def __init__(self) -> None:
        self.is_thinking = False
        self._held = ""  # the beginning, until it is clear what it is; then the end of a thought
        self._thought: list[str] = []
        self._is_answer = False

    def filter(self, text: str) -> str:
        """Return the part of the next piece of text that belongs to the answer."""
        if self._is_answer:
            return text
        self._held += text
        if not self.is_thinking:
            if may_begin(self._held):
                return ""
            if stray := END.match(self._held):
                self._held = self._held[stray.end() :]
                return self.filter("")
            begin = BEGIN.match(self._held)
            if begin is None:
                self._is_answer = True
                return self._release_held()
            self.is_thinking, self._held = True, self._held[begin.end() :]
        if end := END.search(self._held):
            self._thought.append(self._held[: end.start()])
            self.is_thinking, self._held = False, self._held[end.end() :]
            return self.filter("")  # another thought may come
        self._thought.append(self._held[:-_LONGEST_MARK])
        self._held = self._held[-_LONGEST_MARK:]
        return ""

    def flush(self) -> str:
        """Return the text that was held back and belongs to the answer."""
        if self.is_thinking:
            self._thought.append(self._release_held())
        return self._release_held()

    def pop_thought(self) -> str:
        """Return the thinking since the last call."""
        thought, self._thought = "".join(self._thought), []
        return thought

    def _release_held(self) -> str:
        held, self._held = self._held, ""
        return held


_LONGEST_MARK = 100

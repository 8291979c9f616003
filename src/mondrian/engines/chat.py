"""A chat completion as llama.cpp and servers speak it: its body, and its chunks as tokens.

Whatever a chunk holds, what leaves this module is of our own types: text is text, counts are whole
and not negative, speeds are finite and above 0. What is not so is left out, and the answer stays.
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

_LEAST_SECONDS = 0.05  # a shorter time measures no speed: a proxy may hand on all at once
_MOST_CHARACTERS = 400_000
_MOST_COUNT = 10**9


def chat_body(
    request: Request, *, max_tokens: int, temperature: float, sees: bool, words: str = ""
) -> dict[str, Any]:
    """The body of a streamed chat completion for ``request``, with ``words`` behind its prompt.

    ``max_tokens`` and ``temperature`` are the engine's own, for a request that gives none.
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
    """The messages of a question, the photo (a JPEG) before the words."""
    content: Any = prompt
    if photo is not None:
        url = f"data:image/jpeg;base64,{b64encode(photo).decode()}"
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": prompt},
        ]
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


class ChatAnswer:
    """Reads chunks as ``Progress`` and ``Token``.

    Counts are the sender's where it gives any on the way (llama.cpp's ``timings``, usage of vLLM),
    else a count of the chunks that held text until the usage at the end; speeds are the sender's,
    else tokens over the time since the first one, by when they ``arrived`` (``time.monotonic``). An
    answer is over, whatever the sender thinks, when the model's thinking has fallen into a loop,
    and at twice its ``max_tokens``. If nothing but reasoning came, that is the answer.
    """

    def __init__(self, max_tokens: int) -> None:
        self.finish_reason: str | None = None
        self.is_over = False
        self.arrived: float | None = None
        self._max_tokens = max_tokens
        self._tokens = 0
        self._figures: dict[str, Any] = {}
        self._first: float | None = None
        self._now = 0.0
        self._has_answer = False
        self._reasoning: list[str] = []
        self._room = _MOST_CHARACTERS
        self._thoughts = Thoughts()
        self._loops = LoopWatch()

    def read(self, message: dict[str, Any]) -> Iterator[Progress | Token]:
        """The items of one chunk. Raises ``EngineFailed`` for an error in mid-stream."""
        if (error := _error(message)) is not None:
            raise EngineFailed(f"The engine reported: {error_words(error)}.")
        if message is DONE:  # some servers give no reason
            self.finish_reason = self.finish_reason or "stop"
        has_count = self._take_figures(message)
        if progress := _fields(message, "prompt_progress"):
            yield self._progress(_count(progress.get("processed")), _count(progress.get("total")))
        for choice in _choices(message):
            said = _read_choice(choice, self._has_answer)
            self.finish_reason = said.finish_reason or self.finish_reason
            if said.refusal:
                raise EngineFailed(f"The model refused: {error_words(said.refusal)}.")
            if said.text or said.reasoning:  # both are counted
                self._count(has_count)
                yield self._token(self._answer(said.text, said.reasoning))

    def last(self) -> Token:
        """The piece that ends the answer. Raises ``EngineFailed`` if a filter let nothing pass."""
        text = self._thoughts.rest()
        self._reasoning.append(self._thoughts.take_thought())
        if not self._has_answer and not text.strip():
            if self.finish_reason == "content_filter":
                raise EngineFailed("The server's content filter let no answer pass. Try another.")
            if self.finish_reason not in ("loop", "length"):
                text = "".join(self._reasoning)
        return self._token(text, self.finish_reason)

    def _progress(self, done: int | None, total: int | None) -> Progress:
        return Progress(phase=Phase.PREFILL, done=done, total=total, basis=Basis.MEASURED)

    def _answer(self, text: str, reasoning: str) -> str:
        """What of a portion belongs to the answer."""
        answer = self._thoughts.pass_by(text)
        self._has_answer = self._has_answer or bool(answer.strip())
        thought = reasoning or (text if self._thoughts.is_thinking else "")
        for part in (reasoning, self._thoughts.take_thought()):
            self._reasoning.append(part[: max(0, self._room)])
            self._room -= len(part)
        if thought and self._loops.take(thought):
            self.finish_reason, self.is_over = "loop", True
        elif self._tokens > 2 * self._max_tokens:
            self.finish_reason, self.is_over = "length", True
        return answer

    def _take_figures(self, message: dict[str, Any]) -> bool:
        """Whether the sender's count of tokens was among them."""
        usage, timings = _fields(message, "usage"), _fields(message, "timings")
        timings = timings if _count(timings.get("predicted_n")) else {}  # else of the prompt so far
        tokens = _count(timings.get("predicted_n")) or _count(usage.get("completion_tokens"))
        cached = _count(timings.get("cache_n"))
        read = (_count(timings.get("prompt_n")) or 0) + (cached or 0)
        details = _fields(usage, "prompt_tokens_details")
        figures = {
            "prompt_tokens": read or _count(usage.get("prompt_tokens")),
            "cached_tokens": _count(details.get("cached_tokens")) if cached is None else cached,
            "generation_tps": _speed(timings.get("predicted_per_second")),
            "prompt_tps": _speed(timings.get("prompt_per_second")),
        }
        self._tokens = tokens or self._tokens
        self._figures |= {name: figure for name, figure in figures.items() if figure is not None}
        return tokens is not None

    def _count(self, has_count: bool) -> None:
        self._now = self.arrived or time.monotonic()
        self._first = self._first or self._now
        if not has_count:
            self._tokens += 1

    def _token(self, text: str, finish_reason: str | None = None) -> Token:
        seconds = self._now - self._first if self._first else 0.0
        is_measured = seconds > _LEAST_SECONDS and self._tokens > 1
        speed = (self._tokens - 1) / seconds if is_measured else None
        figures = {"generation_tps": speed, **self._figures}
        return Token(
            text=text, generation_tokens=self._tokens, finish_reason=finish_reason, **figures
        )


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    reasoning: str
    refusal: str
    finish_reason: str | None


def _read_choice(choice: dict[str, Any], has_answer: bool) -> _Said:
    delta = _fields(choice, "delta")
    if not delta and not has_answer:  # some repeat the whole at the end
        delta = _fields(choice, "message")
    text, thought = _texts(delta.get("content"))
    fields = (delta.get("reasoning_content"), delta.get("reasoning"))
    reasoning = next(("".join(said) for field in fields if any(said := _texts(field))), "")
    refusal, finish = delta.get("refusal"), choice.get("finish_reason")
    return _Said(
        text,
        thought + reasoning,
        refusal if isinstance(refusal, str) else "",
        finish[:40] if isinstance(finish, str) and finish else "stop" if finish else None,
    )


def _texts(content: Any) -> tuple[str, str]:
    """The text and the reasoning in ``content``: a text, an object with one, or a list of them."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict):
        kind, parts = content.get("type"), (content.get("text"), content.get("content"))
        text = next((part for part in parts if isinstance(part, str)), "")
        if kind in ("thinking", "reasoning"):
            return "", text or "".join(_texts(content.get("thinking")))
        return text, ""
    if isinstance(content, list):
        said = [_texts(part) for part in content if isinstance(part, str | dict)]
        return "".join(text for text, _ in said), "".join(thought for _, thought in said)
    return "", ""


def _choices(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices that are objects, of which only the first kind is ours."""
    choices = message.get("choices")
    if not isinstance(choices, list):
        return []
    return [each for each in choices if isinstance(each, dict) and not each.get("index")]


def _fields(message: dict[str, Any], name: str) -> dict[str, Any]:
    """The object at ``name``, if there is one."""
    fields = message.get(name)
    return fields if isinstance(fields, dict) else {}


def _number(value: Any) -> float | int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST_COUNT and math.isfinite(value) else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None or number != int(number) else int(number)


def _speed(value: Any) -> float | None:
    return _number(value) or None


def _error(message: dict[str, Any]) -> Any:
    """The error that ``message`` is or holds, in any of the forms that servers know."""
    if error := message.get("error"):
        return error
    if message.get("object") == "error":
        return message
    if message.get("choices") is None and isinstance(message.get("message"), str):
        return message
    is_broken = any(choice.get("finish_reason") == "error" for choice in _choices(message))
    return NO_WORDS if is_broken else None


KEYS = ("MONDRIAN_ENGINE_KEY", "OPENAI_API_KEY")
"""The environment variables that may hold the key of a server."""


def error_words(error: Any) -> str:
    """What a server or a library says of an error, shortened; without the keys, should it repeat
    one."""
    words = str(error.get("message") or error if isinstance(error, dict) else error)
    for key in {os.environ.get(name, "").strip() for name in KEYS} - {""}:
        words = words.replace(key, "(key)")
    return words[:500].rstrip(". \n")


NO_WORDS = "an error, and no more of it"


class Thoughts:
    """Keeps apart the thinking that a model writes before its answer, as ``<think>…</think>``."""

    def __init__(self) -> None:
        self.is_thinking = False
        self._held = ""  # the beginning, until it is clear what it is; then the end of a thought
        self._thought: list[str] = []
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
            self._thought.append(self._held[: end.start()])
            self.is_thinking, self._held = False, self._held[end.end() :]
            return self.pass_by("")  # another thought may come
        self._thought.append(self._held[:-_LONGEST_MARK])
        self._held = self._held[-_LONGEST_MARK:]
        return ""

    def rest(self) -> str:
        """What was held back and belongs to the answer."""
        if self.is_thinking:
            self._thought.append(self._take_held())
        return self._take_held()

    def take_thought(self) -> str:
        """What was thought since this was asked last."""
        thought, self._thought = "".join(self._thought), []
        return thought

    def _take_held(self) -> str:
        held, self._held = self._held, ""
        return held


_LONGEST_MARK = 100

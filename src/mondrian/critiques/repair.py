"""Have an engine write an answer, and retry once if it cannot be parsed.

1. A loop is stopped, and its repetitions are not parsed. They have been shown, and stay shown.
2. The second request is the first one with the unreadable answer appended. So a vision model looks
   at the photo again instead of inventing answers, and reuses the prefix from its prompt cache.
3. Token counts are summed over both answers.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from mondrian.answers import Answer, read_answer
from mondrian.answers.loops import AnswerWatch, LoopWatch
from mondrian.engines.base import Engine, Output, Phase, Progress, Request, Token
from mondrian.errors import AnswerError

_QUOTED_CHARACTERS = 4000
_AGAIN = (
    "This was your answer, and it could not be read:\n\n{text}\n\nGive it again as one JSON object "
    "and nothing else, without explanations, in this form, with all eight dimensions:\n"
    '{{"image_description": "…", "dimensions": [{{"name": "Composition", "score": 7, '
    '"comment": "…", "recommendation": "…"}}, …]}}'
)


class Answering:
    """Runs a request on ``engine`` and parses the answer. ``last`` has the figures of all output,
    ``notes`` are sentences about problems."""

    def __init__(self, engine: Engine) -> None:
        self.last = Token(text="")
        self.notes: list[str] = []
        self._engine = engine
        self._text = ""

    def run(self, request: Request) -> Generator[Output, None, Answer]:
        """Yield the engine's items, and return the answer to ``request``.

        Raise ``EngineError``, and ``AnswerError`` if the second answer cannot be parsed either.
        """
        yield from self._write(request)
        try:
            answer = read_answer(self._text)
        except AnswerError:
            yield Progress(phase=Phase.REPAIRING)
            self.notes.append("The first answer could not be read, and was asked for again.")
            yield from self._write(repair(request, self._text))
            answer = read_answer(self._text)
        return answer.model_copy(update={"salvaged": True}) if self.notes else answer

    def _write(self, request: Request) -> Generator[Output, None, None]:
        """Yield the engine's items, and collect ``_text`` until the end or a loop."""
        before, parts, surplus = self.last, list[str](), 0
        loops, answers = LoopWatch(), AnswerWatch()
        with closing(self._engine.stream(request)) as stream:
            for item in stream:
                if isinstance(item, Token):
                    parts.append(item.text)
                    item = self.last = _add_counts(before, item)
                    surplus = loops.append(item.text) or answers.append(item.text)
                yield item
                if surplus:
                    self.notes.append(
                        "The model repeated itself without end and was stopped after "
                        f"{self.last.generation_tokens} tokens; what was complete was kept."
                    )
                    break
        text = "".join(parts)
        self._text = text[: len(text) - surplus]


def repair(request: Request, text: str) -> Request:
    """Return the request for an answer that replaces the unreadable ``text``."""
    again = _AGAIN.format(text=text[:_QUOTED_CHARACTERS].strip() or "(nothing)")
    return replace(request, prompt=f"{request.prompt}\n\n{again}")


def _add_counts(before: Token, token: Token) -> Token:
    """Return ``token`` with the counts of the answer ``before`` it added."""
    return replace(
        token,
        generation_tokens=before.generation_tokens + token.generation_tokens,
        prompt_tokens=_add(before.prompt_tokens, token.prompt_tokens),
        cached_tokens=_add(before.cached_tokens, token.cached_tokens),
    )


def _add(before: int | None, now: int | None) -> int | None:
    return None if now is None else now + (before or 0)

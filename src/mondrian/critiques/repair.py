"""What an engine writes for one critique: an answer, and a second one if the first cannot be read.

1. A loop is ended, and what repeats itself is not read. It was shown, and stays shown.
2. The second request is the first one with the unreadable answer below it. So an engine that sees
   looks at the photo again rather than make things up to fill a form, and keeps its work on the
   beginning, which it has in its cache.
3. Figures add up over both answers: what was waited for is counted.
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
    """Asks ``engine`` and reads what it answers. ``last`` has the figures of all that it wrote,
    ``notes`` tell what went wrong on the way."""

    def __init__(self, engine: Engine) -> None:
        self.last = Token(text="")
        self.notes: list[str] = []
        self._engine = engine
        self._text = ""

    def ask(self, request: Request) -> Generator[Output, None, Answer]:
        """The engine's items, and at the end the answer to ``request``.

        Raises ``EngineError``, and ``AnswerError`` if the second answer cannot be read either.
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
        """Let the engine write ``_text``, until its end or a loop."""
        before, parts, surplus = self.last, list[str](), 0
        loops, answers = LoopWatch(), AnswerWatch()
        with closing(self._engine.stream(request)) as stream:
            for item in stream:
                if isinstance(item, Token):
                    parts.append(item.text)
                    item = self.last = _added(before, item)
                    surplus = loops.take(item.text) or answers.take(item.text)
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
    """The request that asks for an answer in place of the unreadable ``text``."""
    again = _AGAIN.format(text=text[:_QUOTED_CHARACTERS].strip() or "(nothing)")
    return replace(request, prompt=f"{request.prompt}\n\n{again}")


def _added(before: Token, token: Token) -> Token:
    """``token`` with the counts of the answer ``before`` it."""
    return replace(
        token,
        generation_tokens=before.generation_tokens + token.generation_tokens,
        prompt_tokens=_sum(before.prompt_tokens, token.prompt_tokens),
        cached_tokens=_sum(before.cached_tokens, token.cached_tokens),
    )


def _sum(before: int | None, now: int | None) -> int | None:
    return None if now is None else now + (before or 0)

"""The ``replay:`` engine: play back a recorded generation in real time, faults included.

A recording is a JSON Lines file; docs/engines.md describes its lines. It is played in a child
process like a native engine, so that crashes and hangs are real.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mondrian.engines.base import Basis, Phase, Progress, Request, Token
from mondrian.errors import EngineFailed
from mondrian.process.child import Port

_CATCH_UP_SECONDS = 0.5
"""How late a line may be for the next ones to catch up. After a longer stop (a suspended process)
the recording resumes where it was, as an engine does."""


class Line(BaseModel):
    """One line of a recording, played ``after`` seconds after the line before. A line with ``when``
    is played only to a request with that text in its prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: float = Field(default=0, ge=0)
    phase: Phase | None = None
    done: float | None = None
    total: float | None = None
    text: str | None = None
    tokens: int = Field(default=0, ge=0)
    error: str | None = None
    crash: Literal[True] | None = None
    hang: Literal[True] | None = None
    finish: str | None = None
    when: str = ""


class Replay:
    """Play the recording at ``path``, ``speed`` times as fast as recorded.

    Token counts come from the lines, speeds are measured.
    """

    def __init__(self, *, path: Path, speed: float = 1.0, max_tokens: int | None = None) -> None:
        self._path = path
        self._speed = speed
        self._max_tokens = max_tokens
        self._requests = count()  # of several threads

    def load(self, port: Port) -> None:
        """Do nothing: loading is part of the recording."""

    def run(self, request: Request, port: Port) -> None:
        """Play the next answer, until a line ends the stream or ``port`` is stopped."""
        limit = request.max_tokens or self._max_tokens
        tokens, span = 0, Span()
        due = time.monotonic()
        for line in self._next_answer():
            if line.when not in request.prompt:
                continue
            due = max(due, time.monotonic() - _CATCH_UP_SECONDS) + line.after / self._speed
            if port.stopped.wait(max(0.0, due - time.monotonic())):
                return
            if line.text is not None:
                tokens += line.tokens
                span.record(tokens)
            finish = "length" if limit and tokens >= limit else line.finish
            item = self._make_item(line, tokens, span, finish)
            if item and port.emit(item):
                return
            if finish:
                return
        raise EngineFailed(
            f"The recording {self._path.name} ends without a line that finishes it. "
            'Add {"finish":"stop"} as its last line.'
        )

    def _next_answer(self) -> list[Line]:
        """Return the lines of the next answer; the first one again after the last."""
        answers: list[list[Line]] = [[]]
        for line in read_recording(self._path):
            if answers[-1] and answers[-1][-1].finish:
                answers.append([])
            answers[-1].append(line)
        return answers[next(self._requests) % len(answers)]

    def _make_item(
        self, line: Line, tokens: int, span: "Span", finish: str | None
    ) -> Progress | Token | None:
        if line.crash:
            os.abort()
        while line.hang:
            time.sleep(3600)
        if line.error is not None:
            raise EngineFailed(line.error)
        if line.text is None and finish is None:
            if line.phase is None:
                return None
            basis = Basis.UNKNOWN if line.done is None else Basis.MEASURED
            return Progress(phase=line.phase, done=line.done, total=line.total, basis=basis)
        return Token(
            text=line.text or "",
            generation_tokens=tokens,
            generation_tps=span.speed(tokens),
            finish_reason=finish,
        )


class Span:
    """The time over which the speed is measured, from the first tokens, which do not count."""

    def __init__(self) -> None:
        self._opened: tuple[int, float] | None = None

    def record(self, tokens: int) -> None:
        """Record that ``tokens`` have been played so far."""
        self._opened = self._opened or (tokens, time.monotonic())

    def speed(self, tokens: int) -> float | None:
        """Return tokens per second, ``None`` before the second piece."""
        if self._opened is None or tokens == self._opened[0]:
            return None
        return (tokens - self._opened[0]) / (time.monotonic() - self._opened[1])


def read_recording(path: Path) -> list[Line]:
    """Return the lines of the recording at ``path``. Raise ``EngineFailed`` naming a bad line."""
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            lines.append(Line.model_validate_json(text))
        except ValidationError as exc:
            problem = exc.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise EngineFailed(
                f"Line {number} of {path.name} is not a line of a recording: "
                f"{where or 'line'}: {problem['msg']}. docs/engines.md shows what it may hold."
            ) from exc
    return lines


def record(path: Path, lines: Iterable[Mapping[str, object]]) -> None:
    """Write a recording of ``lines`` to ``path``."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

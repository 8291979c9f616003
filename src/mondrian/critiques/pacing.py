"""Pace a stream of work: yield timely updates with phase, percent and ETA, and text in batches.

1. The work runs in a thread of its own and only puts its items into a queue; the reading thread
   keeps the time. Work that is silent or stuck cannot delay an update.
2. An update is due at each change of phase and one interval after the last update.
3. Text is passed on at most ten times a second, from a slow engine in batches of a few tokens
   (an event has ten times the bytes of a token), but at least twice a second; and always before an
   update that counts it, an error, or the end.
4. Figures are the engine's own. The ``ProgressEstimator`` estimates the rest. Percent never
   decreases; 100 is set by the code that has stored the result.
"""

import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from mondrian.critiques.progress import ProgressEstimator
from mondrian.engines.base import Basis, Figures, Phase, Progress, Token, describe

T = TypeVar("T")

FLUSH_SECONDS = 0.1
"""The minimum time between two batches of text."""

PORTION_TOKENS = 4
"""The batch size: this many tokens are passed on after ``FLUSH_SECONDS``; fewer wait for more."""

PATIENCE_SECONDS = 0.5
"""The maximum time that a token waits for more."""

_CLOSE_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Update(Figures):
    """A thinking update: the current activity. Figures are ``None`` where unknown.

    ``percent`` is from 0 to 99, to three decimals, and ``eta_seconds`` is the time to the end; both
    are based on ``basis``. ``elapsed_seconds`` counts from the start of the work. The engine's
    figures are those of its newest ``Token``, with ``finish_reason`` after the last one.
    """

    thinking: str = field(metadata=describe("a sentence for people"))
    phase: Phase = field(
        metadata=describe(
            "`queued`, then `measuring`, `waiting` (for the engine), `loading`, `encoding` (the "
            "photo), `prefill`, `generating`, `finalizing`; after `repairing`, an engine's phases "
            "once more"
        )
    )
    elapsed_seconds: float = field(metadata=describe("seconds since this attempt began"))
    eta_seconds: float | None = field(
        default=None,
        metadata=describe("seconds until the end of the job (while `queued`: until its turn)"),
    )
    percent: float = field(
        metadata=describe(
            "how far the job is, from 0 to 99, to three decimals, so that nine advisors on a slow "
            "engine move it too; it does not go back within an attempt"
        )
    )
    basis: Basis = field(
        metadata=describe(
            "what `eta_seconds` and `percent` rest on: `measured`, `estimated` or `unknown`"
        )
    )

    def __str__(self) -> str:
        return self.thinking


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """The next batch of the answer's text; ``offset`` is its start in the answer, in characters."""

    text: str
    offset: int

    def __str__(self) -> str:
        return self.text


LAST_PERCENT = 99.0
"""The percent of a critique that is finished but not stored."""


@dataclass(kw_only=True)
class Pacer:
    """Decides when to emit which updates and text: no thread, no clock of its own. Times are in
    seconds on any clock.

    ``sees`` is true for a vision model: only then do updates mention looking at the photo.
    ``estimator`` records the same items as the pacer.
    """

    interval_seconds: float
    started: float
    sees: bool
    estimator: ProgressEstimator = field(default_factory=ProgressEstimator)
    _now: float = field(init=False)
    _progress: Progress | None = field(default=None, init=False)
    _token: Token | None = field(default=None, init=False)
    _phase_since: float = field(init=False)
    _updated_at: float = field(init=False)
    _is_change_due: bool = field(default=False, init=False)
    _pending: list[str] = field(default_factory=list, init=False)
    _offset: int = field(default=0, init=False)
    _flushed_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._now = self._phase_since = self._updated_at = self._flushed_at = self.started

    def record(self, item: Progress | Token, now: float) -> None:
        """Record ``item``."""
        self.estimator.record(item, now)
        phase = Phase.GENERATING if isinstance(item, Token) else item.phase
        if self._progress is None or phase is not self._progress.phase:
            self._phase_since, self._is_change_due = now, True
            self._progress = Progress(phase=phase)
        if isinstance(item, Progress):
            self._progress = item
            return
        self._token = item
        self._pending.append(item.text)

    def compute_due(self) -> float:
        """Return when ``emit`` is next due, unless more is recorded before."""
        update = self._updated_at if self._has_news() else self._updated_at + self.interval_seconds
        return min(update, self._next_flush()) if self._pending else update

    def emit(self, now: float) -> Iterator[Update | Text]:
        """Yield what is due at ``now``: nothing, text, an update, or both."""
        is_update_due = self._has_news() or now >= self._updated_at + self.interval_seconds
        if is_update_due or now >= self._next_flush():
            yield from self.flush(now)
        if is_update_due and self._progress:
            self._updated_at, self._is_change_due = now, False
            yield self._make_update(self._progress, now)

    def flush(self, now: float) -> Iterator[Text]:
        """Yield the pending text."""
        if text := "".join(self._pending):
            yield Text(text=text, offset=self._offset)
            self._offset += len(text)
            self._flushed_at = now
        self._pending.clear()

    def _next_flush(self) -> float:
        is_portion = len(self._pending) >= PORTION_TOKENS
        return self._flushed_at + (FLUSH_SECONDS if is_portion else PATIENCE_SECONDS)

    def _has_news(self) -> bool:
        """Return whether a change of phase is due: to generating only once the speed is known."""
        is_generating = self._progress is not None and self._progress.phase is Phase.GENERATING
        has_speed = self._token is not None and self._token.generation_tps is not None
        return self._is_change_due and (has_speed or not is_generating)

    def _make_update(self, progress: Progress, now: float) -> Update:
        estimate = self.estimator.estimate(now)
        return Update(
            phase=progress.phase,
            thinking=self._describe(progress, now),
            **(self._token.figures() if self._token else {}),
            elapsed_seconds=round(now - self.started, 3),
            eta_seconds=estimate.eta_seconds,
            percent=round(LAST_PERCENT * estimate.share, 3),
            basis=estimate.basis,
        )

    def _describe(self, progress: Progress, now: float) -> str:
        seconds = f"{now - self._phase_since:.0f} s"
        match progress.phase:
            case Phase.MEASURING:
                return f"Measuring the photo... ({seconds})"
            case Phase.WAITING:
                why = ", which retries another photo alone" if progress.is_reserved else ""
                return f"Waiting for the engine{why}... ({seconds})"
            case Phase.LOADING:
                return f"Loading model... ({seconds})"
            case Phase.ENCODING:
                return f"Looking at the photo... ({seconds})"
            case Phase.PREFILL:
                doing = "Looking at the photo" if self.sees else "Reading the measurements"
                return f"{doing}... ({_describe_prompt(progress) or seconds})"
            case Phase.GENERATING:
                tokens = self._token.generation_tokens if self._token else 0
                speed = (self._token and self._token.generation_tps) or 0.0
                return f"Generating analysis... ({tokens} tokens, {speed:.1f} tps)"
            case Phase.REPAIRING:
                return f"Repairing an answer that could not be read... ({seconds})"
            case Phase.FINALIZING:
                return "Writing the report..."


def _describe_prompt(progress: Progress) -> str | None:
    if progress.done is None or not progress.total:
        return None
    return f"prompt {progress.done:.0f}/{progress.total:.0f} tokens"


@dataclass(frozen=True, slots=True)
class _End(Generic[T]):
    """The end of the work, with its error if it failed."""

    error: BaseException | None


def pace(
    work: Generator[Progress | Token | T, None, None],
    *,
    interval_seconds: float,
    sees: bool,
    estimator: ProgressEstimator | None = None,
) -> Generator[Update | Text | T, None, None]:
    """Run ``work`` in a thread and yield updates and text on time; its other items are passed on
    unchanged. ``estimator`` estimates the progress.

    Closing the generator closes ``work`` and waits half a second for it; work that is stuck for
    longer ends later. An error of ``work`` is raised here, after the text before it.
    """
    items: SimpleQueue[Any] = SimpleQueue()
    stopped = threading.Event()
    pump = threading.Thread(target=_pump, args=(work, items, stopped), daemon=True)
    pacer = Pacer(
        interval_seconds=interval_seconds,
        started=time.monotonic(),
        sees=sees,
        estimator=estimator or ProgressEstimator(),
    )
    pump.start()
    try:
        yield from _listen(items, pacer)
    finally:
        stopped.set()
        pump.join(_CLOSE_SECONDS)


def _listen(items: "SimpleQueue[Any]", pacer: Pacer) -> Generator[Any, None, None]:
    while True:
        try:
            item = items.get(timeout=max(0.0, pacer.compute_due() - time.monotonic()))
        except Empty:
            item = None
        now = time.monotonic()
        if isinstance(item, Progress | Token):
            pacer.record(item, now)
        elif item is not None:
            yield from pacer.flush(now)
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return
            yield item
        yield from pacer.emit(now)


def _pump(
    work: Generator[Any, None, None], items: "SimpleQueue[Any]", stop: threading.Event
) -> None:
    error: BaseException | None = None
    try:
        for item in work:
            items.put(item)
            if stop.is_set():
                break
    except BaseException as exc:
        error = exc
    finally:
        work.close()
    items.put(_End(error))

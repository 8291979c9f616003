"""An engine during an attempt: cancellation, stall detection and figures."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace

from mondrian.engines.base import Basis, Engine, Output, Phase, Progress, Request, Token
from mondrian.errors import EngineStalled

_BLIND_FACTOR = 4


@dataclass(kw_only=True)
class Meter:
    """An engine's totals since it was opened: ``tokens`` in all, and the newest figures of any
    stream. Thread-safe."""

    tokens: int = 0
    tokens_per_second: float | None = None
    peak_memory_gb: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def record(self, token: Token, before: int) -> None:
        """Add the figures of ``token``; ``before`` is the answer's token count before it."""
        with self._lock:
            self.tokens += token.generation_tokens - before
        self.tokens_per_second = token.generation_tps or self.tokens_per_second
        self.peak_memory_gb = token.peak_memory_gb or self.peak_memory_gb


class WatchedEngine:
    """``engine`` for one attempt.

    Its streams end when ``check`` raises, which is called at every item: at least four times a
    second. They raise ``EngineStalled`` after ``stall_seconds`` without progress or a token, or
    four times as long in a prefill without progress figures, as on most servers; waiting for
    another request is not a stall. With ``alone``, no other request runs in the child. ``spent``
    holds the seconds of each phase, until it is cleared. The engine's adapter, if it has one, is
    used if the job's ``mode`` asks for it; ``mode_used`` is the mode in effect.
    """

    def __init__(
        self,
        engine: Engine,
        meter: Meter,
        check: Callable[[], None],
        *,
        stall_seconds: float,
        alone: bool = False,
        mode: str = "baseline",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self.model = engine.url, engine.model
        self.sees, self.slots = engine.sees, engine.slots
        self.has_adapter = engine.has_adapter
        self.mode_used = "lora" if engine.has_adapter and "lora" in mode else "baseline"
        self.load, self.close = engine.load, engine.close
        self.spent: dict[Phase, float] = {}
        self._engine = engine
        self._meter = meter
        self._check = check
        self._stall_seconds = stall_seconds
        self._alone = alone
        self._clock = clock

    @property
    def status(self) -> str:
        """See ``Engine.status``."""
        return self._engine.status

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """See ``Engine.stream``."""
        last, tokens = None, 0
        before = moved = self._clock()
        request = replace(request, alone=self._alone, adapter=self.mode_used == "lora")
        with closing(self._engine.stream(request)) as items:
            for item in items:
                self._check()
                now = self._clock()
                phase = item.phase if isinstance(item, Progress) else Phase.GENERATING
                self.spent[phase] = self.spent.get(phase, 0.0) + now - before
                before = now
                if isinstance(item, Token):
                    self._meter.record(item, tokens)
                    tokens = item.generation_tokens
                if isinstance(item, Token) or item != last or phase is Phase.WAITING:
                    last, moved = item, now
                elif now - moved > self._find_limit(item):
                    items.throw(self._make_error(item, phase))  # so that the engine stops
                yield item

    def _find_limit(self, item: Progress) -> float:
        is_blind = item.phase is Phase.PREFILL and item.basis is Basis.UNKNOWN
        return self._stall_seconds * (_BLIND_FACTOR if is_blind else 1)

    def _make_error(self, item: Progress, phase: Phase) -> EngineStalled:
        return EngineStalled(
            f"The engine made no progress for {self._find_limit(item):g} seconds while {phase}. "
            "Try again; if it stays, try another model."
        )

"""Estimate progress and ETA of one critique: its typical timing, corrected by its actual speed.

1. The progress of a phase is what the engine reports (tokens of the prompt, dimensions of the
   answer), otherwise its elapsed share of the typical time. ``max_tokens`` is a limit, not a
   length.
2. Later phases are expected to take their typical time; the current one continues at its own speed,
   weighted more the further it is. An answer that is longer than usual so far mostly stays so.
3. Without history there is no ETA until two dimensions of the answer show how long the others will
   take.
4. When an answer has to be repaired, the remaining share is left for the second answer.
5. The share never decreases, and each token increases it: by a tenth of its usual part, or near the
   end by a part of the rest, so that the end is not reached. It never stalls while tokens arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mondrian.answers import DIMENSIONS
from mondrian.answers.outline import Outline
from mondrian.critiques.history import TypicalTiming
from mondrian.engines.base import Basis, Phase, Progress, Token

# Shares of the time without any history. Generating takes most.
_SHARES = {
    Phase.MEASURING: 0.02,
    Phase.LOADING: 0.03,
    Phase.ENCODING: 0.01,
    Phase.PREFILL: 0.09,
    Phase.GENERATING: 0.85,
}
_ORDER = tuple(_SHARES)
_LENGTHS = (50.0, *(100.0,) * len(DIMENSIONS))  # of the parts of an answer, without any history
_SLOWEST = 0.1
_OVERDUE = 0.1
_CAUTION = 0.2  # of the usual answer: errs least on answers of random length
_FIRST_TOKENS = 20  # the speed of fewer is unreliable


@dataclass(frozen=True, slots=True)
class Estimate:
    """``share`` is the part of the work that is done, from 0 to 1; ``eta_seconds`` remain."""

    share: float
    eta_seconds: float | None
    basis: Basis


class ProgressEstimator:
    """Estimates the progress of one critique from its recorded items.

    Times are in seconds on any clock. ``usual`` is the typical timing, if known. ``is_loaded`` is
    true if the model is loaded, ``is_measured`` if the photo has been measured.
    """

    def __init__(
        self,
        usual: TypicalTiming | None = None,
        *,
        is_loaded: bool = False,
        is_measured: bool = False,
    ) -> None:
        self._usual = usual
        self._plan = _make_plan(usual, is_loaded, is_measured)
        self._share = self._floor = 0.0
        self._phase: Phase | None = None
        self._stage = _Stage(0.0)
        self._writing = _Writing(usual, 0.0, 0)

    @property
    def marks(self) -> tuple[int, ...]:
        """Return the token counts at which each dimension was named."""
        return tuple(self._writing.marks)

    @property
    def token_seconds(self) -> float | None:
        """Return the seconds per token, as of the last one; ``None`` if unknown."""
        return self._writing.token_seconds(self._writing.last)

    def record(self, item: Progress | Token, now: float) -> None:
        """Record ``item``."""
        phase = Phase.GENERATING if isinstance(item, Token) else item.phase
        if phase is not self._phase:
            self._phase, self._stage = phase, _Stage(now)
            if phase is Phase.GENERATING:
                self._writing = _Writing(self._usual, now, self._writing.counted)
            elif phase is Phase.REPAIRING:
                self._floor = self._share
        if isinstance(item, Progress):
            self._stage.record(item, now)
            return
        tokens = self._writing.record(item, now)
        part = tokens / (tokens + self._writing.expected)
        self._share += min(_SLOWEST, 1 - self._share) * part

    def estimate(self, now: float) -> Estimate:
        """Return the estimate at ``now``."""
        phase = self._phase or Phase.MEASURING
        if phase is Phase.FINALIZING:
            self._share = 1.0
            return Estimate(1.0, 0.0, self._usual.basis if self._usual else Basis.ESTIMATED)
        if phase is Phase.WAITING:  # its duration depends on other jobs
            return Estimate(self._share, None, Basis.UNKNOWN)
        reached = self._floor + (1 - self._floor) * self._estimate_reached(phase, now)
        self._share = max(self._share, reached)
        eta = self._estimate_remaining(phase, now)
        if eta is None:
            return Estimate(self._share, None, Basis.UNKNOWN)
        return Estimate(self._share, eta, self._usual.basis if self._usual else Basis.ESTIMATED)

    def _estimate_reached(self, phase: Phase, now: float) -> float:
        if phase is Phase.REPAIRING:
            return 0.0
        plan = self._plan or _SHARES
        before = sum(plan[each] for each in _ORDER[: _ORDER.index(phase)])
        if phase is Phase.GENERATING:
            part = self._writing.share
        else:
            part = self._stage.share(plan[phase] if self._usual else None, now)
        return (before + plan[phase] * part) / (sum(plan.values()) or 1.0)

    def _estimate_remaining(self, phase: Phase, now: float) -> float | None:
        if phase is Phase.GENERATING:
            return self._writing.remaining(now)
        if self._usual is None:
            return None
        if phase is Phase.REPAIRING:
            return self._usual.seconds(self.token_seconds)
        later = sum(self._plan[each] for each in _ORDER[_ORDER.index(phase) + 1 :])
        return later + self._stage.remaining(self._estimate_phase(phase, self._usual), now)

    def _estimate_phase(self, phase: Phase, usual: TypicalTiming) -> float:
        """Return the expected seconds of the current phase."""
        if phase is Phase.LOADING:
            return usual.load_seconds
        if phase is Phase.PREFILL and usual.prompt_tokens and self._stage.total:
            return usual.prefill_seconds * self._stage.total / usual.prompt_tokens
        return self._plan[phase]


def _make_plan(
    usual: TypicalTiming | None, is_loaded: bool, is_measured: bool
) -> Mapping[Phase, float]:
    if usual is None:
        return {}
    return {
        Phase.MEASURING: 0.0 if is_measured else usual.measure_seconds,
        Phase.LOADING: usual.reload_seconds if is_loaded else usual.load_seconds,
        Phase.ENCODING: usual.encode_seconds,
        Phase.PREFILL: usual.prefill_seconds,
        Phase.GENERATING: sum(usual.lengths) * usual.token_seconds,
    }


class _Stage:
    """A phase that began at ``since`` and may report its progress."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._first: tuple[float, float] | None = None  # the first reported progress, and when
        self._last = (0.0, since)
        self.total: float | None = None

    def record(self, item: Progress, now: float) -> None:
        """Record the reported progress, if it changed."""
        self.total = item.total
        if item.done is None or (self._first and item.done == self._last[0]):
            return
        self._last = (item.done, now)
        self._first = self._first or self._last

    def share(self, expected_seconds: float | None, now: float) -> float:
        """Return how much of the phase is done, from 0 to 1."""
        if self._first and self.total:
            return min(1.0, self._last[0] / self.total)
        return _approach(now - self._since, expected_seconds) if expected_seconds else 0.0

    def remaining(self, expected_seconds: float, now: float) -> float:
        """Return the remaining seconds of a phase that usually takes ``expected_seconds``."""
        elapsed = now - self._since
        usual = max(expected_seconds - elapsed, _OVERDUE * elapsed)
        if not self._first or not self.total or self._last[0] <= self._first[0]:
            return usual
        (first, began), (done, reported) = self._first, self._last
        speed = (done - first) / max(reported - began, 1e-6)
        live = max(0.0, (self.total - done) / speed - (now - reported))
        known = min(1.0, (done - first) / max(self.total - first, 1e-6))
        return known * live + (1 - known) * usual


class _Writing:
    """An answer that is generated since ``since``, in parts: the text before its first dimension,
    and the dimensions. ``counted`` is the engine's token count before it."""

    def __init__(self, usual: TypicalTiming | None, since: float, counted: int) -> None:
        self.marks: list[int] = []
        self.last = since
        self.counted = counted
        self._before = counted
        self._since = since
        self._usual = usual
        self._outline = Outline()
        self._tokens = 0
        self._speed: float | None = None

    @property
    def expected(self) -> float:
        """Return the usual length of the whole answer in tokens, at least 1."""
        return max(1.0, sum(self._usual.lengths if self._usual else _LENGTHS))

    def record(self, token: Token, now: float) -> int:
        """Record ``token``. Return the number of tokens that it counts for."""
        before, self.last, self._speed = self._tokens, now, token.generation_tps
        self.counted = token.generation_tokens
        is_going_on = self.counted > self._before
        # an engine that does not count tokens yields one at a time
        count = self.counted - self._before * is_going_on
        self._tokens = max(before + bool(token.text), count)
        self._outline.append(token.text)
        if self._outline.begun < len(self.marks):  # it was only thinking
            self.marks.clear()
        self.marks += [self._tokens] * (self._outline.begun - len(self.marks))
        return self._tokens - before

    @property
    def share(self) -> float:
        """Return how much of the answer is generated, from 0 to 1."""
        weights, part = self._usual.lengths if self._usual else _LENGTHS, self._part
        within = _approach(self._written, self._lengths()[part] * self._verbosity)
        return (sum(weights[:part]) + weights[part] * within) / self.expected

    def remaining(self, now: float) -> float | None:
        """Return the remaining seconds; ``None`` if unknown."""
        token_seconds = self.token_seconds(now)
        if token_seconds is None or (self._usual is None and len(self.marks) < 2):
            return None
        lengths, part, verbosity = self._lengths(), self._part, self._verbosity
        left = max(verbosity * lengths[part] - self._written, _OVERDUE * lengths[part])
        return (left + verbosity * sum(lengths[part + 1 :])) * token_seconds

    def token_seconds(self, now: float) -> float | None:
        """Return the seconds per token: by the engine's own figure, with the time since the last
        token; ``None`` if unknown."""
        tokens = self._tokens
        taken = tokens / self._speed if self._speed else self.last - self._since
        taken += now - self.last
        if self._usual:
            return (taken + _FIRST_TOKENS * self._usual.token_seconds) / (tokens + _FIRST_TOKENS)
        return taken / tokens if tokens >= _FIRST_TOKENS else None

    @property
    def _part(self) -> int:
        return min(len(self.marks), len(self._lengths()) - 1)

    @property
    def _written(self) -> int:
        """Return the number of tokens of the current part."""
        return self._tokens - (self.marks[self._part - 1] if self._part else 0)

    @property
    def _verbosity(self) -> float:
        """Return the ratio of the finished parts' length to the usual one, damped towards 1."""
        if self._usual is None or not self._part:
            return 1.0
        usual, caution = sum(self._usual.lengths[: self._part]), self.expected * _CAUTION
        return (self.marks[self._part - 1] + caution) / (usual + caution)

    def _lengths(self) -> tuple[float, ...]:
        """Return the usual lengths of the parts; without history, those of this answer so far."""
        if self._usual:
            return self._usual.lengths
        if len(self.marks) < 2:
            return _LENGTHS
        mean = (self.marks[-1] - self.marks[0]) / (len(self.marks) - 1)
        return (self.marks[0], *(mean,) * len(DIMENSIONS))


def _approach(done: float, usual: float) -> float:
    """Return the share that is done of ``usual``: 0.8 when it is due, never 1."""
    ratio = done / max(usual, 1e-6)
    return 0.8 * ratio if ratio <= 1 else 1 - 0.2 / ratio

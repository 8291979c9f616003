"""How far one critique is and how long it will go on: what is usual, corrected by how it goes.

1. A phase is as far as it says itself (tokens of the prompt, dimensions of the answer); where it
   says nothing, as far as the time it usually takes. ``max_tokens`` is a limit, not a length.
2. What comes is usual; what is under way goes on at its own speed, and the more of it there is the
   more that counts. An answer that has been long-winded so far mostly stays so.
3. Without history there is no time to tell, until two dimensions of the answer have shown what the
   others will take.
4. What is left when an answer must be asked for once more is left for the second one.
5. The share never goes back, and each token moves it: by a tenth of its usual part, or near the end
   by such a part of what is left that the end is not reached. It never stands while tokens come.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mondrian.answers import DIMENSIONS
from mondrian.answers.outline import Outline
from mondrian.critiques.history import TypicalTiming
from mondrian.engines.base import Basis, Phase, Progress, Token

# Shares of the time while nothing is known about it. Generating takes most.
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
_FIRST_TOKENS = 20  # the speed of fewer says little


@dataclass(frozen=True, slots=True)
class Estimate:
    """``share`` of the work is done, from 0 to 1, and ``eta_seconds`` of it remain."""

    share: float
    eta_seconds: float | None
    basis: Basis


class ProgressEstimator:
    """Estimates the progress of one critique from what has been recorded of it.

    Times are in seconds on any clock.

    ``usual`` is what such a critique takes, if that is known. ``is_loaded`` tells that the model
    is, ``is_measured`` that the photo has been measured.
    """

    def __init__(
        self,
        usual: TypicalTiming | None = None,
        *,
        is_loaded: bool = False,
        is_measured: bool = False,
    ) -> None:
        self._usual = usual
        self._plan = _plan(usual, is_loaded, is_measured)
        self._share = self._floor = 0.0
        self._phase: Phase | None = None
        self._stage = _Stage(0.0)
        self._writing = _Writing(usual, 0.0, 0)

    @property
    def marks(self) -> tuple[int, ...]:
        """After how many tokens each dimension was named."""
        return tuple(self._writing.marks)

    @property
    def token_seconds(self) -> float | None:
        """What a token takes, as of the last one; ``None`` if there is nothing to tell it by."""
        return self._writing.token_seconds(self._writing.last)

    def take(self, item: Progress | Token, now: float) -> None:
        """Take note of ``item``."""
        phase = Phase.GENERATING if isinstance(item, Token) else item.phase
        if phase is not self._phase:
            self._phase, self._stage = phase, _Stage(now)
            if phase is Phase.GENERATING:
                self._writing = _Writing(self._usual, now, self._writing.counted)
            elif phase is Phase.REPAIRING:
                self._floor = self._share
        if isinstance(item, Progress):
            self._stage.take(item, now)
            return
        tokens = self._writing.take(item, now)
        part = tokens / (tokens + self._writing.expected)
        self._share += min(_SLOWEST, 1 - self._share) * part

    def estimate(self, now: float) -> Estimate:
        """How far it is at ``now``."""
        phase = self._phase or Phase.MEASURING
        if phase is Phase.FINALIZING:
            self._share = 1.0
            return Estimate(1.0, 0.0, self._usual.basis if self._usual else Basis.ESTIMATED)
        if phase is Phase.WAITING:  # for how long, only others know
            return Estimate(self._share, None, Basis.UNKNOWN)
        reached = self._floor + (1 - self._floor) * self._reached(phase, now)
        self._share = max(self._share, reached)
        eta = self._remaining(phase, now)
        if eta is None:
            return Estimate(self._share, None, Basis.UNKNOWN)
        return Estimate(self._share, eta, self._usual.basis if self._usual else Basis.ESTIMATED)

    def _reached(self, phase: Phase, now: float) -> float:
        if phase is Phase.REPAIRING:
            return 0.0
        plan = self._plan or _SHARES
        before = sum(plan[each] for each in _ORDER[: _ORDER.index(phase)])
        if phase is Phase.GENERATING:
            part = self._writing.share
        else:
            part = self._stage.share(plan[phase] if self._usual else None, now)
        return (before + plan[phase] * part) / (sum(plan.values()) or 1.0)

    def _remaining(self, phase: Phase, now: float) -> float | None:
        if phase is Phase.GENERATING:
            return self._writing.remaining(now)
        if self._usual is None:
            return None
        if phase is Phase.REPAIRING:
            return self._usual.seconds(self.token_seconds)
        later = sum(self._plan[each] for each in _ORDER[_ORDER.index(phase) + 1 :])
        return later + self._stage.remaining(self._expected(phase, self._usual), now)

    def _expected(self, phase: Phase, usual: TypicalTiming) -> float:
        """What a phase takes that has begun."""
        if phase is Phase.LOADING:
            return usual.load_seconds
        if phase is Phase.PREFILL and usual.prompt_tokens and self._stage.total:
            return usual.prefill_seconds * self._stage.total / usual.prompt_tokens
        return self._plan[phase]


def _plan(usual: TypicalTiming | None, is_loaded: bool, is_measured: bool) -> Mapping[Phase, float]:
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
    """A phase that began at ``since`` and may tell how much of it is done."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._first: tuple[float, float] | None = None  # what was done when, at first
        self._last = (0.0, since)
        self.total: float | None = None

    def take(self, item: Progress, now: float) -> None:
        """Take note of how much is done, if that is news."""
        self.total = item.total
        if item.done is None or (self._first and item.done == self._last[0]):
            return
        self._last = (item.done, now)
        self._first = self._first or self._last

    def share(self, expected_seconds: float | None, now: float) -> float:
        """How much of the phase is done, from 0 to 1."""
        if self._first and self.total:
            return min(1.0, self._last[0] / self.total)
        return _creep(now - self._since, expected_seconds) if expected_seconds else 0.0

    def remaining(self, expected_seconds: float, now: float) -> float:
        """The seconds that are left of usually ``expected_seconds``."""
        elapsed = now - self._since
        usual = max(expected_seconds - elapsed, _OVERDUE * elapsed)
        if not self._first or not self.total or self._last[0] <= self._first[0]:
            return usual
        (first, began), (done, told) = self._first, self._last
        speed = (done - first) / max(told - began, 1e-6)
        live = max(0.0, (self.total - done) / speed - (now - told))
        known = min(1.0, (done - first) / max(self.total - first, 1e-6))
        return known * live + (1 - known) * usual


class _Writing:
    """An answer that is being written since ``since``, in parts: what precedes its first dimension,
    and the dimensions. The engine had ``counted`` so many tokens before."""

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
        """The usual length of the whole answer, at least 1."""
        return max(1.0, sum(self._usual.lengths if self._usual else _LENGTHS))

    def take(self, token: Token, now: float) -> int:
        """Take note of ``token``. Returns how many it counts for."""
        before, self.last, self._speed = self._tokens, now, token.generation_tps
        self.counted = token.generation_tokens
        is_going_on = self.counted > self._before
        # an engine that does not count them gives one at a time
        count = self.counted - self._before * is_going_on
        self._tokens = max(before + bool(token.text), count)
        self._outline.read(token.text)
        if self._outline.begun < len(self.marks):  # it was only thinking
            self.marks.clear()
        self.marks += [self._tokens] * (self._outline.begun - len(self.marks))
        return self._tokens - before

    @property
    def share(self) -> float:
        """How much is written, from 0 to 1."""
        weights, part = self._usual.lengths if self._usual else _LENGTHS, self._part
        within = _creep(self._written, self._lengths()[part] * self._verbosity)
        return (sum(weights[:part]) + weights[part] * within) / self.expected

    def remaining(self, now: float) -> float | None:
        """The seconds that are left."""
        token_seconds = self.token_seconds(now)
        if token_seconds is None or (self._usual is None and len(self.marks) < 2):
            return None
        lengths, part, verbosity = self._lengths(), self._part, self._verbosity
        left = max(verbosity * lengths[part] - self._written, _OVERDUE * lengths[part])
        return (left + verbosity * sum(lengths[part + 1 :])) * token_seconds

    def token_seconds(self, now: float) -> float | None:
        """What a token takes: the engine's own figure, and silence since the last counts."""
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
        """The tokens of the part that is being written."""
        return self._tokens - (self.marks[self._part - 1] if self._part else 0)

    @property
    def _verbosity(self) -> float:
        """How much longer than usual the finished parts are, cautiously."""
        if self._usual is None or not self._part:
            return 1.0
        usual, caution = sum(self._usual.lengths[: self._part]), self.expected * _CAUTION
        return (self.marks[self._part - 1] + caution) / (usual + caution)

    def _lengths(self) -> tuple[float, ...]:
        """The usual lengths of the parts; without history, those of this answer so far."""
        if self._usual:
            return self._usual.lengths
        if len(self.marks) < 2:
            return _LENGTHS
        mean = (self.marks[-1] - self.marks[0]) / (len(self.marks) - 1)
        return (self.marks[0], *(mean,) * len(DIMENSIONS))


def _creep(done: float, usual: float) -> float:
    """The share that is done of something usually so long: 0.8 when it is due, never 1."""
    ratio = done / max(usual, 1e-6)
    return 0.8 * ratio if ratio <= 1 else 1 - 0.2 / ratio

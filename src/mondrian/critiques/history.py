"""Timings of earlier critiques, from which percent and ETA are estimated.

1. Only measured timings count: without a critique on the same model there is no estimate.
2. The most similar kind with at least ``ENOUGH`` timings is used, its ``NEWEST`` ones: medians, so
   that one outlier (a job on a sleeping machine) changes nothing.
3. The length of an answer is stored in parts: the text before its first dimension, then each
   dimension (the last one with everything after it).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Self

from mondrian.engines.base import Basis, Phase
from mondrian.reports import Report

ENOUGH = 3
NEWEST = 20
_SIMILAR = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingRecord:
    """The timing of one critique, by the engine's own figures; ``None`` where it has none.

    ``seconds`` is from the request to the last token and includes loading (``load_seconds``, 0 for
    a loaded model), the photo's encoding (``encode_seconds``; ``None`` in old rows, where
    ``prefill_seconds`` includes it), prefill and decoding, but not ``measure_seconds``, which only
    the first advisor's critique of a job has. ``megapixels`` is the size of the uploaded photo.
    ``marks`` are the token counts at which each dimension was named.
    """

    engine: str
    model: str
    advisor: str
    megapixels: float
    prompt_tokens: int | None = None
    measure_seconds: float | None = None
    load_seconds: float | None = None
    encode_seconds: float | None = None
    prefill_seconds: float | None = None
    generation_tokens: int
    marks: Sequence[int] = ()
    tokens_per_second: float | None = None
    seconds: float
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(
        cls,
        report: Report,
        spent: Mapping[Phase, float],
        *,
        megapixels: float,
        marks: Sequence[int],
        measure_seconds: float | None = None,
    ) -> Self:
        """Return the timing of ``report``; ``spent`` is the engine's seconds in each phase. Time
        spent waiting for other jobs is not counted."""
        engine = report.engine
        return cls(
            engine=engine.url,
            model=engine.model,
            advisor=report.advisor,
            megapixels=round(megapixels, 3),
            prompt_tokens=engine.prompt_tokens,
            measure_seconds=measure_seconds,
            load_seconds=spent.get(Phase.LOADING, 0.0),
            encode_seconds=spent.get(Phase.ENCODING, 0.0),
            prefill_seconds=spent.get(Phase.PREFILL, 0.0),
            generation_tokens=engine.tokens,
            marks=marks,
            tokens_per_second=engine.tokens_per_second,
            seconds=max(0.0, engine.seconds - spent.get(Phase.WAITING, 0.0)),
        )

    @property
    def is_first(self) -> bool:
        """Return whether it was its job's first. The engine caches the photo for later ones."""
        return self.measure_seconds is not None

    @property
    def decode_seconds(self) -> float:
        """Return the part of ``seconds`` spent decoding."""
        parts = (self.load_seconds, self.encode_seconds, self.prefill_seconds)
        return max(0.0, self.seconds - sum(part or 0.0 for part in parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class TypicalTiming:
    """The typical timing of a kind of critique.

    ``load_seconds`` is the loading time of a model that is not loaded, ``reload_seconds`` of a
    loaded one (0, except for engines that load each time). ``lengths`` are the lengths of the
    answer's parts in tokens, at least one, and ``token_seconds`` is the time per token.
    """

    measure_seconds: float
    load_seconds: float
    reload_seconds: float
    encode_seconds: float
    prefill_seconds: float
    prompt_tokens: float | None
    lengths: tuple[float, ...]
    token_seconds: float
    basis: Basis

    def seconds(self, token_seconds: float | None = None) -> float:
        """Return the seconds of a critique on a loaded model, at ``token_seconds`` per token."""
        decoding = sum(self.lengths) * (token_seconds or self.token_seconds)
        return self.reload_seconds + self.encode_seconds + self.prefill_seconds + decoding


def find_typical(
    history: Sequence[TimingRecord],
    *,
    engine: str,
    advisor: str,
    megapixels: float,
    is_first: bool = True,
) -> TypicalTiming | None:
    """Return the typical timing of a critique by ``advisor`` of a photo of that size on ``engine``.
    ``is_first`` is true for the first critique of a job.

    ``history`` is of one model, newest first. The basis is ``MEASURED`` if there are enough timings
    of exactly that kind; other sizes, then other advisors, then other engines of the model make it
    ``ESTIMATED``. ``None`` if there is no timing at all.
    """
    kinds: tuple[Callable[[TimingRecord], bool], ...] = (
        lambda row: row.engine == engine and row.advisor == advisor and _is_like(row, megapixels),
        lambda row: row.engine == engine and row.advisor == advisor,
        lambda row: row.engine == engine,
        lambda row: True,
    )
    rows: list[TimingRecord] = []
    for number, is_kind in enumerate(kinds):
        rows = [row for row in history if row.generation_tokens and is_kind(row)][:NEWEST]
        if len(rows) >= ENOUGH:
            return _make_typical(rows, Basis.ESTIMATED if number else Basis.MEASURED, is_first)
    return _make_typical(rows, Basis.ESTIMATED, is_first) if rows else None


def _is_like(row: TimingRecord, megapixels: float) -> bool:
    least, most = sorted((row.megapixels, megapixels))
    return most <= least * _SIMILAR


def _make_typical(rows: Sequence[TimingRecord], basis: Basis, is_first: bool) -> TypicalTiming:
    alike = [row for row in rows if row.is_first is is_first] or rows
    loads = [row.load_seconds or 0.0 for row in alike]
    measured = [row.measure_seconds for row in rows if row.measure_seconds is not None]
    prompts = [row.prompt_tokens for row in alike if row.prompt_tokens]
    return TypicalTiming(
        measure_seconds=median(measured or [0.0]),
        load_seconds=median([load for load in loads if load] or [0.0]),
        reload_seconds=median(loads),
        encode_seconds=median(row.encode_seconds or 0.0 for row in alike),
        prefill_seconds=median(row.prefill_seconds or 0.0 for row in alike),
        prompt_tokens=median(prompts) if prompts else None,
        lengths=_find_lengths(rows),
        token_seconds=median(row.decode_seconds / row.generation_tokens for row in rows),
        basis=basis,
    )


def _find_lengths(rows: Sequence[TimingRecord]) -> tuple[float, ...]:
    """Return the median length of each part, over answers with the most common number of parts,
    scaled to the median length of all answers."""
    ((parts, _),) = Counter(len(row.marks) for row in rows).most_common(1)
    alike = [row for row in rows if len(row.marks) == parts]
    ends = [(0, *row.marks, row.generation_tokens) for row in alike]
    medians = [median(each) for each in zip(*(map(_diff, ends)), strict=True)]
    scale = median(row.generation_tokens for row in rows) / (sum(medians) or 1.0)
    return tuple(length * scale for length in medians)


def _diff(ends: Sequence[int]) -> list[int]:
    return [end - start for start, end in pairwise(ends)]

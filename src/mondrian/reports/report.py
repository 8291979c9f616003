"""The values of a critique: what a model answered, and the report made of it."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Self

from mondrian.answers.answer import DIMENSIONS, Answer, Dimension, Value

_GRADES = (
    (9.5, "A+"),
    (9.0, "A"),
    (8.5, "A-"),
    (8.0, "B+"),
    (7.5, "B"),
    (7.0, "B-"),
    (6.5, "C+"),
    (6.0, "C"),
    (5.5, "C-"),
    (5.0, "D"),
)

_STRENGTH_FROM = 7.0


class EngineFigures(Value):
    """Who answered and what it took, by the engine's own count; ``None`` where it gave none.

    ``finish_reason`` is ``None`` for an answer that we ended.
    """

    url: str
    model: str
    sees: bool
    tokens: int
    prompt_tokens: int | None = None
    prompt_tokens_per_second: float | None = None
    cached_tokens: int | None = None
    tokens_per_second: float | None = None
    seconds: float
    peak_memory_gb: float | None = None
    finish_reason: str | None = None


class Report(Value):
    """One advisor's critique of one photo."""

    advisor: str
    image_description: str
    dimensions: tuple[Dimension, ...]
    overall_score: float
    grade: str
    key_strengths: tuple[str, ...]
    priority_improvements: tuple[str, ...]
    technical_notes: tuple[str, ...]
    measurements: dict[str, Any]
    engine: EngineFigures
    salvaged: bool = False

    @property
    def top_three(self) -> tuple[Dimension, ...]:
        """The three dimensions with the lowest scores, lowest first, ties in the report's order."""
        return tuple(sorted(self.dimensions, key=lambda dimension: dimension.score)[:3])

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the dimensions that were not judged."""
        judged = {dimension.name for dimension in self.dimensions}
        return tuple(name for name in DIMENSIONS if name not in judged)

    def __str__(self) -> str:
        lines = [f"{self.advisor}: {self.overall_score:.1f} ({self.grade})", self.image_description]
        lines += [f"{d.name} {d.score:.1f}: {d.comment}" for d in self.dimensions]
        return "\n".join(line for line in lines if line)

    def to_json(self) -> str:
        """The report as JSON on one line."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The report that ``to_json`` wrote. Raises pydantic's ``ValidationError``."""
        return cls.model_validate_json(text)


def grade(score: float) -> str:
    """The grade of a ``score`` from 1 to 10: ``A+`` from 9.5 on, half a point a step, ``F``
    below 5."""
    return next((word for least, word in _GRADES if score >= least), "F")


def overall_score(dimensions: Iterable[Dimension]) -> float:
    """The mean of the scores, to one decimal. There must be one dimension at least."""
    return round(fmean(dimension.score for dimension in dimensions), 1)


def build_report(
    answer: Answer,
    *,
    advisor: str,
    evidence: Mapping[str, Sequence[str]],
    measurements: Mapping[str, Any],
    engine: EngineFigures,
    technical_notes: Sequence[str] = (),
) -> Report:
    """The report of ``answer`` by the advisor of that id.

    ``evidence`` maps a dimension's name to what was measured about it; a model's own claims of
    evidence never get there. ``technical_notes`` come before the model's. Strengths and
    improvements that the model did not name are the comments of its (up to three) best dimensions
    with a score of 7 or more, and the recommendations of its three lowest. ``measurements`` are
    made JSON: keys are strings, numbers that are not finite ``None``.
    """
    from pydantic_core import from_json, to_json

    dimensions = tuple(
        dimension.model_copy(update={"evidence": tuple(evidence.get(dimension.name, ()))})
        for dimension in answer.dimensions
    )
    score = overall_score(dimensions)
    return Report(
        advisor=advisor,
        image_description=answer.image_description,
        dimensions=dimensions,
        overall_score=score,
        grade=grade(score),
        key_strengths=answer.key_strengths or _strengths(dimensions),
        priority_improvements=answer.priority_improvements or _improvements(dimensions),
        technical_notes=(*technical_notes, *answer.technical_notes),
        measurements=from_json(to_json(dict(measurements), inf_nan_mode="null")),
        engine=engine,
        salvaged=answer.salvaged,
    )


def _strengths(dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    best = sorted(dimensions, key=lambda dimension: -dimension.score)[:3]
    return tuple(dimension.comment for dimension in best if dimension.score >= _STRENGTH_FROM)


def _improvements(dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    lowest = sorted(dimensions, key=lambda dimension: dimension.score)[:3]
    return tuple(dimension.recommendation for dimension in lowest if dimension.recommendation)

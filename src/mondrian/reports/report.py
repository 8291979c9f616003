"""The values of a critique: what a model answered, and the report made of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mondrian.answers.answer import DIMENSIONS, Answer, Dimension, Value
from mondrian.engines.base import Figures

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


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFigures(Figures):
    """Who answered and what it took, by the engine's own count. ``seconds`` is from the request to
    the last token; ``finish_reason`` is ``None`` for an answer that we ended."""

    url: str
    model: str
    sees: bool
    tokens: int
    seconds: float


class Report(Value):
    """One advisor's critique of one photo. ``advisor`` is the advisor's id, ``advisor_name`` the
    name to show, empty in reports of old jobs."""

    advisor: str
    advisor_name: str = ""
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
    def shown_name(self) -> str:
        """The advisor's name to show."""
        return self.advisor_name or self.advisor

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
        lines = [
            f"{self.shown_name}: {self.overall_score:.1f} ({self.grade})",
            self.image_description,
        ]
        lines += [f"{d.name} {d.score:.1f}: {d.comment}" for d in self.dimensions]
        return "\n".join(line for line in lines if line)


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
    advisor_name: str = "",
    evidence: Mapping[str, Sequence[str]],
    measurements: Mapping[str, Any],
    engine: EngineFigures,
    technical_notes: Sequence[str] = (),
) -> Report:
    """Return the report of ``answer`` by the advisor of that id and name.

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
        advisor_name=advisor_name,
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

"""The values of a report, and how one is built from a model's answer."""

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pydantic import Field

from mondrian.answers.answer import DIMENSIONS, Answer, Dimension, Value
from mondrian.engines.base import Figures
from mondrian.errors import AnswerError
from mondrian.purpose import NO_PURPOSE, Purpose

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
REPAIR_BELOW = 5.0
"""What scores less is a fault to mend; what scores more might be better."""

_NEEDS = (3.0, REPAIR_BELOW, 6.0, 7.5)
"""Where a severe fault ends, a fault, a weakness, and what is ordinary (docs/findings.md)."""

_LACKING, _SPOILING = 6.0, 0.6
_MOST_BESIDE = 3.0
"""By how much more than the lowest score another counts at most."""

IMPORTED = "import:"
"""The ``url`` in the figures of a report that an earlier system made: who answered, and what it
took, is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFigures(Figures):
    """The engine of a critique, and its own figures. ``seconds`` is from the request to
    the last token; ``finish_reason`` is ``None`` for an answer that we ended."""

    url: str
    model: str
    sees: bool
    tokens: int
    seconds: float


class Report(Value):
    """One advisor's critique of one photo. ``advisor`` is the advisor's id, ``advisor_name`` the
    name to show, empty in reports of old jobs. ``intent`` and ``genre`` are the ``Purpose`` of the
    photo, ``choices`` what was therefore not counted as a fault."""

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
    weights: dict[str, float] = Field(default_factory=dict)
    intent: str = ""
    genre: str = ""
    choices: tuple[str, ...] = ()

    @property
    def shown_name(self) -> str:
        """The advisor's name to show."""
        return self.advisor_name or self.advisor

    @property
    def top_three(self) -> tuple[Dimension, ...]:
        """The three judged dimensions to work at first, by need and by the advisor's weight."""
        return rank_needs(self.dimensions, self.weights)[:3]

    @property
    def is_weighed(self) -> bool:
        """Whether the advisor's weights put one of the top three before a lower score."""
        scores = [score for _, score in list_judged(self.top_three)]
        return scores != sorted(scores)

    @property
    def needs_repair(self) -> bool:
        """Whether some dimension has a fault: a score below 5."""
        return any(score < REPAIR_BELOW for _, score in list_judged(self.dimensions))

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the dimensions that were not judged, or about which nothing was said."""
        said = {dimension.name for dimension, _ in list_judged(self.dimensions)}
        return tuple(name for name in DIMENSIONS if name not in said)

    def __str__(self) -> str:
        lines = [
            f"{self.shown_name}: {self.overall_score:.1f} ({self.grade})",
            self.image_description,
        ]
        lines += [
            f"{each.name} "
            f"{'not judged' if each.score is None else f'{each.score:.1f}'}: {each.comment}"
            for each in self.dimensions
        ]
        return "\n".join(line for line in lines if line)


def find_grade(score: float) -> str:
    """Return the grade of a ``score`` from 1 to 10: ``A+`` from 9.5 on, half a point a step,
    ``F`` below 5."""
    return next((word for least, word in _GRADES if score >= least), "F")


def list_judged(dimensions: Iterable[Dimension]) -> list[tuple[Dimension, float]]:
    """Return the dimensions that have a score, each with it."""
    return [(each, each.score) for each in dimensions if each.score is not None]


def rank_needs(
    dimensions: Iterable[Dimension], weights: Mapping[str, float]
) -> tuple[Dimension, ...]:
    """Return the judged dimensions, those first that need most: severe faults, other faults,
    weaknesses, then the rest. Of one kind comes first what lacks most to 10 by ``weights``, ties in
    the given order."""

    def need(item: tuple[Dimension, float]) -> tuple[int, float]:
        dimension, score = item
        return bisect(_NEEDS, score), (score - 10) * weights.get(dimension.name, 1.0)

    return tuple(dimension for dimension, _ in sorted(list_judged(dimensions), key=need))


def compute_overall_score(
    dimensions: Iterable[Dimension], weights: Mapping[str, float] | None = None
) -> float:
    """Return the overall score from 1 to 10, to one decimal, of the dimensions that are judged.

    It is their mean by ``weights`` (1 where a dimension has none), less 0.6 of what the lowest
    lacks to 6: a photo is not saved by seven good dimensions if the eighth spoils it. None of the
    others counts for more than the lowest and 3, and the lowest has its part of the weights of all
    eight dimensions, however many are judged: so a fault that grows lowers the score, whatever it
    does to the others. Raise ``AnswerError`` where none is judged.
    """
    weigh = {name: (weights or {}).get(name, 1.0) for name in DIMENSIONS}
    judged = [(score, weigh.get(each.name, 1.0)) for each, score in list_judged(dimensions)]
    if not judged:
        raise AnswerError
    (lowest, weight), *others = sorted(judged, key=lambda item: (item[0], -item[1]))
    beside = [min(score, lowest + _MOST_BESIDE) for score, _ in others]
    mean = fmean(beside, [each for _, each in others]) if others else lowest
    mean -= (mean - lowest) * weight / sum(weigh.values())
    return round(max(1.0, mean - _SPOILING * max(0.0, _LACKING - lowest)), 1)


def build_report(
    answer: Answer,
    *,
    advisor: str,
    advisor_name: str = "",
    evidence: Mapping[str, Sequence[str]],
    measurements: Mapping[str, Any],
    engine: EngineFigures,
    technical_notes: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    purpose: Purpose = NO_PURPOSE,
    choices: Iterable[str] = (),
) -> Report:
    """Return the report of ``answer`` by the advisor of that id and name.

    ``evidence`` maps a dimension's name to what was measured about it; a model's own claims of
    evidence never get there. ``weights`` are the advisor's; ``choices`` are the faults that do not
    count, given the ``purpose``. ``technical_notes`` come before the model's. Strengths and
    improvements that the model did not name are the comments of its (up to three) best dimensions
    with a score of 7 or more, and the recommendations of the top three. ``measurements`` are made
    JSON: keys are strings, numbers that are not finite ``None``.
    """
    from pydantic_core import from_json, to_json

    dimensions = tuple(
        dimension.model_copy(update={"evidence": tuple(evidence.get(dimension.name, ()))})
        for dimension in answer.dimensions
    )
    score, weights = compute_overall_score(dimensions, weights), dict(weights or {})
    return Report(
        advisor=advisor,
        advisor_name=advisor_name,
        image_description=answer.image_description,
        dimensions=dimensions,
        overall_score=score,
        grade=find_grade(score),
        key_strengths=answer.key_strengths or _list_strengths(dimensions),
        priority_improvements=answer.priority_improvements
        or _list_improvements(dimensions, weights),
        weights=weights,
        technical_notes=(*technical_notes, *answer.technical_notes),
        measurements=from_json(to_json(dict(measurements), inf_nan_mode="null")),
        engine=engine,
        salvaged=answer.salvaged,
        intent=purpose.intent,
        genre=purpose.genre,
        choices=tuple(dict.fromkeys(choices)),
    )


def _list_strengths(dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    best = sorted(list_judged(dimensions), key=lambda item: -item[1])[:3]
    return tuple(dimension.comment for dimension, score in best if score >= _STRENGTH_FROM)


def _list_improvements(
    dimensions: Sequence[Dimension], weights: Mapping[str, float]
) -> tuple[str, ...]:
    needs = rank_needs(dimensions, weights)[:3]
    return tuple(dimension.recommendation for dimension in needs if dimension.recommendation)

"""What a model wrote becomes an ``Answer``, whole or growing.

Plain JSON of the expected shape is read by pydantic. Anything else is read as flat records, as
JSON-like text and as tables and sections, and the way that finds most is believed. The rules of
salvage:

1. A dimension is complete with a name, a score and a whole comment; a recommendation that was cut
   off counts as far as its last whole sentence. What is incomplete is dropped, never filled in.
2. An answer ends where a dimension comes again that was complete. Of several answers the last of
   those with most dimensions counts: what comes before it was a draft, or thinking whose marks
   cannot be known. With the same scores it is a repetition, and the longer one counts.
3. Within an answer a name written in full goes before a short form, the plainest key before others,
   the first before the next. A score here and a comment there, each without the other, make one
   dimension.
4. A score says its own scale (``8/10``, ``85 %``, ``4/5``), or the answer says it once for all. A
   bare number is from 1 to 10, or out of 100 if all make that clear. What is not clear is dropped,
   such as a bare number that the end of the text may have cut: a wrong score is worse than none.
   ``null`` says that the dimension is not judged.
5. Comments may be in any language, names in those of ``languages.py``: we do not guess by position.
6. A model's thinking (``<think>``) is not its answer, and a template's ``<comment>`` no comment.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from mondrian.answers.answer import (
    DIMENSIONS,
    Answer,
    Dimension,
    GrowingDimension,
    PartialAnswer,
)
from mondrian.answers.field_names import answer_field
from mondrian.answers.json_records import Record, json_records
from mondrian.answers.judgement import Judgement, clean, join, judge, says_something
from mondrian.answers.markdown_records import prose_records
from mondrian.answers.scores import bare_scale, stated_scales
from mondrian.answers.thinking import without_thinking
from mondrian.errors import AnswerError


def read_answer(text: str) -> Answer:
    """Read a model's finished answer. Time is linear in the length of ``text``.

    Raises ``AnswerError`` when no dimension can be read.
    """
    if answer := _read_plain(text):
        return answer
    reading = _read(text)
    dimensions = _in_order(reading.dimensions)
    if not dimensions:
        raise AnswerError
    return Answer(
        image_description=reading.description,
        dimensions=dimensions,
        key_strengths=reading.items("key_strengths"),
        priority_improvements=reading.items("priority_improvements"),
        technical_notes=reading.items("technical_notes"),
        salvaged=True,
    )


def read_partial(text: str) -> Answer | PartialAnswer:
    """Read what there is of an answer that is still growing: the ``Answer`` itself once it is
    whole. Raises nothing."""
    if answer := _read_plain(text):
        return answer
    reading = _read(text)
    return PartialAnswer(
        image_description=reading.description,
        dimensions=_in_order(reading.settled),
        growing=reading.growing,
    )


def count_answers(text: str) -> int:
    """Return how many answers ``text`` holds that judge all eight dimensions."""
    text = _plain_text(text)
    ways = (json_records(text), prose_records(text))
    judged = [[j for record in way if (j := judge(record))] for way in ways]
    drafts = [_drafts(judgements, text) for judgements in judged if judgements]
    whole = [sum(len(d.scores) == len(DIMENSIONS) for d in each) for each in drafts]
    return max(whole, default=0)


def _said(text: str) -> str:
    """``text`` cleaned. Raises ``ValueError`` if it says nothing."""
    text = clean(text)
    if not says_something(text):
        raise ValueError("says nothing")
    return text


Text = Annotated[str, AfterValidator(clean)]
Said = Annotated[str, AfterValidator(_said)]


class _PlainDimension(BaseModel):
    name: str
    score: float | None = Field(strict=True, ge=1, le=10)
    comment: Said
    recommendation: Said


class _PlainAnswer(BaseModel):
    """The expected shape. Keys beside it are passed over."""

    image_description: Text = ""
    dimensions: list[_PlainDimension]
    key_strengths: tuple[Said, ...] = ()
    priority_improvements: tuple[Said, ...] = ()
    technical_notes: tuple[Said, ...] = ()


def _read_plain(text: str) -> Answer | None:
    try:
        plain = _PlainAnswer.model_validate_json(text)
    except (ValidationError, ValueError):  # ValueError: a lone surrogate
        return None
    if sorted(dimension.name for dimension in plain.dimensions) != sorted(DIMENSIONS):
        return None
    dimensions = _in_order(Dimension(**dict(dimension)) for dimension in plain.dimensions)
    said = "\n".join(f"{d.comment}\n{d.recommendation}" for d in dimensions)
    scores = [d.score for d in dimensions if d.score is not None]
    if stated_scales(text, scores, said) - {10.0}:
        return None
    return Answer(**{**dict(plain), "dimensions": dimensions})


def _in_order(dimensions: Iterable[Dimension]) -> tuple[Dimension, ...]:
    return tuple(sorted(dimensions, key=lambda dimension: DIMENSIONS.index(dimension.name)))


class _Draft(NamedTuple):
    """One answer of a text: the best judgement of each dimension, whose bare scores are out of
    ``scale``."""

    judgements: dict[str, Judgement]
    scale: float | None

    @property
    def scores(self) -> dict[str, float | None]:
        """The scores of the complete dimensions, ``None`` of those that are not judged."""
        return {
            name: judgement.score_out_of_ten(self.scale)
            for name, judgement in self.judgements.items()
            if judgement.is_complete(self.scale)
        }

    @property
    def text_length(self) -> int:
        """How much it says, in characters."""
        return sum(len(j.comment) + len(j.recommendation) for j in self.judgements.values())


class _Reading(NamedTuple):
    """What one way of reading found: the records, and the dimensions, of which some are settled."""

    records: Sequence[Record]
    dimensions: Sequence[Dimension] = ()
    settled: Sequence[Dimension] = ()
    growing: GrowingDimension | None = None

    @property
    def weight(self) -> tuple[int, bool]:
        """How much was found, to compare by."""
        return len(self.dimensions), not self.dimensions and self.growing is not None

    @property
    def description(self) -> str:
        """What the model said that the photo shows, as far as it has been written."""
        return clean(" ".join(self._values("image_description")))

    def items(self, field: str) -> tuple[str, ...]:
        """The items of one of the answer's lists."""
        cleaned = (clean(item) for item in self._values(field))
        return tuple(item for item in cleaned if says_something(item))

    def _values(self, field: str) -> list[str]:
        """What stands in the first record, not a dimension's, that has ``field``."""
        for record in self.records:
            for key, value in record.fields.items():
                if answer_field(key) == field and judge(record) is None:
                    return [value] if isinstance(value, str) else value
        return []


def _read(text: str) -> _Reading:
    text = _plain_text(text)
    reading = _choose(json_records(text), text)
    if len(reading.dimensions) == len(DIMENSIONS):
        return reading
    other = _choose(prose_records(text), text)
    return max(reading, other, key=lambda each: each.weight)


def _plain_text(text: str) -> str:
    return _MARGIN.sub("", without_thinking(text).translate(_WIDE))


_WIDE = str.maketrans("｛｝［］＂", '{}[]"')
# A block of quotation, or the numbers of lines.
_MARGIN = re.compile(r"^[^\S\n]{0,9}(?:(?:>[^\S\n]?)+|\d{1,4}[:.|)]?[^\S\n]+(?=[\[\]{}\"]))", re.M)


def _choose(records: Sequence[Record], text: str) -> _Reading:
    """The answer to believe, with what only others have of a dimension."""
    judgements = [judgement for record in records if (judgement := judge(record))]
    if not judgements:
        return _Reading(records)
    drafts = _drafts(judgements, text)
    ranked = sorted(drafts, key=lambda draft: len(draft.scores))
    same = [draft for draft in drafts if draft.scores == ranked[-1].scores]
    chosen: dict[str, tuple[Judgement, float | None]] = {}
    complete = dict[str, Dimension]()
    for draft in [*ranked, max(same, key=lambda draft: draft.text_length)]:
        scores = draft.scores
        for name, judgement in draft.judgements.items():
            if name in scores or name not in complete:
                chosen[name] = judgement, draft.scale
            if name in scores:
                complete[name] = judgement.dimension(draft.scale)
    last, scale = chosen[judgements[-1].name.name]
    is_growing = not last.is_settled and last.record is judgements[-1].record
    settled = [each for name, each in complete.items() if chosen[name][0].is_settled]
    growing = last.growing(scale) if is_growing else None
    return _Reading(records, list(complete.values()), settled, growing)


def _drafts(judgements: Sequence[Judgement], text: str) -> list[_Draft]:
    """The answers in ``judgements``: where a dimension is complete again, in the next object or
    section, another one begins."""
    bare = [each.score.number for each in judgements if each.score and not each.score.scale]
    said = "\n".join(f"{each.comment}\n{each.recommendation}" for each in judgements)
    stated = stated_scales(text, bare, said) if bare else set[float]()
    answers: list[list[Judgement]] = [[]]
    seen = set[str]()
    for _, group in groupby(judgements, lambda each: each.record.group):
        some = list(group)
        exact = [e for e in some if e.name.is_exact and e.has_comment]
        complete = {e.name.name for e in exact if e.score or e.is_not_judged}
        if complete & seen:
            answers.append([])
            seen = set()
        answers[-1] += some
        seen |= complete
    return [_draft(answer, stated) for answer in answers]


def _draft(judgements: Sequence[Judgement], stated: set[float]) -> _Draft:
    scale = bare_scale([each.score for each in judgements if each.score], stated)
    by_name: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_name.setdefault(judgement.name.name, []).append(judgement)
    return _Draft({name: _best(same, scale) for name, same in by_name.items()}, scale)


def _best(same: Sequence[Judgement], scale: float | None) -> Judgement:
    """What to believe of one dimension: the first that is complete and named in full."""

    def rank(each: Judgement) -> tuple[bool, bool]:
        return each.is_complete(scale), each.name.is_exact

    best = max(same, key=rank)
    return best if rank(best)[0] else join(same) or best

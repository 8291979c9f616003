"""What a model wrote becomes an ``Answer``, whole or growing.

Plain JSON of the expected shape is read by pydantic. Anything else is read as flat records, as
JSON-like text and as tables and sections, and the way that finds most is believed. The rules of
salvage:

1. A dimension is complete with a name, a score and a whole comment; a recommendation that was cut
   off counts as far as its last whole sentence. What is incomplete is dropped, never filled in.
2. The first complete reading of a dimension stands: repetition changes nothing. A name written in
   full goes before a short form, the plainest key before others. A score here and a comment there,
   each without the other, make one dimension.
3. A score says its own scale (``8/10``, ``85 %``, ``4/5``); a bare number is from 1 to 10. Only
   if there are two bare numbers or more and all lie above 10 is the scale 100. What is not clear is
   dropped, such as a bare number that the end of the text may have cut: a wrong score is worse than
   none.
4. Comments may be in any language, names in those of ``languages.py``: we do not guess by position.
5. A model's thinking (``<think>``) is not its answer, and a template's ``<comment>`` no comment.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from mondrian.answers.answer import (
    DIMENSIONS,
    Answer,
    Dimension,
    GrowingDimension,
    PartialAnswer,
)
from mondrian.answers.field_names import (
    Name,
    answer_field,
    dimension_field,
    dimension_name,
    field_rank,
)
from mondrian.answers.json_records import Record, escaped_records, json_records
from mondrian.answers.markdown_records import prose_records
from mondrian.answers.scores import Score, bare_scale, key_scale, read_score, scale_end
from mondrian.answers.thinking import without_thinking
from mondrian.errors import AnswerError


def read_answer(text: str) -> Answer:
    """Read a model's finished answer. Time is linear in the length of ``text``.

    Raises ``AnswerError`` when no dimension can be read.
    """
    if answer := _read_plain(text):
        return answer
    reading = _read(text)
    dimensions = _in_order(draft.dimension for draft in reading.drafts if draft.dimension)
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
        dimensions=_in_order(
            draft.dimension for draft in reading.drafts if draft.dimension and draft.is_settled
        ),
        growing=reading.growing,
    )


def clean(text: str) -> str:
    """``text`` on one line, without control characters, marks that reverse the direction of
    writing, and lone surrogates."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join(_UNWANTED.sub("", text).split())


_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def _said(text: str) -> str:
    """``text`` cleaned. Raises ``ValueError`` if it says nothing."""
    text = clean(text)
    if not _says_something(text):
        raise ValueError("says nothing")
    return text


def _says_something(text: str) -> bool:
    """Whether ``text`` has a word, and is not what a template has in its place: ``<comment>``."""
    return any(map(str.isalnum, text)) and not _PLACE.fullmatch(text)


_PLACE = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|string", re.IGNORECASE)


Text = Annotated[str, AfterValidator(clean)]
Said = Annotated[str, AfterValidator(_said)]


class _PlainDimension(BaseModel):
    name: str
    score: float = Field(strict=True, ge=1, le=10)
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
    return Answer(**{**dict(plain), "dimensions": dimensions})


def _in_order(dimensions: Iterable[Dimension]) -> tuple[Dimension, ...]:
    return tuple(sorted(dimensions, key=lambda dimension: DIMENSIONS.index(dimension.name)))


class _Draft(NamedTuple):
    """A dimension as far as it was written in ``records``. ``dimension`` is set if it is complete,
    and it ``is_settled`` if no more text can change it. Of several drafts the first of the highest
    ``rank`` counts: complete, then named in full."""

    growing: GrowingDimension
    dimension: Dimension | None
    is_settled: bool
    rank: tuple[bool, bool]
    records: Sequence[Record]


class _Reading(NamedTuple):
    """What one way of reading found: the records, and the first good draft of each dimension."""

    records: Sequence[Record]
    drafts: Sequence[_Draft]
    growing: GrowingDimension | None

    @property
    def weight(self) -> tuple[int, bool]:
        """How much was found, to compare by."""
        complete = sum(draft.dimension is not None for draft in self.drafts)
        return complete, not complete and self.growing is not None

    @property
    def description(self) -> str:
        """What the model said that the photo shows, as far as it has been written."""
        return clean(" ".join(self._values("image_description")))

    def items(self, field: str) -> tuple[str, ...]:
        """The items of one of the answer's lists."""
        cleaned = (clean(item) for item in self._values(field))
        return tuple(item for item in cleaned if _says_something(item))

    def _values(self, field: str) -> list[str]:
        """What stands in the first record, not a dimension's, that has ``field``."""
        for record in self.records:
            if _record_name(record):
                continue
            for key, value in record.fields.items():
                if answer_field(key) == field:
                    return [value] if isinstance(value, str) else value
        return []


def _read(text: str) -> _Reading:
    text = without_thinking(text)
    ways = (json_records, prose_records, escaped_records)
    return max((_draft_all(way(text)) for way in ways), key=lambda reading: reading.weight)


def _draft_all(records: Sequence[Record]) -> _Reading:
    named = [(name, record) for record in records if (name := _record_name(record))]
    scale = bare_scale([score for _, record in named if (score := _score(record))])
    drafts: dict[str, list[_Draft]] = {}
    for name, record in named:
        drafts.setdefault(name.name, []).append(_draft(name, record, scale))
    best = {name: _best(same, scale) for name, same in drafts.items()}
    last = best[named[-1][0].name] if named else None
    is_growing = last and not last.is_settled and any(r is named[-1][1] for r in last.records)
    return _Reading(records, list(best.values()), last.growing if last and is_growing else None)


def _best(drafts: Sequence[_Draft], scale: float | None) -> _Draft:
    """What to believe of the ``drafts`` of one dimension."""
    best = max(drafts, key=lambda draft: draft.rank)
    whole = None if best.dimension else _whole([draft.records[0] for draft in drafts])
    if whole is None:
        return best
    draft = _draft(Name(best.growing.name, True), whole[0], scale)
    return draft._replace(records=whole[1])


def _whole(records: Sequence[Record]) -> tuple[Record, Sequence[Record]] | None:
    """A score and a comment out of records that have only one of them, and what it is made of."""
    halves = [r for r in records if not (_key(r, "score") and _key(r, "comment"))]
    score = next((r for r in halves if _key(r, "score")), None)
    text = max((r for r in halves if _key(r, "comment")), key=_length, default=None)
    if score is None or text is None:
        return None
    advice = [r for r in halves if _key(r, "recommendation") and not _key(r, "comment")]
    parts = [*advice[:1], score, text]
    whole = Record(
        fields={key: value for part in parts for key, value in part.fields.items()},
        growing=next((part.growing for part in parts if part.growing), None),
        is_closed=all(part.is_closed for part in parts),
    )
    return whole, parts


def _length(record: Record) -> tuple[bool, int]:
    """How much there is of a judgement: more than of a fact that is mentioned before it."""
    return bool(_key(record, "recommendation")), len(_field(record, "comment"))


def _draft(name: Name, record: Record, scale: float | None) -> _Draft:
    keys = {_key(record, field): field for field in ("score", "comment", "recommendation")}
    cut = keys.get(record.growing) if record.growing else None
    comment, recommendation = (clean(_field(record, key)) for key in ("comment", "recommendation"))
    score = said.out_of_ten(scale) if (said := _score(record)) else None
    growing = GrowingDimension(
        name=name.name,
        score=None if cut == "score" else score,
        comment=comment,
        recommendation=recommendation,
    )
    dimension = None
    if growing.score and cut != "comment" and _says_something(comment):
        whole = _whole_sentences(recommendation) if cut == "recommendation" else recommendation
        dimension = Dimension(**{**dict(growing), "recommendation": whole})
    rank = (dimension is not None, name.is_exact)
    return _Draft(growing, dimension, record.is_closed, rank, (record,))


def _record_name(record: Record) -> Name | None:
    said = [record.text(key) for key in record.fields if dimension_field(key) == "name"]
    return next(filter(None, map(dimension_name, [*said, record.label])), None)


def _key(record: Record, field: str) -> str | None:
    """The plainest key that means ``field``; a score's has a number."""
    keys = [key for key in record.fields if dimension_field(key) == field]
    if field == "score":
        keys = [key for key in keys if any(map(str.isdigit, record.text(key)))]
    return min(keys, key=field_rank, default=None)


def _field(record: Record, field: str) -> str:
    """What stands under the plainest key that means ``field``, or nothing."""
    return record.text(key) if (key := _key(record, field)) else ""


def _whole_sentences(text: str) -> str:
    return text[: max(text.rfind(mark) for mark in ".!?…。") + 1]


def _score(record: Record) -> Score | None:
    key = _key(record, "score")
    if key is None:
        return None
    value = record.fields[key]
    if not isinstance(value, str) and len(value) != 1:
        return None
    scale = key_scale(key) or scale_end(_field(record, "scale"))
    return read_score(clean(record.text(key)), scale)

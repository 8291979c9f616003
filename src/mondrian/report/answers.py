"""What a model wrote becomes an ``Answer``, whole or growing.

Plain JSON of the expected shape is read by pydantic. Anything else is read as flat records three
ways (JSON-like, table, sections), and the way that finds most is believed. The rules of salvage:

1. A dimension is complete with a name, a score and a whole comment; a recommendation that was cut
   off counts as far as its last whole sentence. What is incomplete is dropped, never filled in.
2. The first complete reading of a dimension stands: repetition changes nothing. A name written in
   full goes before a short form.
3. A score says its own scale (``8/10``, ``85 %``, ``4/5``); a bare number is from 1 to 10. Only
   if there are two bare numbers or more and all lie above 10 is the scale 100. Others are dropped.
4. Comments may be in any language, names in those of ``languages.py``: we do not guess by position.
5. A model's thinking (``<think>``) is not its answer.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from mondrian.errors import AnswerError
from mondrian.report.names import Name, answer_field, dimension_field, dimension_name
from mondrian.report.prose import section_records, table_records
from mondrian.report.records import Record, json_records
from mondrian.report.values import (
    DIMENSIONS,
    Answer,
    Dimension,
    GrowingDimension,
    PartialAnswer,
)


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
    """``text`` cleaned. Raises ``ValueError`` if it says nothing (``...``)."""
    text = clean(text)
    if not any(character.isalnum() for character in text):
        raise ValueError("says nothing")
    return text


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
    """A dimension as far as it was written. ``dimension`` is set if it is complete, and it
    ``is_settled`` if no more text can change it. Of several drafts the first of the highest
    ``rank`` counts: complete, then named in full."""

    growing: GrowingDimension
    dimension: Dimension | None
    is_settled: bool
    rank: tuple[bool, bool]


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
        return tuple(item for item in cleaned if any(map(str.isalnum, item)))

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
    text = _without_thinking(text)
    ways = (json_records, table_records, section_records)
    return max((_draft_all(way(text)) for way in ways), key=lambda reading: reading.weight)


_TAG = "(?:think|thinking|reasoning)>"
_THINKING = re.compile(rf"<{_TAG}.*?(?:</{_TAG}|\Z)", re.IGNORECASE | re.DOTALL)
_THINKING_END = re.compile(f"</{_TAG}", re.IGNORECASE)


def _without_thinking(text: str) -> str:
    """The answer proper. Templates may open the thinking in the prompt: its end alone is enough,
    unless what stands before it is an answer, and nothing comes after it."""
    *before, last = _THINKING_END.split(_THINKING.sub("", text))
    if before and not last.strip() and before[-1].lstrip().startswith(("{", "```", "|", "#")):
        return before[-1]
    return last


def _draft_all(records: Sequence[Record]) -> _Reading:
    named = [(name, record) for record in records if (name := _record_name(record))]
    scores = [_score(record) for _, record in named]
    bare = [score.number for score in scores if score and score.scale is None]
    bare_scale = 100.0 if len(bare) > 1 and min(bare) > 10 else 10.0
    best: dict[str, _Draft] = {}
    growing = None
    for (name, record), score in zip(named, scores, strict=True):
        draft = _draft(name, record, score.out_of_ten(bare_scale) if score else None)
        if name.name not in best or draft.rank > best[name.name].rank:
            best[name.name] = draft
        is_new = best[name.name] is draft and not draft.is_settled
        growing = draft.growing if is_new else None
    return _Reading(records, list(best.values()), growing)


def _draft(name: Name, record: Record, score: float | None) -> _Draft:
    cut = dimension_field(record.growing) if record.growing else None
    comment, recommendation = (clean(_field(record, key)) for key in ("comment", "recommendation"))
    growing = GrowingDimension(
        name=name.name,
        score=None if cut == "score" else score,
        comment=comment,
        recommendation=recommendation,
    )
    dimension = None
    if growing.score and cut != "comment" and any(map(str.isalnum, comment)):
        whole = _whole_sentences(recommendation) if cut == "recommendation" else recommendation
        dimension = Dimension(**{**dict(growing), "recommendation": whole})
    return _Draft(growing, dimension, record.is_closed, (dimension is not None, name.is_exact))


def _record_name(record: Record) -> Name | None:
    return dimension_name(_field(record, "name")) or dimension_name(record.label)


def _field(record: Record, field: str) -> str:
    """What stands under the first key that means ``field``, or nothing."""
    return next((record.text(key) for key in record.fields if dimension_field(key) == field), "")


def _whole_sentences(text: str) -> str:
    return text[: max(text.rfind(mark) for mark in ".!?…。") + 1]


class _Score(NamedTuple):
    number: float
    scale: float | None

    def out_of_ten(self, bare_scale: float) -> float | None:
        """The score from 1 to 10, or ``None`` if it lies outside."""
        score = round(self.number * 10 / (self.scale or bare_scale), 2)
        return score if 1 <= score <= 10 else None


# Possessive where a shorter match would be another number; not the first of a range ("7-8").
_SCORE = re.compile(
    r"[^\d-]{0,12}+(\d{1,3}+(?:[.,]\d{1,6})?+)(?!\d)(?:\s*(?:/|out of|of)\s*(\d{1,3})|\s*(%))?+"
    r"(?!\s*(?:-|–|—|to|and|or)\s*\d)",
    re.IGNORECASE,
)
_SCALES = {"5", "10", "20", "100"}


def _score(record: Record) -> _Score | None:
    keys = (key for key in record.fields if dimension_field(key) == "score")
    value = record.fields[key] if (key := next(keys, None)) else ""
    match = _SCORE.match(clean(value[:60])) if isinstance(value, str) else None
    scale = match and ("100" if match[3] else match[2])
    if match is None or (scale and scale not in _SCALES):
        return None
    return _Score(float(match[1].replace(",", ".")), float(scale) if scale else None)

"""Interpret a record as the judgement of a dimension: its name, score, comment and advice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape

from mondrian.answers.answer import Dimension, GrowingDimension
from mondrian.answers.field_names import Name, find_dimension, find_field, rank_field
from mondrian.answers.records import Record
from mondrian.answers.scores import (
    Score,
    find_scale,
    find_score_in_sentence,
    read_score,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The judgement of the dimension ``name`` in ``record``. ``cut`` is the field that the end of
    the text may have cut off; it ``is_settled`` if no further text can change it."""

    name: Name
    score: Score | None
    comment: str
    recommendation: str
    cut: str | None
    is_settled: bool
    record: Record

    @property
    def has_comment(self) -> bool:
        """Whether the comment is complete and not empty."""
        return self.cut != "comment" and has_words(self.comment)

    @property
    def is_cut_off(self) -> bool:
        """Whether the text ended within the answer that it is part of."""
        parent = self.record.parent
        is_open = parent is not None and parent.parent is not None and not parent.is_closed
        is_begun = not self.is_settled and (parent is not None or not self.has_comment)
        return self.cut is not None or is_open or is_begun

    def is_complete(self, scale: float | None) -> bool:
        """Return whether it has everything that a dimension needs."""
        return self.has_comment and bool(self.rescale_score(scale))

    def rescale_score(self, scale: float | None) -> float | None:
        """Return the score from 1 to 10, with ``scale`` for bare numbers; ``None`` if ambiguous."""
        return self.score.rescale(scale) if self.score and self.cut != "score" else None

    def to_growing(self, scale: float | None) -> GrowingDimension:
        """Return the dimension as far as it has been written."""
        return GrowingDimension(
            name=self.name.name,
            score=self.rescale_score(scale),
            comment=self.comment,
            recommendation=self.recommendation,
        )

    def to_dimension(self, scale: float | None) -> Dimension:
        """Return the dimension of a complete judgement, up to its last complete sentence."""
        said = dict(self.to_growing(scale))
        if self.cut == "recommendation":
            said["recommendation"] = _cut_to_sentences(self.recommendation)
        return Dimension(**said)


def judge(record: Record) -> Judgement | None:
    """Return the judgement in ``record``, or ``None`` if it names no dimension."""
    name = _find_name(record)
    if name is None:
        return None
    fields = ("score", "comment", "recommendation", "scale")
    keys = {field: _choose_key(record, field) for field in fields}
    cut = next((field for field, key in keys.items() if key and key == record.growing), None)
    comment = _read_text(record, keys["comment"])
    score = _read_score(record, keys["score"], keys["scale"])
    if keys["score"] is None:
        score = find_score_in_sentence(comment)
    return Judgement(
        name=name,
        score=score,
        comment=comment,
        recommendation=_read_text(record, keys["recommendation"]),
        cut="score" if cut == "scale" else cut,
        is_settled=record.is_closed,
        record=record,
    )


def join_halves(halves: Sequence[Judgement]) -> Judgement | None:
    """Return one judgement of two ``halves``: one has the score and the other the comment."""
    halves = [half for half in halves if not (half.score and half.comment)]
    score = next((half for half in halves if half.score), None)
    text = max((half for half in halves if half.comment), key=_rank_length, default=None)
    if score is None or text is None:
        return None
    advice = next((h for h in halves if h.recommendation and not h.comment), score)
    parts = (advice, score, text)
    return Judgement(
        name=Name(score.name.name, True),
        score=score.score,
        comment=text.comment,
        recommendation=text.recommendation or score.recommendation or advice.recommendation,
        cut=next((part.cut for part in parts if part.cut), None),
        is_settled=all(part.is_settled for part in parts),
        record=max(parts, key=lambda part: not part.is_settled).record,
    )


def add_advice(judgement: Judgement, others: Sequence[Judgement]) -> Judgement:
    """Return ``judgement``, with the recommendation that one of ``others`` is if it has none."""
    advice = next((o for o in others if o.recommendation and not o.comment and not o.score), None)
    if judgement.recommendation or advice is None:
        return judgement
    return replace(
        judgement,
        recommendation=advice.recommendation,
        cut=judgement.cut or advice.cut,
        is_settled=judgement.is_settled and advice.is_settled,
    )


def _rank_length(half: Judgement) -> tuple[bool, int]:
    """Return a rank by which a judgement goes before a fact that is mentioned ahead of it."""
    return bool(half.recommendation), len(half.comment)


def clean_text(text: str) -> str:
    """Return ``text`` on one line, without HTML's breaks and entities, control characters, marks
    that reverse the direction of writing, and lone surrogates."""
    if "&" in text:
        text = _ENTITY.sub(lambda match: unescape(match[0]), text)
    text = BREAK.sub(" ", text.encode("utf-8", "replace").decode())
    return " ".join(_UNWANTED.sub("", text).split())


BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
"""HTML's line break."""

_ENTITY = re.compile(r"&#?\w{2,8};")
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def has_words(text: str) -> bool:
    """Return whether ``text`` has a word and is not a template's placeholder: ``<comment>``."""
    return any(map(str.isalnum, text)) and not _PLACEHOLDER.fullmatch(text)


_PLACEHOLDER = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|string", re.IGNORECASE)


def _find_name(record: Record) -> Name | None:
    said = [record.get_text(key) for key in record.fields if find_field(key) == "name"]
    if name := next(filter(None, map(find_dimension, [*said, record.label])), None):
        return name
    first = next(iter(record.fields.values()), "")  # a full name counts under any key
    name = find_dimension(first) if not said and isinstance(first, str) else None
    return name if name and name.is_exact else None


def _choose_key(record: Record, field: str) -> str | None:
    """Return the least ambiguous key that means ``field``; a score's value has a number."""
    keys = [key for key in record.fields if find_field(key) == field]
    if field == "score":
        keys = [key for key in keys if any(map(str.isdigit, record.get_text(key)))]
    return min(keys, key=rank_field, default=None)


def _read_score(record: Record, key: str | None, scale_key: str | None) -> Score | None:
    value = record.fields[key] if key else []
    if key is None or (isinstance(value, list) and len(value) != 1):
        return None
    scale = find_scale(key) or (find_scale(record.get_text(scale_key)) if scale_key else None)
    return read_score(clean_text(record.get_text(key)), scale)


def _read_text(record: Record, key: str | None) -> str:
    """Return the value of ``key``, without quotes around it or an unmatched mark before or behind
    it."""
    text = clean_text(record.get_text(key)) if key else ""
    for opening, closing in ("[]", "()"):
        if text.endswith(closing) and opening not in text:
            text = text[:-1]
    if len(text) > _LONGEST_QUOTED:
        return text
    if text[:1] not in _QUOTES:
        is_odd = text[-1:] in _QUOTES[:3] and len(_QUOTE.findall(text)) % 2
        return text[:-1] if is_odd else text
    body = text[:-1] if text.endswith(('",', "',")) else text
    quotes = len(_QUOTE.findall(body))
    if quotes % 2 and body[0] != "'":
        return body[1:].lstrip()
    is_around = body[-1:] in _QUOTES and (quotes == 2 or body[0] == body[-1] == "'")
    return _ESCAPED.sub(r"\1", body[1:-1]) if is_around else text


_LONGEST_QUOTED = 10_000
_QUOTES = ('"', "“", "”", "'")
_QUOTE = re.compile(r'(?<!\\)["“”]')
_ESCAPED = re.compile(r"""\\(["'])|(?<=')'""")


def _cut_to_sentences(text: str) -> str:
    return text[: max(text.rfind(mark) for mark in ".!?…。") + 1]

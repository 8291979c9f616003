"""One record as what it says of a dimension: which, how good, why, and what to do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

from mondrian.answers.answer import Dimension, GrowingDimension
from mondrian.answers.field_names import Name, dimension_field, dimension_name, field_rank
from mondrian.answers.json_records import Record
from mondrian.answers.scores import Score, key_scale, read_score, scale_end


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What ``record`` says of the dimension ``name``. ``cut`` is the field that the end of the text
    may have cut off; it ``is_settled`` if no more text can change it."""

    name: Name
    score: Score | None
    comment: str
    recommendation: str
    cut: str | None
    is_settled: bool
    record: Record

    @property
    def has_comment(self) -> bool:
        """Whether the comment is whole and says something."""
        return self.cut != "comment" and says_something(self.comment)

    @property
    def is_not_judged(self) -> bool:
        """Whether it says that the dimension has no score: ``"score": null``."""
        fields = self.record.fields
        return any(dimension_field(key) == "score" and fields[key] == "null" for key in fields)

    def is_complete(self, scale: float | None) -> bool:
        """Whether it has all that a dimension needs."""
        return self.has_comment and bool(self.score_out_of_ten(scale) or self.is_not_judged)

    def score_out_of_ten(self, scale: float | None) -> float | None:
        """The score, where bare numbers are out of ``scale``; ``None`` if it is not clear."""
        return self.score.out_of_ten(scale) if self.score and self.cut != "score" else None

    def growing(self, scale: float | None) -> GrowingDimension:
        """The dimension as far as it was written."""
        return GrowingDimension(
            name=self.name.name,
            score=self.score_out_of_ten(scale),
            comment=self.comment,
            recommendation=self.recommendation,
        )

    def dimension(self, scale: float | None) -> Dimension:
        """The dimension of a complete judgement, as far as its last whole sentence."""
        said = dict(self.growing(scale))
        if self.cut == "recommendation":
            said["recommendation"] = _whole_sentences(self.recommendation)
        return Dimension(**said)


def judge(record: Record) -> Judgement | None:
    """What ``record`` says of a dimension, if it names one."""
    name = _record_name(record)
    if name is None:
        return None
    keys = {field: _key(record, field) for field in ("score", "comment", "recommendation", "scale")}
    cut = next((field for field, key in keys.items() if key and key == record.growing), None)
    return Judgement(
        name=name,
        score=_score(record, keys["score"], keys["scale"]),
        comment=_text(record, keys["comment"]),
        recommendation=_text(record, keys["recommendation"]),
        cut="score" if cut == "scale" else cut,
        is_settled=record.is_closed,
        record=record,
    )


def join(halves: Sequence[Judgement]) -> Judgement | None:
    """One judgement out of ``halves`` of the same dimension: a score here, a comment there."""
    halves = [half for half in halves if not (half.score and half.comment)]
    score = next((half for half in halves if half.score), None)
    text = max((half for half in halves if half.comment), key=_length, default=None)
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


def _length(half: Judgement) -> tuple[bool, int]:
    """How much there is of a judgement: more than of a fact that is mentioned before it."""
    return bool(half.recommendation), len(half.comment)


def clean(text: str) -> str:
    """``text`` on one line, without HTML's entities, control characters, marks that reverse the
    direction of writing, and lone surrogates."""
    if "&" in text:
        text = _ENTITY.sub(lambda match: unescape(match[0]), text)
    text = text.encode("utf-8", "replace").decode()
    return " ".join(_UNWANTED.sub("", text).split())


_ENTITY = re.compile(r"&#?\w{2,8};")
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def says_something(text: str) -> bool:
    """Whether ``text`` has a word, and is not what a template has in its place: ``<comment>``."""
    return any(map(str.isalnum, text)) and not _PLACE.fullmatch(text)


_PLACE = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|string", re.IGNORECASE)


def _record_name(record: Record) -> Name | None:
    said = [record.text(key) for key in record.fields if dimension_field(key) == "name"]
    if name := next(filter(None, map(dimension_name, [*said, record.label])), None):
        return name
    first = next(iter(record.fields.values()), "")  # whatever its key, a full name tells
    name = dimension_name(first) if not said and isinstance(first, str) else None
    return name if name and name.is_exact else None


def _key(record: Record, field: str) -> str | None:
    """The plainest key that means ``field``; a score's has a number."""
    keys = [key for key in record.fields if dimension_field(key) == field]
    if field == "score":
        keys = [key for key in keys if any(map(str.isdigit, record.text(key)))]
    return min(keys, key=field_rank, default=None)


def _score(record: Record, key: str | None, scale_key: str | None) -> Score | None:
    value = record.fields[key] if key else []
    if key is None or (isinstance(value, list) and len(value) != 1):
        return None
    scale = key_scale(key) or (scale_end(record.text(scale_key)) if scale_key else None)
    return read_score(clean(record.text(key)), scale)


def _text(record: Record, key: str | None) -> str:
    """What stands under ``key``, without quotes around it or one before it alone."""
    text = clean(record.text(key)) if key else ""
    if text[:1] not in _QUOTES:
        return text
    body = text[:-1] if text.endswith(('",', "',")) else text
    quotes = len(_QUOTE.findall(body))
    if quotes % 2 and body[0] != "'":
        return body[1:].lstrip()
    is_around = body[-1:] in _QUOTES and (quotes == 2 or body[0] == body[-1] == "'")
    return _ESCAPED.sub(r"\1", body[1:-1]) if is_around else text


_QUOTES = ('"', "“", "”", "'")
_QUOTE = re.compile(r'(?<!\\)["“”]')
_ESCAPED = re.compile(r"""\\(["'])|(?<=')'""")


def _whole_sentences(text: str) -> str:
    return text[: max(text.rfind(mark) for mark in ".!?…。") + 1]

"""Parse a model's text into an ``Answer``, complete or growing.

Plain JSON of the expected shape is parsed by pydantic. Anything else is parsed into flat records,
once as JSON-like text and once as tables and sections, and the parser that finds more dimensions
wins, or both together. The rules of salvage:

1. A dimension is complete with a name, a score and a complete comment; a recommendation that was
   cut off counts up to its last complete sentence. Incomplete parts are dropped, never filled in.
2. An answer ends where a complete dimension is repeated. Of several answers the last of those with
   the most dimensions counts: an earlier one was a draft, or thinking whose marks are unknown. With
   the same scores it is a repetition, and the longer one counts. If the end of the text cuts off
   the last answer, the other scores that it gave count too: they were the model's last word.
3. Within an answer a name written in full takes precedence over a short form, the least ambiguous
   key over others, the first over the next. A score in one place and a comment in another, each
   without the other, make one dimension.
4. A score has its own scale (``8/10``, ``85 %``, ``4/5``), or the answer states one for all. A bare
   number is from 1 to 10, or out of 100 if all make that clear. An ambiguous score is dropped, also
   a bare number that the end of the text may have cut: a wrong score is worse than none. In
   plain JSON ``null`` means that the dimension is not judged.
5. Comments may be in any language, names in those of ``languages.py``: positions are not guessed.
6. Of a text of more than 100,000 characters or 1,000 lines the beginning and the end are read, and
   of what is left so many quotes, marks, numbers and labels as ten answers have: time is bounded.
7. A model's thinking (``<think>``) is not its answer, and a template's ``<comment>`` not a comment.
"""

import re
from collections.abc import Iterable, Sequence
from html import unescape
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
from mondrian.answers.field_names import find_answer_field
from mondrian.answers.json_records import read_json_records
from mondrian.answers.judgement import (
    Judgement,
    add_advice,
    clean_text,
    has_words,
    join_halves,
    judge,
)
from mondrian.answers.markdown_records import read_markdown_records
from mondrian.answers.records import Record
from mondrian.answers.scores import find_stated_scales, infer_bare_scale
from mondrian.answers.thinking import has_thinking, remove_thinking
from mondrian.errors import AnswerError


def read_answer(text: str) -> Answer:
    """Parse a model's finished answer, in time linear in the length of ``text``.

    Raise ``AnswerError`` if no dimension can be read.
    """
    if answer := _read_plain(text):
        return answer
    reading = _read(text)
    dimensions = _sort(reading.dimensions)
    if not dimensions:
        raise AnswerError
    return Answer(
        image_description=reading.description,
        dimensions=dimensions,
        key_strengths=reading.get_items("key_strengths"),
        priority_improvements=reading.get_items("priority_improvements"),
        technical_notes=reading.get_items("technical_notes"),
        salvaged=True,
    )


def read_partial(text: str) -> Answer | PartialAnswer:
    """Parse an answer that is still growing; return the ``Answer`` once it is complete. Raise
    nothing."""
    if answer := _read_plain(text):
        return answer
    reading = _read(text)
    return PartialAnswer(
        image_description=reading.description,
        dimensions=_sort(reading.settled),
        growing=reading.growing,
    )


def count_answers(text: str) -> int:
    """Return the number of answers in ``text`` that judge all eight dimensions."""
    text = _remove_margins(text)
    ways = (read_json_records(text), read_markdown_records(text))
    drafts = [_split_drafts(judgements, text) for judgements in map(_judge_all, ways) if judgements]
    whole = [sum(len(d.scores) == len(DIMENSIONS) for d in each) for each in drafts]
    return max(whole, default=0)


def _clean_words(text: str) -> str:
    """Return ``text`` cleaned. Raise ``ValueError`` if it has no words."""
    text = clean_text(text)
    if not has_words(text):
        raise ValueError("no words")
    return text


Text = Annotated[str, AfterValidator(clean_text)]
Words = Annotated[str, AfterValidator(_clean_words)]


class _PlainDimension(BaseModel):
    name: str
    score: float | None = Field(strict=True, ge=1, le=10)
    comment: Words
    recommendation: Words


class _PlainAnswer(BaseModel):
    """The expected shape. Other keys are ignored."""

    image_description: Text = ""
    dimensions: list[_PlainDimension]
    key_strengths: tuple[Words, ...] = ()
    priority_improvements: tuple[Words, ...] = ()
    technical_notes: tuple[Words, ...] = ()


def _read_plain(text: str) -> Answer | None:
    try:
        plain = _PlainAnswer.model_validate_json(text)
    except (ValidationError, ValueError):  # ValueError: a lone surrogate
        return None
    if sorted(dimension.name for dimension in plain.dimensions) != sorted(DIMENSIONS):
        return None
    dimensions = _sort(Dimension(**dict(dimension)) for dimension in plain.dimensions)
    said = "\n".join(f"{d.comment}\n{d.recommendation}" for d in dimensions)
    scores = [d.score for d in dimensions if d.score is not None]
    if find_stated_scales(text, scores, said) - {10.0}:
        return None
    return Answer(**{**dict(plain), "dimensions": dimensions})


def _sort(dimensions: Iterable[Dimension]) -> tuple[Dimension, ...]:
    return tuple(sorted(dimensions, key=lambda dimension: DIMENSIONS.index(dimension.name)))


class _Draft(NamedTuple):
    """One of the answers in a text: the best judgement of each dimension, and the scale of bare
    scores."""

    judgements: dict[str, Judgement]
    scale: float | None

    @property
    def scores(self) -> dict[str, float | None]:
        """The scores of the complete dimensions, ``None`` of those that are not judged."""
        return {
            name: judgement.rescale_score(self.scale)
            for name, judgement in self.judgements.items()
            if judgement.is_complete(self.scale)
        }

    @property
    def text_length(self) -> int:
        """The length of its comments and recommendations in characters."""
        return sum(len(j.comment) + len(j.recommendation) for j in self.judgements.values())


class _Reading(NamedTuple):
    """The result of one parser: the records and the dimensions, of which some are settled."""

    records: Sequence[Record]
    dimensions: Sequence[Dimension] = ()
    settled: Sequence[Dimension] = ()
    growing: GrowingDimension | None = None

    @property
    def weight(self) -> tuple[int, bool]:
        """The amount found, for comparison with other readings."""
        return len(self.dimensions), not self.dimensions and self.growing is not None

    @property
    def description(self) -> str:
        """The model's description of the photo, as far as it has been written."""
        return clean_text(" ".join(self._find_values("image_description")))

    def get_scores(self) -> dict[str, float | None]:
        """Return the score of each dimension."""
        return {dimension.name: dimension.score for dimension in self.dimensions}

    def get_items(self, field: str) -> tuple[str, ...]:
        """Return the items of one of the answer's lists."""
        cleaned = (clean_text(item) for item in self._find_values(field))
        return tuple(item for item in cleaned if has_words(item))

    def _find_values(self, field: str) -> list[str]:
        """Return the values of ``field`` in the first record that has it and is not a dimension."""
        for record in self.records:
            for key, value in record.fields.items():
                if find_answer_field(key) == field and judge(record) is None:
                    return [value] if isinstance(value, str) else value
        return []


def _read(text: str) -> _Reading:
    text = _remove_margins(text)
    records = read_json_records(text)
    judgements = _judge_all(records)
    reading = _choose_answer(records, judgements, text)
    if len(reading.dimensions) == len(DIMENSIONS):
        return _read_behind(text, reading)
    if _WRAPPED.search(text) or ("\n" not in text and text.count("\\n") >= len(DIMENSIONS)):
        text = _WRAPPED.sub("\n", text.replace("\\n", "\n").replace('\\"', '"'))
    sections = read_markdown_records(text)
    more = _judge_all(sections)
    other = _choose_answer(sections, more, text)
    if reading.dimensions or not judgements or len(records) > _MOST_SCORES:
        return max(reading, other, key=lambda each: each.weight)
    both = [*sections, *records], [*more, *judgements]  # scores in JSON, comments in sections
    return max(reading, other, _choose_answer(*both, text), key=lambda each: each.weight)


def _read_behind(text: str, draft: _Reading) -> _Reading:
    """Return the answer in sections behind the JSON of ``draft`` if it has all other scores, else
    ``draft``."""
    behind = text[text.rfind("}") + 1 :]
    sections = read_markdown_records(behind)
    final = _choose_answer(sections, _judge_all(sections), behind)
    is_whole = len(final.dimensions) == len(DIMENSIONS)
    return final if is_whole and final.get_scores() != draft.get_scores() else draft


_MOST_SCORES = 100


# Markdown in a string of JSON; a whole text may also have its line breaks escaped.
_WRAPPED = re.compile(r'"\w{1,30}"\s{0,9}:\s{0,9}"(?=[#*])')


def _remove_margins(text: str) -> str:
    if len(text) > _MOST_READ:
        head, tail = text[: _MOST_READ // 4], text[-_MOST_READ * 3 // 4 :]
        text = tail if has_thinking(head) else f"{head}\n…\n{tail}"
    text = remove_thinking(text)
    text = text if text.isascii() else text.translate(_WIDE)
    if any(mark not in text and escaped in text for mark, escaped in _ESCAPED):
        text = unescape(text)
    if "☆" in text:
        text = _STARS.sub(lambda row: f"{len(row[1])}/{len(row[1] + row[2])} ", text)
    text = _MATH.sub(
        r"\1", _LATEX.sub(r"**\1**", text.replace("\\/", "/").replace("\\item ", "- "))
    )
    return _FRACTION.sub(r"\1/\2", _MARGIN.sub("", text)).replace("\ufe0f\u20e3", ".")


_MOST_READ = 100_000
_ESCAPED = (("<", "&lt;"), ('"', "&quot;"))  # a page's text
# Wide marks, the lines of a drawn table and the blocks of a drawn bar.
_WIDE = str.maketrans(
    dict(zip("｛｝［］＂∕│┃║", '{}[]"/|||', strict=True))
    | dict.fromkeys(map(chr, range(0x2580, 0x25A0)))
    | dict.fromkeys("─━═┄┈╌╍", "-")
    | {"🔟": "10"}
)
# Full and empty stars, where no figure says the same.
_STARS = re.compile(r"(?<![★☆⭐\d])(?<!\d )([★⭐]{1,10})(☆{0,9})(?![★☆⭐])(?!\W{0,4}\d)")
_LATEX = re.compile(r"\\(?:text\w{0,2}|emph|(?:sub){0,2}section\*?|paragraph)\{([^{}\n]{1,80})\}")
_MATH = re.compile(r"(?:\$|\\\()(?:\\boxed\{)?(\d[\d.,/ ]{0,8})\}?(?:\$|\\\))")
_FRACTION = re.compile(r"\$?\\d?frac\{(\d{1,3})\}\{(\d{1,3})\}\$?")
# The marks of a quotation, line numbers, or marks of footnotes.
_MARGIN = re.compile(
    r"^[^\S\n]{0,9}(?:(?:>[^\S\n]?)+|\d{1,4}[:.|)]?[^\S\n]+(?=[\[\]{}\"]))|\[\^\d{1,3}\]", re.M
)


def _judge_all(records: Iterable[Record]) -> list[Judgement]:
    return [judgement for record in records if (judgement := judge(record))]


def _choose_answer(
    records: Sequence[Record], judgements: Sequence[Judgement], text: str
) -> _Reading:
    """Return the best answer, with the dimensions that only other answers have."""
    if not judgements:
        return _Reading(records)
    *earlier, last = _split_drafts(judgements, text)
    ranked = sorted([*earlier, last], key=lambda draft: len(draft.scores))
    same = [draft for draft in ranked if draft.scores == ranked[-1].scores]
    ranked.append(max(same, key=lambda draft: draft.text_length))
    chosen: dict[str, tuple[Judgement, float | None]] = {}
    for draft in ranked:
        chosen |= {name: (each, draft.scale) for name, each in draft.judgements.items()}
    for draft in ranked:
        chosen |= {name: (draft.judgements[name], draft.scale) for name in draft.scores}
    if judgements[-1].is_cut_off or _UNFINISHED.search(text[-9:]):
        said = {name: judgement.rescale_score(scale) for name, (judgement, scale) in chosen.items()}
        changed = {name for name, score in last.scores.items() if score != said[name]}
        chosen |= {name: (last.judgements[name], last.scale) for name in changed}
    growing, scale = chosen[judgements[-1].name.name]
    is_growing = not growing.is_settled and growing.record is judgements[-1].record
    complete = {name: each for name, each in chosen.items() if each[0].is_complete(each[1])}
    dimensions = {name: each.to_dimension(scale) for name, (each, scale) in complete.items()}
    return _Reading(
        records,
        list(dimensions.values()),
        [each for name, each in dimensions.items() if chosen[name][0].is_settled],
        growing.to_growing(scale) if is_growing else None,
    )


_UNFINISHED = re.compile(r"[^\W\d_]\s*\Z|[#:,(/-]\s*\Z")


def _split_drafts(judgements: Sequence[Judgement], text: str) -> list[_Draft]:
    """Split ``judgements`` into answers: another one begins where a complete dimension is repeated
    in a later object or section."""
    bare = [each.score.number for each in judgements if each.score and not each.score.scale]
    said = "\n".join(f"{each.comment}\n{each.recommendation}" for each in judgements)
    stated = find_stated_scales(text, bare, said) if bare else set[float]()
    answers: list[list[Judgement]] = [[]]
    seen = set[str]()
    for _, group in groupby(judgements, lambda each: each.record.group):
        some = list(group)
        exact = [e for e in some if e.name.is_exact and e.has_comment]
        complete = {e.name.name for e in exact if e.score}
        if complete & seen:
            answers.append([])
            seen = set()
        answers[-1] += some
        seen |= complete
    return [_build_draft(answer, stated) for answer in answers]


def _build_draft(judgements: Sequence[Judgement], stated: set[float]) -> _Draft:
    scale = infer_bare_scale([each.score for each in judgements if each.score], stated)
    by_name: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_name.setdefault(judgement.name.name, []).append(judgement)
    return _Draft({name: _choose_best(same, scale) for name, same in by_name.items()}, scale)


def _choose_best(same: Sequence[Judgement], scale: float | None) -> Judgement:
    """Return the best judgement of a dimension: the first that is complete and named in full."""

    def rank(each: Judgement) -> tuple[bool, bool]:
        return each.is_complete(scale), each.name.is_exact

    best = max(same, key=rank)
    return add_advice(best, same) if rank(best)[0] else join_halves(same) or best

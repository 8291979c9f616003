"""Recognize the names of dimensions and fields as models write them.

Both follow one rule: the word itself, in English or another language, or that word with one or two
letters wrong.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from mondrian.answers.answer import DIMENSIONS
from mondrian.answers.languages import DIMENSIONS_ELSEWHERE, FIELDS_ELSEWHERE, fold

_LONGEST = 60


class Name(NamedTuple):
    """A dimension's name as in ``DIMENSIONS``; it ``is_exact`` if it was written in full."""

    name: str
    is_exact: bool


def fold_letters(text: str) -> str:
    """Return ``text`` reduced for comparison: letters a to z, without "and", American spelling.

    ``Focus & Sharpness``, ``focus_and_sharpness`` and ``FocusSharpness`` become one word. Text
    longer than 60 characters is no name: an empty string.
    """
    if len(text) > _LONGEST:
        return ""
    plain = re.sub(r"&\w{2,6};|[^a-z]", "", text.lower())
    return plain.replace("colour", "color").replace("and", "")


_EXACT = {fold_letters(name): name for name in DIMENSIONS}
_MENTION = re.compile(
    "|".join(name.replace(" & ", " (?:&|and) ").replace("Color", "Colou?r") for name in DIMENSIONS),
    re.IGNORECASE,
)
_SHORT = {
    "composition": "Composition",
    "light": "Lighting",
    "focus": "Focus & Sharpness",
    "sharpness": "Focus & Sharpness",
    "sharpnessfocus": "Focus & Sharpness",
    "color": "Color Harmony",
    "colors": "Color Harmony",
    "colorsharmony": "Color Harmony",
    "isolation": "Subject Isolation",
    "subjectseparation": "Subject Isolation",
    "depth": "Depth & Perspective",
    "perspective": "Depth & Perspective",
    "perspectivedepth": "Depth & Perspective",
    "balance": "Visual Balance",
    "emotion": "Emotional Impact",
    "emotional": "Emotional Impact",
    "impact": "Emotional Impact",
}
_DECORATION = re.compile(r"^(?:dimension|(?:score|rating)(?:for|of))|(?:score|rating|outof)$")
_JOINTS = re.compile(r"[&/+,:(|–—]|\band\b| - ")


def find_dimension(text: str) -> Name | None:
    """Return the dimension that ``text`` names: ``1. colour_harmony``, ``Focus (8/10)``.

    A short form (``Depth``) or the first part of a longer name (``Lighting & Exposure``) is not
    exact, nor is one with a letter wrong. Names are known in English and some other languages: a
    guess by position would put words into the model's mouth.
    """
    return _find_dimension(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _find_dimension(text: str) -> Name | None:
    word = _DECORATION.sub("", fold_letters(text))
    if word in _EXACT:
        return Name(_EXACT[word], True)
    if elsewhere := DIMENSIONS_ELSEWHERE.get(fold(text)):
        return Name(elsewhere, True)
    firsts = (_JOINTS.split(text, maxsplit=1)[0], _cut_bracket(text))
    short = _SHORT.get(word) or next(filter(None, map(_EXACT.get, map(fold_letters, firsts))), None)
    name = short or _EXACT.get(_find_nearest(word, _EXACT) or "")
    return Name(name, False) if name else None


def find_mention(text: str) -> str | None:
    """Return the dimension that the first sentence of ``text`` mentions by its full name, if it
    mentions only one."""
    names = {fold_letters(name) for name in _MENTION.findall(text[:_BEGINNING])}
    return _EXACT[names.pop()] if len(names) == 1 else None


_BEGINNING = 120


def is_full_name(text: str) -> bool:
    """Return whether ``text`` names a dimension in full."""
    return (name := find_dimension(text)) is not None and name.is_exact


def _find_nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word of ``known`` that is ``word`` but for a letter or two: ``compositon``."""
    if len(word) < _SHORTEST_MISSPELT:
        return None
    for other in known:
        may_be = word[0] == other[0] and abs(len(word) - len(other)) < 3
        may_be = may_be and len({*word} ^ {*other}) < 4
        if may_be and SequenceMatcher(None, word, other, autojunk=False).ratio() > 0.9:
            return other
    return None


_SHORTEST_MISSPELT = 6  # "scope" is no "score"


def _cut_bracket(text: str) -> str:
    return re.split(r"[(（]", text, maxsplit=1)[0] or text


def split_key(key: str) -> tuple[str, str] | None:
    """Return the dimension's name and the field in a key with both: ``composition_score``."""
    match = _PART.fullmatch(key) if len(key) <= _LONGEST else None
    field = find_field(match[2]) if match else None
    if match is None or field in (None, "name") or not find_dimension(match[1]):
        return None
    return match[1], field or ""


_PART = re.compile(r"(.+)(?:[\s_.-]|(?<=[a-z])(?=[A-Z]))([^\W\d_]+)")


def _build_index(words: dict[str, str]) -> dict[str, tuple[str, int]]:
    return {
        word: (field, rank)
        for field, alternatives in words.items()
        for rank, word in enumerate(alternatives.split())
    }


# The least ambiguous word of each field comes first and takes precedence.
_DIMENSION_FIELDS = _build_index(
    {
        "name": "name dimension dimensionname category aspect criterion criteria metric parameter "
        "title area element",
        "score": "score scores rating ratings grade points mark finalscore value",
        "scale": "scale maxscore scoremax maximumscore maxpoints maximum max outof scorescale "
        "ratingscale scorerange",
        "comment": "comment comments commentary feedback analysis assessment observation "
        "observations critique evaluation explanation reasoning rationale justification reason "
        "reasons remark remarks notes details text description strengths strength whatworks "
        "whatworkswell weaknesses weakness",
        "recommendation": "recommendation recommendations suggestion suggestions advice advise "
        "improvement improvements tip tips try whattotry action "
        "howtoimprove toimprove whattoimprove whatcouldbeimproved couldbeimproved nexttime "
        "areaforimprovement areasforimprovement suggestedimprovement nextstep nextsteps",
    }
)
_ANSWER_FIELDS = _build_index(
    {
        "image_description": "imagedescription description photodescription photographdescription "
        "scenedescription",
        "key_strengths": "keystrengths strengths mainstrengths whatworks whatworkswell",
        "priority_improvements": "priorityimprovements improvements keyimprovements "
        "mainimprovements topimprovements areasforimprovement",
        "technical_notes": "technicalnotes technicalnote technicaldetails",
    }
)
_CONTAINERS = {"dimensions", "critique", "answer", "result", "report", "json"}


def find_field(key: str) -> str | None:
    """Return the field that ``key`` means in a dimension: ``name``, ``score``, ``scale``,
    ``comment``, ``recommendation`` or ``None``."""
    found = _rank_known_field(key)
    return found[0] if found else None


def rank_field(key: str) -> int:
    """Return how unambiguously ``key`` means its field: 0 is best."""
    found = _rank_known_field(key)
    return found[1] if found else 99


def _rank_known_field(key: str) -> tuple[str, int] | None:
    return _find_known_field(key) if len(key) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _find_known_field(key: str) -> tuple[str, int] | None:
    word = fold_letters(_cut_bracket(key))
    if found := _DIMENSION_FIELDS.get(word) or _DIMENSION_FIELDS.get(word.removesuffix("outof")):
        return found
    if elsewhere := FIELDS_ELSEWHERE.get(fold(key)):
        return elsewhere, _RANK_ELSEWHERE
    if near := _find_nearest(word, _DIMENSION_FIELDS):
        return _DIMENSION_FIELDS[near][0], _RANK_NEAR
    words, first = _split_words(key), fold_letters(_JOINTS.split(key, maxsplit=1)[0])
    last = _DIMENSION_FIELDS.get(words[-1].lower()) if len(words) > 1 else None
    last = _DIMENSION_FIELDS.get(first, last)
    is_text = last and last[0] in ("comment", "recommendation") and not find_answer_field(key)
    return (last[0], _RANK_LAST) if last and is_text else None


# A French "note" is a score, but less clearly than any English word; in "actionable_advice" the
# last word decides. A "potential score" is not a score.
_RANK_ELSEWHERE, _RANK_NEAR, _RANK_LAST = 9, 30, 40


def _split_words(key: str) -> list[str]:
    return re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+", _cut_bracket(key)) or [""]


def find_column_fields(heads: Sequence[str]) -> list[str | None]:
    """Return the fields of a table's columns.

    In a heading of several words the last word that names a field decides, as in ``Final score``,
    unless another column has the same field.
    """
    exact = [find_field(head) for head in heads]
    loose = [field or _find_last_field(head) for field, head in zip(exact, heads, strict=True)]
    count = Counter(loose)
    return [
        field or (may_be if count[may_be] == 1 else None)
        for field, may_be in zip(exact, loose, strict=True)
    ]


def _find_last_field(head: str) -> str | None:
    words = reversed(_split_words(head[:_LONGEST]))
    return next(filter(None, map(find_field, words)), None)


def find_answer_field(key: str) -> str | None:
    """Return the field of ``Answer`` that ``key`` means beside the dimensions, if any."""
    return _find_cached_answer_field(key) if len(key) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _find_cached_answer_field(key: str) -> str | None:
    word = fold_letters(key)
    near = word if word in _ANSWER_FIELDS else _find_nearest(word, _ANSWER_FIELDS)
    found = _ANSWER_FIELDS.get(near or "")
    return found[0] if found else None


def is_key(key: str) -> bool:
    """Return whether ``key`` is a known key of an answer."""
    is_known = find_field(key) or find_answer_field(key) or find_dimension(key)
    return bool(is_known) or fold_letters(key) in _CONTAINERS

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
from mondrian.answers.languages import DIMENSIONS_ELSEWHERE, FIELDS_ELSEWHERE, folded

_LONGEST = 60


class Name(NamedTuple):
    """A dimension's name as in ``DIMENSIONS``, and whether it was written in full."""

    name: str
    is_exact: bool


def letters(text: str) -> str:
    """Return ``text`` reduced for comparison: letters a to z, without "and", American spelling.

    ``Focus & Sharpness``, ``focus_and_sharpness`` and ``FocusSharpness`` become one word. Text
    longer than 60 characters is no name: an empty string.
    """
    if len(text) > _LONGEST:
        return ""
    plain = re.sub(r"&\w{2,6};|[^a-z]", "", text.lower())
    return plain.replace("colour", "color").replace("and", "")


_EXACT = {letters(name): name for name in DIMENSIONS}
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
_DECORATION = re.compile(r"^dimension|(?:score|rating|outof)$")
_JOINTS = re.compile(r"[&/+,:(|–—]|\band\b| - ")


def dimension_name(text: str) -> Name | None:
    """Return the dimension that ``text`` names: ``1. colour_harmony``, ``Focus (8/10)``.

    A short form (``Depth``) or the first part of a longer name (``Lighting & Exposure``) is not
    exact, nor is one with a letter wrong. Names are known in English and some other languages: a
    guess by position would put words into the model's mouth.
    """
    return _dimension(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _dimension(text: str) -> Name | None:
    word = _DECORATION.sub("", letters(text))
    if word in _EXACT:
        return Name(_EXACT[word], True)
    if elsewhere := DIMENSIONS_ELSEWHERE.get(folded(text)):
        return Name(elsewhere, True)
    firsts = (_JOINTS.split(text, maxsplit=1)[0], _before_bracket(text))
    short = _SHORT.get(word) or next(filter(None, map(_EXACT.get, map(letters, firsts))), None)
    name = short or _EXACT.get(_nearest(word, _EXACT) or "")
    return Name(name, False) if name else None


def _nearest(word: str, known: Iterable[str]) -> str | None:
    """Which of ``known`` is ``word`` but for a letter or two: ``compositon``, ``recomendation``."""
    if len(word) < _SHORTEST_MISSPELT:
        return None
    for other in known:
        may_be = word[0] == other[0] and abs(len(word) - len(other)) < 3
        may_be = may_be and len({*word} ^ {*other}) < 4
        if may_be and SequenceMatcher(None, word, other, autojunk=False).ratio() > 0.9:
            return other
    return None


_SHORTEST_MISSPELT = 6  # "scope" is no "score"


def _before_bracket(text: str) -> str:
    return re.split(r"[(（]", text, maxsplit=1)[0] or text


def dimension_part(key: str) -> tuple[str, str] | None:
    """Return the dimension's name and the field in a key with both: ``composition_score``."""
    match = _PART.fullmatch(key) if len(key) <= _LONGEST else None
    field = dimension_field(match[2]) if match else None
    if match is None or field in (None, "name") or not dimension_name(match[1]):
        return None
    return match[1], field or ""


_PART = re.compile(r"(.+)(?:[\s_.-]|(?<=[a-z])(?=[A-Z]))([^\W\d_]+)")


def _index(words: dict[str, str]) -> dict[str, tuple[str, int]]:
    return {
        word: (field, rank)
        for field, alternatives in words.items()
        for rank, word in enumerate(alternatives.split())
    }


# The plainest word of each field first: it is believed before the others.
_DIMENSION_FIELDS = _index(
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
        "improvement improvements tip tips howtoimprove toimprove suggestedimprovement nextstep "
        "nextsteps",
    }
)
_ANSWER_FIELDS = _index(
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


def dimension_field(key: str) -> str | None:
    """Return the field that ``key`` means in a dimension: ``name``, ``score``, ``scale``,
    ``comment``, ``recommendation`` or ``None``."""
    found = _field(key)
    return found[0] if found else None


def field_rank(key: str) -> int:
    """Return how unambiguously ``key`` means its field: 0 is best."""
    found = _field(key)
    return found[1] if found else 99


def _field(key: str) -> tuple[str, int] | None:
    return _known_field(key) if len(key) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _known_field(key: str) -> tuple[str, int] | None:
    word = letters(_before_bracket(key))
    if found := _DIMENSION_FIELDS.get(word) or _DIMENSION_FIELDS.get(word.removesuffix("outof")):
        return found
    if elsewhere := FIELDS_ELSEWHERE.get(folded(key)):
        return elsewhere, _RANK_ELSEWHERE
    if near := _nearest(word, _DIMENSION_FIELDS):
        return _DIMENSION_FIELDS[near][0], _RANK_NEAR
    last = _DIMENSION_FIELDS.get(_words(key)[-1].lower()) if len(_words(key)) > 1 else None
    is_text = last and last[0] in ("comment", "recommendation") and not answer_field(key)
    return (last[0], _RANK_LAST) if last and is_text else None


# A French "note" is a score, but less so than any English word; in "actionable_advice" the last
# word tells what it is. A "potential score" is no score.
_RANK_ELSEWHERE, _RANK_NEAR, _RANK_LAST = 9, 30, 40


def _words(key: str) -> list[str]:
    return re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+", _before_bracket(key)) or [""]


def column_fields(heads: Sequence[str]) -> list[str | None]:
    """Return the fields of a table's columns. In a head of several words the last word that is a
    field decides, as in ``Final score``, unless another column has the same field."""
    exact = [dimension_field(head) for head in heads]
    loose = [field or _last_field(head) for field, head in zip(exact, heads, strict=True)]
    count = Counter(loose)
    return [
        field or (may_be if count[may_be] == 1 else None)
        for field, may_be in zip(exact, loose, strict=True)
    ]


def _last_field(head: str) -> str | None:
    words = reversed(_words(head[:_LONGEST]))
    return next(filter(None, map(dimension_field, words)), None)


def answer_field(key: str) -> str | None:
    """Return the field of ``Answer`` that ``key`` means beside the dimensions, if any."""
    return _answer_field(key) if len(key) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _answer_field(key: str) -> str | None:
    word = letters(key)
    found = _ANSWER_FIELDS.get(word) or _ANSWER_FIELDS.get(_nearest(word, _ANSWER_FIELDS) or "")
    return found[0] if found else None


def is_key(key: str) -> bool:
    """Return whether ``key`` is a known key of an answer."""
    is_known = dimension_field(key) or answer_field(key) or dimension_name(key)
    return bool(is_known) or letters(key) in _CONTAINERS

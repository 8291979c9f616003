"""Recognize the names of dimensions and fields as models write them.

Both follow one rule: the word itself, in English or another language, or an English word with one
or two letters wrong.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple, TypeVar

from mondrian.answers.answer import DIMENSIONS
from mondrian.answers.languages import DIMENSION_WORDS, FIELD_WORDS, LONGEST_NAME, fold

T = TypeVar("T")


class Name(NamedTuple):
    """A dimension's name as in ``DIMENSIONS``; it ``is_exact`` if it was written in full."""

    name: str
    is_exact: bool


def _cache_short(find: Callable[[str], T | None]) -> Callable[[str], T | None]:
    cached = lru_cache(maxsize=4096)(find)
    return lambda text: cached(text) if len(text) <= LONGEST_NAME else None


_NAMES = "|".join(
    name.replace(" & ", " (?:&|and) ").replace("Color", "Colou?r") for name in DIMENSIONS
)
_MENTION = re.compile(_NAMES, re.IGNORECASE)
NAME_AND_SCORE = re.compile(rf"(?:{_NAMES})\W{{1,5}}(?=\d[\d.]{{0,3}}/10\b)")
"""A dimension's full name before a score out of ten."""
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
_DECORATION = re.compile(r"^(?:dimension|(?:score|rating)?(?:for|of))|(?:scores?|rating|outof|at)$")
_JOINTS = re.compile(r"[&/+,:(|–—]|\band\b| - ")


@_cache_short
def find_dimension(text: str) -> Name | None:
    """Return the dimension that ``text`` names: ``1. colour_harmony``, ``Focus (8/10)``.

    A short form (``Depth``) or the first part of a longer name (``Lighting & Exposure``) is not
    exact, nor is one with a letter wrong. Names are known in English and some other languages: a
    guess by position would put words into the model's mouth.
    """
    word = _DECORATION.sub("", fold(text))
    for whole in (word, _NOT_LATIN.sub("", word)):
        if whole in DIMENSION_WORDS:
            return Name(DIMENSION_WORDS[whole], True)
    firsts = map(fold, (_JOINTS.split(text, maxsplit=1)[0], _cut_bracket(text)))
    short = _SHORT.get(word) or next(filter(None, map(DIMENSION_WORDS.get, firsts)), None)
    name = short or DIMENSION_WORDS.get(_find_nearest(word, _ENGLISH) or "")
    return Name(name, False) if name else None


_NOT_LATIN = re.compile("[^a-z]")
_ENGLISH = tuple(map(fold, DIMENSIONS))


def find_mention(text: str) -> str | None:
    """Return the dimension that the first sentence of ``text`` mentions by its full name, if it
    mentions only one."""
    names = set(map(fold, _MENTION.findall(text[:_BEGINNING])))
    return DIMENSION_WORDS[names.pop()] if len(names) == 1 else None


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
    """Return the dimension's name and the field in a key with both: ``composition_score``, ``Advice
    for Lighting``."""
    match = (_ABOUT.fullmatch(key) or _PART.fullmatch(key)) if len(key) <= LONGEST_NAME else None
    field = find_field(match["field"]) if match else None
    if match is None or field in (None, "name") or not find_dimension(match["name"]):
        return None
    return match["name"], field or ""


_ABOUT = re.compile(r"(?P<field>.+?)[\s_](?:for|on|of)[\s_](?P<name>.+)")
_PART = re.compile(r"(?P<name>.+)(?:[\s_.-]|(?<=[a-z])(?=[A-Z]))(?P<field>[^\W\d_]+)")
_ANSWER_FIELDS = {
    word: field
    for field, words in {
        "image_description": "imagedescription description photodescription photographdescription "
        "scenedescription",
        "key_strengths": "keystrengths strengths mainstrengths whatworks whatworkswell",
        "priority_improvements": "priorityimprovements improvements keyimprovements "
        "mainimprovements topimprovements areasforimprovement",
        "technical_notes": "technicalnotes technicalnote technicaldetails",
    }.items()
    for word in words.split()
}
_CONTAINERS = {"dimensions", "critique", "answer", "result", "report", "json"}


def find_field(key: str) -> str | None:
    """Return the field that ``key`` means in a dimension: ``name``, ``score``, ``scale``,
    ``comment``, ``recommendation`` or ``None``."""
    found = _find_known_field(key)
    return found[0] if found else None


def rank_field(key: str) -> int:
    """Return how unambiguously ``key`` means its field: 0 is best."""
    found = _find_known_field(key)
    return found[1] if found else _RANK_LAST


@_cache_short
def _find_known_field(key: str) -> tuple[str, int] | None:
    word = fold(_cut_bracket(key))
    if found := FIELD_WORDS.get(word) or FIELD_WORDS.get(word.removesuffix("outof")):
        return found
    if near := _find_nearest(word, FIELD_WORDS):
        return FIELD_WORDS[near][0], _RANK_NEAR
    # in "actionable_advice" the last word decides; a "potential score" is not a score
    ends = fold(_FIRST_PART.split(key, maxsplit=1)[0]), *_split_words(key)[1:][-1:]
    last = next(filter(None, (FIELD_WORDS.get(end.lower()) for end in ends)), None)
    is_text = last and last[0] in ("comment", "recommendation") and not find_answer_field(key)
    return (last[0], _RANK_LAST) if last and is_text else None


_RANK_NEAR, _RANK_LAST = 1000, 2000
_FIRST_PART = re.compile(rf"{_JOINTS.pattern}|\b(?:for|on|of)\b")


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


def is_other_score(key: str) -> bool:
    """Return whether ``key`` means a score that is not the dimension's: ``Potential score``."""
    return not find_field(key) and len(_split_words(key)) < 4 and _find_last_field(key) == "score"


def _find_last_field(head: str) -> str | None:
    words = reversed(_split_words(head[:LONGEST_NAME]))
    return next(filter(None, map(find_field, words)), None)


@_cache_short
def find_answer_field(key: str) -> str | None:
    """Return the field of ``Answer`` that ``key`` means beside the dimensions, if any."""
    word = fold(key)
    return _ANSWER_FIELDS.get(word) or _ANSWER_FIELDS.get(_find_nearest(word, _ANSWER_FIELDS) or "")


def is_key(key: str) -> bool:
    """Return whether ``key`` is a known key of an answer."""
    is_known = find_field(key) or find_answer_field(key) or find_dimension(key)
    return bool(is_known) or fold(key) in _CONTAINERS

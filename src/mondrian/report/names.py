"""Names as models write them: of the dimensions, and of the fields that an answer has."""

import re
from typing import NamedTuple

from mondrian.report.languages import DIMENSIONS_ELSEWHERE, FIELDS_ELSEWHERE, folded
from mondrian.report.values import DIMENSIONS


class Name(NamedTuple):
    """A dimension's name as in ``DIMENSIONS``, and whether it was written in full."""

    name: str
    is_exact: bool


def letters(text: str) -> str:
    """``text`` reduced to what names are compared by: its letters a to z, without "and", American.

    ``Focus & Sharpness``, ``focus_and_sharpness`` and ``FocusSharpness`` become one word. Text
    longer than 60 characters is no name and becomes nothing.
    """
    if len(text) > 60:
        return ""
    plain = re.sub(r"[^a-z]", "", text.lower())
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
    """The dimension that ``text`` names, in any spelling: ``1. colour_harmony``, ``Focus (8/10)``.

    A short form (``Depth``) or the first part of a longer name (``Lighting & Exposure``) is not
    exact. Names are known in English and some other languages: a guess by position would put words
    into the model's mouth.
    """
    word = _DECORATION.sub("", letters(text))
    if word in _EXACT:
        return Name(_EXACT[word], True)
    if elsewhere := DIMENSIONS_ELSEWHERE.get(folded(text)):
        return Name(elsewhere, True)
    first = letters(_JOINTS.split(text[:61], maxsplit=1)[0])
    name = _SHORT.get(word) or (_EXACT.get(first) if len(text) <= 60 else None)
    return Name(name, False) if name else None


def _index(words: dict[str, str]) -> dict[str, str]:
    return {word: field for field, alternatives in words.items() for word in alternatives.split()}


_DIMENSION_FIELDS = _index(
    {
        "name": "name dimension dimensionname category aspect criterion title area",
        "score": "score rating points mark value scoreoutof",
        "comment": "comment comments feedback analysis assessment observation observations "
        "critique evaluation explanation reasoning justification description remark remarks",
        "recommendation": "recommendation recommendations suggestion suggestions advice "
        "improvement improvements tip tips howtoimprove suggestedimprovement nextstep",
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


def dimension_field(key: str) -> str | None:
    """``name``, ``score``, ``comment`` or ``recommendation``, if that is what ``key`` means in a
    dimension."""
    return _DIMENSION_FIELDS.get(letters(key)) or FIELDS_ELSEWHERE.get(folded(key))


def answer_field(key: str) -> str | None:
    """The field of ``Answer`` that ``key`` means beside the dimensions, if any."""
    return _ANSWER_FIELDS.get(letters(key))

"""Parse scores as models write them. A wrong score is worse than none: ambiguous ones are none."""

import re
import unicodedata
from collections.abc import Sequence, Set
from itertools import islice
from typing import NamedTuple

from mondrian.answers.field_names import find_field


class Score(NamedTuple):
    """A number, and the scale written beside it, if any."""

    number: float
    scale: float | None

    def rescale(self, bare_scale: float | None) -> float | None:
        """Return the score from 1 to 10, ``None`` if it is outside or its scale is unknown."""
        scale = self.scale or bare_scale
        score = round(self.number * 10 / scale, 2) if scale else 0
        return score if 1 <= score <= 10 else None


_SCALES = (5.0, 10.0, 20.0, 100.0)
_NUMBER = r"(?<!\d[.,])(?<![A-Za-z\d_/⁄<>≤≥−+-])\d{1,3}+(?:[.,]\d{1,20}+)?+(?![.,]?\d)"
_STAR = "stars?|sterne?n?|étoiles?|estrellas|[★⭐]"
UNIT = rf"(?:points?|pts?|punkte?n?|puntos|punti|pontos|pkt|балл\w{{0,3}}|[点點分점]|{_STAR})"
_OF = "(?:[/／⁄]|out of(?: a possible)?|of|from|von|auf|sur|de|su|di|van|из|na|z)"
_SCALED = (
    re.compile(rf"(?P<n>{_NUMBER})\s*{UNIT}?\s*\(?\s*{_OF}\s*(?P<m>\d{{1,3}})(?:\.0)?(?![.,]?\d)"),
    re.compile(
        rf"(?:(?:out of|von|sur|max\w*|满分)\W*(?P<m>\d{{1,3}})(?!\d)"
        rf"|(?P<m2>\d{{1,3}})(?:点満点|分满分|分中|点中|점 만점)\w?)\D{{0,12}}(?P<n>{_NUMBER})"
    ),
    re.compile(rf"(?P<n>{_NUMBER})\s*(?P<percent>%)"),
)
_BARE = re.compile(_NUMBER)
_AFTER_BARE = re.compile(rf"\s*(?P<unit>{UNIT})?\s*(?:[^\w\s/+→<>%–—-]\D*|[–—-]\s\D*)?")
_JSON_NUMBER = re.compile(r"\d{1,3}(?:\.\d+)?(?:e[+-]?\d{1,2})?")
_RANGE = re.compile(r"(?<![\d.,])[01]\s*(?:-|–|—|to|bis)\s*(\d{1,3})(?![.,]?\d)")
_HEDGE = re.compile(
    r"[<>≤≥−]|n't\b|\b(?:not|no|never|minus|below|under|above|over|less|more|than|between|from"
    r"|almost|instead|nicht|kein|unter|über|pas|moins|menos)\b"
)
_ASIDE = re.compile(r"\([^()]*\)")


def read_score(text: str, scale: float | None = None) -> Score | None:
    """Parse a score: ``8``, ``8,5``, ``8/10``, ``4 out of 5``, ``85 %``, ``8½``, ``out of 10: 8``,
    ``10点満点中8点``. ``scale`` is one that was stated elsewhere, such as in the key.

    Return ``None`` if the text has other numbers, or words that may negate the score.
    """
    text = _normalize(text[:200])
    if _JSON_NUMBER.fullmatch(text):
        return _build_score(float(text), None, scale)
    if said := _RANGE.search(text):
        rest = f"{text[: said.start()]} {text[said.end() :]}"
        return read_score(rest, float(said[1])) if scale in (None, float(said[1])) else None
    for pattern in _SCALED:
        if match := pattern.search(text):
            before, after = text[: match.start()], _ASIDE.sub("", text[match.end() :])
            if _HEDGE.search(before) or re.search(r"\d", before + after):
                return None
            groups = match.groupdict()
            own = "100" if groups.get("percent") else groups["m"] or groups["m2"]
            return _build_score(_parse_number(groups["n"]), float(own), scale)
    return _read_bare_score(text, scale)


def _read_bare_score(text: str, scale: float | None) -> Score | None:
    match = _BARE.search(text)
    after = match and _AFTER_BARE.fullmatch(text, match.end())
    if match is None or after is None:
        return None
    before = text[: match.start()]
    if _HEDGE.search(before) or not (_is_wordless(before) or find_field(before) == "score"):
        return None
    if scale is None and re.fullmatch(_STAR, after["unit"] or ""):
        return None
    return _build_score(_parse_number(match[0]), None, scale)


_IN_SENTENCE = re.compile(rf"{_NUMBER}\s*{_OF}\s*10(?![.,]?\d)(?:\s*{UNIT})?", re.IGNORECASE)
_MAY_FOLLOW = re.compile(r"\W*(?:\Z|[.,;:!)–—]|\b(?:for|because|as|since|here|from|in)\b)")
_OTHER_SCORE = re.compile(
    r"n't\b|\b(?:not|could|might|may|potential\w*|previous\w*|rais\w+|bring\w*|reach\w*|becom\w+|"
    r"instead|up to|if|to (?:an?|get)|deserved|almost|nearly|than|below|above|under|over"
    r"|average|overall|total|final|whole|photo\w*|image|picture|könnte|nicht|pourrait|serait|podría|sería|potrebbe|sarebbe)\b",
    re.IGNORECASE,
)


def find_score_in_sentence(text: str) -> Score | None:
    """Return the only ``8/10`` or ``8 out of 10`` in ``text``, unless its sentence may mean
    another thing: ``8 out of 10 viewers``, ``it could be 9/10``."""
    matches = [*islice(_IN_SENTENCE.finditer(text), 2)]
    if len(matches) != 1 or not _MAY_FOLLOW.match(text, matches[0].end()):
        return None
    sentence = re.split(r"[.!?]\s", text[: matches[0].start()])[-1]
    return None if _OTHER_SCORE.search(sentence) else read_score(matches[0][0])


def _is_wordless(text: str) -> bool:
    return not any(map(str.isalnum, text))


def _build_score(number: float, own: float | None, scale: float | None) -> Score | None:
    if own and scale and own != scale:
        return None
    scale = own or scale
    return Score(number, scale) if scale is None or scale in _SCALES else None


def _parse_number(text: str) -> float:
    return float(text.replace(",", "."))


def _normalize(text: str) -> str:
    """Return ``text`` in lower case, with ASCII digits and halves as decimals."""
    text = re.sub(r"(?<=\d)(?:\s*½|\s+1/2(?!\d))", ".5", text)
    return unicodedata.normalize("NFKC", text.replace("*", "")).casefold().strip()


_SCALE = re.compile(
    r"(?:/|out ?of|von|sur|max(?:imum)?|\b[01]\s*(?:-|–|—|to|bis))\s*(\d{1,3})(?:\.0)?(?=\D*\Z)"
    rf"|\A(\d{{1,3}})(?:\.0)?\s*{UNIT}?\Z"
)


def find_scale(text: str) -> float | None:
    """Return the scale at the end of a key, a column's head or the value of such a key:
    ``score_out_of_5``, ``Score (1-10)``, ``/10``, ``5 stars``."""
    match = _SCALE.search(re.sub(r"[_\s]+", " ", _normalize(text[:80])))
    return float(match[1] or match[2]) if match else None


_ABOUT = (
    r"(?:scor|rat(?:e|ing)|s[ck]al[ae]|échelle|escala|schaal|grad|mark|point|not(?:e|ation)s?\b"
    r"|bewert|punkt|puntu|vot[io])"
)
_TO = r"(?:-|–|—|to\b|through\b|bis\b|à|al?\b)"
_FULL = re.compile(r"(?:5|10|20|100)(?![\d%]|[.,]\d)")
# The text before and after such a number where it is the end of a scale.
_STATES = re.compile(
    rf"{_ABOUT}[^\d\n.;{{}}]{{0,60}}?(?:\b(?:out[ _]of|von|sur|su|sobre|de|max\.?)\b|(?<![fƒ])/"
    rf"|(?<!\d)[01]\s*(?:(?:\([^()\d\n]{{1,20}}\)\s*)?{_TO}|=[^\d\n]{{1,20}}[,;]))[.\s*\"]{{0,3}}\Z"
    r"|(?P<key>s[ck]al[ae](?:\W{1,6}min[^{}]{1,20}max)?|out_of|max(?:imum)?_?(?:scor|rating|point|mark)\w*)"
    r"\W{1,4}\Z|满分\s?\Z",
    re.IGNORECASE,
)
_STATES_BEHIND = re.compile(r"-(?:point|star|punkte)|点満点|分满分|점 만점", re.IGNORECASE)
_GOES_ON = re.compile(rf"\s*(?:{_TO}|(?P<word>[a-z]{{2}}))", re.IGNORECASE)
_OVERALL = re.compile(
    rf"(?:overall|total|average|mean|final|gesamt|global|moyenne)[^\d\n{{}}]{{0,40}}?"
    rf"({_NUMBER})\s*(?:/|out of|von|sur)\s*\Z",
    re.IGNORECASE,
)


def find_stated_scales(text: str, bare: Sequence[float], said: str) -> set[float]:
    """Return the scales that ``text`` states for all of its ``bare`` scores: ``"scale": "1-5"``,
    ``All scores are out of 5``, or an overall ``4/5`` that may be their average. The comments in
    ``said`` state no scale, nor does one that some score exceeds."""
    scales, most = set[float](), _MOST_STATED
    for match in islice(_FULL.finditer(text), _MOST_NUMBERS):
        before = text[max(0, match.start() - 90) : match.start()]
        scale = float(match[0])
        if scale in scales or scale < max(bare) or before[-1:].isdigit():
            continue
        if words := _find_statement(before, text[match.end() : match.end() + 12], bare):
            most -= 1
            if words + match[0] not in said:
                scales.add(scale)
        if not most:
            break
    return scales


_MOST_STATED, _MOST_NUMBERS = 50, 400


def _find_statement(before: str, after: str, bare: Sequence[float]) -> str:
    """Return the words before a number that make it a scale, or an empty string."""
    if _STATES_BEHIND.match(after):
        return before or " "
    match = _STATES.search(before)
    if match is None and (match := _OVERALL.search(before)):
        return match[0] if min(bare) <= _parse_number(match[1]) <= max(bare) else ""
    goes_on = _GOES_ON.match(after)
    if match and goes_on and not re.match(rf"\s*{UNIT}", after):
        return "" if match["key"] or not goes_on["word"] else match[0]
    return match[0] if match else ""


def infer_bare_scale(scores: Sequence[Score], stated: Set[float]) -> float | None:
    """Return the scale of the numbers without one, if all ``scores`` of an answer and the scales
    that it ``stated`` make it clear.

    Without a statement it is 100 if there are two or more, all above 10 and some above 20. It is 10
    if more of them are from 1 to 10 than are not, or say another scale, and none is a fraction of 1
    or above 10 and no more than 20: the scale may be 20.
    """
    bare = [score.number for score in scores if score.scale is None]
    if stated:
        return min(stated) if len(stated) == 1 else None
    if any(0 < number < 1 or 10 < number <= 20 for number in bare) and min(bare) <= 10:
        return None
    if len(bare) > 1 and min(bare) > 10:
        return 100.0 if max(bare) > 20 else None
    others = [score for score in scores if score.scale not in (None, 10)]
    fitting = sum(1 <= number <= 10 for number in bare)
    return 10.0 if 2 * fitting > len(bare) + len(others) else None


_PERCENT = re.compile(r"\d{1,3}\s?%")
_GLOSS = re.compile(r"\A\s*[(（][^()（）\d]{1,40}[)）]")  # 8/10 (very good)
_SEPARATORS = " )].:：;,*|–—-）"
_START = re.compile(r"(?:[-=]>|[^\w(（\[<>])*+")
_GROUP = re.compile(r"[(（\[]([^()（）\[\]]{1,40})[)）\]]")
_LABEL = re.compile(r"([^\W\d_]{2,20})\W{0,5}?(?=\d)")
_LEADING = re.compile(
    rf"{_NUMBER}(?:\s?½)?\s*{UNIT}?(?:\s*\(?\s*{_OF}\s*\d{{1,3}}(?:\.0)?(?:\s*{UNIT})?|\s*%)?+"
    r"(?=\s*(?:\Z|[()\]（）.:：;!*|–—-]|,(?!.*\d\s*/\s*10\b))|\s+(?-i:[A-ZÀ-Þ]))(?![^\w(（]*\d)",
    re.IGNORECASE,
)


def split_score(
    text: str, *, is_heading: bool = False, is_labelled: bool = False
) -> tuple[str, str]:
    """Split ``text`` into the score that begins it and the rest: ``(8/10): text``,
    ``⭐ 8/10 – text``.

    The score is empty where a number may just begin a sentence: a number without a scale counts
    only after a label, and alone on a heading's line or in its round brackets.
    """
    start = _START.match(text)
    rest = text[start.end() :] if start else text
    if start and re.search(r"[-−+]\Z", start[0]) and rest[:1].isdigit():
        return "", text
    if is_heading and (group := _GROUP.match(rest)):
        said, _ = split_score(group[1], is_heading=True)
        said = group[1] if _PERCENT.fullmatch(group[1].strip()) else said
        score = read_score(said)
        if score and (score.scale or rest[0] != "["):
            return said, rest[group.end() :].lstrip(_SEPARATORS)
        said, after = split_score(rest[group.end() :], is_heading=True)  # (Fokus) – 9/10
        if said:
            return said, after
    label = _LABEL.match(rest) if is_heading else None
    if label and find_field(label[1]) == "score":
        is_labelled = is_labelled or any(mark in label[0] for mark in ":：=")
        rest = rest[label.end() :]
    if (match := _LEADING.match(rest)) and (score := read_score(match[0])):
        after = _GLOSS.sub("", rest[match.end() :]).lstrip(_SEPARATORS)
        is_alone = not after and (is_heading or (score.scale is not None and "%" not in match[0]))
        if is_labelled or is_alone or (score.scale in (10, 100) and "%" not in match[0]):
            return match[0], after
    return "", text

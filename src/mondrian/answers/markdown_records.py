"""Parse Markdown tables, sections and labelled lines into the same flat records as JSON.

HTML, XML and YAML are converted to Markdown first: a block becomes a line, and a tag or attribute
that is the name of a field becomes a label.

A line belongs to a table or to a section. A section is a heading or label that names a dimension or
a field of the answer: a dimension's text is its comment until a label such as ``Recommendation:``
says otherwise. Once it has both, a new paragraph without a label is not part of it, unless it is a
list.
"""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import islice, pairwise
from typing import Any, NamedTuple

from mondrian.answers.answer import DIMENSIONS
from mondrian.answers.field_names import (
    NAME_AND_SCORE,
    find_answer_field,
    find_dimension,
    find_field,
    find_mention,
    is_full_name,
    is_other_score,
    rank_field,
    split_key,
)
from mondrian.answers.judgement import BREAK
from mondrian.answers.records import Record
from mondrian.answers.scores import UNIT, find_score_in_sentence, read_score, split_score
from mondrian.answers.tables import Table, split_row

MOST_LINES = 1000
MOST_SPLITS = 500  # of lines: ten answers have 240 labels
_CHECKBOX = re.compile(r"(?<=[-*+] )\[[ xX]\] ")
_BLANK = re.compile(r"\n\s*\n")


def read_markdown_records(text: str) -> list[Record]:
    """Return a record for each section, and for each row of a table that has a score's column."""
    text = _CHECKBOX.sub("", _BLANK.sub("\n\n", _convert_html(text)))
    reader = _Reader(has_bare_scores=len(_NUMBER_AND_SENTENCE.findall(text)) >= _OFTEN)
    *lines, last = text.split("\n")
    if len(lines) > MOST_LINES:  # the answer may come last
        lines = lines[: MOST_LINES // 4] + lines[-MOST_LINES * 3 // 4 :]
    for line in lines:
        reader.add_line(line)
    reader.add_line(last, is_cut=True)
    reader.finish(text)
    for record in reader.records[:-1]:
        record.is_closed = True
    return reader.records


def _convert_html(text: str) -> str:
    if _TAG.search(text):
        for tag, mark in _HTML:
            text = tag.sub(mark, text)
    return unescape(text) if "&" in text else text


def _label_tag(match: re.Match[str]) -> str:
    """Return an element's tag and attributes as labels, if the tag is the name of a field."""
    slash, tag, about = match.groups()
    if slash:
        return "\n" if find_field(tag) or find_dimension(tag) else match[0]
    if not (find_field(tag) or find_dimension(tag)):
        return match[0]
    attributes = dict(_ATTRIBUTE.findall(about))
    labels = [(tag, attributes.pop("value", ""))]
    known = ((key, find_field(key)) for key in attributes)
    labels += [(key, attributes[key]) for key, field in known if field not in (None, "scale")]
    return "".join(f"\n**{key}:** {value}" for key, value in labels)


_TAG = re.compile(r"</?[a-zA-Z]")
_ATTRIBUTE = re.compile(r"""(\w{1,30})=["']([^"'<>]{0,400})["']""")
_BLOCKS = "h[1-6]|p|div|li|[uod]l|d[td]|section|article|details|summary"
_HTML: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"<!\[CDATA\[|\]\]>"), ""),
    (
        re.compile(
            r"</?(?:table|thead|tbody|html|body|span|u|em|i|small|sup|sub|mark|font|center)\b[^<>]{0,99}>",
            re.I,
        ),
        "",
    ),
    (re.compile(r"<tr\b[^<>]{0,99}>\s*<t[dh]\b[^<>]{0,99}>", re.I), "\n| "),
    (re.compile(r"</t[dh]>\s*<t[dh]\b[^<>]{0,99}>", re.I), " | "),
    (re.compile(r"</t[dh]>\s*</tr>", re.I), " |\n"),
    (re.compile(r"<h[1-6]\b[^<>]{0,99}>\s{0,99}", re.I), "\n### "),
    (re.compile(rf"</?(?:{_BLOCKS})\b[^<>]{{0,99}}>", re.I), "\n"),
    (re.compile(r"<(/?)(\w{3,30})((?:\s[^<>]{0,400})?)>"), _label_tag),
    (re.compile(r"^([^\S\n]*(?:#+ )?)<(b|strong)>([^<>\n]{1,80})</\2>", re.M | re.I), r"\1**\3**"),
]


class _Line(NamedTuple):
    head: str
    rest: str


class _Reader:
    """Build records from lines. ``key`` is the field of the last record that text is added to."""

    def __init__(self, *, has_bare_scores: bool) -> None:
        self._has_bare_scores = has_bare_scores
        self.records = [Record()]
        self.key: str | None = None
        self._table = Table(self.records)
        self._mentioned: list[Record] = []
        self._is_after_gap = False
        self._is_after_score = False
        self._is_advice = False
        self._splits = MOST_SPLITS

    def add_line(self, line: str, *, is_cut: bool = False) -> None:
        """Process the next line, which ``is_cut`` if the text ends in it."""
        if _JSON.match(line) or self._read_row(line, is_cut):
            return
        pieces = list(islice(_split_pieces(line), 1 + self._splits))
        self._splits -= len(pieces) - 1
        for piece in pieces[:-1]:
            self._add_piece(piece)
        self._add_piece(pieces[-1], is_cut=is_cut)

    def finish(self, text: str) -> None:
        """Mark the field that looks unfinished at the end of ``text`` as growing."""
        if len({each.label for each in self._mentioned}) < _OFTEN:  # it may be about the photo
            for each in self._mentioned:
                each.label = ""
        record, is_ended = self.records[-1], text.rstrip().endswith(_SENTENCE_ENDS)
        if self._is_after_score:
            score = read_score(record.get_text("score"))
            if score and not score.scale and (text[-1:].isalnum() or text[-1:] in "., /("):
                record.growing = "score"
        elif self.key and not is_ended:
            record.growing = self.key
        elif is_ended and not self.key and len(record.fields) >= max(3, len(self._table.heads)):
            record.growing = None  # a row that needs no mark at its end

    def _read_row(self, line: str, is_cut: bool) -> bool:
        """Process ``line`` if it is a table's, and return whether it is."""
        line = line.strip()
        cells = split_row(line, self._table.heads)
        if cells is None:
            if any(map(str.isalnum, line)):
                self._table.end()
            return False
        if not self._table.heads and self._read_labels(cells, is_cut):
            return True
        self.key = None
        is_whole = line.endswith("|") and len(cells) >= len(self._table.heads)
        section = self.records[-1].label if self._is_in_dimension else ""
        pieces = [list(islice(_split_pieces(cell), MOST_SPLITS)) for cell in cells]
        rest = [piece for _, *more in pieces for piece in more]
        has_advice = bool(rest) and all(_find_label(piece) == "recommendation" for piece in rest)
        cells = [each[0] if has_advice else " ".join(each) for each in pieces]
        self._table.add(cells, is_cut=is_cut and not is_whole, section=section)
        if has_advice and "recommendation" not in self.records[-1].fields:
            for piece in rest:
                self._add_piece(piece)
            self.key = None
        return True

    def _read_labels(self, cells: Sequence[str], is_cut: bool) -> bool:
        """Process a row of labels, ``Lighting | Score: 7 | Comment: …`` or ``| Score | 7 |``, and
        return whether it is one."""
        if len(cells) == 2 and self._is_in_dimension and find_field(cells[0]) in _FIELDS:
            cells = [": ".join(cells)]
        is_labelled = all(map(_find_label, cells[len(cells) > 1 :]))
        for cell in cells if is_labelled else ():
            self._add_piece(cell, is_cut=is_cut)
        return is_labelled

    def _add_piece(self, line: str, *, is_cut: bool = False) -> None:
        if not line.strip():
            self._is_after_gap = True
            return
        self._is_after_score = False
        split = _split_behind_score(line) or _split(line)
        field = find_field(split.head) if split else None
        named = split_key(split.head) if split else None
        if split is None:
            self._continue(line)
        elif named and named[1] != "score" and is_full_name(named[0]):
            self._open_record(named[0], named[1], split.rest)
        elif is_cut and not split.rest and _may_become_name(split.head):
            self.key = None
        elif find_dimension(split.head):
            self._open_record(split.head, self._choose_key(line, split.rest), split.rest)
        elif field == "name" and find_dimension(split.rest):
            self._open_record(split.rest, "comment", "")
        elif field == "score" and split.head.lower() != "value" and self._is_in_dimension:
            self._add_score(split.rest)
        elif field in ("comment", "recommendation") and self._is_part(line, split.head, field):
            self.key = field
            self._add(split.rest.lstrip(" –—-="))
        elif key := find_answer_field(split.head):
            self._open_record(split.head, key, split.rest)
        elif _is_other_score(split) and not split.head.lower().startswith(_TOTALS):
            pass  # neither the dimension's score nor a part of its comment
        elif not _is_heading(line, split.head):
            self._continue(line)
        elif is_cut:
            self.key = None  # it may still become a label of the dimension
        else:
            self.records.append(Record())
            self.key = None
            self._is_advice = False
        self._is_after_gap = False

    @property
    def _is_in_dimension(self) -> bool:
        return bool(self.records[-1].label) and find_dimension(self.records[-1].label) is not None

    @property
    def _is_unscored(self) -> bool:
        """Whether a paragraph may be about a dimension that it mentions."""
        is_open = self.key in (None, "comment") or self._is_after_gap
        return is_open and not _SCORES & self.records[-1].fields.keys()

    @property
    def _is_after_scores(self) -> bool:
        """Whether the last dimension ends a list of scores without comments."""
        return self._is_in_dimension and all(
            list(record.fields) == ["value"] for record in self.records[-2:]
        )

    def _is_part(self, line: str, head: str, field: str) -> bool:
        """Return whether the label is about the dimension, not about the whole photo."""
        is_known = field in self.records[-1].fields
        is_apart = self._is_after_gap and is_known
        is_whole = find_answer_field(head) and (is_apart or line.startswith("#"))
        is_behind = self.key is None and is_known  # a paragraph that is not about it
        return self._is_in_dimension and not is_whole and not is_behind

    def _choose_key(self, line: str, rest: str) -> str:
        """Return what the text of a dimension is: advice in a list below a heading that says so."""
        is_begun = self.key in _ADVICE and self.key not in self.records[-1].fields
        is_judged = bool(split_score(rest, is_heading=True)[0]) or _is_rating(rest)
        is_judged |= line.startswith("#")
        self._is_advice = (self._is_advice or is_begun) and not is_judged
        return "recommendation" if self._is_advice else "comment"

    def _open_record(self, label: str, key: str, rest: str) -> None:
        self.records.append(Record(label=label))
        self.key = key
        self._add(rest, is_heading=True)

    def _add_score(self, text: str) -> None:
        """Store a labelled score, which overrides the heading's. It may be on the next line."""
        is_photos = self._is_after_gap and self.records[-1].fields.keys() >= {"value", "comment"}
        if is_photos or NAME_AND_SCORE.search(text):
            self.key = None
            return
        self.key, self._is_advice = "score", False
        if text.strip():
            score, rest = split_score(text, is_labelled=True)
            if not score and read_score(text):
                score, rest = text, ""
            if score:
                self.records[-1].fields.setdefault("score", score)
            self.key = "comment"
            self._add(rest)
            self._is_after_score = bool(score) and not rest

    def _continue(self, line: str) -> None:
        if self.key == "score":
            self._add_score(_strip_markup(line))
            return
        name = find_mention(line) if self._is_unscored and find_score_in_sentence(line) else None
        if name:
            self._open_record(name, "comment", "")
            self._mentioned.append(self.records[-1])
        is_apart = self._is_after_gap and not _BULLET.match(line)
        if is_apart and (self.records[-1].fields.keys() >= _JUDGED or self._is_after_scores):
            self.key = None
        self._add(line)

    def _add(self, text: str, *, is_heading: bool = False) -> None:
        """Add ``text`` to its field, and a score at its beginning to the score's."""
        if self.key is None:
            return
        text = _MARKUP.sub("", text).strip() if is_heading else _strip_markup(text)
        fields = self.records[-1].fields
        if self._is_in_dimension and self.key == "comment" and not _SCORES & fields.keys():
            text = self._take_score(text, is_heading)
        if is_heading:
            text = _BEFORE_TEXT.sub("", text)
        if any(map(str.isalpha, text)):
            value = fields.setdefault(self.key, [])
            assert isinstance(value, list)  # only a score is not, and never the key
            value.append(text)

    def _take_score(self, text: str, is_heading: bool) -> str:
        """Store the score that begins ``text``, if any. Return what is behind it."""
        fields = self.records[-1].fields
        is_labelled = is_heading and self._has_bare_scores
        is_heading |= not fields and _LONE_NUMBER.fullmatch(text) is not None
        score, text = split_score(text, is_heading=is_heading, is_labelled=is_labelled)
        if is_heading and not score and _is_rating(text):  # Good (8/10)
            score, text = text, ""
        if score:
            fields["value"] = score
        return text


def _may_become_name(head: str) -> bool:
    """Return whether ``head`` is the beginning of a dimension's full name, such as ``Focus &``."""
    return any(name.startswith(head) and name != head for name in DIMENSIONS)


def _find_label(text: str) -> str | None:
    split = _split(text)
    return find_field(split.head) if split and split.rest else None


def _is_rating(text: str) -> bool:
    score = read_score(text) if len(text) < 100 and _RATING.fullmatch(text) else None
    return score is not None and score.scale is not None


# One to three words that end no sentence, and a number: Quite good (8.5/10)
_RATING = re.compile(r"(?:(?:[^\s.!?。！？]|\.\d)+(?:\s+|(?=[(（]))){1,3}\S*\d[ ).!\]）]*")
_LONE_NUMBER = re.compile(r"\d{1,2}(?:[.,]\d{1,2})?")
_BEFORE_TEXT = re.compile(r"\A[ :|–—-]+(?![\d ])")
# A number behind a name may begin a sentence, but not each time.
_NUMBER_AND_SENTENCE = re.compile(
    rf"(?::|\w\s[–—-])\**\s*\**\d{{1,2}}\**(?:\s{UNIT})?(?:\.|\s+[–—-])\**\s+[A-ZÀ-Þ]"
)
_OFTEN = 3
_SCORES = {"value", "score"}
_FIELDS = ("score", "comment", "recommendation")
_JUDGED = {"comment", "recommendation"}
_ADVICE = {"recommendation", "priority_improvements"}
_JSON = re.compile(r"""\s*(?:```|[{}]|\[\[\w+\]|["“][^"“”]{1,40}["”]\s*:)""")
_SENTENCE_ENDS = (".", "!", "?", "…", "。", ".)", ".*", '."', ".”", "/10)", "/10*")
# Labels that models write in the middle of a line; they are moved to lines of their own.
_INNER_LABEL = re.compile(
    r"(?:(?<=[.!?)*|;,\d。！？”\"])[^\S\n]+(?:[\[(]|(?:→|->)[^\S\n])?|(?<=[。！？]))"
    r"(?=[*_]{0,3}([^\W\d_][\w&/ ]{1,30}?)[*_]{0,3}(?:[^\S\n]?[:：]|[^\S\n][–—-][^\S\n]))"
)
_PLAINEST = 6
_MARKUP = re.compile(r"(?<!\s)\*+|\*+(?!\s)|`+|__+|(?<!\w)_|_(?!\w)")
_SYMBOLS = r"\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_BULLET = re.compile(rf"^\s*(?:(?:[-+•·>:]|\d{{1,2}}[.)])\s+|[{_SYMBOLS}]\ufe0f?\s*)+")
_NUMBERING = re.compile(
    r"^\W{0,40}(?:(?:dimension|category|aspect|step)\s)?(?:\d{1,2}|[ivx]{1,4}|[a-h])(?:[.):]\s|\s[–-]\s|[、．])"
    r"|^\W{0,40}\d(?:/| of )8\b\W+",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"([^\W\d_][\w&/+ ]{1,48}?)\s*"
    rf"(?:([:：(（\[\]】|–—=·•…{_SYMBOLS}]|\.{{2,}}|-{{1,3}}[\s>]|[,;](?=\s*\d)"
    r"|(?<=\s)(?=\d[\d.,]{0,4}\s*(?:(?:/|out of)\s*\d|\Z)))(.*))?",
    re.DOTALL,
)


def _split_pieces(line: str) -> Iterator[str]:
    for part in BREAK.split(line):
        for text in _split_scores(part):
            start = 0
            for match in _INNER_LABEL.finditer(text):
                is_lettered = _LETTER_ALONE.fullmatch(text, start, match.start())  # a. Score: 8
                if _is_inner_label(match[1]) and not is_lettered:
                    yield text[start : match.start()]
                    start = match.end()
            yield text[start:]


_MOST_NAMES = 80  # ten answers
_LETTER_ALONE = re.compile(r"\W*[a-h]\W*")


def _split_scores(text: str) -> Iterator[str]:
    """Split a text such as ``Scores: Composition 8/10, Lighting 7/10, …`` before each name."""
    starts = [match.start() for match in islice(NAME_AND_SCORE.finditer(text), _MOST_NAMES)]
    starts = starts if len(starts) >= _OFTEN else []
    for start, end in pairwise([0, *starts, len(text)]):
        if start < end or not text:
            yield text[start:end]


def _is_inner_label(label: str) -> bool:
    if label[0].islower():
        return False
    field = find_field(label)
    is_plain = field == "comment" and rank_field(label) < _PLAINEST
    is_score = field == "score" or is_other_score(label)
    return is_plain or is_score or field == "recommendation" or is_full_name(label)


def _strip_markup(text: str) -> str:
    return _MARKUP.sub("", _BULLET.sub("", text)).strip()


def _split(line: str) -> _Line | None:
    """Split a line such as ``### 2. Lighting (8/10): text`` into its head and its rest."""
    if len(line) > 2 * _LONGEST_HEAD and not _MAY_END_HEAD.search(line, 0, 2 * _LONGEST_HEAD):
        return None
    plain = _NUMBERING.sub("", _MARKUP.sub("", line.strip()))
    match = _HEAD.fullmatch(re.sub(r"^[\W_]+", "", plain).rstrip())
    if match is None:
        return None
    separator, rest = match[2] or "", match[3] or ""
    return _Line(match[1], rest if separator in (":", "：") else separator + rest)


def _split_behind_score(line: str) -> _Line | None:
    """Split a line that begins with a score: ``8/10 – Lighting: text``."""
    match = _SCORE_FIRST.match(line)
    split = _split(line[match.end() :]) if match else None
    if match is None or split is None or not is_full_name(split.head):
        return None
    return _Line(split.head, f"{match[1]} {split.rest}")


_SCORE_FIRST = re.compile(r"[\W_]*(\d{1,2}(?:[.,]\d{1,2})?\s?/\s?10)\b(?=[\s\])–—:*-])")
_LONGEST_HEAD = 50
_MAY_END_HEAD = re.compile(rf"[:：(（\[\]】|–—=·•…{_SYMBOLS},;.\d-]")


def _is_other_score(split: _Line) -> bool:
    score, _ = split_score(split.rest, is_labelled=True)
    return bool(score) and is_other_score(split.head)


def _is_heading(line: str, head: str) -> bool:
    """Return whether the line is marked as a heading, so that the following lines belong to it."""
    is_bold = line.lstrip().startswith("**") and not _BOLD_SENTENCE.match(line)
    return is_bold or line.lstrip().startswith("#") or head.lower().startswith(_TOTALS)


_BOLD_SENTENCE = re.compile(r"\s*\*\*[^*]*[.!?。]\*\*")


_TOTALS = ("overall", "total", "final", "average", "summary", "conclusion")

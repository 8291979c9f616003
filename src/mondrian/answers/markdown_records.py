"""Markdown tables, sections and labelled lines, read as the same flat records as JSON is.

HTML, XML and YAML are made Markdown first: a block is a line, a tag or attribute that is the name
of a field is a label.

A line belongs to a table or to a section. A section is a heading or label that names a dimension or
a field of the answer: a dimension's text is its comment until a label such as ``Recommendation:``
says otherwise. Once it has both, a new paragraph without a label is no longer about it, unless it
is a list.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any, NamedTuple

from mondrian.answers.field_names import (
    answer_field,
    column_fields,
    dimension_field,
    dimension_name,
)
from mondrian.answers.json_records import Record
from mondrian.answers.scores import read_score, split_score


def prose_records(text: str) -> list[Record]:
    """One record for each section, and for each row of a table whose head has a score's column."""
    reader = _Reader()
    lines = _from_html(text).split("\n")
    for line in lines[:-1]:
        reader.take(line)
    reader.take(lines[-1], is_cut=True)
    reader.finish(text)
    for record in reader.records[:-1]:
        record.is_closed = True
    return reader.records


def _from_html(text: str) -> str:
    if "<" in text:
        for tag, mark in _HTML:
            text = tag.sub(mark, text)
    return unescape(text) if "&" in text else text


def _label(match: re.Match[str]) -> str:
    """The tag of an element as a label, if it is the name of a field, and its attributes too."""
    slash, tag, about = match.groups()
    if slash:
        return "\n" if dimension_field(tag) or dimension_name(tag) else match[0]
    named = [(key, value) for key, value in _ATTRIBUTE.findall(about) if dimension_field(key)]
    is_label = dimension_field(tag) or dimension_name(tag)
    labels = [*([(tag, "")] if is_label else []), *(named if is_label else [])]
    return "".join(f"\n**{key}:** {value}" for key, value in labels) or match[0]


_ATTRIBUTE = re.compile(r"""(\w{1,30})=["']([^"'<>]{0,400})["']""")
_HTML: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"</?(?:table|thead|tbody|html|body|span|u|em|i|small)\b[^<>]{0,99}>", re.I), ""),
    (re.compile(r"\s{0,99}<tr\b[^<>]{0,99}>\s*<t[dh]\b[^<>]{0,99}>", re.I), "\n| "),
    (re.compile(r"</t[dh]>\s*<t[dh]\b[^<>]{0,99}>", re.I), " | "),
    (re.compile(r"</t[dh]>\s*</tr>", re.I), " |\n"),
    (re.compile(r"<h[1-6]\b[^<>]{0,99}>\s{0,99}", re.I), "\n### "),
    (re.compile(r"</?(?:h[1-6]|p|div|li|[uod]l|d[td]|section|article)\b[^<>]{0,99}>", re.I), "\n"),
    (re.compile(r"<(/?)(\w{3,30})((?:\s[^<>]{0,400})?)>"), _label),
    (re.compile(r"^([^\S\n]*(?:#+ )?)<(b|strong)>([^<>\n]{1,80})</\2>", re.M | re.I), r"\1**\3**"),
]
_BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)


class _Line(NamedTuple):
    head: str
    rest: str


class _Reader:
    """Takes lines, makes records. ``key`` is the field of the last record that text goes to."""

    def __init__(self) -> None:
        self.records = [Record()]
        self.key: str | None = None
        self._heads: list[str] = []
        self._lying: list[Record] = []
        self._is_after_gap = False
        self._is_after_score = False

    def take(self, line: str, *, is_cut: bool = False) -> None:
        """Take the next line, which ``is_cut`` if the text ends in it."""
        if _JSON.match(line) or self._take_row(line, is_cut):
            return
        pieces = list(_pieces(line))
        for piece in pieces[:-1]:
            self._take_piece(piece)
        self._take_piece(pieces[-1], is_cut=is_cut)

    def finish(self, text: str) -> None:
        """Say what is growing, as ``text`` ends here: what does not look finished."""
        record = self.records[-1]
        if self._is_after_score:
            score = read_score(record.text("score"))
            if score and not score.scale and (text[-1:].isalnum() or text[-1:] in "., /("):
                record.growing = "score"
        elif self.key and not text.rstrip().endswith(_SENTENCE_ENDS):
            record.growing = self.key

    def _take_row(self, line: str, is_cut: bool) -> bool:
        """Whether ``line`` is one of a table. Its heads are keys; a row of values may lie under
        names of dimensions, too."""
        line = line.strip()
        cells = [cell.strip(" \t\r*`") for cell in _CELL_BORDER.split(line.strip("|"))]
        if not line.startswith("|") and len(cells) < (2 if self._heads else 3):
            if line:
                self._heads, self._lying = [], []
            return False
        self.key = None
        names = [cell for cell in cells if dimension_name(cell)]
        fields = column_fields(cells)
        is_lying = len(names) > 1 and not self._heads and not dimension_name(cells[0])
        if is_lying or ("score" in fields and not names and not self._lying):
            pairs = zip(cells, fields, strict=True)
            self._heads = [c if not f or dimension_field(c) else f"{f} ({c})" for c, f in pairs]
            self._lying = [Record(label=cell) for cell in cells] if is_lying else []
            self.records += self._lying
        elif self._heads:
            is_whole = line.endswith("|") and len(cells) >= len(self._heads)
            self._take_cells(cells, is_cut and not is_whole)
        return True

    def _take_cells(self, cells: list[str], is_cut: bool) -> None:
        cells = [_BREAK.sub(" ", cell.replace("\\|", "|")) for cell in cells]
        for record, cell in zip(self._lying, cells, strict=False):
            record.fields.setdefault(cells[0], cell)
            record.growing = cells[0] if is_cut else None
        if self._lying:
            return
        pairs = list(zip(self._heads, cells, strict=False))
        names = [c for head, c in pairs if dimension_name(c) and _may_name(head)]
        record = Record(label=names[0] if names else "", fields=dict(reversed(pairs)))
        record.growing = pairs[-1][0] if is_cut else None
        record.is_closed = not is_cut
        self.records.append(record)

    def _take_piece(self, line: str, *, is_cut: bool = False) -> None:
        if not line.strip():
            self._is_after_gap = True
            return
        self._is_after_score = False
        split = _split(line)
        field = dimension_field(split.head) if split else None
        if split is None:
            self._go_on(line)
        elif dimension_name(split.head):
            self._open(split.head, "comment", split.rest)
        elif field == "name" and dimension_name(split.rest):
            self._open(split.rest, "comment", "")
        elif field == "score" and split.head.lower() != "value" and self._is_in_dimension:
            self._take_score(split.rest)
        elif field in ("comment", "recommendation") and self._is_part(line, split.head, field):
            self.key = field
            self._add(split.rest.lstrip(" –—-="))
        elif key := answer_field(split.head):
            self._open(split.head, key, split.rest)
        elif not _is_heading(line, split.head):
            self._go_on(line)
        elif is_cut:
            self.key = None  # it may become a label of the dimension
        else:
            self.records.append(Record())
            self.key = None
        self._is_after_gap = False

    @property
    def _is_in_dimension(self) -> bool:
        return bool(self.records[-1].label) and dimension_name(self.records[-1].label) is not None

    @property
    def _is_after_scores(self) -> bool:
        """Whether the last dimension ends a list of mere scores."""
        return self._is_in_dimension and all(
            list(record.fields) == ["value"] for record in self.records[-2:]
        )

    def _is_part(self, line: str, head: str, field: str) -> bool:
        """Whether the label is about the dimension, not about the whole photo."""
        is_apart = self._is_after_gap and field in self.records[-1].fields
        is_whole = answer_field(head) and (is_apart or line.startswith("#"))
        return self._is_in_dimension and not is_whole

    def _open(self, label: str, key: str, rest: str) -> None:
        self.records.append(Record(label=label))
        self.key = key
        self._add(rest, is_heading=True)

    def _take_score(self, text: str) -> None:
        """A labelled score goes before the heading's. It may be on the next line."""
        if self._is_after_gap and self.records[-1].fields.keys() >= {"value", "comment"}:
            self.key = None  # the photo's, not the dimension's
            return
        self.key = "score"
        if text.strip():
            score, rest = split_score(text, is_labelled=True)
            if not score and read_score(text):
                score, rest = text, ""
            if score:
                self.records[-1].fields.setdefault("score", score)
            self.key = "comment"
            self._add(rest)
            self._is_after_score = bool(score) and not rest

    def _go_on(self, line: str) -> None:
        if self.key == "score":
            self._take_score(_plain(line))
            return
        is_apart = self._is_after_gap and not _BULLET.match(line)
        if is_apart and (self.records[-1].fields.keys() >= _JUDGED or self._is_after_scores):
            self.key = None
        self._add(line)

    def _add(self, text: str, *, is_heading: bool = False) -> None:
        """Put ``text`` where it belongs, but a score that begins it where scores do."""
        if self.key is None:
            return
        text = _plain(text)
        fields = self.records[-1].fields
        if self._is_in_dimension and self.key == "comment":
            if "value" not in fields and "score" not in fields:
                score, text = split_score(text, is_heading=is_heading)
                if score:
                    fields["value"] = score
            if is_heading:
                text = text.lstrip(" :|–—-")
        if any(map(str.isalpha, text)):
            value = fields.setdefault(self.key, [])
            assert isinstance(value, list)  # only a score is not, and never the key
            value.append(text)


_JUDGED = {"comment", "recommendation"}
_JSON = re.compile(r"""\s*(?:```|[{}]|\[\[?\w+\]|["“][^"“”]{1,40}["”]\s*:)""")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_SENTENCE_ENDS = (".", "!", "?", "…", "。", ".)", ".*", '."', ".”")
# Labels that models write in the middle of a line, moved to lines of their own.
_BEFORE_LABEL = re.compile(
    r"(?<=[.!?)*|;,\d])[^\S\n]+(?=\*{0,3}(?:Score|Rating|Comment|Feedback|Analysis|Assessment|"
    r"Recommendation|Suggestion|Advice|Improvement)s?\*{0,3}[^\S\n]?:)"
)
_MARKUP = re.compile(r"(?<!\s)\*+|\*+(?!\s)|`+|__+|(?<!\w)_|_(?!\w)")
_BULLET = re.compile(r"^\s*(?:[-+•·>]|\d{1,2}[.)])\s+")
_NUMBERING = re.compile(
    r"^\W*(?:(?:dimension|category|aspect|step)\s)?\d{1,2}[.):]\s", re.IGNORECASE
)
_HEAD = re.compile(
    r"([^\W\d_][\w&/+ ]{1,48}?)\s*"
    r"(?:([:：(（\[|–—→=⭐★]|-[\s>]|,(?=\s*\d)|(?<=\s)(?=\d[\d.,]{0,4}\s*(?:/|out of)\s*\d))(.*))?",
    re.DOTALL,
)


def _may_name(head: str) -> bool:
    return dimension_field(head) in (None, "name")


def _pieces(line: str) -> Iterator[str]:
    for part in _BREAK.split(line):
        yield from _BEFORE_LABEL.split(part)


def _plain(text: str) -> str:
    return _MARKUP.sub("", _BULLET.sub("", text)).strip()


def _split(line: str) -> _Line | None:
    """A line such as ``### 2. Lighting (8/10): text`` as its head and its rest."""
    if len(line) > 2 * _LONGEST_HEAD and not _MAY_END_HEAD.search(line, 0, 2 * _LONGEST_HEAD):
        return None
    plain = _NUMBERING.sub("", _MARKUP.sub("", line.strip()))
    match = _HEAD.fullmatch(re.sub(r"^[\W_]+", "", plain).rstrip())
    if match is None:
        return None
    separator, rest = match[2] or "", match[3] or ""
    return _Line(match[1], rest if separator in (":", "：") else separator + rest)


_LONGEST_HEAD = 50
_MAY_END_HEAD = re.compile(r"[:：(（\[|–—→=⭐★,\d-]")


def _is_heading(line: str, head: str) -> bool:
    """Whether the line is marked as a heading, so that what follows belongs to it."""
    return line.lstrip().startswith(("#", "**")) or head.lower().startswith(_TOTALS)


_TOTALS = ("overall", "total", "final", "average", "summary", "conclusion")

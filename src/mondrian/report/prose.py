"""Markdown tables, sections and labelled lines, read as the same flat records as JSON is."""

import re
from typing import NamedTuple

from mondrian.report.names import answer_field, dimension_field, dimension_name
from mondrian.report.records import Record


def table_records(text: str) -> list[Record]:
    """One record for each row of a table whose header has columns for a name and a score."""
    records: list[Record] = []
    columns: list[str | None] = []
    for line in text.split("\n"):
        cells = [cell.strip(" \t\r*`") for cell in _CELL_BORDER.split(line.strip().strip("|"))]
        if len(cells) < 2 or not any(cells):
            columns = []
            continue
        fields = [dimension_field(cell) for cell in cells]
        if "name" in fields and "score" in fields:
            columns = fields
        elif columns:
            pairs = zip(columns, cells, strict=False)
            records.append(Record(fields={k: _plain(v) for k, v in pairs if k}, is_closed=True))
    if records and columns and not text.rstrip().endswith("|"):
        records[-1].is_closed = False
        records[-1].growing = next(reversed(records[-1].fields), None)
    return records


_CELL_BORDER = re.compile(r"(?<!\\)\|")


def _plain(cell: str) -> str:
    return cell.replace("\\|", "|").replace("<br>", " ")


def section_records(text: str) -> list[Record]:
    """One record for each heading or label that names a dimension or a field of the answer.

    A dimension's text is its comment until a label such as ``Recommendation:`` says otherwise.
    Once it has both, a new paragraph without a label is no longer about it, unless it is a list.
    """
    reader = _SectionReader()
    for line in _BEFORE_LABEL.sub("\n", text).split("\n"):
        reader.take(line)
    if not text.rstrip().endswith(_SENTENCE_ENDS):
        reader.records[-1].growing = reader.key
    for record in reader.records[:-1]:
        record.is_closed = True
    return reader.records


_SENTENCE_ENDS = (".", "!", "?", "…", "。", ".)", ".*", '."', ".”")


class _Line(NamedTuple):
    head: str
    rest: str


class _SectionReader:
    """Takes lines, makes records. ``key`` is the field of the last record that text goes to."""

    def __init__(self) -> None:
        self.records = [Record()]
        self.key: str | None = None
        self._is_after_gap = False

    def take(self, line: str) -> None:
        """Take the next line."""
        if not line.strip():
            self._is_after_gap = True
            return
        split = _split(line)
        if split is None:
            self._go_on(line)
        elif dimension_name(split.head):
            self._open(split.head, "comment", split.rest)
        elif (key := dimension_field(split.head)) == "name" and dimension_name(split.rest):
            self._open(split.rest, "comment", "")
        elif key == "score" and self._is_in_dimension:
            self.records[-1].fields.setdefault("score", split.rest)
            self.key = "comment"
        elif key and key != "name" and self._is_in_dimension:
            self.key = key
            self._add(split.rest)
        elif key := answer_field(split.head):
            self._open(split.head, key, split.rest)
        elif _is_heading(line, split.head):
            self.records.append(Record())
            self.key = None
        else:
            self._go_on(line)
        self._is_after_gap = False

    @property
    def _is_in_dimension(self) -> bool:
        return bool(self.records[-1].label) and dimension_name(self.records[-1].label) is not None

    def _open(self, label: str, key: str, rest: str) -> None:
        self.records.append(Record(label=label))
        self.key = key
        self._add(rest)

    def _go_on(self, line: str) -> None:
        is_apart = self._is_after_gap and not _BULLET.match(line)
        if is_apart and {"comment", "recommendation"} <= self.records[-1].fields.keys():
            self.key = None
        self._add(line)

    def _add(self, text: str) -> None:
        """Put ``text`` where it belongs, but a score that begins it where scores do."""
        if self.key is None:
            return
        fields = self.records[-1].fields
        if self._is_in_dimension and self.key == "comment" and "score" not in fields:
            score, text = split_score(text)
            if score:
                fields["score"] = score
        if text := _MARKUP.sub("", _BULLET.sub("", text)).strip():
            value = fields.setdefault(self.key, [])
            assert isinstance(value, list)  # only a score is not, and never the key
            value.append(text)


# Labels that models write in the middle of a line, moved to lines of their own.
_BEFORE_LABEL = re.compile(
    r"(?<=[.!?)*|;,\d])[^\S\n]+(?=\*{0,3}(?:Score|Rating|Comment|Feedback|Analysis|Assessment|"
    r"Recommendation|Suggestion|Advice|Improvement)s?\*{0,3}[^\S\n]?:)"
)
_MARKUP = re.compile(r"(?<!\s)\*+|\*+(?!\s)|`+|__+")
_BULLET = re.compile(r"^\s*(?:[-+•·>]|\d{1,2}[.)])\s+")
_SCALE_HINT = re.compile(r"\((?:1\s*(?:-|–|to)\s*10|out of 10)\)")
_HEAD = re.compile(r"([^\W\d_][\w&/+ ]{1,48}?)\s*(?:([:(\[|–—]|-\s)(.*))?", re.DOTALL)


def _split(line: str) -> _Line | None:
    """A line such as ``### 2. Lighting (8/10): text`` as its head and its rest."""
    plain = _SCALE_HINT.sub("", _MARKUP.sub("", line.strip()))
    plain = re.sub(r"^\W+", "", re.sub(r"^\W*\d{1,2}[.):]\s", "", plain)).rstrip()
    match = _HEAD.fullmatch(plain)
    if match is None:
        return None
    separator, rest = match[2] or "", match[3] or ""
    return _Line(match[1], rest if separator == ":" else separator + rest)


def _is_heading(line: str, head: str) -> bool:
    """Whether the line is marked as a heading, so that what follows belongs to it."""
    return line.lstrip().startswith(("#", "**")) or head.lower().startswith("overall")


# Possessive: a number is taken whole or not at all, never "8" out of "8.5 trees".
_LEADING_SCORE = re.compile(
    r"[\s:(\[|–—=*-]*+(\d{1,3}+(?:[.,]\d+)?+(?:\s*(?:/|out of)\s*\d{1,3}|%)?+)"
    r"(?!\s*[-–—]\s*\d)(?=\s*(?:$|[)\].:;,*|–—-]))",
)


def split_score(text: str) -> tuple[str | None, str]:
    """``(8/10): text`` as ``8/10`` and ``text``; no score where a number only begins a sentence."""
    if match := _LEADING_SCORE.match(text):
        return match[1], text[match.end() :].lstrip(" )].:;,*|–—-")
    return None, text.lstrip(" :|–—-")

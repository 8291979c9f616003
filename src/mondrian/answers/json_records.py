"""Parse JSON as models write it into flat records, however damaged it is.

A valid answer is parsed elsewhere. The text here may be cut off, fenced, wrapped in prose, or have
curly quotes, comments, bare words, unescaped quotes, and missing or surplus commas and braces.
Therefore the nesting is not trusted: a ``{`` begins a record, a repeated key begins another, and an
unmatched brace is ignored. Afterwards records are combined where their keys say so: the object of a
score or comment, and objects of scores or comments by dimension. JSON inside a JSON string is
parsed in place: a string ends at a quote with as many backslashes as its opening quote.

Parsing is one pass, in time linear in the length of the text: every lookahead ends at the next
quote at the latest, and nothing recurses. It ends after ``MOST_MARKS`` quotes and marks, which is
ten answers. (json-repair needed 27 s for 30 KB of hostile text, and four times that for twice
as much.)
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mondrian.answers.field_names import (
    find_answer_field,
    find_column_fields,
    find_dimension,
    find_field,
    is_full_name,
    is_key,
    split_key,
)
from mondrian.answers.records import Record
from mondrian.answers.scores import split_score
from mondrian.answers.tables import Table

MOST_MARKS = 2000


def read_json_records(text: str) -> list[Record]:
    """Return the records of all JSON in ``text``, in order; fenced blocks are parsed separately."""
    records: list[Record] = []
    before, marks = "", iter(range(MOST_MARKS))
    for block in text.split("```", _MOST_BLOCKS):
        if start := _START.search(block):
            heading = (before + block[: start.start()])[-_LONGEST_HEADING:].removesuffix("json\n")
            builder = _Builder(heading.strip().rpartition("\n")[2])
            for token in _tokenize(block[start.start() :], builder, marks):
                builder.add(token)
            builder.settle()
            records += builder.records
        before = block[-_LONGEST_HEADING:]
    return [*_combine(records), *_read_tables(records)]


_MOST_BLOCKS, _LONGEST_HEADING = 200, 80
_START = re.compile(r"\{|\[\s*\[\s*[\"“]")


def _combine(records: list[Record]) -> list[Record]:
    """Merge objects that are fields of a dimension into it, and make records of the values under
    keys such as ``scores.Composition`` or ``composition_score``. Return the records.

    An object inside a dimension (``lighting.color``) is another dimension only by its full name.
    """
    whole: list[Record] = []
    inside: set[int] = set()
    for record in records:
        is_inside = id(record.parent) in inside
        if is_inside and not is_full_name(record.label) and find_dimension(record.label):
            record.label = ""
        is_dimension = _is_named(record) or find_dimension(record.label)
        if is_inside or is_dimension:
            inside.add(id(record))
        field = find_field(record.label)
        if (field != "name" or _is_judged(record)) and (_is_named(record) or _is_answer(record)):
            field = None
        owner = record.parent if field else None
        if owner is None and (record.label or record.fields):
            whole.append(record)
        for key in list(record.fields):
            named = (key, field) if field and find_dimension(key) else split_key(key)
            if named and (is_full_name(named[0]) or not is_inside):
                whole.append(_extract(record, key, *named))
            elif owner and field:
                _hand_over(record, key, owner, field)
    return whole


def _read_tables(records: Sequence[Record]) -> list[Record]:
    """Return what is written as a table: arrays of arrays, ``"Composition": [8, "…", "…"]`` or
    ``"Composition": "8/10 - …"``, and an array for each column."""
    found: list[Record] = []
    table = Table(found)
    for record in records:
        may_grow = len(found)
        lists = {key: said for key, said in record.fields.items() if isinstance(said, list)}
        if len(lists) > 2 and {"name", "score"} <= {*find_column_fields(list(lists))}:
            table.add(list(lists))
            for row in zip(*lists.values(), strict=False):
                table.add(row)
            table.end()
        else:
            _read_rows(record, table)
            may_grow = max(may_grow, len(found) - 1)
        for each in found[may_grow:]:
            each.is_closed = record.is_closed
    return found


def _read_rows(record: Record, table: Table) -> None:
    for key, said in record.fields.items():
        items = said if isinstance(said, list) else []
        if is_full_name(key):
            items = [key, *(items or filter(None, split_score(str(said))))]
        if len(items) > 1:
            table.add(items, is_cut=record.growing == key)


def _is_named(record: Record) -> bool:
    return any(
        find_field(key) == "name" and find_dimension(record.get_text(key)) for key in record.fields
    )


def _is_judged(record: Record) -> bool:
    return not {"score", "comment"}.isdisjoint(map(find_field, record.fields))


def _is_answer(record: Record) -> bool:
    return any(find_answer_field(key) and not find_field(key) for key in record.fields)


def _extract(record: Record, key: str, name: str, field: str) -> Record:
    is_last = key == next(reversed(record.fields))
    return Record(
        label=name,
        fields={field: record.fields[key]},
        growing=field if record.growing == key else None,
        is_closed=record.is_closed or not is_last,
        group=record.group,
    )


def _hand_over(record: Record, key: str, owner: Record, field: str) -> None:
    """Move the value of ``key`` to ``owner``, as its ``field`` unless the key names another."""
    says = find_field(key)
    is_other = says not in (None, field) and field != "recommendation"
    if is_other and says in map(find_field, owner.fields):
        return
    value = record.fields[key]
    said = [value] if isinstance(value, str) else value
    if says is None if field == "score" else says != "score" and not _is_text(said, says):
        return
    target = key if is_other else record.label
    so_far = owner.fields.get(target, [])
    owner.fields[target] = [*([so_far] if isinstance(so_far, str) else so_far), *said]
    if record.growing == key or (field == "score" and not record.is_closed):
        owner.growing = target


def _is_text(said: Sequence[str], field: str | None) -> bool:
    """Return whether ``said`` is a text: a word under a key that is not a ``field``'s is none, such
    as ``"priority": "high"``."""
    text = " ".join(said)
    return any(map(str.isalpha, text)) and not (field is None and _WORD.fullmatch(text))


_WORD = re.compile(r"[\w-]+", re.ASCII)


class _Token(NamedTuple):
    kind: str  # a punctuation mark, "string" or "bare"
    text: str = ""
    is_cut: bool = False


class _Builder:
    """Build records from tokens. ``records[0]`` holds what is outside of all braces."""

    def __init__(self, heading: str) -> None:
        self.records = [Record()]
        self.after_colon = False
        self.items: list[str] | None = None
        self._row = Record()  # of an array of arrays
        self._stack = self.records[:]
        self._key: str | None = None
        # A string or word that may still turn out to be a key or a record's heading.
        self._last: _Token | None = _Token("bare", heading)

    def add(self, token: _Token) -> None:
        """Process the next token."""
        if token.kind in ("string", "bare"):
            self.settle()
            self._last = token
            if self.after_colon or token.is_cut:
                self.settle()
            return
        if token.kind == ":" and self._last and not self.after_colon:
            self._open_key(self._last.text)
            return
        heading = self._last.text if self._last and len(self._stack) == 1 else ""
        self.settle()
        if token.kind == "{":
            self._open_record(self._key or heading)
        elif token.kind == "}":
            self._close_record()
        elif token.kind == "[":
            self._open_list()
        elif token.kind == "]":
            self.items, self._row.is_closed = None, True
        if token.kind != ":":
            self._key, self.after_colon = None, False

    def settle(self) -> None:
        """Store the last string as a value or a list's item: without a colon it is not a key."""
        token, self._last = self._last, None
        if token is None:
            return
        record = self._stack[-1]
        if self.after_colon and self._key is not None:
            if token.kind == "string" or token.text not in _NOTHING:
                record.fields[self._key] = token.text
            record.growing = self._key if token.is_cut else None
            self._key, self.after_colon = None, False
        elif self.items is not None and not token.is_cut:
            self.items.append(token.text)

    def _open_list(self) -> None:
        """Open the list of the key, or a row in an array of arrays."""
        self.items = []
        if self._key is None:
            self._row = Record(fields={"": self.items}, parent=self._stack[-1])
            self.records.append(self._row)
        else:
            self._stack[-1].fields[self._key] = self.items

    def _open_key(self, key: str) -> None:
        if key in self._stack[-1].fields:
            self._stack[-1].is_closed = True
            before = self._stack[-1]
            self._stack[-1] = Record(label=before.label, parent=before.parent, group=before.group)
            self.records.append(self._stack[-1])
        self._key, self.items, self._last, self.after_colon = key, None, None, True

    def _open_record(self, label: str) -> None:
        self.items = None
        parent = self._stack[-1]
        group = parent.group if len(self._stack) > 1 else object()
        self._stack.append(Record(label=label, parent=parent, group=group))
        self.records.append(self._stack[-1])

    def _close_record(self) -> None:
        self.items = None
        if len(self._stack) > 1:
            self._stack.pop().is_closed = True


_NOTHING = ("null", "None", "none", "true", "True", "false", "False", "NaN")
_MARKS = {"：": ":", "，": ","}
# Space is also what is escaped in a string that holds JSON, and a comment.
_COMMENT = r"""(?:(?<=\s)(?://|\#[ ])[^\r\n]{0,160}+(?=[\r\n]|\Z)|/\*[^*]{0,200}+\*/)"""
_SPACE = rf"""(?:\s|\\{{1,7}}[nrt](?!\w)|\\(?!\\{{0,7}}["“”„‟'‘’])|{_COMMENT})*"""
_QUOTE = r"""\\{0,7}["“”„‟'‘’]"""
_TOKEN = re.compile(
    rf"""(?<=[:：])\s*(?P<decimal> \d{{1,3}},\d{{1,2}} )(?=\s*(?:[,}}\n]|\Z))
    |{_SPACE}(?:
        (?P<shell> {_QUOTE}(?=\s*[\[{{]{_SPACE}[\[{{]?{_SPACE}\\+["'])
          | (?<=[}}\]])["'](?=\s*(?:[,}}\]]|\Z)) )
      | (?P<mark> \{{ (?: \s* \{{ )* | [}}\[\]:,：，] )
      | (?P<slashes> \\{{0,7}} ) (?P<quote> ["“”„‟'‘’] )
      | (?P<bare> [^\s\\{{}}\[\]:,：，"“”„‟] (?: (?!\s{_COMMENT}) [^\\{{}}\[\]:,：，"“”„‟\n] )* )
    )""",
    re.VERBOSE,
)
# A value that has lost its first quote.
_UNOPENED = re.compile(r"""([^\W\d_][^"“”{}\n]{1,600})["”](?=\s*(?:[,}\]]|\Z))""")
# What may end a string, by the kind of mark that it began with.
_ENDS = {
    '"': re.compile(r'(?<!\\)(\\*)"'),
    "“": re.compile(r'(?<!\\)(\\*)["“”„‟]'),
    "'": re.compile(r"(?<!\\)(\\*)['‘’]"),
}
_FAMILY = {'"': '"', **dict.fromkeys("“”„‟", "“"), **dict.fromkeys("'‘’", "'")}
# A quote ends a value only if another key or an end follows; otherwise it may be part of the text.
# A key is one that is known, or that is followed by a value.
_OPEN = r"""\\{0,7}["“”„'‘]"""
_KEY = rf"""{_OPEN} [^"“”„\n]{{0,160}}"""  # long enough for 26 letters as \uXXXX
_VALUE = rf"""{_SPACE} (?: \Z | {_OPEN} | [{{\[\d-] | (?:true|false|null|none|nan)\b )"""
_ENDS_VALUE = re.compile(
    rf"""{_SPACE} (?:
        (?P<all> \Z ) | [}}\]] | {{ \s* ["“']
      | [,，] {_SPACE} (?:
            \Z | [}}\]] | {{ {_SPACE} (?: {_OPEN} | \w{{1,30}}\s*: | \Z )
          | {_KEY} ["”'’]? \s* \Z
        )
      | (?: [,，] {_SPACE} )? (?P<key> {_KEY} ) ["”'’] \s* [:：] (?P<value> {_VALUE} )?
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ENDS_ITEM = re.compile(
    rf"""{_SPACE} (?:
        \Z | [}}\]:：]
      | [,，] {_SPACE} (?:
            \Z | {_OPEN} | [{{}}\[\]\d-] | (?:true|false|null|None)\b | \w{{1,30}} \s* :
        )
    ) | [^\S\n]* \n \s* ["“'{{]""",
    re.VERBOSE,
)
# A key and its colon, with quotes too many or too few, or without the colon.
_LOOSE_KEY = re.compile(
    rf"""{_SPACE} (?: [,，] {_SPACE} )? [\\"“”']{{0,3}} (?P<key> \w [\w ]{{0,40}}? ) \s*
    (?: [\\"”']{{0,4}} \s* [:：] (?: \\{{0,7}}["”'] (?=\s+\\{{0,7}}["“]) )?
      | \\{{0,7}}["”] \s* (?=\\{{0,7}}["“]) )
    (?= {_VALUE} )""",
    re.VERBOSE | re.IGNORECASE,
)
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


def _tokenize(text: str, builder: _Builder, marks: Iterator[int]) -> Iterator[_Token]:
    position = 0
    while next(marks, None) is not None and (match := _TOKEN.match(text, position)):
        start, position = position, match.end()
        is_key_place = not builder.after_colon and builder.items is None
        if is_key_place and not match["mark"] and (key := _match_key(text, start)):
            position = key.end()
            yield from (_Token("string", key["key"]), _Token(":"))
        elif mark := match["mark"]:
            yield _Token(_MARKS.get(mark, mark[0]))
        elif decimal := match["decimal"]:
            yield _Token("bare", decimal)
        elif builder.after_colon and (value := _UNOPENED.match(text, match.start("bare"))):
            position = value.end()
            yield _Token("string", value[1])
        elif match["bare"]:
            yield _Token("bare", match["bare"].strip(), is_cut=position == len(text))
        elif match["quote"]:
            token, position = _read_string(text, match, marks, is_value=builder.after_colon)
            yield token


def _read_string(
    text: str, opening: re.Match[str], marks: Iterator[int], *, is_value: bool
) -> tuple[_Token, int]:
    """Return the string behind the quote that ``opening`` matched, and the position behind it."""
    start, level = opening.end(), len(opening["slashes"])
    ends = _ENDS_VALUE if is_value else _ENDS_ITEM
    for match in _ENDS[_FAMILY[opening["quote"]]].finditer(text, start):
        if next(marks, None) is None:
            break
        if _is_escaped(len(match[1]), level):
            continue
        said = text[start : match.start()]
        if end := _match_end(ends, text, match.end()):
            is_cut = is_value and end.groupdict().get("all") is not None
            is_cut = is_cut and not said.rstrip().endswith(_SENTENCE_ENDS)
            return _Token("string", _unescape(said, level), is_cut), match.end()
        if is_value and said.strip() and _match_key(text, match.end()):
            # this quote ends the value, or it begins the key and the value has lost its own
            behind = match.end()
            if text[behind : behind + 1] in _SPACES_AND_COMMAS:
                return _Token("string", _unescape(said, level)), behind
            return _Token("string", _unescape(said.rstrip(" ,\n{}[]"), level)), match.start()
    rest = _CUT_ESCAPE.sub("", text[start:])
    return _Token("string", _unescape(rest, level), is_cut=True), len(text)


def _match_key(text: str, position: int) -> re.Match[str] | None:
    match = _LOOSE_KEY.match(text, position)
    return match if match and is_key(match["key"]) else None


_SPACES_AND_COMMAS = (" ", "\n", ",", "，")


def _is_escaped(slashes: int, level: int) -> bool:
    """Return whether ``slashes`` backslashes escape a quote in a string whose opening quote had
    ``level``."""
    return slashes > level and (slashes - level) // (level + 1) % 2 == 1


def _match_end(ends: re.Pattern[str], text: str, position: int) -> re.Match[str] | None:
    match = ends.match(text, position)
    said = match.groupdict() if match else {}
    key = said.get("key")
    return match if key is None or said["value"] is not None or is_key(_unescape(key)) else None


_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "", "f": ""}


def _unescape(text: str, level: int = 0) -> str:
    """Return ``text`` without its escapes, of a string whose quotes have ``level`` backslashes."""
    if "\\" not in text:
        return text
    for _ in range(level.bit_length() + 1):
        text = _ESCAPE.sub(_replace_escape, text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _replace_escape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])

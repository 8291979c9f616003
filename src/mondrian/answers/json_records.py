"""Parse JSON as models write it into flat records, however damaged it is.

A valid answer is parsed elsewhere. The text here may be cut off, fenced, wrapped in prose, or have
curly quotes, comments, bare words, unescaped quotes, and missing or surplus commas and braces.
Therefore the nesting is not trusted: a ``{`` begins a record, a repeated key begins another, and an
unmatched brace is ignored. Afterwards records are combined where their keys say so: the object of a
score or comment, and objects of scores or comments by dimension. JSON inside a JSON string is
parsed in place: a string ends at a quote with as many backslashes as its opening quote.

Parsing is one pass, in time linear in the length of the text: every lookahead ends at the next
quote at the latest, and nothing recurses. (json-repair needed 27 s for 30 KB of hostile text, and
four times that for twice as much.)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mondrian.answers.field_names import (
    find_answer_field,
    find_dimension,
    find_field,
    is_key,
    split_key,
)


@dataclass(kw_only=True, slots=True)
class Record:
    """Keys and their values. ``label`` is the key or heading above the record, and ``parent`` the
    record that contains this key.

    A value is a text or a list of texts: numbers stay as they were written. ``growing`` is the key
    whose value was cut off by the end of the text; a record that ``is_closed`` gets no more keys.
    ``group`` is the same object for all records of one object or section.
    """

    label: str = ""
    fields: dict[str, str | list[str]] = field(default_factory=dict)
    growing: str | None = None
    is_closed: bool = False
    parent: "Record | None" = None
    group: object = field(default_factory=object)

    def get_text(self, key: str) -> str:
        """Return the value of ``key``, a list joined by spaces."""
        value = self.fields[key]
        return value if isinstance(value, str) else " ".join(value)


def read_json_records(text: str) -> list[Record]:
    """Return the records of all JSON in ``text``, in order; fenced blocks are parsed separately."""
    records: list[Record] = []
    before = ""
    for block in text.split("```"):
        start = block.find("{")
        if start >= 0:
            records += _read_block(_remove_comments(block[start:]), before + block[:start])
        before = block[-_LONGEST_HEADING:]
    return _combine(records)


_LONGEST_HEADING = 80
# A comment stands after a key's number, after a comma, or on a line of its own: elsewhere it may be
# part of a text.
_COMMENT = re.compile(
    r"""([:：][^\S\n]*\d{1,3}(?:\.\d{1,9})?,?)[^\S\n]+(?://|\#)[^\n]*$"""
    r"""|(?<=["\d\]}],)[^\S\n]+(?://|\#)[^"\n]*$"""
    r"""|^[^\S\n]*//[^\n]*$|(?<!["\w])/\*[^*\n]{0,200}\*/""",
    re.MULTILINE,
)


def _remove_comments(json: str) -> str:
    if "//" in json or "#" in json or "/*" in json:
        return _COMMENT.sub(lambda match: match[1] or "", json)
    return json


def _read_block(json: str, before: str) -> list[Record]:
    heading = before[-_LONGEST_HEADING:].removesuffix("json\n").strip().rpartition("\n")[2]
    builder = _Builder(heading)
    for token in _tokenize(json, builder):
        builder.add(token)
    builder.settle()
    return builder.records


def _combine(records: list[Record]) -> list[Record]:
    """Merge objects that are fields of a dimension into it, and make records of the values under
    keys such as ``scores.Composition`` or ``composition_score``. Return the records.

    An object inside a dimension (``lighting.color``) is another dimension only by its full name.
    """
    whole: list[Record] = []
    inside: set[int] = set()
    for record in records:
        is_inside = id(record.parent) in inside
        if is_inside and not _is_full(record.label) and find_dimension(record.label):
            record.label = ""
        is_dimension = _is_named(record) or find_dimension(record.label)
        if is_inside or is_dimension:
            inside.add(id(record))
        field = find_field(record.label)
        if field != "name" and (_is_named(record) or _is_answer(record)):
            field = None
        owner = record.parent if field else None
        if owner is None and (record.label or record.fields):
            whole.append(record)
        for key in list(record.fields):
            named = (key, field) if field and find_dimension(key) else split_key(key)
            if named and (_is_full(named[0]) or not is_inside):
                whole.append(_extract(record, key, *named))
            elif not is_inside and _is_full(key) and len(record.fields[key]) == len(_IN_ORDER):
                fields = _label_items(record.fields[key])
                whole.append(Record(label=key, fields=fields, group=record.group))
            elif owner and field:
                _hand_over(record, key, owner, field)
    return whole


_IN_ORDER = ("score", "comment", "recommendation")


def _label_items(said: str | list[str]) -> dict[str, str | list[str]]:
    """Return the fields of ``"Composition": [8, "…", "…"]``, which only their order identifies."""
    return dict(zip(_IN_ORDER, said, strict=True)) if isinstance(said, list) else {}


def _is_named(record: Record) -> bool:
    return any(
        find_field(key) == "name" and find_dimension(record.get_text(key)) for key in record.fields
    )


def _is_answer(record: Record) -> bool:
    return any(find_answer_field(key) and not find_field(key) for key in record.fields)


def _is_full(label: str) -> bool:
    return (name := find_dimension(label)) is not None and name.is_exact


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
    if says is None if field == "score" else not any(map(str.isalpha, "".join(said))):
        return
    target = key if is_other else record.label
    so_far = owner.fields.get(target, [])
    owner.fields[target] = [*([so_far] if isinstance(so_far, str) else so_far), *said]
    if record.growing == key or (field == "score" and not record.is_closed):
        owner.growing = target


class _Token(NamedTuple):
    kind: str  # a punctuation mark, "string" or "bare"
    text: str = ""
    is_cut: bool = False


class _Builder:
    """Build records from tokens. ``records[0]`` holds what is outside of all braces."""

    def __init__(self, heading: str) -> None:
        self.records = [Record()]
        self.after_colon = False
        self.list: str | None = None
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
        elif token.kind == "[" and self._key is not None:
            self.list, self._key = self._key, None
            self._stack[-1].fields.setdefault(self.list, [])
        elif token.kind == "]":
            self.list = None
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
        elif self.list is not None and not token.is_cut:
            items = record.fields.get(self.list)
            if isinstance(items, list):
                items.append(token.text)

    def _open_key(self, key: str) -> None:
        if key in self._stack[-1].fields:
            self._stack[-1].is_closed = True
            before = self._stack[-1]
            self._stack[-1] = Record(label=before.label, parent=before.parent, group=before.group)
            self.records.append(self._stack[-1])
        self._key, self.list, self._last, self.after_colon = key, None, None, True

    def _open_record(self, label: str) -> None:
        parent = self._stack[-1]
        group = parent.group if len(self._stack) > 1 else object()
        self._stack.append(Record(label=label, parent=parent, group=group))
        self.records.append(self._stack[-1])

    def _close_record(self) -> None:
        self.list = None
        if len(self._stack) > 1:
            self._stack.pop().is_closed = True


_NOTHING = ("null", "None", "none", "true", "True", "false", "False", "NaN")
_MARKS = {"：": ":", "，": ","}
_SPACE = r"""(?:\s|\\{1,7}[nrt](?!\w)|\\(?!\\{0,7}["“”„‟'‘’]))*"""
_QUOTE = r"""\\{0,7}["“”„‟'‘’]"""
_TOKEN = re.compile(
    rf"""(?<=[:：])\s*(?P<decimal> \d{{1,3}},\d{{1,2}} )(?=\s*(?:[,}}\n]|\Z))
    |{_SPACE}(?:
        (?P<shell> {_QUOTE}(?=\s*[\[{{]{_SPACE}[\[{{]?{_SPACE}\\+["'])
          | (?<=[}}\]])["'](?=\s*(?:[,}}\]]|\Z)) )
      | (?P<mark> \{{ (?: \s* \{{ )* | [}}\[\]:,：，] )
      | (?P<slashes> \\{{0,7}} ) (?P<quote> ["“”„‟'‘’] )
      | (?P<bare> [^\s\\{{}}\[\]:,：，"“”„‟] [^\\{{}}\[\]:,：，"“”„‟\n]* )
    )""",
    re.VERBOSE,
)
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
          | (?P<bare> \w{{1,30}} ) \s* [:：] {_VALUE}
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
# Behind a quote: a key, which may have lost the quote or comma before it, or the colon behind it.
_KEY_BEHIND = re.compile(
    rf"""\s*(\w[\w ]{{0,40}}?)\s*\\{{0,7}}["”]\s*(?:[:：]{_VALUE}|(?P<no_colon>\\{{0,7}}["“]))""",
    re.VERBOSE | re.IGNORECASE,
)
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


def _tokenize(text: str, builder: _Builder) -> Iterator[_Token]:
    position = 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        if mark := match["mark"]:
            yield _Token(_MARKS.get(mark, mark[0]))
        elif decimal := match["decimal"]:
            yield _Token("bare", decimal)
        elif match["bare"]:
            yield _Token("bare", match["bare"].strip(), is_cut=position == len(text))
        elif match["quote"]:
            is_key_place = not builder.after_colon and builder.list is None
            key = _KEY_BEHIND.match(text, position) if is_key_place else None
            if key and key["no_colon"] and is_key(key[1]):
                position = key.start("no_colon")
                yield from (_Token("string", key[1]), _Token(":"))
                continue
            token, position = _read_string(text, match, builder.after_colon)
            yield token


def _read_string(text: str, opening: re.Match[str], is_value: bool) -> tuple[_Token, int]:
    """Return the string behind the quote that ``opening`` matched, and the position behind it."""
    start, level = opening.end(), len(opening["slashes"])
    ends = _ENDS_VALUE if is_value else _ENDS_ITEM
    for match in _ENDS[_FAMILY[opening["quote"]]].finditer(text, start):
        if _is_escaped(len(match[1]), level):
            continue
        said = text[start : match.start()]
        if end := _match_end(ends, text, match.end()):
            is_cut = is_value and end.groupdict().get("all") is not None
            is_cut = is_cut and not said.rstrip().endswith(_SENTENCE_ENDS)
            return _Token("string", _unescape(said, level), is_cut), match.end()
        key = _KEY_BEHIND.match(text, match.end()) if is_value and said.strip() else None
        if key and not key["no_colon"] and is_key(key[1]):
            return _Token("string", _unescape(said.rstrip(" ,\n"), level)), match.start()
    rest = _CUT_ESCAPE.sub("", text[start:])
    return _Token("string", _unescape(rest, level), is_cut=True), len(text)


def _is_escaped(slashes: int, level: int) -> bool:
    """Return whether ``slashes`` backslashes escape a quote in a string whose opening quote had
    ``level``."""
    return slashes > level and (slashes - level) // (level + 1) % 2 == 1


def _match_end(ends: re.Pattern[str], text: str, position: int) -> re.Match[str] | None:
    match = ends.match(text, position)
    said = match.groupdict() if match else {}
    if bare := said.get("bare"):
        return match if is_key(bare) else None
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

"""JSON as models write it, read as flat records: whatever is broken, what stands is found.

A valid answer never comes here. What does may be cut off, fenced, wrapped in prose, have curly
quotes, bare words, unescaped quotes, and commas and braces too many or too few. So nothing rests on
the tree: a ``{`` begins a record, a key that comes twice begins another, and a brace that matches
nothing is passed over. Reading takes one pass, in time linear in the length of the text: every look
ahead ends at the next quote at the latest, and nothing recurses. (json-repair needed 27 s for 30 KB
of hostile text, and four times that for twice as much.)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(kw_only=True, slots=True)
class Record:
    """Keys and what was written under them; ``label`` is the key or heading that it stood under.

    A value is a text or a list of texts: numbers stay as they were written. ``growing`` is the key
    whose value the end of the text cut off; a record that ``is_closed`` will get no more keys.
    """

    label: str = ""
    fields: dict[str, str | list[str]] = field(default_factory=dict)
    growing: str | None = None
    is_closed: bool = False

    def text(self, key: str) -> str:
        """What was written under ``key``, a list joined by spaces."""
        value = self.fields[key]
        return value if isinstance(value, str) else " ".join(value)


def json_records(text: str) -> list[Record]:
    """The records of all JSON in ``text``, each fenced block for itself, in their order."""
    return [record for block in text.split("```") for record in _block_records(block)]


def _block_records(block: str) -> list[Record]:
    start = block.find("{")
    if start < 0:
        return []
    builder = _Builder()
    for token in _tokens(block, start, builder):
        builder.take(token)
    builder.settle()
    return builder.records


class _Token(NamedTuple):
    kind: str  # a punctuation mark, "string" or "bare"
    text: str = ""
    is_cut: bool = False


class _Builder:
    """Takes tokens, makes records. ``records[0]`` holds what stands outside of all braces."""

    def __init__(self) -> None:
        self.records = [Record()]
        self.after_colon = False
        self._stack = self.records[:]
        self._key: str | None = None
        self._list: str | None = None
        self._last: _Token | None = None  # a string or word that may yet turn out to be a key

    def take(self, token: _Token) -> None:
        """Take the next token."""
        if token.kind in ("string", "bare"):
            self.settle()
            self._last = token
            if self.after_colon or token.is_cut:
                self.settle()
            return
        if token.kind == ":" and self._last and not self.after_colon:
            self._open_key(self._last.text)
            return
        self.settle()
        if token.kind == "{":
            self._open_record()
        elif token.kind == "}":
            self._close_record()
        elif token.kind == "[" and self._key is not None:
            self._list, self._key = self._key, None
            self._stack[-1].fields.setdefault(self._list, [])
        elif token.kind == "]":
            self._list = None
        if token.kind != ":":
            self._key, self.after_colon = None, False

    def settle(self) -> None:
        """Use the last string: as no colon followed, it is no key but a value or a list's item."""
        token, self._last = self._last, None
        if token is None:
            return
        record = self._stack[-1]
        if self.after_colon and self._key is not None:
            if token.kind == "string" or token.text not in _NOTHING:
                record.fields[self._key] = token.text
            record.growing = self._key if token.is_cut else None
            self._key, self.after_colon = None, False
        elif self._list is not None and not token.is_cut:
            items = record.fields.get(self._list)
            if isinstance(items, list):
                items.append(token.text)

    def _open_key(self, key: str) -> None:
        if key in self._stack[-1].fields:
            self._stack[-1].is_closed = True
            self._stack[-1] = Record(label=self._stack[-1].label)
            self.records.append(self._stack[-1])
        self._key, self._list, self._last, self.after_colon = key, None, None, True

    def _open_record(self) -> None:
        self._stack.append(Record(label=self._key or ""))
        self.records.append(self._stack[-1])

    def _close_record(self) -> None:
        self._list = None
        if len(self._stack) > 1:
            self._stack.pop().is_closed = True


_NOTHING = ("null", "None", "none", "true", "True", "false", "False", "NaN")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<mark> [{}\[\]:,] )
      | (?P<quote> ["“”„‟'‘’] )
      | (?P<bare> [^\s{}\[\]:,"“”„‟] [^{}\[\]:,"“”„‟\n]* )
    )""",
    re.VERBOSE,
)
# What counts inside a string, by the kind of mark that it began with.
_INSIDE = {
    '"': re.compile(r'\\.|"', re.DOTALL),
    "“": re.compile(r'\\.|["“”„‟]', re.DOTALL),
    "'": re.compile(r"\\.|['‘’]", re.DOTALL),
}
_FAMILY = {'"': '"', **dict.fromkeys("“”„‟", "“"), **dict.fromkeys("'‘’", "'")}
# A quote ends a value only if a next key or an end follows: it may stand inside the text otherwise.
_QUOTED = r"""["“”„'‘] [^"“”„\n]{0,60}"""
_ENDS_VALUE = re.compile(
    rf"""\s* (?:
        \Z | [}}\]] | {{ \s* ["“']
      | , \s* (?: \Z | [{{}}\]] | {_QUOTED} (?: \Z | ["“”'’] \s* (?: : | \Z ) ) | \w{{1,30}} \s* : )
      | {_QUOTED} ["“”'’] \s* :
    )""",
    re.VERBOSE,
)
_ENDS_ITEM = re.compile(
    r"""\s* (?:
        \Z | [}\]:]
      | , \s* (?: \Z | ["“”„'‘{}\[\]\d-] | (?:true|false|null|None)\b | \w{1,30} \s* : )
    ) | [^\S\n]* \n \s* ["“'{]""",
    re.VERBOSE,
)


def _tokens(text: str, position: int, builder: _Builder) -> Iterator[_Token]:
    while match := _TOKEN.match(text, position):
        position = match.end()
        if mark := match["mark"]:
            yield _Token(mark)
        elif match["bare"]:
            yield _Token("bare", match["bare"].strip(), is_cut=position == len(text))
        else:
            ends = _ENDS_VALUE if builder.after_colon else _ENDS_ITEM
            token, position = _read_string(text, position, _FAMILY[match["quote"]], ends)
            yield token


def _read_string(text: str, start: int, family: str, ends: re.Pattern[str]) -> tuple[_Token, int]:
    """The string from ``start`` on, just after its opening quote, and the position behind it."""
    for match in _INSIDE[family].finditer(text, start):
        if match[0][0] != "\\" and ends.match(text, match.end()):
            return _Token("string", _unescape(text[start : match.start()])), match.end()
    rest = _CUT_ESCAPE.sub("", text[start:])
    return _Token("string", _unescape(rest), is_cut=True), len(text)


_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "", "f": ""}


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2]), text
    )
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

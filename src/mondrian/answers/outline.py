"""Track which dimensions a growing answer has reached, token by token."""

import re

from mondrian.answers.field_names import find_dimension
from mondrian.answers.thinking import BEGIN_OR_END

_ENDS = re.compile(r"[\"'\n:|(*#>▷\]]")
_LONGEST = 60


class Outline:
    """Count the dimensions that an answer names in any format: JSON in any order and spacing,
    headings, tables, fences.

    A name is the text between two marks, so a mention in prose does not count. A token without a
    mark costs one search in its text.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._tail = ""
        self._is_thinking = False

    @property
    def begun(self) -> int:
        """The number of dimensions so far, from 0 to 8."""
        return len(self._names)

    def append(self, text: str) -> None:
        """Append the next piece of the answer."""
        if not _ENDS.search(text):
            self._tail = (self._tail + text)[-_LONGEST:]
            return
        *pieces, self._tail = _ENDS.split(self._tail + text)
        for piece in pieces:
            self._record_name(piece)

    def _record_name(self, piece: str) -> None:
        if match := BEGIN_OR_END.search(piece[-_LONGEST:]):
            self._is_thinking = not match[1]
            self._names.clear()  # thinking is not part of the answer
        elif not self._is_thinking and _is_short(piece) and (name := find_dimension(piece)):
            self._names.add(name.name)


def _is_short(piece: str) -> bool:
    return 4 < len(piece) <= 40 and len(piece.split()) <= 5

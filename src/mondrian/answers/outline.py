"""How far a growing answer is: which dimensions it has come to, read token by token."""

import re

from mondrian.answers.field_names import dimension_name
from mondrian.answers.thinking import BEGIN_OR_END

_ENDS = re.compile(r"[\"'\n:|(*#>▷\]]")
_LONGEST = 60


class Outline:
    """Counts the dimensions that an answer names, whatever stands around the names: JSON in any
    order and spacing, headings, tables, fences.

    A name is what stands between two marks, so prose that mentions one does not count. The price
    of a token without a mark is one search in its text.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._tail = ""
        self._is_thinking = False

    @property
    def begun(self) -> int:
        """How many dimensions there are so far, from 0 to 8."""
        return len(self._names)

    def read(self, text: str) -> None:
        """Go on with the next piece of the answer."""
        if not _ENDS.search(text):
            self._tail = (self._tail + text)[-_LONGEST:]
            return
        *pieces, self._tail = _ENDS.split(self._tail + text)
        for piece in pieces:
            self._note(piece)

    def _note(self, piece: str) -> None:
        if match := BEGIN_OR_END.search(piece[-_LONGEST:]):
            self._is_thinking = not match[1]
            self._names.clear()  # what a model thinks is not its answer
        elif not self._is_thinking and _is_short(piece) and (name := dimension_name(piece)):
            self._names.add(name.name)


def _is_short(piece: str) -> bool:
    return 4 < len(piece) <= 40 and len(piece.split()) <= 5

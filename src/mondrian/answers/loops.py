"""Detect a model that is in a loop and would write the same text forever.

A loop is a text that is repeated several times in a row, ignoring digits because some loops count:
five times, or three if it is long, and at least 240 characters in all (about sixty tokens). A text
without letters and digits, such as white space or a table's rules, needs 2,000. Legitimate
repetition stays below: dimensions share their keys, but their names differ, and no list of an
answer has five items. The other kind of loop is a fourth answer in a row with all eight dimensions,
whatever its words.
"""

from mondrian.answers.answer import DIMENSIONS
from mondrian.answers.outline import Outline
from mondrian.answers.read import count_answers

LEAST = 240
LEAST_BLANK = 2000
_SHORT_TIMES, _LONG_TIMES, _LONG = 5, 3, 1000
_WINDOW = 9000
_STEP = 32
_ANCHOR = 24
_CANDIDATES = 16


class LoopWatch:
    """Detect a loop in a growing text. The work per character is bounded at any length."""

    def __init__(self) -> None:
        self._tail = ""
        self._unseen = 0

    def append(self, text: str) -> int:
        """Append ``text``. Return how many characters at the end only repeat those before them; 0
        if there is no loop."""
        self._tail = (self._tail + text.translate(_ALIKE))[-_WINDOW:]
        self._unseen += len(text)
        if self._unseen < _STEP:
            return 0
        self._unseen = 0
        period = _find_period(self._tail)
        return _measure_run(self._tail, period) - period if period else 0


_ALIKE = str.maketrans(dict.fromkeys("123456789", "0"))


class AnswerWatch:
    """Detect whether a growing text holds one answer after another."""

    def __init__(self) -> None:
        self._outline = Outline()
        self._parts: list[str] = []
        self._ends: list[int] = []
        self._length = 0

    def append(self, text: str) -> int:
        """Append ``text``. Return how many characters at the end are surplus answers, or 0."""
        self._parts.append(text)
        self._length += len(text)
        self._outline.append(text)
        if self._outline.begun < len(DIMENSIONS):
            return 0
        self._outline = Outline()
        self._ends.append(self._length)
        count = len(self._ends)
        if count <= _MOST_ANSWERS or count & (count - 1):  # counted at 4, 8, 16: parsing is slow
            return 0
        is_loop = count_answers("".join(self._parts)) >= _MOST_ANSWERS
        return self._length - self._ends[-2] if is_loop else 0


_MOST_ANSWERS = 3


def _find_period(tail: str) -> int:
    """Return the period of the repetition that ends ``tail``, in characters, or 0 without a loop.

    The last characters are searched for in the text before them: a match may end a period.
    """
    anchor, end = tail[-_ANCHOR:], len(tail) - 1
    for _ in range(_CANDIDATES):
        place = tail.rfind(anchor, 0, end)
        if place < 0:
            return 0
        period, end = len(tail) - _ANCHOR - place, place + _ANCHOR - 1
        need = _count_needed(tail[-period:])
        if need <= len(tail) and tail[-need:-period] == tail[period - need :]:
            return period
    return 0


def _count_needed(text: str) -> int:
    """Return the length from which repetitions of ``text`` are a loop."""
    least = LEAST if any(map(str.isalnum, text)) else LEAST_BLANK
    return max(least, min(_SHORT_TIMES * len(text), _LONG), _LONG_TIMES * len(text))


def _measure_run(tail: str, period: int) -> int:
    """Return how many characters at the end of ``tail`` have ``period``."""
    place = len(tail) - period
    while place and tail[place - 1] == tail[place - 1 + period]:
        place -= 1
    return len(tail) - place

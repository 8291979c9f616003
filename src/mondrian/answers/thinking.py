"""Separate a model's thinking from its answer.

Templates mark thinking in many ways, but the marks follow one rule: a word for thinking in
brackets, or after ``channel``, begins it, and the same with ``/`` or ``END``, or another channel,
ends it. If no mark is known, a later complete answer takes precedence (``read.py``).
"""

import re

_WORD = r"(?:think(?:ing)?|thoughts?|reasoning|reflection)"
_BRACKETED = rf"(?:\w{{1,10}}:)?\|?(?:\w{{1,6}}_)?{_WORD}\|?(?:\s[^<>]{{0,60}})?"
_OPENED = (
    rf"[<◁\[](?=[|/\w])(?:\|?(?!end_){_BRACKETED}[>▷]|think\]"
    r"|\|?channel\|?>\s{0,9}(?:analysis|thought|commentary)\b(?:[^<>]{0,40}<\|message\|>)?)"
)
_CLOSED = (
    rf"[<◁\[](?=[|/\w])(?:\|?/{_BRACKETED}[>▷]|\|end_{_WORD}\|>|/think\]|channel\|>|unused95>"
    r"|\|channel\|>final[^<>]{0,20}(?:<\|constrain\|>\w{0,20})?<\|message\|>)"
)
# Marks only at the beginning of a text: elsewhere they are words or an answer's fields.
_BEGUN = r"<(?:analysis|scratchpad|unused94)>|thinking\.\.\.\s|analysis(?=[A-Z\"{])"
_BEGUN_END = r"</(?:analysis|scratchpad)>|\.\.\.done thinking\.|assistantfinal"

_BEFORE = r"(?:\s|<s>|<\|start\|>assistant)*+"
BEGIN = re.compile(rf"{_BEFORE}(?:{_OPENED}|{_BEGUN})", re.IGNORECASE)
"""The beginning of a text that begins with thinking."""

END = re.compile(f"{_CLOSED}|{_BEGUN_END}", re.IGNORECASE)
"""The end of thinking at the beginning of a text."""

_MAY_BEGIN = re.compile(
    rf"{_BEFORE}(?:[<◁\[]\|?[\w:|/]{{0,30}}|<\|start\|>\w{{0,9}}"
    r"|<\|?channel\|?>\s{0,9}\w{0,10}(?:[^<>]{0,40}<[\w|]{0,9})?)?",
    re.IGNORECASE,
)

_THINKING = re.compile(rf"{_OPENED}.*?(?:{_CLOSED}|<\|call\|>|\Z)", re.IGNORECASE | re.DOTALL)
_ENDED = re.compile(_CLOSED, re.IGNORECASE)
BEGIN_OR_END = re.compile(rf"[<◁\[](/?)\|?(?:\w{{1,10}}[:_])?{_WORD}\|?\Z", re.IGNORECASE)
"""The end of a piece of text that only lacks a mark's last character, as in ``</think``."""


_WORDS = ("think", "thought", "reason", "reflect", "channel", "analysis", "scratchpad", "unused")
"""Without one of them a text has none of the marks."""


def has_thinking(text: str) -> bool:
    """Return whether thinking begins in ``text``."""
    return bool(BEGIN.match(text) or _THINKING.search(text))


def remove_thinking(text: str) -> str:
    """Return ``text`` without thinking.

    Templates may open it in the prompt, so its end alone is enough, unless nothing follows. If
    there is only thinking, and it ended, that is the answer.
    """
    if not any(map(text.lower().__contains__, _WORDS)):
        return text
    begin, rest = BEGIN.match(text), text
    if begin and (end := END.search(text, begin.end())):
        rest = text[end.end() :]
    *_, before, after = "", *_ENDED.split(_THINKING.sub("", rest))
    answer = after if any(map(str.isalnum, after)) else before
    is_all = not any(map(str.isalnum, answer)) and _ENDED.search(text)
    return re.sub(f"{_OPENED}|{_CLOSED}", "", text, flags=re.IGNORECASE) if is_all else answer


def may_begin(text: str) -> bool:
    """Return whether ``text``, the beginning of a longer one, may still begin with thinking."""
    begun = text.strip().lower()
    is_word = any(word.startswith(begun) for word in ("thinking...", "analysis"))
    return len(text) < _MOST_HELD and (is_word or bool(_MAY_BEGIN.fullmatch(text)))


_MOST_HELD = 100  # white space may come first, but not without limit

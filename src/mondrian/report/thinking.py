"""A model's thinking, told from its answer."""

import re

_WORD = "(?:think|thinking|thought|thoughts|reasoning|reflection)"
_OPENED = rf"(?:<{_WORD}(?:\s[^<>]{{0,60}})?>|◁{_WORD}▷|\[THINK\])"
_CLOSED = rf"(?:</{_WORD}>|◁/{_WORD}▷|\[/THINK\]|<\|channel\|>final<\|message\|>)"
_THINKING = re.compile(
    rf"{_OPENED}.*?(?:{_CLOSED}|\Z)"
    r"|<\|channel\|>(?:analysis|commentary).*?(?:<\|(?:end|call)\|>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_END = re.compile(_CLOSED, re.IGNORECASE)
BEGIN_OR_END = re.compile(rf"[<◁\[](/?){_WORD}\Z", re.IGNORECASE)
"""What a piece of text ends in that only lacks its last mark, as in ``<think`` and ``</think``."""


def without_thinking(text: str) -> str:
    """The answer proper. Templates may open the thinking in the prompt, so its end alone is enough,
    unless nothing comes after it."""
    *_, before, after = "", *_END.split(_THINKING.sub("", text))
    return after if any(map(str.isalnum, after)) else before

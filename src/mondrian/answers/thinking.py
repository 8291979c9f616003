"""A model's thinking, told from its answer."""

import re

_WORDS = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection")
_WORD = f"(?:{'|'.join(_WORDS)})"

TAGS = {
    **{f"<{word}>": f"</{word}>" for word in _WORDS},
    **{f"◁{word}▷": f"◁/{word}▷" for word in _WORDS},  # Kimi
    "[think]": "[/think]",  # Magistral
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",  # gpt-oss
}
"""What thinking begins with, in lower case, and what ends it then: for text that is streamed, where
an answer begins with its thinking or has none."""

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

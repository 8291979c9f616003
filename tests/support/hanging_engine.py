"""A native engine that hangs as a whole."""

import ctypes

from mondrian.engines.base import Progress, Token
from mondrian.engines.replay import Line, Replay, Span


class Hanging(Replay):
    """Plays a recording. Where that hangs, no thread of the process runs on: it holds Python's
    lock, as native code that is stuck may."""

    def _make_item(
        self, line: Line, tokens: int, span: Span, finish: str | None
    ) -> Progress | Token | None:
        if line.hang:
            ctypes.PyDLL(None).sleep(3600)
        return super()._make_item(line, tokens, span, finish)

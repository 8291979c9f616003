"""Native engines that imitate behaviours of the real ones."""

import time

from mondrian.engines import Phase, Progress, Request, Token
from mondrian.process.child import Port


class Stubborn:
    """A native engine that holds Python's lock while it loads, as llama.cpp does."""

    def __init__(self, *, seconds: int) -> None:
        self._seconds = seconds

    def load(self, port: Port) -> None:
        import ctypes

        port.emit(Progress(phase=Phase.LOADING))
        ctypes.PyDLL(None).sleep(self._seconds)

    def run(self, request: Request, port: Port) -> None:
        port.emit(Token(text="", finish_reason="stop"))


class Steady:
    """A native engine that loads in steps of a tenth of a second, and stops between two."""

    def __init__(self, *, steps: int) -> None:
        self._left = self._steps = steps

    def load(self, port: Port) -> None:
        while self._left:
            done = self._steps - self._left
            if port.emit(Progress(phase=Phase.LOADING, done=done, total=self._steps)):
                return
            time.sleep(0.1)
            self._left -= 1

    def run(self, request: Request, port: Port) -> None:
        port.emit(Token(text="", finish_reason="stop"))


class Quick:
    """A native engine that writes many tokens at once, and then nothing until it is stopped."""

    def __init__(self, *, tokens: int) -> None:
        self._tokens = tokens

    def load(self, port: Port) -> None: ...

    def run(self, request: Request, port: Port) -> None:
        for number in range(1, self._tokens + 1):
            port.emit(Token(text="", generation_tokens=number))
        port.stopped.wait()

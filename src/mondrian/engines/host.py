"""Runs a native engine on the main thread of a child process, at the other end of a pipe.

1. Native code may abort, hang, or hold Python's lock for seconds. In the child it can do none of
   that to the parent, whose clock, store and server go on.
2. The child's main thread owns the engine (Metal wants that); a second thread reads the pipe.
3. The end of the pipe is the end of the other side. The parent sees a crash within milliseconds.
   The child leaves when its parent is gone; on Linux the kernel ends it (``_die_with_parent``),
   even while native code holds Python's lock.
4. The parent never waits for the child without a time-out, and kills a child that does not stop.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Protocol

from mondrian.engines.base import Output, Phase, Progress, Request, Token
from mondrian.errors import EngineClosed, EngineCrashed, EngineFailed, MondrianError

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.2
STOP_SECONDS = 5.0


class Port:
    """A native engine's way out of the child, for one request."""

    def __init__(self, number: int, connection: "Connection[Any, Any]") -> None:
        self.stopped = threading.Event()
        self._number = number
        self._connection = connection

    def emit(self, item: "Output | Ended | MondrianError") -> bool:
        """Send ``item`` to the parent. Returns whether the engine should stop now."""
        self._connection.send((self._number, item))
        return self.stopped.is_set()


class Native(Protocol):
    """What runs in the child: an engine whose calls block.

    It is made from the options of a ``HostedEngine``. Both methods should return soon after
    ``port.stopped`` is set; a child that does not is killed. They may raise ``EngineError``.
    """

    def load(self, port: Port) -> None:
        """Load the model, if it is not yet loaded."""

    def run(self, request: Request, port: Port) -> None:
        """Answer ``request``: emit ``Progress`` and ``Token``, the last with a finish reason."""


@dataclass(frozen=True, slots=True)
class Ended:
    """From the child: it has done with a request and is idle."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To the child: stop working on a request."""


class Child:
    """One engine process, seen from the parent."""

    def __init__(self, label: str, native: str, options: Mapping[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._words = tempfile.TemporaryFile("ab+")  # noqa: SIM115 (closed by dispose)
        with theirs:
            fds = (theirs.fileno(), lifeline)
            command = [sys.executable, "-m", "mondrian.engines", label, *map(str, fds)]
            self._process = subprocess.Popen(
                command,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
            )
        os.close(lifeline)
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self.phase: Phase | None = None
        self.tokens = 0
        self.send((native, dict(options)))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send ``message``. Raises ``EngineCrashed`` when nobody is there to take it."""
        try:
            self._connection.send(message)
        except OSError as exc:
            raise self.crash() from exc

    def receive(self, timeout_seconds: float) -> tuple[int, Any] | None:
        """The next message, or ``None`` in time. Raises ``EngineCrashed`` at the pipe's end."""
        try:
            if not self._connection.poll(timeout_seconds):
                return None
            message: tuple[int, Any] = self._connection.recv()
        except (EOFError, OSError) as exc:
            raise self.crash() from exc
        return message

    def crash(self) -> EngineCrashed:
        """The error that says how the process ended; what it last printed is a note on it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # it may be about to end by a signal of its own
        words = self.dispose()
        doing = f" while {self.phase.doing}" if self.phase else ""
        after = f" (after {self.tokens} tokens)" if self.tokens else ""
        error = EngineCrashed(
            f"The engine's process {self._how_it_ended()}{doing}{after}. "
            "It starts anew with the next photo."
        )
        if words:
            error.add_note(f"The engine's last words:\n{words}")
        return error

    def kill(self) -> None:
        """End the process. Safe to call twice and from any thread."""
        self._process.kill()
        self._process.wait()

    def dispose(self) -> str:
        """End the process, free what belongs to it and return its last words. Only for the thread
        whose turn it is: nobody else may be reading from the pipe."""
        self.kill()
        if self._words.closed:
            return ""
        self._connection.close()
        os.close(self._lifeline)
        with self._words as words:
            words.seek(max(0, words.seek(0, os.SEEK_END) - 2000))
            return words.read().decode(errors="replace").strip()

    def _how_it_ended(self) -> str:
        code = self._process.returncode
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


class HostedEngine:
    """An ``Engine`` whose work is done by a ``Native`` in a child process.

    ``native`` names it as ``module:Class``; ``options`` are its keyword arguments. The child
    starts with the first request and is kept; after a crash or a kill a new one takes its place.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        sees: bool,
        native: str,
        options: Mapping[str, Any],
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.url = url
        self.model = model
        self.sees = sees
        self.status = "unloaded"
        self._native = native
        self._options = options
        self._stop_seconds = stop_seconds
        self._child: Child | None = None
        self._numbers = count()
        self._turn = threading.Lock()
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The child's process id, ``None`` while there is no child."""
        return self._child.pid if self._child else None

    def load(self) -> None:
        """See ``Engine.load``."""
        for _ in self._take_turn(None):
            pass

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """See ``Engine.stream``."""
        yield from self._take_turn(request)

    def close(self) -> None:
        """See ``Engine.close``."""
        self._is_closed = True
        if not self._child:
            return
        self._child.kill()
        if self._turn.acquire(blocking=False):  # else the running stream disposes of it
            self._child.dispose()
            self._turn.release()

    def _take_turn(self, request: Request | None) -> Generator[Output, None, None]:
        while not self._turn.acquire(timeout=HEARTBEAT_SECONDS):
            yield Progress(phase=Phase.WAITING)
        try:
            yield from self._ask(request)
        except MondrianError as exc:
            self.status = f"error: {exc.message}"
            raise
        finally:
            self._turn.release()

    def _ask(self, request: Request | None) -> Generator[Output, None, None]:
        child = self._living_child()
        number = next(self._numbers)
        is_idle = False
        try:
            child.send((number, request))
            for item in self._items(child, number):
                is_idle = isinstance(item, Ended | MondrianError)
                if isinstance(item, MondrianError):
                    raise item
                if not isinstance(item, Ended):
                    yield item
            self.status = "ready"
        except EngineCrashed:
            is_idle, self._child = True, None
            if self._is_closed:
                raise EngineClosed from None
            raise
        finally:
            if not is_idle:
                self._stop(child, number)

    def _items(self, child: Child, number: int) -> Generator[Any, None, None]:
        """What the child says of request ``number``; the last progress again in its silences."""
        last: Output = Progress(phase=Phase.LOADING)
        child.phase, child.tokens = None, 0
        while True:
            message = child.receive(HEARTBEAT_SECONDS)
            item = last if message is None else message[1]
            assert message is None or message[0] == number
            if isinstance(item, Progress):
                last, child.phase = item, item.phase
                self.status = "loading" if item.phase is Phase.LOADING else "ready"
            elif isinstance(item, Token):
                child.phase, child.tokens = Phase.GENERATING, item.generation_tokens
                last = Progress(phase=Phase.GENERATING)
            yield item
            if isinstance(item, Ended | MondrianError):
                return

    def _living_child(self) -> Child:
        if self._is_closed:
            raise EngineClosed
        if self._child is None:
            self.status = "loading"
            self._child = Child(self.url, self._native, self._options)
            if self._is_closed:  # close() came in between
                self._child.kill()
        return self._child

    def _stop(self, child: Child, number: int) -> None:
        """Let the child stop; kill it when it does not."""
        deadline = time.monotonic() + self._stop_seconds
        try:
            child.send((number, Stop()))
            while (left := deadline - time.monotonic()) > 0:
                message = child.receive(left)
                if message and isinstance(message[1], Ended | MondrianError):
                    return
            log.warning("the engine did not stop within %.1f s: killed", self._stop_seconds)
        except EngineCrashed:
            pass
        child.dispose()
        self._child, self.status = None, "unloaded"


def child_main(arguments: list[str]) -> None:
    """The child's life: ``arguments`` are its label, the pipe's and the lifeline's descriptors."""
    _, pipe, lifeline = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _die_with_parent(int(lifeline))
    connection: Connection[Any, Any] = Connection(int(pipe))
    os.set_inheritable(connection.fileno(), False)
    native, options = connection.recv()
    module, name = native.split(":")
    engine: Native = getattr(import_module(module), name)(**options)
    inbox: SimpleQueue[tuple[Request | None, Port]] = SimpleQueue()
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    while True:
        request, port = inbox.get()
        port.emit(_work(engine, request, port))


def _read(connection: "Connection[Any, Any]", inbox: "SimpleQueue[Any]") -> None:
    port: Port | None = None
    while True:
        try:
            number, message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if isinstance(message, Stop):
            if port:
                port.stopped.set()
        else:
            port = Port(number, connection)
            inbox.put((message, port))


def _work(engine: Native, request: Request | None, port: Port) -> Ended | MondrianError:
    try:
        engine.load(port)
        if request is not None and not port.stopped.is_set():
            engine.run(request, port)
    except MondrianError as exc:
        return exc
    except OSError as exc:
        if isinstance(exc, BrokenPipeError):
            os._exit(0)
        return EngineFailed(f"The engine failed: {exc}. Try again, or try another model.")
    except Exception as exc:
        logging.exception("the engine failed")
        return EngineFailed(f"The engine failed: {exc}. Try again, or try another model.")
    return Ended()


def _die_with_parent(lifeline: int) -> None:
    """Ask the kernel for SIGIO, which ends a process, when the parent's end of a pipe closes.

    That works without Python's lock, which a loading engine may hold for long. It is Linux only:
    elsewhere SIGIO is ignored, and the thread that reads the pipe notices as soon as it may run.
    ``PR_SET_PDEATHSIG`` would not do: it watches the thread that started us, not the process.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
        import select

        if select.select([lifeline], [], [], 0)[0]:
            os._exit(0)  # the parent was gone before we asked

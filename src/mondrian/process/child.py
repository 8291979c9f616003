"""The child's side of the pipe: a handler of requests, and the process that it runs in.

1. The child's main thread owns the handler and loads it (Metal requires that); a second thread
   reads the pipe. With one slot requests also run on the main thread. With more, each runs in a
   thread of its own, so the handler's ``run`` must be thread-safe.
2. Items that may wait, such as tokens, are written in batches: each write wakes the parent, on a
   core that the engine may need.
3. The child exits when its parent is gone; on Linux the kernel kills it (``_die_with_parent``),
   even while native code holds the GIL.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Protocol
from weakref import WeakValueDictionary

from mondrian.errors import MondrianError

BATCH_SECONDS = 0.1
"""The time between two batches of items."""

PATIENCE_SECONDS = 0.2
"""The most that an item waits."""


class Port:
    """A handler's connection to the parent, for one request."""

    def __init__(self, number: int, outbox: "_Outbox") -> None:
        self.stopped = threading.Event()
        self._number = number
        self._outbox = outbox

    def emit(self, item: object) -> bool:
        """Send ``item`` to the parent: in a batch, if it has a true ``may_wait``, else at once.
        Return whether the handler should stop now."""
        self._outbox.put(self._number, item)
        return self.stopped.is_set()


class _Outbox:
    """The writing end of the pipe.

    Items that may wait are written in batches, at first in small ones: each is due after a quarter
    of the time since the last item that may not, up to ``BATCH_SECONDS``, and the item that comes
    then writes it. If none comes, it is written after ``PATIENCE_SECONDS``.
    """

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, object]] = []
        self._begun = self._due = 0.0
        self._has_waiting = threading.Event()
        threading.Thread(target=self._write_late, daemon=True).start()

    def put(self, number: int, item: object) -> None:
        """Write ``item`` of the request ``number``, or let it wait."""
        now = time.monotonic()
        with self._lock:
            self._waiting.append((number, item))
            if not getattr(item, "may_wait", False):
                self._begun = self._due = now
            if now >= self._due:
                self._write(now)
            else:
                self._has_waiting.set()

    def _write(self, now: float) -> None:
        waiting, self._waiting = self._waiting, []
        self._due = now + min(BATCH_SECONDS, (now - self._begun) / 4)
        self._connection.send(waiting)

    def _write_late(self) -> None:
        while self._has_waiting.wait():
            time.sleep(PATIENCE_SECONDS)
            with self._lock, contextlib.suppress(OSError):  # the thread that reads sees the end
                self._has_waiting.clear()
                if self._waiting:
                    self._write(time.monotonic())


class Handler(Protocol):
    """The object that runs in the child; its calls block.

    Both methods should return soon after ``port.stopped`` is set; otherwise the child is killed.
    Their errors reach the parent as ``Ended.error``.
    """

    def load(self, port: Port) -> None:
        """Load the resources of requests, if they are not loaded yet."""

    def run(self, request: Any, port: Port) -> None:
        """Run ``request``, and emit its results at ``port``.

        With several slots, it is called from several threads at once.
        """


@dataclass(frozen=True, slots=True)
class Ended:
    """From the child: a request has ended. ``error`` is its error, if any: a ``MondrianError``, or
    the message of any other."""

    error: MondrianError | str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """From the child: its handler is loaded."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To the child: stop working on a request."""


def child_main(arguments: list[str]) -> None:
    """Run the child. ``arguments`` are its label and the descriptors of the pipe and lifeline."""
    _, pipe, lifeline = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _die_with_parent(int(lifeline))
    connection: Connection[Any, Any] = Connection(int(pipe))
    os.set_inheritable(connection.fileno(), False)
    path, options, slots = connection.recv()
    module, name = path.split(":")
    handler: Handler = getattr(import_module(module), name)(**options)
    inbox: SimpleQueue[tuple[Any, Port]] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    while True:
        request, port = inbox.get()
        loaded = _catch_errors(handler.load, port)
        if not loaded.error and not port.stopped.is_set():  # a stopped load may be incomplete
            port.emit(Loaded())
        if loaded.error or request is None or port.stopped.is_set():
            port.emit(loaded)
        elif slots == 1:
            _run(handler, request, port)
        else:
            threading.Thread(target=_run, args=(handler, request, port), daemon=True).start()


def _receive(connection: "Connection[Any, Any]", inbox: "SimpleQueue[Any]") -> None:
    outbox = _Outbox(connection)
    ports: WeakValueDictionary[int, Port] = WeakValueDictionary()  # of the running requests
    while True:
        try:
            number, message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if not isinstance(message, Stop):
            ports[number] = port = Port(number, outbox)
            inbox.put((message, port))
            del port
        elif running := ports.get(number):
            running.stopped.set()


def _run(handler: Handler, request: Any, port: Port) -> None:
    port.emit(_catch_errors(handler.run, request, port))


def _catch_errors(work: Callable[..., None], *arguments: Any) -> Ended:
    """Run ``work``, and return its end."""
    try:
        work(*arguments)
    except MondrianError as exc:
        return Ended(exc)
    except BrokenPipeError:
        os._exit(0)
    except Exception as exc:
        if not isinstance(exc, OSError):
            logging.exception("unexpected error")
        return Ended(str(exc) or type(exc).__name__)
    return Ended()


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel send SIGIO, which kills the process, when the parent's end of a pipe closes.

    That works without the GIL, which a handler in native code may hold for long. It is Linux only:
    elsewhere SIGIO is ignored, and the thread that reads the pipe exits as soon as it may run.
    ``PR_SET_PDEATHSIG`` does not work: it watches the thread that started us, not the process.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
        import select

        if select.select([lifeline], [], [], 0)[0]:
            os._exit(0)  # the parent was gone already

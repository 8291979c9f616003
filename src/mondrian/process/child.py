"""The child's side of the pipe: a handler of requests, and the process that it runs in.

1. The child's main thread owns the handler and loads it (Metal wants that); a second thread reads
   the pipe. With one slot requests also run on the main thread. With more, each runs in a thread of
   its own, so the handler's ``run`` must bear being called several times at once.
2. The child leaves when its parent is gone; on Linux the kernel ends it (``_die_with_parent``),
   even while native code holds Python's lock.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Protocol
from weakref import WeakValueDictionary

from mondrian.errors import MondrianError


class Port:
    """A handler's way out of the child, for one request."""

    def __init__(
        self, number: int, connection: "Connection[Any, Any]", sending: threading.Lock
    ) -> None:
        self.stopped = threading.Event()
        self._number = number
        self._connection = connection
        self._sending = sending

    def emit(self, item: object) -> bool:
        """Send ``item`` to the parent. Return whether the handler should stop now."""
        with self._sending:
            self._connection.send((self._number, item))
        return self.stopped.is_set()


class Handler(Protocol):
    """What runs in the child: an object whose calls block.

    Both methods should return soon after ``port.stopped`` is set; a child that does not is killed.
    What they raise reaches the parent as ``Ended.error``.
    """

    def load(self, port: Port) -> None:
        """Load what requests need, if it is not yet loaded."""

    def run(self, request: Any, port: Port) -> None:
        """Answer ``request`` by what is emitted at ``port``.

        Where there are several slots, it is called from several threads at once.
        """


@dataclass(frozen=True, slots=True)
class Ended:
    """From the child: a request is over. ``error`` is what it raised, if it did: one of ours, or
    the words of another one."""

    error: MondrianError | str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """From the child: its handler is loaded."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To the child: stop working on a request."""


def child_main(arguments: list[str]) -> None:
    """Run the child. ``arguments`` are its label, and the pipe's and the lifeline's descriptors."""
    _, pipe, lifeline = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _die_with_parent(int(lifeline))
    connection: Connection[Any, Any] = Connection(int(pipe))
    os.set_inheritable(connection.fileno(), False)
    path, options, slots = connection.recv()
    module, name = path.split(":")
    handler: Handler = getattr(import_module(module), name)(**options)
    inbox: SimpleQueue[tuple[Any, Port]] = SimpleQueue()
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    while True:
        request, port = inbox.get()
        loaded = _guarded(handler.load, port)
        if not loaded.error and not port.stopped.is_set():  # a stopped one may have loaded half
            port.emit(Loaded())
        if loaded.error or request is None or port.stopped.is_set():
            port.emit(loaded)
        elif slots == 1:
            _run(handler, request, port)
        else:
            threading.Thread(target=_run, args=(handler, request, port), daemon=True).start()


def _read(connection: "Connection[Any, Any]", inbox: "SimpleQueue[Any]") -> None:
    sending = threading.Lock()
    ports: WeakValueDictionary[int, Port] = WeakValueDictionary()  # of the running requests
    while True:
        try:
            number, message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if not isinstance(message, Stop):
            ports[number] = port = Port(number, connection, sending)
            inbox.put((message, port))
            del port
        elif running := ports.get(number):
            running.stopped.set()


def _run(handler: Handler, request: Any, port: Port) -> None:
    port.emit(_guarded(handler.run, request, port))


def _guarded(work: Callable[..., None], *arguments: Any) -> Ended:
    """Do ``work``, and return how it ended."""
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
    """Ask the kernel for SIGIO, which ends a process, when the parent's end of a pipe closes.

    That works without Python's lock, which a handler in native code may hold for long. It is Linux
    only: elsewhere SIGIO is ignored, and the thread that reads the pipe notices as soon as it may
    run. ``PR_SET_PDEATHSIG`` would not do: it watches the thread that started us, not the process.
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

"""The parent's side of the pipe: a child process and its running requests.

1. A thread reads the pipe and dispatches each message to its request. The end of the pipe is the
   end of the process: all its requests are notified within milliseconds.
2. Another thread writes to the pipe: a process that does not read blocks nothing else.
3. A request that does not stop is abandoned. The process is killed when only abandoned requests are
   left: at once for a single request, otherwise after the other ones have ended. An abandoned
   request that still ends prevents that.
4. Loading is a request too, but has no timeout of its own. A request sent meanwhile waits for the
   same load, receives its items, and marks it abandoned if it stalls.
5. The lock that guards the decision to kill the process also guards the acceptance of requests: a
   request is never sent to a process that is about to be killed.
"""

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from itertools import count
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any

from mondrian.process.child import Ended, Loaded, Stop

log = logging.getLogger(__name__)


_END_SECONDS = 2.0
"""The time that a process has to exit after it closed its end of the pipe."""

_SECRET = re.compile(
    r"KEY|TOKEN(?!IZ)|SECRET|PASS|_PWD|CREDENTIAL|COOKIE|_AUTH|DATABASE|_DSN|^(AWS|PG|SSH)"
)
_LOGIN = re.compile(r"://[^/\s]*@")


def clean_environment() -> dict[str, str]:
    """Return this process's environment without secrets: no variable whose name suggests a key,
    password or token, and no URL with a login. Code in a child is untrusted."""
    return {
        name: value
        for name, value in os.environ.items()
        if not _SECRET.search(name.upper()) and not _LOGIN.search(value)
    }


class ChildEnded(Exception):
    """The child has ended. ``how`` is the end of a sentence, such as ``was ended by SIGKILL``;
    ``last_words`` is the end of its output."""

    def __init__(self, how: str, last_words: str) -> None:
        super().__init__(f"The process {how}.")
        self.how = how
        self.last_words = last_words


class Child:
    """A process that runs the ``Handler`` named ``handler``, as ``module:Class``.

    ``options`` are the handler's keyword arguments; it runs up to ``slots`` requests at once. The
    command line is ``python -m module label``, and the main program of ``module`` calls
    ``child_main``. ``is_gone`` is true if it accepts no more requests, ``is_loaded`` if its handler
    is loaded. Raise ``OSError`` if the process cannot be started.
    """

    def __init__(
        self,
        module: str,
        label: str,
        *,
        handler: str,
        options: Mapping[str, Any],
        slots: int = 1,
    ) -> None:
        pipe = self._start(module, label)
        self._connection: Connection[Any, Any] = Connection(pipe.detach())
        self.is_loaded = self.is_gone = False
        self.last_words = ""
        self._numbers = count()
        self._running: dict[int, ChildRequest] = {}
        self._deciding = threading.Lock()
        self._outbox: SimpleQueue[object] = SimpleQueue()
        self._send((handler, dict(options), slots))
        self._sender = threading.Thread(target=self._write, name="to child", daemon=True)
        self._sender.start()
        self._listener = threading.Thread(target=self._listen, name="from child", daemon=True)
        self._listener.start()

    def _start(self, module: str, label: str) -> socket.socket:
        """Start the process, and return our end of the pipe. On an error, release everything."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            here, there = socket.socketpair()
            ours.callback(here.close)
            theirs.callback(there.close)
            lifeline, self._lifeline = os.pipe()
            ours.callback(os.close, self._lifeline)
            theirs.callback(os.close, lifeline)
            self._words = ours.enter_context(tempfile.TemporaryFile("ab+"))
            fds = (there.fileno(), lifeline)
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, label, *map(str, fds)],
                pass_fds=fds,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
            )
            ours.pop_all()  # closed by _clean_up
        return here

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def is_busy(self) -> bool:
        """Return whether it has running requests."""
        return bool(self._running)

    @property
    def is_shareable(self) -> bool:
        """Return whether it may run one more request: not while the handler loads, which may hold
        the GIL, and not beside an abandoned one."""
        with self._deciding:
            is_clean = not any(each.is_abandoned for each in self._running.values())
        return self.is_loaded and is_clean and not self.is_gone

    def ask(self, question: object | None) -> "ChildRequest | None":
        """Send a request with ``question`` to the handler, or ``None`` to load it. Return ``None``
        if the process is gone."""
        request = ChildRequest(self, next(self._numbers), is_load=question is None)
        with self._deciding:
            if self.is_gone:
                return None
            self._running[request.number] = request
        self._send((request.number, question))
        return request

    def stop(self, request: "ChildRequest") -> None:
        """Ask the process to stop working on a request."""
        self._send((request.number, Stop()))

    def abandon(self, request: "ChildRequest", *, has_stalled: bool) -> None:
        """Mark a request that does not stop as abandoned, and a load too if it has stalled."""
        with self._deciding:
            request.is_abandoned = True
            for each in self._running.values():
                each.is_abandoned |= each.is_load and has_stalled
        self._kill_if_abandoned()

    def describe_end(self) -> str:
        """Return how the process ended, as the end of a sentence. It must have ended."""
        code = self._process.returncode
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def close(self) -> None:
        """Kill the process and all its requests. Thread-safe and idempotent."""
        self._kill()
        self._listener.join()

    def _send(self, message: object) -> None:
        self._outbox.put(message)

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the listener handles the end
            while (message := self._outbox.get()) is not None:
                self._connection.send(message)

    def _listen(self) -> None:
        try:
            while True:
                for number, item in self._connection.recv():
                    self._deliver(number, item)
        except (EOFError, OSError):
            pass
        finally:
            self._clean_up()

    def _deliver(self, number: int, item: object) -> None:
        if isinstance(item, Loaded):
            self.is_loaded = True
            return
        is_end = isinstance(item, Ended)
        with self._deciding:
            hearers = [self._running[number]]
            if not self.is_loaded and not is_end:
                hearers = list(self._running.values())
            if is_end:
                del self._running[number]
        if is_end:
            self._kill_if_abandoned()  # before the end is delivered and the next request is sent
        for request in hearers:
            request.inbox.put(item)

    def _kill_if_abandoned(self) -> None:
        with self._deciding:
            left = list(self._running.values())
            if self.is_gone or not left or not all(each.is_abandoned for each in left):
                return
            self.is_gone = True
        log.warning("child %d did not stop when it was asked to: killed", self.pid)
        self._kill()

    def _kill(self) -> None:
        with self._deciding:
            self.is_gone = True
        self._process.kill()
        self._process.wait()

    def _clean_up(self) -> None:
        """Release the resources of the process, keep its last output, and end its requests."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)  # so that its own exit code is reported
        self._kill()
        self._send(None)
        self._sender.join()
        self._connection.close()
        os.close(self._lifeline)
        with self._words as words:
            words.seek(max(0, words.seek(0, os.SEEK_END) - 2000))
            self.last_words = words.read().decode(errors="replace").strip()
        for request in self._running.values():
            request.inbox.put(None)


class ChildRequest:
    """One request in a child, and the items that it emits. For one thread at a time."""

    def __init__(self, child: Child, number: int, *, is_load: bool) -> None:
        self.number = number
        self.is_load = is_load
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.is_abandoned = False
        self._child = child
        self._is_over = False

    def receive(self, timeout_seconds: float) -> Any:
        """Return the next item, the last one ``Ended``, or ``None`` at the timeout. Raise
        ``ChildEnded`` if the child ended."""
        try:
            item = self.inbox.get(timeout=timeout_seconds)
        except Empty:
            return None
        self._is_over = item is None or isinstance(item, Ended)
        if item is None:
            raise ChildEnded(self._child.describe_end(), self._child.last_words)
        return item

    def close(self, timeout_seconds: float, *, has_stalled: bool = False) -> None:
        """Stop the request, unless it has ended; abandon it after the timeout."""
        if self._is_over:
            return
        self._child.stop(self)
        deadline = time.monotonic() + timeout_seconds
        with contextlib.suppress(ChildEnded):
            while not self._is_over and (left := deadline - time.monotonic()) > 0:
                self.receive(left)
        if not self._is_over:
            self._child.abandon(self, has_stalled=has_stalled)

"""The one LISTEN connection of a process, in its event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import psycopg

from mondrian.database.listen import Listener
from mondrian.jobs.sql import EPOCH_NOTICE, EVENTS_CHANNEL

RECONNECT_SECONDS = 0.5


class Listen:
    """Call ``wake(job, seq, lines)`` when a job has events up to ``seq``; ``lines`` may have the
    last of them (``<type> <payload>``). Call ``wake(None, 0, [])`` when any job may have events:
    after a reconnect, and when the connection is lost, so that users of the database notice."""

    def __init__(self, url: str, wake: Callable[[UUID | None, int, list[str]], None]) -> None:
        self._listener = Listener(url, EVENTS_CHANNEL)
        self._wake = wake
        self._task: asyncio.Task[None] | None = None
        self.is_listening = False

    def open(self) -> None:
        """Begin to listen, as soon as the database answers."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            with suppress(psycopg.Error, OSError, ValueError):
                await self._listen()
            self.is_listening = False
            self._wake(None, 0, [])
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        loop, lost = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        connecting = loop.run_in_executor(None, self._listener.connect)
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:  # the thread continues
            connecting.add_done_callback(lambda _: self._listener.close())
            raise
        descriptor = self._listener.fileno()

        def receive() -> None:
            try:
                for notice in self._listener.receive():
                    self._pass_on(notice.payload)
            except Exception as exc:
                loop.remove_reader(descriptor)
                lost.set_exception(exc)

        try:
            loop.add_reader(descriptor, receive)
            self.is_listening = True
            self._wake(None, 0, [])
            receive()  # what came with the answer to LISTEN
            await lost
        finally:
            loop.remove_reader(descriptor)
            self._listener.close()

    def _pass_on(self, payload: str) -> None:
        if payload == EPOCH_NOTICE:
            self._wake(None, 0, [])
            return
        head, *lines = payload.split("\n")
        job_id, _, seq = head.partition(" ")
        self._wake(UUID(job_id), int(seq), lines)

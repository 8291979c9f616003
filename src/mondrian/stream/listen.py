"""The one LISTEN connection of a process."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import psycopg
from psycopg import sql

from mondrian.jobs.sql import EVENTS_CHANNEL

RECONNECT_SECONDS = 0.5


class Listen:
    """Tells ``wake(job, seq, lines)`` that a job has events up to ``seq``, the last of which may be
    told in ``lines`` (``<type> <payload>``), and ``wake(None, 0, [])`` that any job may have some:
    after listening anew, and when the connection is lost, so that whoever depends on the database
    asks it and notices."""

    def __init__(self, url: str, wake: Callable[[UUID | None, int, list[str]], None]) -> None:
        self._url = url
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
        connecting = psycopg.AsyncConnection.connect(self._url, autocommit=True)
        async with await connecting as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(EVENTS_CHANNEL)))
            self.is_listening = True
            self._wake(None, 0, [])
            async for notice in connection.notifies():
                head, *lines = notice.payload.split("\n")
                job_id, _, seq = head.partition(" ")
                self._wake(UUID(job_id), int(seq), lines)

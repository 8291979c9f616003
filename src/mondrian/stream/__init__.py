"""Live events over SSE: one reader of the log per job and process, any number of clients.

A request meets ``app.py`` (the ASGI app), which asks ``reader.py`` (the store, from asyncio) where
it begins, and then follows the job's ``topic.py``: the newest frames (``buffer.py``), and a clock
for what no worker says (``clock.py``). ``subscriber.py`` is one client, ``sse.py`` the wire format,
``listen.py`` what wakes the topics.
"""

from mondrian.stream.app import Streams

__all__ = ["Streams"]

"""Live events over SSE: one reader of the log per job and process, any number of clients.

A request meets ``app.py`` (the ASGI app), which asks ``source.py`` (the store, from asyncio) where
it begins, and then follows the job's ``topic.py`` (the newest frames, and a clock for what no
worker says). ``frames.py`` is the wire format; ``protocol.py`` drops readers who stopped reading.
"""

from mondrian.stream.app import Streams

__all__ = ["Streams"]

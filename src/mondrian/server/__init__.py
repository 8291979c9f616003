"""The startup and shutdown of ``mondrian serve`` and ``mondrian worker``.

``serve.py`` checks the settings and starts everything; ``socket.py`` binds the sockets,
``database.py`` opens the database, ``processes.py`` runs the server and the worker, ``signals.py``
handles signals, and ``protocol.py`` bounds clients in bytes and time.
"""

from mondrian.server.serve import serve, work

__all__ = ["serve", "work"]

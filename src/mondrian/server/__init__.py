"""What ``mondrian serve`` and ``mondrian worker`` build, and how they take it down.

``serve.py`` refuses what cannot be and puts the parts together; ``socket.py`` is the address,
``database.py`` the database, ``processes.py`` all that then runs; ``signals.py`` is what signals
mean, and ``protocol.py`` drops readers who stopped reading.
"""

from mondrian.server.serve import serve, work

__all__ = ["serve", "work"]

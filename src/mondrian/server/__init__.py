"""What ``mondrian serve`` and ``mondrian worker`` build, and how they take it down.

``service.py`` refuses what cannot be and puts the parts together; ``door.py`` is the address,
``opening.py`` the database, ``running.py`` all that then runs; ``leaving.py`` is what signals mean.
"""

from mondrian.server.serve import serve, work

__all__ = ["serve", "work"]

"""What ``mondrian serve`` and ``mondrian worker`` build, and how they take it down.

``service.py`` puts the parts together; ``door.py`` is the address and uvicorn behind it;
``leaving.py`` is what signals mean.
"""

from mondrian.server.service import serve, work

__all__ = ["serve", "work"]

"""Read tokens and sessions, signed with the database's secret; they contain no key."""

import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from itsdangerous import BadData, URLSafeSerializer

TOKEN_SECONDS = 3600
SESSION_SECONDS = 30 * 24 * 3600


class Token(NamedTuple):
    """A read token: for one job, or without one for the advisors' pages and pictures. ``ends`` is
    in seconds since 1970, as everywhere here."""

    job_id: UUID | None
    ends: int


class Session(NamedTuple):
    """A browser's session: of a key's ``owner``, or of its own on a server without keys."""

    id: str
    owner: str
    ends: int


class Signer:
    """Signs and verifies tokens and sessions with ``secret``; ``now`` is the clock."""

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        self._tokens = URLSafeSerializer(secret, salt="read token")
        self._sessions = URLSafeSerializer(secret, salt="session")
        self._now = now

    def make_token(self, job_id: UUID | None) -> tuple[str, int]:
        """Return a read token for an hour, and its expiry."""
        ends = int(self._now()) + TOKEN_SECONDS
        return str(self._tokens.dumps([job_id and str(job_id), ends])), ends

    def read_token(self, text: str) -> Token | None:
        """Return the token in ``text``; ``None`` if it is invalid or expired."""
        match self._load_unexpired(self._tokens, text):
            case [str(job_id), int(ends)]:
                return Token(UUID(job_id), ends)
            case [None, int(ends)]:
                return Token(None, ends)
        return None

    def make_session(self, owner: str) -> tuple[str, Session]:
        """Return a cookie's value for 30 days, and the session in it. Without ``owner`` the session
        owns its jobs itself."""
        id_ = secrets.token_urlsafe(16)
        session = Session(id_, owner or f"session:{id_}", int(self._now()) + SESSION_SECONDS)
        return str(self._sessions.dumps(session)), session

    def read_session(self, text: str) -> Session | None:
        """Return the session in a cookie; ``None`` if it is invalid or expired."""
        match self._load_unexpired(self._sessions, text):
            case [str(id_), str(owner), int(ends)]:
                return Session(id_, owner, ends)
        return None

    def is_ours(self, text: str) -> bool:
        """Return whether ``text`` is a token or session signed here, also an expired one."""
        return any(_load(each, text) is not None for each in (self._tokens, self._sessions))

    def _load_unexpired(self, serializer: URLSafeSerializer, text: str) -> Any:
        found = _load(serializer, text)
        return None if found is None or found[-1] < self._now() else found


def _load(serializer: URLSafeSerializer, text: str) -> Any:
    try:
        return serializer.loads(text)
    except BadData:
        return None

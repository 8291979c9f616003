"""Browser sessions, shared by all servers of one database."""

import secrets

from mondrian.jobs.sql import sessions as sql
from mondrian.jobs.store.base import Connected


class Sessions(Connected):
    """The secret that signs tokens and sessions, and the sessions that were ended early."""

    def read_signing_secret(self) -> str:
        """Return the random secret of this database, created at the first call."""
        [row] = self._run(sql.SIGNING_SECRET, value=secrets.token_hex(32))
        return str(row["value"])

    def end_session(self, session_id: str, until: int) -> None:
        """End a session that would last ``until`` then, in seconds since 1970."""
        self._run(sql.END_SESSION, session_id=session_id, until=until)

    def is_session_ended(self, session_id: str) -> bool:
        """Return whether the session was ended before its time."""
        [row] = self._run(sql.IS_SESSION_ENDED, session_id=session_id)
        return bool(row["is_ended"])

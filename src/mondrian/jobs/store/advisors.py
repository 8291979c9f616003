"""The advisors of jobs, as they were when the jobs were sent."""

from collections.abc import Mapping

from mondrian.advisors import Advisor
from mondrian.advisors.encode import encode_advisor, hash_advisor
from mondrian.jobs.sql import advisors as sql
from mondrian.jobs.store.base import Connected


class Advisors(Connected):
    """Keeps advisors by the hash of their text. None is ever removed: there are as many as there
    were versions of files, of some 40 KB each."""

    def keep_advisors(self, advisors: Mapping[str, Advisor]) -> dict[str, str]:
        """Keep ``advisors``, those that are not there yet. Return the version of each by its id."""
        encoded = {id_: encode_advisor(advisor) for id_, advisor in advisors.items()}
        versions = {id_: hash_advisor(text) for id_, text in encoded.items()}
        self._run(sql.KEEP, versions=list(versions.values()), encoded=list(encoded.values()))
        return versions

    def read_advisor(self, version: str) -> str | None:
        """Return the encoded advisor of that version, if there is one."""
        rows = self._run(sql.READ, version=version)
        return str(rows[0]["advisor"]) if rows else None

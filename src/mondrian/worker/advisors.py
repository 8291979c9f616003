"""The advisors of a job: as they were when it was sent, whatever files this worker has."""

from collections.abc import Mapping
from functools import lru_cache

from mondrian.advisors import Advisor, find_advisor
from mondrian.advisors.encode import decode_advisor
from mondrian.jobs.job import Job
from mondrian.jobs.store import Store

_KEPT = 64


class JobAdvisors:
    """Finds the advisors of jobs. ``own`` are this worker's, for jobs without versions: those of an
    older program. For any number of threads."""

    def __init__(self, store: Store, own: Mapping[str, Advisor]) -> None:
        self._own = own
        self._store = store
        self._read_kept = lru_cache(_KEPT)(self._read)

    def find(self, job: Job) -> list[Advisor]:
        """Return the advisors of ``job`` in their order; a round trip for each that was not found
        before. Raise ``UnknownAdvisor``, ``InvalidAdvisor`` and ``StorageError``."""
        versions = job.advisor_versions or [""] * len(job.advisors)
        return [
            self._find(name, version) for name, version in zip(job.advisors, versions, strict=True)
        ]

    def _find(self, name: str, version: str) -> Advisor:
        if version and (kept := self._read_kept(version)):
            return kept
        return find_advisor(name, self._own)

    def _read(self, version: str) -> Advisor | None:
        text = self._store.read_advisor(version)
        return None if text is None else decode_advisor(text)  # a log that went back may lack it

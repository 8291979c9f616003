"""What is kept, and for how long.

1. The events of a job are kept for so many days after its end; its report and its closing events
   stay. A client with a cursor from before gets a ``reset``, and the report.
2. Photos follow their job. Where all photos together are more than the quota, whole jobs go, the
   oldest that have ended first, of owners who have more than an equal part. Uploads beyond the
   quota are refused (``api/uploads/shares.py``), so that this is rare.
3. A photo that is to be deleted is noted in the statement that removes its job, and forgotten when
   it is gone. So is one that is uploaded, before it is stored, until its job is there or a day has
   passed. So none stays behind where a process dies, or the photo store or the database is away.
4. Jobs are taken in portions: no statement holds up those who work.
"""

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass

from mondrian.errors import JobNotFound, MondrianError, StorageError
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.settings import Settings

log = logging.getLogger(__name__)

LOCK = 0x7072756E  # "prun": the advisory lock of pruning
PORTION = 200
FIRST_SECONDS = 60.0
PAUSE_SECONDS = 3600.0
AGAIN_SECONDS = 600.0
"""After a failure the prune is tried again this soon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """What went: ``events`` of ``logs`` jobs, and ``jobs`` whole, with ``bytes`` of photos."""

    logs: int = 0
    events: int = 0
    jobs: int = 0
    bytes: int = 0


def prune(store: Store, photos: PhotoStore, *, days: float, max_bytes: int | None = None) -> Pruned:
    """Cancel the jobs that have been pending for a day. Remove the events of jobs that ended more
    than ``days`` ago; then, with ``max_bytes``, the
    oldest ended jobs until all photos fit; then every photo that is left of a removed job.

    Raise ``StorageError``; what was removed until then is gone, and may be gone on with.
    """
    store.forget_old()
    while abandoned := store.find_abandoned(PORTION):
        for job_id in abandoned:
            with suppress(JobNotFound):
                store.cancel(job_id)
    logs = events = jobs = bytes_ = 0
    while (portion := store.prune(days, PORTION))[0]:
        logs, events = logs + portion[0], events + portion[1]
    while max_bytes is not None and (portion := store.delete_oldest(max_bytes, PORTION))[0]:
        jobs, bytes_ = jobs + portion[0], bytes_ + portion[1]
        delete_discarded(store, photos)
    delete_discarded(store, photos)
    return Pruned(logs=logs, events=events, jobs=jobs, bytes=bytes_)


def count_prunable(store: Store, *, days: float, max_bytes: int | None = None) -> Pruned:
    """Return what ``prune`` would remove. Raise ``StorageError``."""
    logs, events = store.prune(days, is_trial=True)
    jobs, bytes_ = (0, 0) if max_bytes is None else store.delete_oldest(max_bytes, is_trial=True)
    return Pruned(logs=logs, events=events, jobs=jobs, bytes=bytes_)


def delete_discarded(store: Store, photos: PhotoStore) -> None:
    """Delete the photos of removed jobs, all that can be deleted.

    Raise ``StorageError`` if one cannot; it is tried again with the next prune.
    """
    failure: StorageError | None = None
    keys = store.list_discarded()
    for start in range(0, len(keys), photos.batch_size):
        batch = keys[start : start + photos.batch_size]
        try:
            photos.delete(*batch)
        except StorageError as exc:
            failure = exc
        else:
            store.forget_discarded(*batch)
    if failure:
        raise failure


def prune_hourly(
    store: Store, photos: PhotoStore, settings: Settings, left: threading.Event
) -> None:
    """Prune a minute from now and then once an hour, until ``left`` is set, whatever fails."""
    pause = FIRST_SECONDS
    while not left.wait(pause):
        try:
            pause = PAUSE_SECONDS
            with store.try_lock(LOCK) as is_alone:
                if is_alone:
                    pruned = prune(store, photos, days=settings.retention, max_bytes=settings.quota)
                    log.info("pruned: %s", pruned)
        except MondrianError as exc:
            log.warning("not all could be pruned: %s", exc)
            pause = AGAIN_SECONDS
        except Exception:
            log.exception("unexpected error while pruning")

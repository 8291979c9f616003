"""Remove old data.

1. The events of a job are kept for a number of days after its end; its report and its closing
   events stay. A client with an older cursor gets a ``reset``, and the report.
2. A photo is kept as long as its job. If all photos exceed the quota, whole jobs are removed,
   the oldest ended ones first, of owners above an equal share. Uploads beyond the quota are
   rejected (``api/uploads/shares.py``), so this is rare.
3. A photo to be deleted is recorded in the statement that removes its job, until it is deleted.
   An upload is recorded before its photo is stored, until it has a job or a day has passed. No
   photo is left behind if a process dies, or the photo store or the database is unavailable.
4. Jobs are removed in batches, so that no statement delays others.
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
"""The pause before a failed prune is retried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """The amounts removed: ``events`` of ``logs`` jobs, and whole ``jobs`` with ``bytes`` of
    photos."""

    logs: int = 0
    events: int = 0
    jobs: int = 0
    bytes: int = 0


def prune(store: Store, photos: PhotoStore, *, days: float, max_bytes: int | None = None) -> Pruned:
    """Cancel the jobs that have been pending for a day, and remove the events of jobs that ended
    over ``days`` ago. With ``max_bytes``, remove the oldest ended jobs until all photos fit. Then
    delete the photos of removed jobs.

    Raise ``StorageError``; a later call continues.
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
    """Return the amounts that ``prune`` would remove. Raise ``StorageError``."""
    logs, events = store.prune(days, is_trial=True)
    jobs, bytes_ = (0, 0) if max_bytes is None else store.delete_oldest(max_bytes, is_trial=True)
    return Pruned(logs=logs, events=events, jobs=jobs, bytes=bytes_)


def delete_discarded(store: Store, photos: PhotoStore) -> None:
    """Delete the photos of removed jobs.

    Raise ``StorageError`` if one of them cannot be deleted; the next prune retries it.
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
    """Prune in a minute and then once an hour, until ``left`` is set. Raise nothing."""
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

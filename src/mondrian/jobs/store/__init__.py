"""Every statement on jobs, their logs and their reports. Its numbered rules must be kept.

1. The job row is the queue and the lock of its job. An event gets its number from ``last_seq``
   while the row is locked, so numbers of a job have no gaps and are committed in their order: a
   reader that asks for "after n" misses nothing. (With a serial column two writers commit out of
   order, and readers miss events.)
2. One operation is one statement in autocommit mode: it happens whole or not at all, and no lock
   outlives a round trip. Appends of several threads at the same time are one statement
   (``gather.py``). What locks several running jobs locks them in the order of their ids.
3. An attempt has one holder. Every statement that ends a claim (reclaim, retry, release, cancel)
   raises ``attempt``; every write of a worker names its attempt and is rejected if the row has
   another one or has ended. The claim itself need not raise it: no worker has held the attempt of a
   queued job.
4. A raised attempt and the ``attempt`` event that voids older text are one statement. A release
   and a reclaim write it before the ``status_update`` that says ``queued``, so no client sees a
   job go back without it. ``failures`` counts crashes only, and decides when to give up.
5. The end (``done`` event, status, reports) is one statement on a row that has not ended. So
   there is one ``done`` event, and a cancelled job stays cancelled.
6. ``status_update`` events are written by these statements from the row, when status, step or
   advisor changed. No other code writes them.
7. A notice is a wake-up, sent after the commit (``notices.py``, or for an append the procedure that
   makes it): ``mondrian_events`` with ``<job> <last seq>``, ``mondrian_jobs`` with ``<job>`` when
   one can be claimed. Readers also poll. Small events up to that number are part of the notice, a
   line each (``<type> <payload>``), as they were committed: a reader that has all earlier events
   need not query them.
8. Payloads are stored as the text that is sent. PostgreSQL never parses them: a JSON column would
   reject what a model may write (``\\u0000``).
"""

from mondrian.jobs.store.advisors import Advisors
from mondrian.jobs.store.claims import LOST, Claims, Running, Waiting
from mondrian.jobs.store.history import TimingHistory
from mondrian.jobs.store.imports import Imports
from mondrian.jobs.store.jobs import Jobs
from mondrian.jobs.store.log import MAX_NOTICE, Answer, Log, Logs, Snapshot
from mondrian.jobs.store.retention import Retention
from mondrian.jobs.store.sessions import Sessions
from mondrian.jobs.store.webhooks import Callback, Delivery, Target, Webhooks
from mondrian.jobs.store.workers import WorkerEntry, WorkerReport, Workers, WorkerState

__all__ = [
    "LOST",
    "MAX_NOTICE",
    "Answer",
    "Callback",
    "Delivery",
    "Log",
    "Running",
    "Snapshot",
    "Store",
    "Target",
    "Waiting",
    "WorkerEntry",
    "WorkerReport",
    "WorkerState",
]


class Store(
    Jobs,
    Claims,
    Logs,
    Advisors,
    Workers,
    Webhooks,
    Retention,
    Sessions,
    TimingHistory,
    Imports,
):
    """All that is kept of jobs. One ``Store`` is for all threads of a process.

    Every method is one round trip unless stated otherwise, and raises ``DatabaseUnavailable`` if
    the server does not answer. Then the write may have been committed or not: a lost connection may
    hide a commit.
    """

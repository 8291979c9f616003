"""What the store costs: python bench/store.py

Append + NOTIFY + read against a bare psycopg NOTIFY/LISTEN pair, in turns within one run on the
same embedded server, with 10 jobs being followed. An append is durable, a bare NOTIFY writes
nothing: so a bare pair that also inserts a row stands between them. Then the price of a claim and
of the listing with few and with many jobs.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from queue import Queue
from statistics import median, quantiles
from uuid import uuid4

import psycopg

from mondrian.jobs import Claim, Entry, EventType, Job
from mondrian.postgres import Database, Listener, Pool, open_database
from mondrian.statements import EVENTS_CHANNEL
from mondrian.store import Store

ROUNDS = 1500
WARM = 100
WAIT_SECONDS = 0.5


def main() -> None:
    """Run everything and print tables."""
    with tempfile.TemporaryDirectory() as home:
        database = open_database(None, Path(home))
        try:
            measure_latency(database)
            measure_queue(database.pool)
        finally:
            database.close()


def measure_latency(database: Database) -> None:
    """Time from the call of the sender to the receipt in another thread, in milliseconds."""
    pairs: dict[str, Pair] = {
        "bare NOTIFY": Bare(database, "SELECT pg_notify('bare', '')"),
        "insert + NOTIFY": Bare(
            database, "WITH i AS (INSERT INTO bare VALUES (1)) SELECT pg_notify('bare2', '')"
        ),
        "append + read": Appended(database),
    }
    times: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(ROUNDS + WARM):
        for name, pair in pairs.items():
            begun = time.perf_counter()
            pair.send()
            times[name].append((pair.received.get(timeout=30) - begun) * 1000)
    for pair in pairs.values():
        pair.close()
    base = figures(times["bare NOTIFY"])
    print(f"{'':16}  p50 ms   p99 ms   ratios to the bare NOTIFY (limit of p99: 3)")
    for name, each in times.items():
        p50, p99 = figures(each)
        print(f"{name:16}  {p50:6.2f}   {p99:6.2f}   {p50 / base[0]:5.1f} {p99 / base[1]:5.1f}")


def figures(times: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, without the warm-up."""
    return median(times[WARM:]), quantiles(times[WARM:], n=100)[98]


class Pair:
    """A sender, and a thread that receives and notes when."""

    def __init__(self) -> None:
        self.received: Queue[float] = Queue()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def send(self) -> None:
        """Send one."""
        raise NotImplementedError

    def receive(self) -> bool:
        """Wait a while for one, and say whether it came."""
        raise NotImplementedError

    def close(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            if self.receive():
                self.received.put(time.perf_counter())


class Bare(Pair):
    """Two connections of psycopg and nothing else."""

    def __init__(self, database: Database, statement: str) -> None:
        self._statement = statement.encode()
        self._sending = psycopg.connect(database.url, autocommit=True)
        self._sending.execute("CREATE TABLE IF NOT EXISTS bare (x int)")
        self._listening = psycopg.connect(database.url, autocommit=True)
        self._listening.execute("LISTEN bare2" if "bare2" in statement else "LISTEN bare")
        super().__init__()

    def send(self) -> None:  # noqa: D102
        self._sending.execute(self._statement)

    def receive(self) -> bool:  # noqa: D102
        return bool(list(self._listening.notifies(timeout=WAIT_SECONDS, stop_after=1)))


class Appended(Pair):
    """A worker's append, and a reader that is woken and reads on from its cursor."""

    def __init__(self, database: Database) -> None:
        self._store = Store(database.pool)
        self._claims = [claimed(self._store) for _ in range(10)]
        self._seqs = {claim.job.id: claim.job.last_seq for claim in self._claims}
        self._turn = count()
        self._listener = Listener(database.url, EVENTS_CHANNEL)
        self._listener.wait(0)
        super().__init__()

    def send(self) -> None:  # noqa: D102
        claim = self._claims[next(self._turn) % 10]
        fields = {"advisor": "ansel", "text": "word " * 8, "offset": 0, "attempt": 1}
        self._store.append(claim, [Entry(EventType.TOKEN, fields)], progress=50)

    def receive(self) -> bool:  # noqa: D102
        found = False
        for notice in self._listener.wait(WAIT_SECONDS):
            for event in self._store.events_after(notice.job_id, self._seqs[notice.job_id]):
                self._seqs[notice.job_id] = event.seq
                found = True
        return found


def measure_queue(pool: Pool) -> None:
    """How the price of a claim, the listing and the counts grows with the table."""
    store = Store(pool)
    calls: dict[str, Callable[[], object]] = {
        "claim": lambda: store.claim("worker", 60.0),
        "list_jobs": store.list_jobs,
        "positions": store.positions,
        "counts": store.counts,
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for jobs in (100, 10_000):
        fill(pool, jobs)
        for name, call in calls.items():
            times[name].append(milliseconds(call))
    print(f"\n{'':16}  100 jobs   10,000 jobs (half of them queued, of 50 owners)")
    for name, (few, many) in times.items():
        print(f"{name:16}  {few:5.2f} ms   {many:6.2f} ms   ratio {many / few:.1f}")
    print(f"{'claims':16}  {1000 / times['claim'][1]:.0f} a second, one after the other")


def claimed(store: Store) -> Claim:
    """A job in work."""
    store.add(Job(id=uuid4(), owner="a", filename="p.jpg", photo_key="k", advisors=("ansel",)))
    claim = store.claim("worker", 3600.0)
    assert claim is not None
    return claim


def fill(pool: Pool, jobs: int) -> None:
    """Replace all jobs by so many, half queued and half done, of 50 owners."""
    with pool.connection() as connection:
        connection.execute("TRUNCATE jobs CASCADE")
        connection.execute(
            """INSERT INTO jobs (id, owner, filename, photo_key, photo_sha256, photo_bytes, width,
                height, advisors, mode, mode_used, enable_rag, base_url, status, step_phase,
                current_step, last_seq)
            SELECT gen_random_uuid(), 'owner ' || n / 2 %% 50, 'p.jpg', 'k', '', 0, 0, 0,
                '{ansel}', 'baseline', 'baseline', false, '',
                CASE n %% 2 WHEN 0 THEN 'queued' ELSE 'done' END, 'queued', '', 1
            FROM generate_series(1, %s) n""",
            (jobs,),
        )
        connection.execute("ANALYZE jobs")


def milliseconds(call: Callable[[], object]) -> float:
    """The median of 40 calls."""
    times = []
    for _ in range(40):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return median(times) * 1000


if __name__ == "__main__":
    main()

"""What the store costs: python bench/store.py

The price of a claim and of the listing with few and with many jobs.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from mondrian.database.postgres import Pool, open_database
from mondrian.jobs.queue import Queue
from mondrian.jobs.store import Store


def main() -> None:
    """Run everything and print a table."""
    with tempfile.TemporaryDirectory() as home:
        database = open_database(None, Path(home))
        try:
            measure_queue(database.pool)
        finally:
            database.close()


def measure_queue(pool: Pool) -> None:
    """How the price of a claim, the listing and the counts grows with the table."""
    store = Store(pool)
    calls: dict[str, Callable[[], object]] = {
        "claim": lambda: store.claim("worker", 60.0),
        "list_jobs": store.list_jobs,
        "queue": lambda: Queue(store).read(),
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

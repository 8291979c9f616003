"""What the store costs: python bench/store.py

The price of a claim and of the listing with few and with many jobs; of a claim with few and with
many owners that wait, in turns within one run; and of the positions of 100,000 jobs.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from common import judge, time_call
from mondrian.database.postgres import Pool, open_database
from mondrian.jobs.queue import Queue
from mondrian.jobs.store import Store

FEW_OWNERS, MANY_OWNERS = 10, 10_000
OWNERS_LIMIT = 1.5
POSITIONS = 100_000
POSITIONS_LIMIT_SECONDS = 0.3


def main() -> None:
    """Run everything and print a table."""
    with tempfile.TemporaryDirectory() as home:
        database = open_database(None, Path(home))
        try:
            measure_queue(database.pool)
            measure_owners(database.pool)
            measure_positions(database.pool)
        finally:
            database.close()


def measure_queue(pool: Pool) -> None:
    """How the price of a claim, the listing and the counts grows with the table."""
    store = Store(pool)
    calls: dict[str, Callable[[], object]] = {
        "claim": lambda: store.claim("worker", 60.0),
        "list_jobs": store.list_jobs,
        "queue": lambda: Queue(store).read_places(),
        "counts": store.count_by_status,
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


def measure_owners(pool: Pool, rounds: int = 5) -> None:
    """Print how a claim gets dearer with the owners that wait, of 20,000 jobs."""
    store, times = Store(pool), dict[int, list[float]]()
    for _ in range(rounds):
        for owners in (FEW_OWNERS, MANY_OWNERS):
            fill(pool, 20_000, owners)
            took = milliseconds(lambda: store.claim("worker", 60.0))
            times.setdefault(owners, []).append(took)
    few, many = (median(times[owners]) for owners in (FEW_OWNERS, MANY_OWNERS))
    verdict = judge(many / few <= OWNERS_LIMIT, OWNERS_LIMIT)
    print(
        f"\nclaim, {FEW_OWNERS} owners {few:.2f} ms, {MANY_OWNERS:,} owners {many:.2f} ms, ", end=""
    )
    print(f"ratio {many / few:.2f}  {verdict}")


def measure_positions(pool: Pool) -> None:
    """Print what it takes to tell the positions of 100,000 jobs while 16 are under way."""
    store = Store(pool)
    for owners in (1, 1000, MANY_OWNERS):
        fill(pool, 2 * POSITIONS, owners)
        for _ in range(16):
            store.claim("worker", 600.0)
        seconds = min(time_call(lambda: Queue(store).read_places()) for _ in range(7))
        verdict = judge(seconds <= POSITIONS_LIMIT_SECONDS, f"{POSITIONS_LIMIT_SECONDS} s")
        print(f"positions of {POSITIONS:,} jobs of {owners:,} owners: {seconds:.2f} s  {verdict}")


def fill(pool: Pool, jobs: int, owners: int = 50) -> None:
    """Replace all jobs by so many, half queued and half done, of so many owners."""
    with pool.connection() as connection:
        connection.execute("TRUNCATE jobs, turns CASCADE")
        connection.execute(
            """INSERT INTO jobs (id, owner, filename, photo_key, photo_sha256, photo_bytes, width,
                height, advisors, mode, mode_used, enable_rag, base_url, status, step_phase,
                current_step, last_seq)
            SELECT gen_random_uuid(), 'owner ' || n / 2 %% %s, 'p.jpg', 'k', '', 0, 0, 0,
                '{ansel}', 'baseline', 'baseline', false, '',
                CASE n %% 2 WHEN 0 THEN 'queued' ELSE 'done' END, 'queued', '', 1
            FROM generate_series(1, %s) n""",
            (owners, jobs),
        )
        connection.execute("VACUUM ANALYZE jobs, turns")  # as autovacuum does within a minute


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

"""How appends scale: python bench/appends.py [--json] [--rounds N]

Appends a second by 1, 8 and 32 writers in threads, each to the log of a job of its own, on the
embedded PostgreSQL with synchronous commits, in turns within one run with plain inserts. These show
how much the cores and the disk let commits scale at all. Beside it what a claim and its finish cost
against procrastinate's jobs that do nothing, on the same server (where it is
installed: ``pip install -e '.[bench]'``). With ``--json`` the last line is the appends a second.
"""

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from uuid import uuid4

from common import judge
from mondrian.database.postgres import Database, Pool, open_database
from mondrian.jobs.job import Claim, Entry, EventType, Job
from mondrian.jobs.store import Store

WRITERS = (1, 8, 32)
LIMITS = {8: 2.5, 32: 3.5}
SECONDS = 2.0
WARM_SECONDS = 0.5
JOBS = 400
THREADS = 8


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="only appends; JSON on the last line")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        database = open_database(None, Path(home), max_connections=max(WRITERS) + 4)
        try:
            rates, inserts = measure_appends(database.pool, given.rounds)
            print_appends(rates, inserts)
            if not given.json:
                measure_queue(database, given.rounds)
        finally:
            database.close()
    if given.json:
        print(json.dumps({str(writers): round(rate, 1) for writers, rate in rates.items()}))


def measure_appends(pool: Pool, rounds: int) -> tuple[dict[int, float], dict[int, float]]:
    """Return the appends and the plain inserts a second by each number of writers: the medians of
    the rounds."""
    store = Store(pool)
    entry = Entry(
        EventType.TOKEN, {"advisor": "ansel", "text": "a few words ", "offset": 0, "attempt": 1}
    )
    claims = [make_claim(store) for _ in range(max(WRITERS))]
    with pool.connection() as connection:
        connection.execute("CREATE TABLE bare (x int)")

    def append(number: int) -> None:
        store.append(claims[number], [entry])

    def insert(_: int) -> None:
        with pool.connection() as connection:
            connection.execute("INSERT INTO bare VALUES (1)")

    found: dict[Callable[[int], None], dict[int, list[float]]] = {append: {}, insert: {}}
    for _ in range(rounds):
        for writers in WRITERS:
            for write, rates in found.items():
                rates.setdefault(writers, []).append(write_all(write, writers))
    appends, inserts = (
        {writers: median(each) for writers, each in rates.items()} for rates in found.values()
    )
    return appends, inserts


def make_claim(store: Store) -> Claim:
    """Return the claim on a new job."""
    add_job(store)
    claim = store.claim("bench", 3600.0)
    assert claim
    return claim


def add_job(store: Store) -> None:
    """Queue a job."""
    store.add(Job(id=uuid4(), owner="bench", filename="p.jpg", photo_key="k", advisors=("ansel",)))


def write_all(write: Callable[[int], None], writers: int) -> float:
    """Let each writer write as fast as it can. Return how often a second all of them do."""
    counts, is_over = [0] * writers, threading.Event()

    def go_on(number: int) -> None:
        while not is_over.is_set():
            write(number)
            counts[number] += 1

    threads = [threading.Thread(target=go_on, args=[n]) for n in range(writers)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_SECONDS)
    before, begun = sum(counts), time.monotonic()
    time.sleep(SECONDS)
    rate = (sum(counts) - before) / (time.monotonic() - begun)
    is_over.set()
    for thread in threads:
        thread.join()
    return rate


def print_appends(rates: dict[int, float], inserts: dict[int, float]) -> None:
    """Print a table of appends and inserts a second, as ratios to one writer."""
    print(f"{'writers':>8}  appends a second   ratio  inserts a second   ratio")
    for writers, rate in rates.items():
        ratio, plain = rate / rates[1], inserts[writers] / inserts[1]
        limit = LIMITS.get(writers)
        verdict = judge(ratio >= limit, f"{limit:g} or more") if limit else ""
        print(f"{writers:8}  {rate:16.0f}  {ratio:6.2f}  "
              f"{inserts[writers]:16.0f}  {plain:6.2f}  {verdict}")  # fmt: skip


def measure_queue(database: Database, rounds: int) -> None:
    """Print how many jobs a second are claimed and finished, beside procrastinate's."""
    ways: dict[str, Callable[[], float]] = {
        "claim + finish": lambda: finish_all(Store(database.pool))
    }
    if find_spec("procrastinate"):
        ways["procrastinate"] = lambda: asyncio.run(procrastinate(database.url))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            rates[name].append(run())
    print(f"\n{'':16}  jobs a second, {THREADS} at once ({os.cpu_count()} cores)")
    for name, found in rates.items():
        print(f"{name:16}  {median(found):6.0f}")
    if "procrastinate" in rates:
        ratio = median(rates["claim + finish"]) / median(rates["procrastinate"])
        print(f"{'ratio':16}  {ratio:6.2f}  {judge(ratio >= 1.0, '1 or more')}")


def finish_all(store: Store) -> float:
    """Claim and finish queued jobs in threads. Return how many a second."""
    for _ in range(JOBS):
        add_job(store)

    def work() -> None:
        while claim := store.claim("bench", 60.0):
            store.finish(claim)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return JOBS / (time.monotonic() - begun)


async def procrastinate(url: str) -> float:
    """Let procrastinate do as many jobs that do nothing. Return how many a second."""
    from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found, unused-ignore]

    app = App(connector=PsycopgConnector(conninfo=url, max_size=THREADS + 2))

    @app.task(name="nothing")  # type: ignore[untyped-decorator,unused-ignore]
    async def nothing() -> None: ...

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        for _ in range(JOBS):
            await nothing.defer_async()
        begun = time.monotonic()
        await app.run_worker_async(
            concurrency=THREADS, wait=False, install_signal_handlers=False, listen_notify=False
        )
        return JOBS / (time.monotonic() - begun)


if __name__ == "__main__":
    main()

"""Does a full house slow anybody down? python bench/crowd.py

Two servers on one PostgreSQL, one with 100 finished jobs and one with 10,000. Each route is asked
of both, at random moments; the limit is 1.3 times. Then, in turns with quiet, another process opens
the streams of 1,000 finished jobs at once, again and again, and all is asked the same way, but for
the stream (nan), which would be one of the crowd. The limit is the same; how much longer a photo
takes to read in another process stands below, to compare an upload with.
"""

import asyncio
import math
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import TypeAlias

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from common import coffee, recording, run_server
from mondrian.client import Client
from mondrian.database.embedded import EmbeddedServer
from mondrian.photos import read_photo

LIMIT = 1.3
FEW = 100
JOBS = 10_000
STREAMS = 1_000
TURNS = 6
ROUNDS = 10
STREAM = "/stream/{job}"
PAUSE_SECONDS = 0.02
ALONE = "reading the photo alone"
MANY = """
    WITH copies AS (
        INSERT INTO jobs SELECT (jsonb_populate_record(jobs, jsonb_build_object(
            'id', gen_random_uuid(), 'owner', 'client ' || n %% 100,
            'created_at', created_at - n * interval '1 minute'))).*
        FROM jobs, generate_series(2, %(jobs)s) n RETURNING id, created_at
    ), watched AS (
        SELECT id FROM copies ORDER BY created_at DESC LIMIT %(streams)s
    ), logs AS (
        INSERT INTO events (job_id, seq, type, attempt, payload)
        SELECT watched.id, seq, type, attempt, replace(payload, %(job)s, watched.id::text)
        FROM watched, events
    )
    INSERT INTO reports (job_id, advisor, place, report, text)
    SELECT watched.id, advisor, place, report, text FROM watched, reports"""


def main() -> None:
    """Run everything and print a table."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        postgresql = EmbeddedServer(Path(home))
        stack.callback(postgresql.close)
        servers = {}
        for name in ("few", "many"):
            with psycopg.connect(postgresql.url, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
            url = make_conninfo(postgresql.url, dbname=name)
            servers[name] = (url, stack.enter_context(run_recording(url, Path(home))))
        jobs = {name: finish_one(address) for name, (_, address) in servers.items()}
        fill(servers["few"][0], jobs["few"], FEW)
        crowd = fill(servers["many"][0], jobs["many"], JOBS)
        addresses = {name: address for name, (_, address) in servers.items()}
        compare(addresses, jobs, crowd)


def run_recording(database: str, home: Path) -> AbstractContextManager[str]:
    """Run a server on ``database`` whose engine plays a recording."""
    engine = f"replay:{recording(home / 'r.jsonl')}?speed=10&sees=true"
    return run_server(home, "--engine", engine, "--database", database)


def fill(database: str, job: str, count: int) -> list[str]:
    """Copy the job, which is done, until there are ``count``. Gives those that have a log."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(MANY, {"jobs": count, "streams": STREAMS, "job": job})
        connection.execute("VACUUM ANALYZE")  # as PostgreSQL does by itself in a while
        newest = "SELECT id FROM jobs ORDER BY created_at DESC LIMIT %s"
        return [str(job) for (job,) in connection.execute(newest, [STREAMS]).fetchall()]


def finish_one(address: str) -> str:
    """The id of a job that is done."""
    with Client(address) as client:
        job = str(client.submit(coffee())["job_id"])
        assert list(client.watch(job))[-1].fields["status"] == "done"
    return job


def requests(client: httpx.Client, job: str) -> Iterator[tuple[str, httpx.Request]]:
    """A request of each route, by the route's name."""
    make, photo = client.build_request, coffee().read_bytes()
    files, form = {"image": ("p.png", photo)}, {"auto_analyze": "false"}
    yield "POST /upload", make("POST", "/upload", files=files, data=form)
    yield "POST /jobs/{job}/cancel", make("POST", f"/jobs/{job}/cancel")
    paths = ["/jobs", "/jobs?advisor=ansel", "/jobs?status=done", "/health", "/metrics"]
    for path in (*paths, "/model-status", "/advisors"):
        yield path, make("GET", path)
    for path in ("/jobs", "/status", "/analysis", "/summary", "/report", "/stream"):
        yield f"{path}/{{job}}", make("GET", f"{path}/{job}")


Times: TypeAlias = dict[str, list[float]]
"""The times of each route in ms."""


def compare(addresses: dict[str, str], jobs: dict[str, str], crowd: list[str]) -> None:
    """Ask each route of both servers, then of that with many jobs while streams are opened; and all
    of it again and again, since the machine may be faster at one time than at another."""
    few, many, full, seconds = Times(), Times(), Times(), list[float]()
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(httpx.Client(base_url=address, timeout=60))
            for name, address in addresses.items()
        }

        def ask_both(few: Times, many: Times, left_out: str) -> None:
            for _ in range(ROUNDS):
                both = (clients["few"], jobs["few"], few), (clients["many"], jobs["many"], many)
                ask(both, left_out)

        for _ in range(TURNS):
            ask_both(few, many, left_out="")
            with flood(addresses["many"], crowd) as taken:
                # a stream would be one of the crowd: it waits for its turn, and so would we
                ask_both(Times(), full, left_out=STREAM)
            seconds += taken
    print(
        f"{'route':24} {'few ms':>8} {'many ms':>8} {'ratio':>6} {'in a crowd ms':>14} {'ratio':>6}"
    )
    for route in sorted(few):
        alone, beside = median(few[route]), median(many[route])
        crowded = median(full.get(route, [math.nan]))
        ratios = beside / alone, crowded / beside
        is_missed = any(ratio > LIMIT for ratio in ratios) and route != ALONE
        print(
            f"{route:24} {alone:8.1f} {beside:8.1f} {ratios[0]:6.2f}"
            f" {crowded:14.1f} {ratios[1]:6.2f}{f'  MISSED: limit {LIMIT}' if is_missed else ''}"
        )
    print(f"{len(crowd)} finished streams, opened at once: read in {median(seconds):.1f} s")


def ask(servers: Sequence[tuple[httpx.Client, str, Times]], left_out: str) -> None:
    """Ask each route of each server but the one ``left_out``, and note how long it took."""
    asked = [dict(requests(client, job)) for client, job, _ in servers]
    routes = [route for route in asked[0] if route != left_out]
    # in any order and at any moment, so that none always meets the same one of the crowd
    for route in random.sample(routes, len(routes)):
        time.sleep(random.random() * PAUSE_SECONDS)
        for (client, _, times), each in zip(servers, asked, strict=True):
            begun = time.perf_counter()
            client.send(each[route]).raise_for_status()
            times.setdefault(route, []).append((time.perf_counter() - begun) * 1000)
    for _, _, times in servers:
        begun = time.perf_counter()
        read_photo(coffee())
        times.setdefault(ALONE, []).append((time.perf_counter() - begun) * 1000)


@contextmanager
def flood(address: str, jobs: list[str]) -> Iterator[list[float]]:
    """Open the streams of all ``jobs`` at once, again and again; gives how long each time took.

    A process does it, of less weight than those that are measured: other clients would have
    machines of their own.
    """
    seconds = list[float]()
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe()
    port = int(address.rpartition(":")[2])
    process = spawned.Process(target=open_again_and_again, args=(port, jobs, theirs))
    process.start()
    ours.recv()  # the first time is over
    yield seconds
    ours.send("enough")
    seconds += ours.recv()
    process.join()


def open_again_and_again(port: int, jobs: list[str], boss: Connection) -> None:
    """Read all streams until ``boss`` has had enough."""
    os.nice(19)
    seconds = list[float]()
    while not boss.poll():
        begun = time.monotonic()
        asyncio.run(read_all(port, jobs))
        seconds.append(time.monotonic() - begun)
        if len(seconds) == 1:
            boss.send("begun")
    boss.send(seconds)


async def read_all(port: int, jobs: list[str]) -> None:
    """Read all streams to their ends."""

    async def read(job: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /stream/{job}?after=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())  # its end is the stream's
        assert b"event: done" in await reader.read()
        writer.close()

    await asyncio.gather(*map(read, jobs))


if __name__ == "__main__":
    main()

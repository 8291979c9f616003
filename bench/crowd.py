"""Does a full house slow anybody down? python bench/crowd.py

Two servers on one PostgreSQL, one with 100 finished jobs and one with 10,000. Each route is asked
of both in turns; the limit is 1.5 times. Then another process opens the streams of 1,000 finished
jobs at once, again and again, and each route is asked meanwhile. The limit is the same; how much
longer a photo takes to read in another process stands below, to compare an upload with.
"""

import asyncio
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from critique import coffee, recording
from mondrian.client import Client
from mondrian.embedded import EmbeddedServer
from mondrian.photos import read_photo

LIMIT = 1.5
FEW = 100
JOBS = 10_000
STREAMS = 1_000
ROUNDS = 30
STREAM = "/stream"
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
            servers[name] = (url, stack.enter_context(serving(url, Path(home))))
        jobs = {name: finish_one(address) for name, (_, address) in servers.items()}
        fill(servers["few"][0], jobs["few"], FEW)
        crowd = fill(servers["many"][0], jobs["many"], JOBS)
        addresses = {name: address for name, (_, address) in servers.items()}
        compare(addresses, jobs, crowd)


@contextmanager
def serving(database: str, home: Path) -> Iterator[str]:
    """A real ``mondrian serve`` on ``database``, at the address that it prints."""
    engine = f"replay:{recording(home / 'r.jsonl')}?speed=10&sees=true"
    command = [str(Path(sys.executable).parent / "mondrian"), "serve", "--port", "0"]
    command += ["--engine", engine, "--database", database]
    environment = {**os.environ, "MONDRIAN_HOME": str(home)}
    with Popen(command, env=environment, stdout=PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


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
    for path in ("/jobs", "/status", "/analysis", "/summary", "/report", STREAM):
        yield f"{path}/{{job}}", make("GET", f"{path}/{job}")


def compare(addresses: dict[str, str], jobs: dict[str, str], crowd: list[str]) -> None:
    """Ask each route of both servers, then of that with many jobs while streams are opened."""
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(httpx.Client(base_url=address, timeout=60))
            for name, address in addresses.items()
        }
        few, many = ask(clients, jobs)
        with flood(addresses["many"], crowd) as seconds:
            _, full = ask({"many": clients["many"]}, jobs)
    print(
        f"{'route':24} {'few ms':>8} {'many ms':>8} {'ratio':>6} {'in a crowd ms':>14} {'ratio':>6}"
    )
    for route in sorted(few):
        ratios = many[route] / few[route], full[route] / many[route]
        # a stream that is opened in the crowd is one of the crowd, and waits for its turn
        limited = ratios[:1] if route.startswith(STREAM) or route == ALONE else ratios
        verdict = "" if max(limited) <= LIMIT else f"  MISSED: limit {LIMIT}"
        print(
            f"{route:24} {few[route]:8.1f} {many[route]:8.1f} {ratios[0]:6.2f}"
            f" {full[route]:14.1f} {ratios[1]:6.2f}{verdict}"
        )
    print(f"{len(crowd)} finished streams, opened at once: read in {median(seconds):.1f} s")


def ask(
    clients: dict[str, httpx.Client], jobs: dict[str, str]
) -> tuple[dict[str, float], dict[str, float]]:
    """The median of each route in ms, of the first and of the last client."""
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in clients}
    for _ in range(ROUNDS):
        asked = [dict(requests(client, jobs[name])) for name, client in clients.items()]
        # in any order: else one would always come after the stream, when the next crowd begins
        for route in random.sample(list(asked[0]), len(asked[0])):
            for (name, client), each in zip(clients.items(), asked, strict=True):
                begun = time.perf_counter()
                client.send(each[route]).raise_for_status()
                took = (time.perf_counter() - begun) * 1000
                taken[name].setdefault(route, []).append(took)
        for times in taken.values():
            begun = time.perf_counter()
            read_photo(coffee())
            times.setdefault(ALONE, []).append((time.perf_counter() - begun) * 1000)
    medians = [{route: median(all_) for route, all_ in each.items()} for each in taken.values()]
    return medians[0], medians[-1]


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
        request = f"GET /stream/{job}?after=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        writer.write(request.encode())
        assert b"event: done" in await reader.read()
        writer.close()

    await asyncio.gather(*map(read, jobs))


if __name__ == "__main__":
    main()

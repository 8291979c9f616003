"""How late an event is: python bench/latency.py

From the worker's append to its receipt by ten clients over HTTP, each in turn with a bare psycopg
NOTIFY/LISTEN pair in the same run on the same embedded server: with nothing else to do, and beside
an engine that keeps all cores but one busy, which is how tokens come about. An append is durable
and a bare NOTIFY writes nothing, so a pair that also inserts a row stands beside them.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from mondrian.database.postgres import Database, open_database
from mondrian.jobs.job import Entry, EventType
from mondrian.jobs.store import Store
from stream import Process, Server, claim_new
from stream_servers import fields

CLIENTS = 10
PAUSE_SECONDS = 0.02
LIMIT = 3.0
STATEMENTS = {
    "bare NOTIFY": "SELECT pg_notify('bare', %s)",
    "insert + NOTIFY": "WITH i AS (INSERT INTO bare VALUES (1)) SELECT pg_notify('bare', %s)",
}


def main() -> None:
    """Run everything and print tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    with tempfile.TemporaryDirectory() as home:
        database = open_database(None, Path(home))
        try:
            measure(database, rounds, "nothing beside")
            with busy((os.cpu_count() or 2) - 1):
                measure(database, rounds, "an engine beside, on all cores but one")
        finally:
            database.close()


def measure(database: Database, rounds: int, when: str) -> None:
    """Send by each way in turn, and print what the receivers saw."""
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(database.url, autocommit=True))
        connection.execute("CREATE TABLE IF NOT EXISTS bare (x int)")
        ways: dict[str, tuple[Process, Callable[[], object]]] = {}
        for name, statement in STATEMENTS.items():
            channel = name.split()[0]
            listener = stack.enter_context(Process("listener.py", database.url, channel))
            sql = statement.replace("'bare'", f"'{channel}'").encode()
            ways[name] = listener, _notify(connection, sql)
        ways["append to a client"] = _clients(database, stack)
        for listener, _ in ways.values():
            listener.hear()
        for turn in range(rounds + 50):
            if turn == 50:  # warm
                for listener, _ in ways.values():
                    listener.say("tell")
                    listener.hear()
            for _, send in ways.values():
                time.sleep(PAUSE_SECONDS)
                send()
        time.sleep(1.0)
        for listener, _ in ways.values():
            listener.say("tell")
        print_table({name: json.loads(each.hear()) for name, (each, _) in ways.items()}, when)


def now() -> int:
    """Nanoseconds on the clock that all processes share."""
    return time.monotonic_ns()


def _notify(connection: psycopg.Connection, sql: bytes) -> Callable[[], object]:
    return lambda: connection.execute(sql, [str(now())])


def _clients(database: Database, stack: ExitStack) -> tuple[Process, Callable[[], object]]:
    """Ten clients of a job over HTTP, and an append to its log."""
    store = Store(database.pool)
    claim = claim_new(store)
    server = stack.enter_context(Server("ours", database.url))
    path = f"/stream/{claim.job.id}?include=tokens"
    clients = stack.enter_context(Process("stream_clients.py", server.port, path, CLIENTS, 0))
    return clients, lambda: store.append(claim, [Entry(EventType.TOKEN, fields(now()))])


def print_table(seen: dict[str, dict[str, float]], when: str) -> None:
    """Latencies, and ratios to the bare pair."""
    bare = seen["bare NOTIFY"]
    print(f"\n{when:40} arrived  p50 ms  p99 ms  ratios to the bare NOTIFY (limit of p99: {LIMIT})")
    for name, each in seen.items():
        ratios = f"{each['p50'] / bare['p50']:5.1f} {each['p99'] / bare['p99']:5.1f}"
        print(f"{name:40} {each['events']:7} {each['p50']:7.2f} {each['p99']:7.2f}  {ratios}")


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that never rest."""
    processes = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()

"""What streams cost: python bench/stream.py [--full]

Fan-out: one process serves, one job is watched by all, beside a bare ASGI app that writes a frame
that is there already, and sse-starlette (``pip install -e '.[bench]'``), in turns within one run.
Ours is timed from the append to the database, the others from the frame. Then the bytes that a
client gets for 1,000 and 2,000 tokens at real pacing, and how fast a log is replayed. And what the
others notice where one client in ten stops reading, in turns with a server where none does; those
that stop are new ones in each round, since they are dropped after twenty seconds.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Self
from uuid import UUID, uuid4

import httpx
import psutil
import psycopg

from common import judge
from mondrian.critiques.pacing import (
    FLUSH_SECONDS,
    PATIENCE_SECONDS,
    PORTION_TOKENS,
    Text,
    Update,
)
from mondrian.database.postgres import Database, open_database
from mondrian.engines.base import Basis, Phase
from mondrian.jobs.events import build_update_fields
from mondrian.jobs.job import Claim, Entry, EventType, Job
from mondrian.jobs.store import Store
from stream_servers import fields

HERE = Path(__file__).parent
QUICK = [(300, 10.0), (800, 2.0)]
FULL = [(2000, 10.0), (5000, 2.0)]
ROUNDS = 3
FREEZES = 10
REPLAYS = 60
FLOOD = 15
SECONDS = 3.0
P99_LIMIT = 1.5
KILOBYTES_LIMIT = 40
FROZEN_LIMIT = 1.1
TEXT_KILOBYTES_LIMIT = 120
GROWTH_LIMIT = 2.1
FIRST_EVENT_LIMIT_MS = 50
SELECT_LIMIT = 3


def main() -> None:
    """Run everything and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="2,000 and 5,000 clients")
    is_full = parser.parse_args().full
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as home:
        database = open_database(None, Path(home))
        try:
            for clients, rate in FULL if is_full else QUICK:
                fan_out(database, clients, rate)
            freeze(database, 300, 10.0)
            with Server("ours", database.url) as server:
                measure_bytes(Store(database.pool), server.port)
                measure_replay(Store(database.pool), server.port, database)
        finally:
            database.close()


def judge_most(figure: float, limit: float) -> str:
    """Return whether ``figure`` is at most ``limit``, in words."""
    return judge(figure <= limit, f"{limit:g}")


class Process:
    """A child that talks in lines."""

    def __init__(self, script: str, *arguments: object) -> None:
        command = [sys.executable, str(HERE / script), *map(str, arguments)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()

    def hear(self) -> str:
        """The next line."""
        assert self._child.stdout
        line = self._child.stdout.readline()
        assert line, "the child is gone"
        return line

    def say(self, line: str) -> None:
        """Send a line."""
        assert self._child.stdin
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    @property
    def memory(self) -> int:
        """Bytes that are its own."""
        return int(psutil.Process(self._child.pid).memory_info().rss)

    @property
    def connections(self) -> int:
        """How many TCP connections it has."""
        found = psutil.Process(self._child.pid).net_connections("tcp")
        return sum(each.status == psutil.CONN_ESTABLISHED for each in found)

    @property
    def busy_seconds(self) -> float:
        """The processor time that it has taken."""
        times = psutil.Process(self._child.pid).cpu_times()
        return float(times.user + times.system)


class Server(Process):
    """One of the three servers."""

    def __init__(self, kind: str, url: str) -> None:
        super().__init__("stream_servers.py", kind, url)
        self.port = int(self.hear())


class Crowd:
    """A server with clients, and the means to send events to them."""

    def __init__(self, kind: str, database: Database, clients: int, stack: ExitStack) -> None:
        self.kind = kind
        self._store = Store(database.pool)
        self._claim = claim_new(self._store)
        self._server: Server = stack.enter_context(Server(kind, database.url))
        before = self._server.memory
        self._clients = stack.enter_context(self._joining(clients, frozen=0))
        self._clients.hear()
        self.kilobytes = (self._server.memory - before) / clients / 1000
        self.rounds: list[dict[str, float]] = []
        self.busy_seconds = 0.0

    def run(self, rate: float, count: int) -> None:
        """Send ``count`` events and note when they came."""
        before = self._server.busy_seconds
        if self.kind == "ours":
            append_at(self._store, self._claim, rate, count)
        else:
            self._server.say(f"{rate} {count}")
            time.sleep(count / rate)
        time.sleep(1.0)
        self._clients.say("tell")
        self.rounds.append(json.loads(self._clients.hear()))
        self.busy_seconds += self._server.busy_seconds - before

    def _joining(self, clients: int, frozen: int) -> Process:
        job = self._store.read(self._claim.job.id)
        path = f"/stream/{job.id}?include=tokens&after={job.last_seq}"
        return Process("stream_clients.py", self._server.port, path, clients, frozen)

    @contextmanager
    def joined_by(self, frozen: int) -> Iterator[None]:
        """So many clients more, who read no more than the beginning."""
        with self._joining(frozen, frozen) as clients:
            clients.hear()
            yield

    @property
    def connections(self) -> int:
        """How many clients the server has."""
        return self._server.connections

    def flood(self) -> None:
        """Send more than any buffer on the way holds."""
        for _ in range(FLOOD):
            self._store.append(self._claim, [Entry(EventType.TOKEN, {"text": "x" * 60})] * 150)
        time.sleep(2.0)


def append_at(store: Store, claim: Claim, rate: float, count: int) -> None:
    """Append ``count`` events, ``rate`` a second."""
    begun = time.monotonic()
    for turn in range(count):
        time.sleep(max(0.0, begun + turn / rate - time.monotonic()))
        store.append(claim, [Entry(EventType.TOKEN, fields(time.monotonic_ns()))])


def fan_out(database: Database, clients: int, rate: float) -> None:
    """All clients at one stream: how late are events, at which price in memory?"""
    kinds = ["bare", "ours", *(["sse-starlette"] if find_spec("sse_starlette") else [])]
    with ExitStack() as stack:
        crowds = [Crowd(kind, database, clients, stack) for kind in kinds]
        for _ in range(ROUNDS):
            for crowd in crowds:
                crowd.run(rate, int(rate * SECONDS))
    print(f"\n{clients} clients x {rate:.0f} events a second")
    print(f"{'':14}  p50 ms   p99 ms  ratio  arrived  us an event  KB a client")
    bare = median(each["p99"] for each in crowds[0].rounds)
    sent = clients * int(rate * SECONDS) * ROUNDS
    for crowd in crowds:
        p50, p99 = (median(each[name] for each in crowd.rounds) for name in ("p50", "p99"))
        arrived = sum(each["events"] for each in crowd.rounds)
        print(
            f"{crowd.kind:14} {p50:7.1f} {p99:8.1f} {p99 / bare:6.2f} {arrived / sent:8.1%}"
            f" {crowd.busy_seconds / max(arrived, 1) * 1e6:12.1f} {crowd.kilobytes:12.1f}"
        )
        if crowd.kind == "ours":
            print(f"  p99 against bare ASGI: {judge_most(p99 / bare, P99_LIMIT)}", end="; ")
            print(f"KB a client: {judge_most(crowd.kilobytes, KILOBYTES_LIMIT)}", end="; ")
            print(f"all arrived: {'holds' if arrived == sent else 'MISSED'}")


def freeze(database: Database, clients: int, rate: float) -> None:
    """One client in ten reads no more: what do the others notice?"""
    frozen, stuck = clients // 10, list[int]()
    with ExitStack() as stack:
        calm, cold = (Crowd("ours", database, clients - frozen, stack) for _ in range(2))
        for turn in range(FREEZES):
            with cold.joined_by(frozen):
                for crowd in (calm, cold) if turn % 2 else (cold, calm):
                    crowd.flood()
                    crowd.run(rate, int(rate * SECONDS))
                stuck.append(cold.connections - (clients - frozen))
    print(f"\n{clients} clients x {rate:.0f} events a second, {frozen} of them frozen")
    print(f"{'':14}  p50 ms   p99 ms")
    late = list[float]()
    for name, crowd in (("none frozen", calm), ("some frozen", cold)):
        p50, p99 = (median(each[key] for each in crowd.rounds) for key in ("p50", "p99"))
        print(f"{name:14} {p50:7.1f} {p99:8.1f}")
        late.append(p99)
    ratio = late[1] / late[0]
    print(f"p99 of the others: {ratio:.2f} times that of none frozen", end=" ")
    print(f"({judge_most(ratio, FROZEN_LIMIT)}); still frozen at the end of each round: {stuck}")


def claim_new(store: Store) -> Claim:
    """A new job in the hands of a worker."""
    store.add(Job(id=uuid4(), owner="b", filename="p.jpg", photo_key="k", advisors=("ansel",)))
    claim = store.claim("bench", 3600.0)
    assert claim
    return claim


def measure_bytes(store: Store, port: int) -> None:
    """The bytes that a client gets who wants the text."""
    print("\ntokens  at tps     KB")
    sizes: dict[tuple[int, float], float] = {}
    for speed in (44.0, 20.0):
        for tokens in (1000, 2000):
            job_id = critiqued(store, tokens, speed)
            url = f"http://127.0.0.1:{port}/stream/{job_id}?include=tokens&after=0"
            sizes[tokens, speed] = size = len(httpx.get(url).content) / 1000
            print(f"{tokens:6} {speed:7.0f} {size:6.1f}")
        ratio = sizes[2000, speed] / sizes[1000, speed]
        print(f"twice the tokens are {ratio:.2f} times the bytes", end=" ")
        print(f"({judge_most(ratio, GROWTH_LIMIT)})", end="; KB of 2,000: ")
        print(judge_most(sizes[2000, speed], TEXT_KILOBYTES_LIMIT))


def critiqued(store: Store, tokens: int, speed: float) -> UUID:
    """A job whose log says what the pacer would have said, in the time that it would have taken."""
    claim, said, flushed, clock = claim_new(store), 0, 0, 0.0
    text = "The horizon leans to the left by 2.1 degrees, and the eye follows it out of it. " * 120
    entries, spoken = list[Entry](), 0.0
    while said < tokens:
        clock += max(FLUSH_SECONDS, 1 / speed, min(PORTION_TOKENS / speed, PATIENCE_SECONDS))
        said = min(tokens, int(clock * speed))
        part = Text(text=text[flushed * 4 : said * 4], offset=flushed * 4)
        fields = {"advisor": "ansel", "text": part.text, "offset": part.offset, "attempt": 1}
        entries.append(Entry(EventType.TOKEN, fields))
        flushed = said
        if clock - spoken >= 5.0 or not spoken:
            entries.append(
                Entry(EventType.THINKING_UPDATE, build_update_fields(update(said, clock)))
            )
            spoken = clock
    store.append(claim, entries)
    store.finish(claim)
    return claim.job.id


def update(tokens: int, seconds: float) -> Update:
    """What is said every interval."""
    return Update(
        phase=Phase.GENERATING,
        thinking=f"Generating analysis... ({tokens} tokens, 44.1 tps)",
        tokens=tokens,
        tokens_per_second=44.1,
        prompt_tokens=1024,
        peak_memory_gb=4.21,
        elapsed_seconds=seconds,
        eta_seconds=12.3,
        percent=50,
        basis=Basis.ESTIMATED,
    )


def measure_replay(store: Store, port: int, database: Database) -> None:
    """A log of 2,000 events over HTTP, in turns with the bare SELECT."""
    claim = claim_new(store)
    store.append(claim, [Entry(EventType.TOKEN, fields(0))] * 2000)
    store.finish(claim)
    url = f"http://127.0.0.1:{port}/stream/{claim.job.id}?include=tokens&after=0"
    query = "SELECT * FROM events WHERE job_id = %s ORDER BY seq"
    firsts, wholes, selects = list[float](), list[float](), list[float]()
    with httpx.Client() as client, psycopg.connect(database.url) as connection:
        for _ in range(REPLAYS):
            begun = time.perf_counter()
            with client.stream("GET", url) as response:
                received, chunks = b"", response.iter_raw()
                while b"\nid: 1\n" not in received:  # before it is only `connected`
                    received += next(chunks)
                firsts.append(time.perf_counter() - begun)
                for _ in chunks:
                    pass
            wholes.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            connection.execute(query, [claim.job.id]).fetchall()
            selects.append(time.perf_counter() - begun)
    first, whole = median(firsts) * 1000, median(wholes) * 1000
    ratio = median(a / b for a, b in zip(wholes, selects, strict=True))
    print(f"\nreplay of 2,000 events: first event after {first:.1f} ms", end=" ")
    print(f"({judge_most(first, FIRST_EVENT_LIMIT_MS)}), all after {whole:.1f} ms,", end=" ")
    print(f"{ratio:.1f} times the bare SELECT ({judge_most(ratio, SELECT_LIMIT)})")


if __name__ == "__main__":
    main()

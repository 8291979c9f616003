"""Whose turn it is: the order of claims is the documented one, whatever happens to jobs."""

import random
from collections import Counter, defaultdict
from threading import Barrier, Thread
from uuid import UUID

import psycopg
import pytest

from mondrian.database.postgres import Pool
from mondrian.database.schema import read_migrations
from mondrian.errors import MondrianError
from mondrian.jobs.job import Claim
from mondrian.jobs.store import Store
from support.store import LEASE, new_job

OWNERS = "abcdefghijkl"


class Model:
    """The rule in plain Python: the owner with the fewest running jobs, of these the one served
    least recently, or who has waited longest if none was; of its jobs the oldest."""

    def __init__(self) -> None:
        self.queued: dict[str, list[UUID]] = defaultdict(list)
        self.running: Counter[str] = Counter()
        self.served: dict[str, int] = {}
        self.since: dict[str, int] = {}
        self.age: dict[UUID, int] = {}
        self.began: set[UUID] = set()
        self._clock = 0

    def tick(self) -> int:
        self._clock += 1
        return self._clock

    def add(self, owner: str, job_id: UUID) -> None:
        self.age.setdefault(job_id, self.tick())
        if not self.queued[owner]:
            self.since[owner] = self.age[job_id]
        self.queued[owner].append(job_id)
        self.queued[owner].sort(key=self.age.__getitem__)

    def next(self) -> UUID | None:
        waiting = [owner for owner, jobs in self.queued.items() if jobs]
        if not waiting:
            return None
        owner = min(waiting, key=lambda o: (self.running[o], self.served.get(o, 0), self.since[o]))
        job_id = self.queued[owner].pop(0)
        if job_id not in self.began:
            self.began.add(job_id)
            self.served[owner] = self.tick()
        self.running[owner] += 1
        return job_id


@pytest.mark.parametrize("seed", range(6))
def test_claims_go_by_the_documented_rule(store: Store, seed: int) -> None:
    luck, model, held = random.Random(seed), Model(), list[Claim]()
    owners = OWNERS[: luck.choice((1, 2, 5, 12))]
    for _ in range(250):
        match luck.choice(
            ["add", "add", "claim", "claim", "finish", "release", "cancel", "delete"]
        ):
            case "add":
                owner = luck.choice(owners)
                model.add(owner, store.add(new_job(owner)).id)
            case "claim":
                claim = store.claim("worker", LEASE)
                assert (claim and claim.job.id) == model.next()
                held += [claim] if claim else []
            case "finish" | "release" as end if held:
                claim = held.pop(luck.randrange(len(held)))
                model.running[claim.job.owner] -= 1
                if end == "finish":
                    store.finish(claim)
                else:
                    store.release(claim)
                    model.add(claim.job.owner, claim.job.id)
            case "cancel" | "delete" as end:
                waiting = [job for jobs in model.queued.values() for job in jobs]
                if waiting:
                    chosen = luck.choice(waiting)
                    store.cancel(chosen) if end == "cancel" else store.delete(chosen)
                    for jobs in model.queued.values():
                        jobs[:] = [job for job in jobs if job != chosen]
    while (expected := model.next()) is not None:
        claim = store.claim("worker", LEASE)
        assert claim
        assert claim.job.id == expected
    assert store.claim("worker", LEASE) is None


def test_no_owner_loses_its_turn_in_a_crowd(store: Store, pool: Pool) -> None:
    """Queueing, claiming, releasing and cancelling at once, for a few owners, so that each often
    has its last job taken while another comes."""
    barrier = Barrier(9)

    def crowd(number: int) -> None:
        luck = random.Random(number)
        barrier.wait()
        for _ in range(60):
            job = store.add(new_job(luck.choice("abc")))
            try:
                if luck.random() < 0.3:
                    store.cancel(job.id)
                elif claim := store.claim("worker", LEASE):
                    store.release(claim) if luck.random() < 0.3 else store.finish(claim)
            except MondrianError:  # another was first
                pass

    threads = [Thread(target=crowd, args=[n]) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pool.connection() as connection:
        lost = connection.execute(
            "SELECT owner FROM jobs WHERE status = 'queued' EXCEPT SELECT owner FROM turns"
        ).fetchall()
    assert lost == []
    while claim := store.claim("worker", LEASE):
        store.finish(claim)
    assert all(job.is_ended for job in store.list_jobs(1000))
    store.forget_old()
    with pool.connection() as connection:
        assert connection.execute("SELECT owner FROM turns").fetchall() == []


def test_owners_whose_jobs_are_for_others_hold_up_nobody(store: Store, pool: Pool) -> None:
    """Jobs that a worker's engine failed at are for other workers, for a while."""
    for owner in OWNERS:
        store.add(new_job(owner))
    with pool.connection() as connection:
        connection.execute(
            "UPDATE jobs SET avoid = '{bad}', avoid_until = now() + interval '1 minute'"
        )
    last = store.add(new_job("last"))
    claim = store.claim("bad", LEASE)
    assert claim
    assert claim.job.id == last.id
    assert store.claim("bad", LEASE) is None
    other = store.claim("good", LEASE)
    assert other
    assert other.job.owner == OWNERS[0]


def test_jobs_that_waited_before_there_were_turns_have_theirs(
    store: Store, pool: Pool, database: str
) -> None:
    for owner in ("anna", "ben", "anna"):
        store.add(new_job(owner))
    store.claim("worker", LEASE)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE turns")
        connection.execute(read_migrations()["0011.turns"].encode())
    served = [store.claim("worker", LEASE), store.claim("worker", LEASE)]
    assert [claim and claim.job.owner for claim in served] == ["ben", "anna"]


def test_turns_are_found_by_the_index_also_with_plans_of_a_time_when_they_were_few(
    store: Store, pool: Pool
) -> None:
    def count_scans(connection: psycopg.Connection[dict[str, int]]) -> int:
        scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'turns'"
        return connection.execute(scans).fetchall()[0]["seq_scan"]

    store.add(new_job(owner="anna"))
    with pool.connection() as connection, connection.transaction():
        connection.execute("ANALYZE turns")
        before = count_scans(connection)
        for _ in range(8):
            connection.execute(
                """UPDATE jobs SET
                status = CASE status WHEN 'queued' THEN 'pending' ELSE 'queued' END"""
            )
        assert count_scans(connection) == before
